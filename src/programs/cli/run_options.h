/* SPDX-License-Identifier: Apache-2.0 */
/* What `tabique run` was asked for: the command line, parsed and checked, no file opened yet. */
#pragma once

#include "base/err.h"
#include "programs/cli/run_disks.h"
#include "programs/cli/run_nics.h"
#include "wall/worker_config.h"

#define RUN_MAX_CPUS 64
#define RUN_MIN_MEMORY (1ull << 20)
#define RUN_MAX_MEMORY (1ull << 40)
#define RUN_DEFAULT_VIDEO_MEMORY 8u /* MiB: 1920x1080 */
#define RUN_VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"
#define RUN_VGA_TEXT (128ull << 10)
#define RUN_DEFAULT_FIRMWARE "/usr/share/seabios/bios-256k.bin"
#define RUN_DEFAULT_MEMORY (512ull << 20)

enum run_engine {
	RUN_ENGINE_AUTO,
	RUN_ENGINE_KVM,
	RUN_ENGINE_SOFT,
	RUN_ENGINE_INTERP,
	RUN_ENGINE_LOCKSTEP,
};

struct run_options {
	const char *kernel;	      /* path */
	bool bios;		      /* firmware in place of a kernel */
	const char *firmware;	      /* its path */
	const char *append;	      /* kernel command line, "" when none */
	u64 memory;		      /* bytes, a whole number of pages */
	struct worker_memory dynamic; /* min <= memory <= max */
	u32 cpus;
	u32 video_memory; /* MiB; 0: no screen */
	u32 code_cache;	  /* MiB, 0: not given */
	enum run_engine engine;
	u32 timeout_seconds; /* 0 = none */
	const char *stats;   /* path, NULL = none */
	const char *control; /* path of a socket, NULL = none */
	const char *screen;  /* where viewers connect, NULL = nowhere */
	const char *allow;   /* path of the list of what VMs may use; NULL: the host's */
	int launched;	     /* tabique-launcher's socket, -1: we are in the foreground */
	bool no_reboot, debug_exit, test_devices;
	struct run_disks disks;
	struct run_nics nics;
	unsigned module_count;
	char module_path[WORKER_MAX_MODULES][WORKER_ARGS_SIZE];
	char module_args[WORKER_MAX_MODULES][WORKER_ARGS_SIZE];
};

/* Strings point into argv. 0, or -EINVAL with the sentence. 1: help was asked for. */
int run_options_parse(int argc, char **argv, struct run_options *ret_options,
		      struct err *err) MUST_CHECK;
void run_options_help(void);
