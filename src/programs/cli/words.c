/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in words; see words.h. */
#include "programs/cli/words.h"

#include "base/checked.h"
#include "wall/worker_config.h"

bool parse_number(const char *text, u64 *ret_number, const char **ret_rest)
{
	u64 n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (!mul_u64(n, 10, &n) || !add_u64(n, (u64)(*p - '0'), &n))
			return false;
	if (p == text)
		return false;
	*ret_number = n;
	*ret_rest = p;
	return true;
}

bool parse_size(const char *text, u64 *ret_size)
{
	static const char units[] = "KMGTP";
	const char *rest, *unit;
	u64 n;

	if (!parse_number(text, &n, &rest))
		return false;
	if (*rest) {
		unit = strchr(units, *rest & ~0x20);
		if (!unit || !mul_u64(n, 1ull << (10 * (unit - units + 1)), &n))
			return false;
		rest++;
		if (*rest == 'i')
			rest++;
		if (*rest == 'B' || *rest == 'b')
			rest++;
		if (*rest)
			return false;
	}
	*ret_size = n;
	return true;
}

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
