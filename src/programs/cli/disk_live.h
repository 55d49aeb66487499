/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique disk attach|detach|resize of a VM that runs: the words, and what is asked of its control
 * socket. The rest of `tabique disk` is cmd_disk.c.
 */
#pragma once

#include "base/types.h"

/* As main()'s, from "disk" on. resize is ours where a control socket is named. */
bool disk_live_wants(int argc, char **argv);
/* The exit code. */
int disk_live_run(int argc, char **argv);
