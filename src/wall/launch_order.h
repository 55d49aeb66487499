/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tabique-launcher is asked to do, and what it says: messages of one fixed size each way over
 * SOCK_SEQPACKET sockets. It takes who asks for hostile: every field is checked, nothing is parsed.
 *
 *	daemon -> launcher	LAUNCH_START, LAUNCH_KILL, LAUNCH_LIMITS, LAUNCH_LIST
 *	launcher -> daemon	LAUNCH_DONE or LAUNCH_FAILED with the request's tag; LAUNCH_VM for each VM of a
 *				list, before its LAUNCH_DONE; LAUNCH_ENDED, tag 0, when a VM is over
 *
 *	VM's owner -> launcher	LAUNCH_DONE with pidfds when the VM's processes are there, or LAUNCH_FAILED;
 *				LAUNCH_ENDED with how the guest ended
 *
 * A VM's owner is `tabique run --launched`: it opens what belongs to the VM, starts the VM's processes,
 * and drops its rights (programs/cli/run_launched.h).
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

#define LAUNCH_VERSION 1u
#define LAUNCH_NAME 64
#define LAUNCH_PATH 1024
#define LAUNCH_APPEND 2048
#define LAUNCH_WORD 256
#define LAUNCH_MAX_DISKS 16
#define LAUNCH_MAX_NICS 8
#define LAUNCH_WORD_SIZE 32

enum launch_kind {
	LAUNCH_START,
	LAUNCH_KILL,   /* its processes, at once */
	LAUNCH_LIMITS, /* of a VM that runs */
	LAUNCH_LIST,

	LAUNCH_DONE,
	LAUNCH_FAILED,
	LAUNCH_VM,
	LAUNCH_ENDED,
};

/* Where the host has control groups for it. */
struct launch_limits {
	u32 weight;  /* 1 to 10000, 100 is everybody's */
	u32 limit;   /* percent of a processor, 0: none */
	u32 reserve; /* the same: weighs as much as that would */
};

struct launch_request {
	u32 version, kind, tag;
	char name[LAUNCH_NAME];
	struct launch_limits limits;
	/* LAUNCH_START; texts end with a 0 inside their field */
	u32 cpus;
	u64 memory; /* bytes */
	char engine[LAUNCH_WORD_SIZE];
	char kernel[LAUNCH_PATH], initrd[LAUNCH_PATH]; /* initrd "": none */
	char append[LAUNCH_APPEND];
	u32 disk_count, cdrom_count, nic_count;
	char disk[LAUNCH_MAX_DISKS][LAUNCH_PATH]; /* as --disk has them */
	char cdrom[LAUNCH_MAX_DISKS][LAUNCH_PATH];
	char nic[LAUNCH_MAX_NICS][LAUNCH_WORD];
};

struct launch_reply {
	u32 version, kind, tag;
	char name[LAUNCH_NAME];
	s32 owner, hv, worker, nat; /* pids; nat 0: none */
	u32 uid;		    /* of hv; the others' are above it */
	u64 start_ns;		    /* CLOCK_MONOTONIC */
	/* LAUNCH_ENDED: a word as --stats has it, its exit code, what there is to say */
	char end[LAUNCH_WORD_SIZE];
	s32 code; /* LAUNCH_FAILED: negative errno */
	char text[ERR_TEXT_SIZE], fix[ERR_FIX_SIZE];
};
