/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a VM, started and watched by their owner: memory regions, sockets, uids,
 * fork and exec, the first message of each. `tabique run` is that owner for one VM.
 * The address translator is there where an adapter is on 'nat'; the VM lives without it.
 *
 *	1. vm_process_start
 *	2. the owner watches hv_socket, worker_socket, hv_pidfd, worker_pidfd and speaks
 *	   struct owner_message
 *	3. vm_process_end
 */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/types.h"
#include "programs/cli/run_disks.h"
#include "wall/net_config.h"
#include "wall/worker_config.h"

struct vm_process_config {
	struct hv_config hv; /* sizes, VPs, engine; descriptors are filled in here */
	struct worker_config worker; /* names, command line; the rest is filled in here */
	int kvm;		     /* /dev/kvm or -1; stays the caller's */
	int kernel;		     /* stays the caller's */
	int module[WORKER_MAX_MODULES];
	struct disk_images images; /* worker.image_count of them; stay the caller's */
	int nic[WORKER_MAX_NICS]; /* the port of each; -1: unplugged; stay the caller's */
	struct nat_config nat;	  /* adapters: none where there is no translator */
	int nat_port[WORKER_MAX_NICS]; /* the other ends; stay the caller's */
};

struct vm_process {
	pid_t hv_pid, worker_pid, nat_pid;
	int hv_pidfd, worker_pidfd, nat_pidfd;
	int hv_socket, worker_socket, nat_socket;
	int serial; /* our end of COM1 */
	int slot_lock;
	u32 uid; /* of the slot, 0: none */
	int hv_status, worker_status,
		nat_status; /* of wait, valid when the pid is 0 again */
	struct rusage hv_usage, worker_usage, nat_usage;
};

/* All descriptors of *ret_vm are close-on-exec. Negative: nothing was left behind. */
int vm_process_start(const struct vm_process_config *config, struct vm_process *ret_vm,
		     struct err *err) MUST_CHECK;

/*
 * A slot of uids that no other VM of this host uses, held by a lock on its file. Not root: no
 * slot, *ret_uid 0 and lock -1. The uid of a role is *ret_uid + role.
 */
/* Its owner's own, where it has one. */
u32 vm_process_owner_uid(const struct vm_process *vm);
enum { ROLE_HV, ROLE_WORKER, ROLE_DISK, ROLE_NET };
int take_slot(u32 *ret_uid, int *ret_lock, struct err *err) MUST_CHECK;
/* One of our programs, with nothing but its owner's socket (stays the caller's). */
int start_program(const char *name, int owner, pid_t *ret_pid, int *ret_pidfd,
		  struct err *err) MUST_CHECK;

/* Has it ended? Takes its status and usage, once. */
bool vm_process_hv_ended(struct vm_process *vm);
bool vm_process_worker_ended(struct vm_process *vm);
bool vm_process_nat_ended(struct vm_process *vm);

/* Wait for its OWNER_READY. what: for the sentence. */
int program_ready(int socket, const char *what, struct err *err) MUST_CHECK;
/* What an OWNER_FAILED says. */
void owner_failed_err(const struct owner_message *message, struct err *err);

/* Kill what still runs, wait for it, close everything. */
void vm_process_end(struct vm_process *vm);
