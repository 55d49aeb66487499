/* SPDX-License-Identifier: Apache-2.0 */
/* Units in words; see words.h. */
#include "programs/cli/words.h"

#include "wall/worker_config.h"

bool parse_unit(const char *text, u32 *ret_controller, u32 *ret_lun)
{
	const char *rest;
	u64 controller, lun;

	if (strncmp(text, "scsi", 4) != 0 ||
	    !parse_number(text + 4, &controller, &rest) || *rest != ':' ||
	    !parse_number(rest + 1, &lun, &rest) || *rest ||
	    controller >= WORKER_MAX_CONTROLLERS || lun >= WORKER_MAX_LUNS)
		return false;
	*ret_controller = (u32)controller;
	*ret_lun = (u32)lun;
	return true;
}
