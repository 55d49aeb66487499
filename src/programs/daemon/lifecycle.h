/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMs start and end: operations that go to the launcher and to the VM's owner, and news from there.
 *
 * Thread: the loop's.
 */
#pragma once

#include "programs/daemon/daemon.h"

/* 0: *ret_operation says how it goes on. */
int vm_start(struct daemon *daemon, struct vm *vm, struct operation **ret_operation,
	     struct err *err) MUST_CHECK;
/* seconds: how long the guest may take, 0: nobody waits for that. force: it is not asked. */
int vm_stop(struct daemon *daemon, struct vm *vm, bool force, u32 seconds,
	    struct operation **ret_operation, struct err *err) MUST_CHECK;
/* What cpu.weight and the like say now, for one that runs. */
void vm_set_limits(struct daemon *daemon, struct vm *vm);

/* A state has changed: an event. */
void vm_set_state(struct daemon *daemon, struct vm *vm, enum vm_state state);

/* Where its owner answers: from RUN, which is our folder, since addresses of sockets are short. */
void vm_socket(const struct daemon *daemon, const struct vm *vm, char *ret_path,
	       size_t size);

/* For launcher_link_config: owner is the daemon. */
void on_list_begins(void *owner);
void on_list_has(void *owner, const struct launch_reply *reply);
void on_list_is_over(void *owner);
void on_vm_ended(void *owner, const struct launch_reply *reply);
