/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and units in the words of a command line. */
#pragma once

#include "config/words.h"

/* "scsi0:3": unit 3 of SCSI controller 0. */
bool parse_unit(const char *text, u32 *ret_controller, u32 *ret_lun);
