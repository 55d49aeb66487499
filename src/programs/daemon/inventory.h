/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMs that this host has: what each is configured with, on STATE/vms/NAME.json, and what is known of it
 * while it runs.
 *
 *	off -> starting -> running <-> paused
 *	             \         \-> stopping -> off
 *	              \-> off (the start failed)
 *
 * A file is replaced as a whole: written beside, made durable, renamed. One that cannot be read costs its
 * VM alone, and is left as it is. The daemon alone writes there.
 *
 * Thread: the loop's.
 */
#pragma once

#include <jansson.h>

#include "base/err.h"
#include "config/vm_config.h"
#include "wall/launch_order.h"

#define INVENTORY_MAX_VMS 4096

enum vm_state { VM_OFF, VM_STARTING, VM_RUNNING, VM_PAUSED, VM_STOPPING };
const char *vm_state_word(enum vm_state state);

struct operation;

struct vm {
	char name[VM_NAME_SIZE];
	json_t *config;
	char etag[24]; /* of the configuration */

	enum vm_state state;
	struct launch_reply known; /* while it is not off */
	struct launch_reply end;   /* of its last run; kind 0: none that we saw */
	struct operation *starting, *stopping;
	bool listed; /* in the launcher's list that is coming in */

	/* vm_cpu.c */
	u64 cpu_ns, cpu_at_ns;
	unsigned cpu_percent;
};

struct inventory {
	char folder[512];
	struct vm *vm[INVENTORY_MAX_VMS]; /* by name */
	unsigned count;
};

/* Reads all. -errno: the folder cannot be used. */
int inventory_open(struct inventory *inventory, const char *state, struct err *err)
	MUST_CHECK;
void inventory_close(struct inventory *inventory);

/* NULL: there is none. */
struct vm *inventory_find(const struct inventory *inventory, const char *name);

/* config: checked, and taken. -EEXIST, -ENOSPC, what the disk says: nothing has changed then. */
int inventory_add(struct inventory *inventory, const char *name, json_t *config,
		  struct vm **ret_vm, struct err *err) MUST_CHECK;
int inventory_change(struct inventory *inventory, struct vm *vm, json_t *config,
		     struct err *err) MUST_CHECK;
int inventory_remove(struct inventory *inventory, struct vm *vm, struct err *err)
	MUST_CHECK;
