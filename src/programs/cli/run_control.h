/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tabique run --control SOCKET` answers there: the API's part for one VM, which is called
 * "self".
 *
 *	GET    /1.0, /1.0/vms				what there is
 *	GET    /1.0/vms/self				state, size, memory, disks
 *	PATCH  /1.0/vms/self				{"memory": bytes} or {"memory.min": bytes, "memory.max": bytes,
 *							"memory.buffer": percent, "memory.weight": number}
 *	GET    /1.0/vms/self/state
 *	PUT    /1.0/vms/self/state			{"action": "stop", "force": bool, "wait": seconds}
 *							or {"action": "reset"}, or "reboot", "pause",
 *							"resume", "freeze", "thaw"
 *	GET    /1.0/vms/self/inspect[/PATH]		live state of both processes
 *	GET    /1.0/vms/self/disks
 *	POST   /1.0/vms/self/disks			{"file": PATH, "controller": N, "lun": N, "format": NAME,
 *							"read_only": bool, "passthrough": bool}
 *	GET    /1.0/vms/self/disks/scsi0:3
 *	DELETE /1.0/vms/self/disks/scsi0:3
 *	PATCH  /1.0/vms/self/disks/scsi0:3		{"size": bytes} or {"grow": bytes} or {}
 *
 *	GET    /1.0/vms/self/nics[/nic0]
 *	PATCH  /1.0/vms/self/nics/nic0			{"link": "up" or "down"}: the cable is put in or pulled out
 *
 *	GET    /1.0/vms/self/serial[/N]		what the guest said on its serial console, from byte N
 *							on: waits for it; not where a terminal has it
 *	POST   /1.0/vms/self/serial		{"text": TEXT}: typed there
 *
 *	GET    /1.0/vms/self/kvp			what the guest says of itself, and what was said to it
 *	PATCH  /1.0/vms/self/kvp			{KEY: VALUE or null}
 *	PUT    /1.0/vms/self/address			{"adapter": GUID, "dhcp": true} or {"adapter": GUID,
 *							"address": LIST, "mask": LIST, "gateway": LIST, "dns": LIST}
 *	GET    /1.0/vms/self/screenshot.png
 *	GET    /1.0/vms/self/screen.txt			of a text mode
 *	POST   /1.0/vms/self/type			{"text": TEXT, "layout": "es", "es-latam" or "us"}
 *	POST   /1.0/vms/self/keys			{"keys": "ctrl-alt-del"}
 *	POST   /1.0/vms/self/mouse			{"x": 0 to 32767, "y": 0 to 32767, "buttons": bits, "wheel": N}
 *	POST   /1.0/vms/self/files			{"file": PATH, "to": PATH in the guest, "force": bool}
 *
 * A stop asks the guest by its shutdown component, or presses the power button where it has no driver
 * for that. With "wait" or "force" it is answered when the VM has ended and its disks are closed, or
 * when the seconds are over. Paths are
 * opened with our rights: who may connect to the socket could as well have started the VM.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/loop.h"
#include "programs/cli/run_inspect.h"
#include "programs/cli/run_options.h"

struct live_serial;
struct run_control;

struct run_control_config {
	struct loop *loop;
	int socket; /* listening; stays the caller's, as the others */
	const struct run_options *options; /* outlives us */
	int hv_socket, worker_socket;
	int hv_pid, worker_pid, nat_pid; /* nat: 0 where there is none */
	struct live_serial *serial;	 /* NULL: a terminal has it */
	void (*power_button)(void *owner);
	void (*power_off)(void *owner);
	void (*reset)(void *owner);
	void *owner;
};
int run_control_new(const struct run_control_config *config,
		    struct run_control **ret_control) MUST_CHECK;
void run_control_free(struct run_control *control);

/* OWNER_INSPECT, OWNER_DISK_DONE, OWNER_DISK_EJECTED and OWNER_GUEST_... go here. */
void run_control_hear(struct run_control *control, enum run_side side,
		      const struct owner_message *message);
/* The VM is over, its processes are gone: who waits for that hears it. end: a word, as in --stats. NULL is fine. */
void run_control_ended(struct run_control *control, const char *end, int code);
