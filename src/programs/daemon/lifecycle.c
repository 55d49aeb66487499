/* SPDX-License-Identifier: Apache-2.0 */
/* Starts and ends of VMs; see lifecycle.h. */
#include "programs/daemon/lifecycle.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "programs/daemon/relay.h"

/* An answer that comes later is looked up by name: the VM may be gone by then. */
struct errand {
	struct daemon *daemon;
	char name[VM_NAME_SIZE];
	struct operation *operation;
	bool force, until_end; /* a stop that is done when the VM is over */
};

void vm_set_state(struct daemon *d, struct vm *vm, enum vm_state state)
{
	if (vm->state == state)
		return;
	vm->state = state;
	events_post(d->events, "vm",
		    json_pack("{s:s, s:s}", "name", vm->name, "state",
			      vm_state_word(state)));
}

void vm_socket(const struct daemon *d, const struct vm *vm, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "vms/%s/control", vm->name);
}

static struct errand *errand_new(struct daemon *d, const struct vm *vm)
{
	struct errand *e = calloc(1, sizeof *e);

	if (e) {
		e->daemon = d;
		memcpy(e->name, vm->name, sizeof e->name);
	}
	return e;
}

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
}

/* ---- the request ----------------------------------------------------------------------------- */

static struct launch_limits limits_of(const struct vm *vm)
{
	return (struct launch_limits){
		.weight = (u32)config_number(vm->config, "cpu.weight"),
		.limit = (u32)config_number(vm->config, "cpu.limit"),
		.reserve = (u32)config_number(vm->config, "cpu.reserve"),
	};
}

/* A list's texts into an array of fields. */
static int take_list(const struct vm *vm, const char *name, char *ret_field,
		     size_t field_size, u32 most, u32 *ret_count, struct err *err)
{
	const json_t *list = json_object_get(vm->config, name);
	json_t *value;
	size_t k;

	json_array_foreach(list, k, value)
	{
		const char *text = json_string_value(value);

		if (k == most || strlen(text) >= field_size) {
			err_set(err, -EINVAL, "%s: more than %u, or too long", name,
				most);
			return err_fix(err, "leave some out");
		}
		memcpy(ret_field + k * field_size, text, strlen(text));
	}
	*ret_count = (u32)json_array_size(list);
	return 0;
}

static int take_text(const struct vm *vm, const char *name, char *ret_text, size_t size,
		     struct err *err)
{
	const char *text = config_text(vm->config, name);

	if (strlen(text) >= size)
		return err_set(err, -EINVAL, "%s is too long", name);
	memcpy(ret_text, text, strlen(text));
	return 0;
}

static int make_request(const struct vm *vm, struct launch_request *r, struct err *err)
{
	int code;

	*r = (struct launch_request){
		.kind = LAUNCH_START,
		.limits = limits_of(vm),
		.cpus = (u32)config_number(vm->config, "cpus"),
		.memory = (u64)config_number(vm->config, "memory"),
	};
	memcpy(r->name, vm->name, sizeof vm->name);
	if (!config_text(vm->config, "kernel")[0]) {
		err_set(err, -EINVAL, "there is nothing to boot");
		return err_fix(err, "name a kernel: tabique vm set %s kernel=FILE",
			       vm->name);
	}
	code = take_text(vm, "engine", r->engine, sizeof r->engine, err);
	if (code == 0)
		code = take_text(vm, "kernel", r->kernel, sizeof r->kernel, err);
	if (code == 0)
		code = take_text(vm, "initrd", r->initrd, sizeof r->initrd, err);
	if (code == 0)
		code = take_text(vm, "append", r->append, sizeof r->append, err);
	if (code == 0)
		code = take_list(vm, "disk", r->disk[0], sizeof r->disk[0],
				 LAUNCH_MAX_DISKS, &r->disk_count, err);
	if (code == 0)
		code = take_list(vm, "cdrom", r->cdrom[0], sizeof r->cdrom[0],
				 LAUNCH_MAX_DISKS, &r->cdrom_count, err);
	if (code == 0)
		code = take_list(vm, "nic", r->nic[0], sizeof r->nic[0], LAUNCH_MAX_NICS,
				 &r->nic_count, err);
	return code;
}

/* ---- start ----------------------------------------------------------------------------------- */

static void reply_err(const struct launch_reply *reply, struct err *err)
{
	*err = (struct err){ .code = reply->code < 0 ? reply->code : -EIO };
	memcpy(err->text, reply->text, sizeof err->text);
	memcpy(err->fix, reply->fix, sizeof err->fix);
}

static void on_done(void *owner, const struct launch_reply *reply) {}

static void on_started(void *owner, const struct launch_reply *reply)
{
	AUTO_FREE struct errand *e = owner;
	struct vm *vm = inventory_find(&e->daemon->inventory, e->name);
	struct operation *o = vm ? take_ptr(vm->starting) : NULL;
	struct err err = { 0 };

	if (!vm)
		return;
	if (reply->kind == LAUNCH_DONE) {
		vm->known = *reply;
		vm_set_state(e->daemon, vm, VM_RUNNING);
	} else {
		reply_err(reply, &err);
		err_wrap(&err, "start '%s'", vm->name);
		/* Nobody knows, where the launcher went away: its list will say. */
		if (reply->code != -EHOSTDOWN)
			vm_set_state(e->daemon, vm, VM_OFF);
	}
	if (o)
		operation_end(o, &err);
}

static void send_kill(struct daemon *d, const char *name)
{
	static struct launch_request request;
	struct err err = { 0 };

	request = (struct launch_request){ .kind = LAUNCH_KILL };
	snprintf(request.name, sizeof request.name, "%s", name);
	if (launcher_link_ask(d->launcher, &request, on_done, d, &err) < 0)
		log_warn("VM '%s': %s", name, err.text);
}

static struct vm *vm_of_operation(struct daemon *d, const struct operation *o)
{
	for (unsigned k = 0; k < d->inventory.count; k++)
		if (d->inventory.vm[k]->starting == o ||
		    d->inventory.vm[k]->stopping == o)
			return d->inventory.vm[k];
	return NULL;
}

static void cancel_start(void *owner, struct operation *o)
{
	struct daemon *d = owner;
	struct vm *vm = vm_of_operation(d, o);

	if (!vm)
		return;
	vm->starting = NULL;
	send_kill(d, vm->name);
}

int vm_start(struct daemon *d, struct vm *vm, struct operation **ret_operation,
	     struct err *err)
{
	static struct launch_request request; /* large */
	struct errand *e;
	int r;

	if (vm->state != VM_OFF) {
		err_set(err, -EBUSY, "VM '%s' is %s", vm->name, vm_state_word(vm->state));
		if (vm->state == VM_PAUSED)
			return err_fix(err, "let it go on: tabique vm resume %s",
				       vm->name);
		return err_fix(err, "stop it first: tabique vm stop %s", vm->name);
	}
	r = make_request(vm, &request, err);
	if (r < 0)
		return err_wrap(err, "start '%s'", vm->name);
	e = errand_new(d, vm);
	if (!e)
		return no_memory(err);
	r = launcher_link_ask(d->launcher, &request, on_started, e, err);
	if (r < 0) {
		free(e);
		return r;
	}
	vm->starting = operation_new(d->operations, "start", vm->name, cancel_start, d);
	vm->cpu_ns = vm->cpu_at_ns = 0;
	vm->cpu_percent = 0;
	vm->end.kind = 0;
	vm_set_state(d, vm, VM_STARTING);
	*ret_operation = vm->starting;
	return vm->starting ? 0 : no_memory(err);
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* The guest will not, or the owner cannot be asked: only then there is something to say. */
static void on_stop_answered(void *owner, const struct relay_answer *answer)
{
	const json_t *body = answer->json;
	unsigned status = answer->status;
	AUTO_FREE struct errand *e = owner;
	struct vm *vm = inventory_find(&e->daemon->inventory, e->name);
	struct err why = { 0 };

	if (!vm || !vm->stopping)
		return;
	if (status >= 400) {
		const json_t *fix = json_array_get(json_object_get(body, "fix"), 0);

		err_set(&why, status == 504 ? -ETIMEDOUT : -EIO, "stop '%s': %s", e->name,
			json_string_value(json_object_get(body, "message")) ?: "refused");
		if (json_is_string(fix))
			err_fix(&why, "%s", json_string_value(fix));
	} else if (!status && e->force) {
		send_kill(e->daemon, e->name);
		return;
	} else if (!status && answer->err->code == -EHOSTDOWN) {
		return; /* it has just ended, and the launcher will say so */
	} else if (!status) {
		why = *answer->err;
	} else if (e->until_end) {
		return; /* on_vm_ended */
	}
	if (why.code)
		vm_set_state(e->daemon, vm, VM_RUNNING);
	operation_end(take_ptr(vm->stopping), &why);
}

static void cancel_stop(void *owner, struct operation *o)
{
	struct vm *vm = vm_of_operation(owner, o);

	/* The guest has been asked, and may do so all the same. */
	if (vm)
		vm->stopping = NULL;
}

int vm_stop(struct daemon *d, struct vm *vm, bool force, u32 seconds,
	    struct operation **ret_operation, struct err *err)
{
	char socket[VM_NAME_SIZE + 16];
	struct errand *e;
	json_t *body;

	if (vm->state == VM_OFF) {
		err_set(err, -EALREADY, "VM '%s' is off", vm->name);
		return err_fix(err, "start it: tabique vm start %s", vm->name);
	}
	/* Who has no patience with a guest that was asked pulls the plug: the same operation. */
	if (vm->state == VM_STARTING || (vm->stopping && !force)) {
		err_set(err, -EBUSY, "VM '%s' is %s", vm->name, vm_state_word(vm->state));
		return err_fix(err, "wait for that, or cancel it: tabique op list, "
				    "tabique op cancel ID");
	}
	e = errand_new(d, vm);
	if (!e)
		return no_memory(err);
	if (!vm->stopping)
		vm->stopping =
			operation_new(d->operations, "stop", vm->name, cancel_stop, d);
	if (!vm->stopping) {
		free(e);
		return no_memory(err);
	}
	*ret_operation = vm->stopping;
	e->force = force;
	e->until_end = force || seconds > 0;
	vm_set_state(d, vm, VM_STOPPING);
	body = json_pack("{s:s, s:b, s:I}", "action", "stop", "force", force, "wait",
			 (json_int_t)seconds);
	vm_socket(d, vm, socket, sizeof socket);
	/* One that does not even take the plug being pulled is killed. */
	relay_ask(d->loop, socket, "PUT", "/1.0/vms/self/state", body,
		  force ? 10 : seconds + 10, on_stop_answered, e);
	json_decref(body);
	return 0;
}

void vm_set_limits(struct daemon *d, struct vm *vm)
{
	static struct launch_request request;
	struct err err = { 0 };

	if (vm->state == VM_OFF)
		return;
	request =
		(struct launch_request){ .kind = LAUNCH_LIMITS, .limits = limits_of(vm) };
	memcpy(request.name, vm->name, sizeof vm->name);
	if (launcher_link_ask(d->launcher, &request, on_done, d, &err) < 0)
		log_warn("VM '%s': %s", vm->name, err.text);
}

/* ---- news of the launcher -------------------------------------------------------------------- */

void on_list_begins(void *owner)
{
	struct daemon *d = owner;

	for (unsigned k = 0; k < d->inventory.count; k++)
		d->inventory.vm[k]->listed = false;
}

/* What its owner knows of it, and we do not: we may be new. */
static void on_state(void *owner, const struct relay_answer *answer)
{
	AUTO_FREE struct errand *e = owner;
	struct vm *vm = inventory_find(&e->daemon->inventory, e->name);
	const char *state = json_string_value(
		json_object_get(json_object_get(answer->json, "metadata"), "state"));

	if (!vm || vm->state != VM_RUNNING || answer->status != 200 || !state)
		return;
	if (strcmp(state, "paused") == 0)
		vm_set_state(e->daemon, vm, VM_PAUSED);
	else if (strcmp(state, "stopping") == 0)
		vm_set_state(e->daemon, vm, VM_STOPPING);
}

void on_list_has(void *owner, const struct launch_reply *reply)
{
	struct daemon *d = owner;
	struct vm *vm = inventory_find(&d->inventory, reply->name);
	struct errand *e;
	char socket[VM_NAME_SIZE + 16];

	if (!vm) {
		log_warn("VM '%s' runs, but has no file here: it is left alone",
			 reply->name);
		return;
	}
	vm->listed = true;
	vm->known = *reply;
	if (vm->state != VM_OFF && vm->state != VM_STARTING)
		return;
	if (vm->starting)
		return;
	vm_set_state(d, vm, VM_RUNNING);
	e = errand_new(d, vm);
	vm_socket(d, vm, socket, sizeof socket);
	if (e)
		relay_ask(d->loop, socket, "GET", "/1.0/vms/self/state", NULL, 10,
			  on_state, e);
}

static void is_over(struct daemon *d, struct vm *vm)
{
	memset(&vm->known, 0, sizeof vm->known);
	vm_set_state(d, vm, VM_OFF);
	if (vm->stopping)
		operation_end(take_ptr(vm->stopping), NULL);
}

void on_list_is_over(void *owner)
{
	struct daemon *d = owner;

	for (unsigned k = 0; k < d->inventory.count; k++) {
		struct vm *vm = d->inventory.vm[k];

		if (!vm->listed && vm->state != VM_OFF && !vm->starting)
			is_over(d, vm);
	}
}

void on_vm_ended(void *owner, const struct launch_reply *reply)
{
	struct daemon *d = owner;
	struct vm *vm = inventory_find(&d->inventory, reply->name);

	if (!vm)
		return;
	vm->end = *reply;
	if (strcmp(reply->end, "failed") == 0)
		log_warn("VM '%s' has ended: %s", vm->name, reply->text);
	events_post(d->events, "vm-end",
		    json_pack("{s:s, s:s, s:i, s:s}", "name", vm->name, "end", reply->end,
			      "code", (int)reply->code, "text", reply->text));
	is_over(d, vm);
}
