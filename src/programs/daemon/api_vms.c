/* SPDX-License-Identifier: Apache-2.0 */
/* VMs in the API: made, shown, changed, started, stopped, forgotten; see api.h. */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "programs/daemon/api.h"
#include "programs/daemon/lifecycle.h"
#include "programs/daemon/vm_cpu.h"

#define MAX_WAIT_SECONDS 86400

/* ---- shown ----------------------------------------------------------------------------------- */

/* What a person would like to know beside the state. */
static const char *status_of(const struct daemon *d, const struct vm *vm)
{
	if (vm->state == VM_OFF && vm->end.kind == LAUNCH_ENDED)
		return strcmp(vm->end.end, "failed") == 0 && vm->end.text[0]
			       ? vm->end.text
			       : vm->end.end;
	return vm->state != VM_OFF && !launcher_link_is_up(d->launcher) ? "no launcher"
									: "";
}

/* The columns of the list. */
static json_t *row_of(const struct daemon *d, struct vm *vm)
{
	u64 now = host_clock.monotonic_ns(&host_clock);
	bool runs = vm->state != VM_OFF && vm->known.start_ns && now > vm->known.start_ns;
	char url[16 + VM_NAME_SIZE];

	snprintf(url, sizeof url, "/1.0/vms/%s", vm->name);
	return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s, s:s}", "name", vm->name,
			 "url", url, "state", vm_state_word(vm->state), "cpu",
			 (int)vm_cpu_percent(vm, now), "memory",
			 (json_int_t)config_number(vm->config, "memory"), "uptime",
			 (json_int_t)(runs ? (now - vm->known.start_ns) / NS_PER_SEC : 0),
			 "status", status_of(d, vm), "node", d->node);
}

void api_vms_list(struct daemon *d, struct api_call *c)
{
	json_t *list = json_array();

	for (unsigned k = 0; k < d->inventory.count; k++)
		json_array_append_new(list, row_of(d, d->inventory.vm[k]));
	control_reply(c->call, list);
}

static void show(struct daemon *d, struct api_call *c, struct vm *vm)
{
	json_t *shown = row_of(d, vm);

	json_object_set(shown, "config", vm->config);
	if (vm->state == VM_RUNNING || vm->state == VM_PAUSED || vm->state == VM_STOPPING)
		api_relay_show(d, c, vm, shown);
	else
		control_reply_with(c->call,
				   &(struct control_answer){
					   .status = 200,
					   .etag = vm->etag,
					   .json = json_pack("{s:s, s:s, s:o}", "type",
							     "sync", "status", "done",
							     "metadata", shown),
				   });
}

void api_vm_show(struct daemon *d, struct api_call *c)
{
	struct vm *vm = api_vm(d, c);

	if (vm && c->request->if_none_match[0] && vm->state == VM_OFF &&
	    strcmp(c->request->if_none_match, vm->etag) == 0)
		control_reply_with(c->call, &(struct control_answer){ .status = 304,
								      .etag = vm->etag,
								      .bytes = "",
								      .type = "applicatio"
									      "n/json" });
	else if (vm)
		show(d, c, vm);
}

void api_vm_state(struct daemon *d, struct api_call *c)
{
	const struct vm *vm = api_vm(d, c);

	if (vm)
		control_reply(c->call,
			      json_pack("{s:s}", "state", vm_state_word(vm->state)));
}

/* ---- made and changed ------------------------------------------------------------------------ */

void api_vm_create(struct daemon *d, struct api_call *c)
{
	const char *name = json_string_value(json_object_get(c->body, "name"));
	json_t *changes = json_copy(c->body), *empty = json_object();
	struct err err = { 0 };
	struct vm *vm;
	char url[16 + VM_NAME_SIZE];
	int r;

	json_object_del(changes, "name");
	if (!name) {
		err_set(&err, -EINVAL, "a VM needs a name");
		r = err_fix(&err, "send {\"name\": NAME, ...}");
	} else {
		r = vm_name_check(name, &err);
	}
	if (r == 0)
		r = config_check(changes, &err);
	if (r == 0)
		r = inventory_add(&d->inventory, name, config_merge(empty, changes), &vm,
				  &err);
	json_decref(changes);
	json_decref(empty);
	if (r < 0) {
		control_reply_err(c->call, &err);
		return;
	}
	events_post(d->events, "vm",
		    json_pack("{s:s, s:s}", "name", vm->name, "state", "off"));
	snprintf(url, sizeof url, "/1.0/vms/%s", vm->name);
	control_reply_with(c->call, &(struct control_answer){
					    .status = 201,
					    .etag = vm->etag,
					    .location = url,
					    .json = json_pack("{s:s, s:s, s:o}", "type",
							      "sync", "status", "created",
							      "metadata", row_of(d, vm)),
				    });
}

/* False: somebody changed it since, and it was answered. */
static bool still_the_same(struct api_call *c, const struct vm *vm)
{
	const char *tag = c->request->if_match;

	if (!tag[0] || strcmp(tag, "*") == 0 || strcmp(tag, vm->etag) == 0)
		return true;
	api_refuse(c, -ESTALE, "look at it again (GET), then change that",
		   "VM '%s' was changed by somebody else meanwhile", vm->name);
	return false;
}

/* What can only change while it is off: the first of those; NULL: nothing. */
static const char *first_cold(const json_t *changes)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)changes, name, value)
	{
		const struct config_field *f = config_find(name);

		if (f && !f->hot)
			return name;
	}
	return NULL;
}

void api_vm_set(struct daemon *d, struct api_call *c)
{
	struct vm *vm = api_vm(d, c);
	struct err err = { 0 };
	const char *cold;

	if (!vm || !still_the_same(c, vm))
		return;
	if (config_check(c->body, &err) < 0) {
		control_reply_err(c->call, &err);
		return;
	}
	cold = vm->state != VM_OFF ? first_cold(c->body) : NULL;
	if (cold) {
		api_refuse(c, -EBUSY, "stop it first",
			   "VM '%s' is %s: '%s' can change only while it is off",
			   vm->name, vm_state_word(vm->state), cold);
		return;
	}
	if (inventory_change(&d->inventory, vm, config_merge(vm->config, c->body), &err) <
	    0) {
		control_reply_err(c->call, &err);
		return;
	}
	vm_set_limits(d, vm);
	events_post(d->events, "vm-config", json_pack("{s:s}", "name", vm->name));
	control_reply_with(c->call, &(struct control_answer){
					    .status = 200,
					    .etag = vm->etag,
					    .json = json_pack("{s:s, s:s, s:O}", "type",
							      "sync", "status", "done",
							      "metadata", vm->config),
				    });
}

void api_vm_delete(struct daemon *d, struct api_call *c)
{
	struct vm *vm = api_vm(d, c);
	char fix[VM_NAME_SIZE + 48];
	struct err err = { 0 };

	if (!vm || !still_the_same(c, vm))
		return;
	if (vm->state != VM_OFF) {
		snprintf(fix, sizeof fix, "stop it first: tabique vm stop %s", vm->name);
		api_refuse(c, -EBUSY, fix, "VM '%s' is %s", vm->name,
			   vm_state_word(vm->state));
		return;
	}
	if (inventory_remove(&d->inventory, vm, &err) < 0) {
		control_reply_err(c->call, &err);
		return;
	}
	events_post(d->events, "vm",
		    json_pack("{s:s, s:s}", "name", c->name, "state", "deleted"));
	control_reply(c->call, NULL);
}

/* ---- started and stopped --------------------------------------------------------------------- */

static void stop_or_start(struct daemon *d, struct api_call *c, struct vm *vm, bool start,
			  bool force, json_int_t seconds)
{
	struct operation *o = NULL;
	struct err err = { 0 };
	int r;

	if (seconds < 0 || seconds > MAX_WAIT_SECONDS) {
		api_refuse(c, -EINVAL, "give 0 to 86400",
			   "\"wait\" is not a number of seconds");
		return;
	}
	r = start ? vm_start(d, vm, &o, &err)
		  : vm_stop(d, vm, force, (u32)seconds, &o, &err);
	if (r < 0)
		control_reply_err(c->call, &err);
	else
		operation_accept(o, c->call);
}

void api_vm_put_state(struct daemon *d, struct api_call *c)
{
	static const char *const others[] = { "reset",	"reboot", "pause",
					      "resume", "freeze", "thaw" };
	struct vm *vm = api_vm(d, c);
	const char *action = "";
	json_int_t seconds = 60;
	json_error_t where;
	int force = 0;

	if (!vm)
		return;
	if (json_unpack_ex(c->body, &where, 0, "{s:s, s?b, s?I !}", "action", &action,
			   "force", &force, "wait", &seconds) < 0) {
		api_refuse(c, -EINVAL, "send {\"action\": \"start\"}",
			   "the request's body is not what is expected: %s", where.text);
		return;
	}
	if (strcmp(action, "start") == 0 || strcmp(action, "stop") == 0) {
		stop_or_start(d, c, vm, action[2] == 'a', force, seconds);
		return;
	}
	for (size_t k = 0; k < ARRAY_COUNT(others); k++) {
		if (strcmp(action, others[k]) == 0) {
			api_relay_state(d, c, vm, others[k]);
			return;
		}
	}
	api_refuse(c, -EINVAL,
		   "\"start\", \"stop\", \"reset\", \"reboot\", \"pause\", \"resume\", "
		   "\"freeze\" or \"thaw\"",
		   "no such action: '%.40s'", action);
}
