/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PowerShell's spellings of the verbs, as Hyper-V's users know them: New-VM -Name web1 -MemoryStartupBytes 1GB
 * becomes vm create web1 memory=1GB.
 */
#pragma once

#include "base/err.h"

#define PS_MAX_WORDS 64

struct ps_words {
	int argc;
	char *argv[PS_MAX_WORDS + 1]; /* "vm", "create", ... */
	char text[8192];	      /* that they point into, or into what was given */
};

/* 0: argv[1] is none of them; 1: *ret_words is what they mean. -EINVAL: a parameter that it has not. */
int ps_alias(int argc, char **argv, struct ps_words *ret_words, struct err *err)
	MUST_CHECK;
