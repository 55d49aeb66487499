/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dropping every right that a process of a VM does not need. A program receives its
 * descriptors, maps its memory, and then calls jail_enter once on its main
 * thread; what it starts afterwards inherits all of it. The system calls that a thread needs are
 * its own list, which it takes on itself by jail_thread as its last step before its work.
 *
 * Layers, outermost first: empty root (pivot_root, else chroot), own IPC, UTS, cgroup and network
 * namespaces, another uid, no capabilities, no new privileges, not dumpable, rlimits, Landlock
 * deny-all, seccomp. A layer that this host cannot give is left out and named in the report;
 * which ones are indispensable is in jail.c.
 */
#pragma once

#include "base/err.h"
#include "base/types.h"

/* JAIL_NAT keeps the host's network: other namespaces and rights go as everybody's do. */
enum jail_role { JAIL_HV, JAIL_WORKER, JAIL_NAT, JAIL_OWNER };

/* Test switches: leave a layer out, to prove that the tests notice. */
#define JAIL_NO_SECCOMP 1u
#define JAIL_NO_LANDLOCK 2u
#define JAIL_NO_UID 4u
#define JAIL_NO_DUMPABLE 8u
#define JAIL_NO_ROOT 16u
#define JAIL_NO_NAMESPACES 32u
#define JAIL_NO_CAPS 64u

struct jail_config {
	enum jail_role role;
	u32 leave_out; /* JAIL_NO_... */
	u32 uid;       /* become this uid and gid; 0 = stay */
};

/*
 * On the main thread, before other threads exist: namespaces, root, rlimits, uid, capabilities,
 * no-new-privileges, dumpable, Landlock. report (of size bytes) gets one line on what holds.
 */
int jail_enter(const struct jail_config *config, char *report, size_t size,
	       struct err *err) MUST_CHECK;

/*
 * For a program of the host's, not of a VM's: its own uid and gid (0: stay), no capabilities, no new
 * privileges, not dumpable, and by Landlock, where the kernel has it, only these folders.
 */
#define JAIL_MAX_FOLDERS 4
struct jail_service {
	u32 uid, gid;
	const char *writable[JAIL_MAX_FOLDERS], *readable[JAIL_MAX_FOLDERS];
};
int jail_service(const struct jail_service *service, char *report, size_t size,
		 struct err *err) MUST_CHECK;

/*
 * Last step of each thread: its system calls. The calling thread only. The _KVM kinds are for a
 * partition on KVM: ioctl, with the requests that its run loop and its states need, none that
 * makes anything new.
 */
enum jail_thread {
	JAIL_THREAD_HV_VP,
	JAIL_THREAD_HV_LOOP,
	JAIL_THREAD_HV_VP_KVM,
	JAIL_THREAD_HV_LOOP_KVM,
	JAIL_THREAD_WORKER,
	JAIL_THREAD_DISK_TOOL, /* each of tabique-disk: the same, and its owner's socket */
	JAIL_THREAD_DISK,      /* a thread of src/disk in the worker */
	JAIL_THREAD_DISK_NBD, /* the one that speaks with NBD servers, of both programs */
	JAIL_THREAD_NAT,      /* tabique-nat: sockets to the network */
	JAIL_THREAD_SWITCH,   /* tabique-switch: those that others connect */
};
int jail_thread(const struct jail_config *config, enum jail_thread kind, struct err *err)
	MUST_CHECK;

/* The list itself, so that a test can count and try it. */
const int *jail_thread_syscalls(enum jail_thread kind, unsigned *ret_count);
