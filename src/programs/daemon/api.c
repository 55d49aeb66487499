/* SPDX-License-Identifier: Apache-2.0 */
/* The table of routes; see api.h. */
#include "programs/daemon/api.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define VM "/1.0/vms/{name}"

/* clang-format off */
static const struct api_route routes[] = {
	{ "GET", "/1.0", API_VIEWER, API_NO_BODY, false, "what there is", api_root },
	{ "GET", "/1.0/openapi.json", API_VIEWER, API_NO_BODY, false, "this document", api_openapi },
	{ "GET", "/1.0/host", API_VIEWER, API_NO_BODY, false, "the host", api_host },
	{ "GET", "/1.0/events", API_VIEWER, API_NO_BODY, false, "what happens, as server-sent events", api_events },
	{ "GET", "/metrics", API_VIEWER, API_NO_BODY, false, "figures for Prometheus", api_metrics },

	{ "GET", "/1.0/operations", API_VIEWER, API_NO_BODY, false, "what takes a while, newest first", api_operations },
	{ "GET", "/1.0/operations/{id}", API_VIEWER, API_NO_BODY, false, "one operation", api_operation },
	{ "GET", "/1.0/operations/{id}/wait", API_VIEWER, API_NO_BODY, false, "the same when it is over", api_operation_wait },
	{ "DELETE", "/1.0/operations/{id}", API_OPERATOR, API_NO_BODY, false, "cancel it", api_operation_cancel },

	{ "GET", "/1.0/vms", API_VIEWER, API_NO_BODY, false, "all VMs", api_vms_list },
	{ "POST", "/1.0/vms", API_ADMIN, API_NEEDS_BODY, false, "make a VM: name, and the fields of VM", api_vm_create },
	{ "GET", VM, API_VIEWER, API_NO_BODY, false, "configuration, and while it runs what its owner says", api_vm_show },
	{ "PATCH", VM, API_ADMIN, API_NEEDS_BODY, false, "change fields; null: back to the default", api_vm_set },
	{ "DELETE", VM, API_ADMIN, API_NO_BODY, false, "forget it; its disks stay", api_vm_delete },
	{ "GET", VM "/state", API_VIEWER, API_NO_BODY, false, "off, starting, running, paused, stopping", api_vm_state },
	{ "PUT", VM "/state", API_OPERATOR, API_NEEDS_BODY, true, "action: start, stop (force, wait), reset, reboot, pause, resume, freeze, thaw", api_vm_put_state },
	{ "GET", VM "/isolation", API_VIEWER, API_NO_BODY, false, "uids, capabilities and filters of its processes", api_vm_isolation },

	{ "GET", VM "/inspect", API_VIEWER, API_NO_BODY, false, "live state of its processes", api_relay },
	{ "GET", VM "/inspect/{...}", API_VIEWER, API_NO_BODY, false, "a branch of it", api_relay },
	{ "GET", VM "/serial", API_OPERATOR, API_NO_BODY, false, "what the guest said last on its serial console", api_relay },
	{ "GET", VM "/serial/{...}", API_OPERATOR, API_NO_BODY, false, "from that byte on, once there is more", api_relay },
	{ "POST", VM "/serial", API_OPERATOR, API_NEEDS_BODY, false, "type there: text", api_relay },
	{ "GET", VM "/disks", API_VIEWER, API_NO_BODY, false, "disks of a VM that runs", api_relay },
	{ "POST", VM "/disks", API_ADMIN, API_NEEDS_BODY, false, "attach one", api_relay },
	{ "GET", VM "/disks/{...}", API_VIEWER, API_NO_BODY, false, "one disk", api_relay },
	{ "PATCH", VM "/disks/{...}", API_ADMIN, API_MAY_BODY, false, "grow it, or change its medium", api_relay },
	{ "DELETE", VM "/disks/{...}", API_ADMIN, API_NO_BODY, false, "detach it", api_relay },
	{ "GET", VM "/nics", API_VIEWER, API_NO_BODY, false, "network adapters of a VM that runs", api_relay },
	{ "GET", VM "/nics/{...}", API_VIEWER, API_NO_BODY, false, "one adapter", api_relay },
	{ "PATCH", VM "/nics/{...}", API_OPERATOR, API_NEEDS_BODY, false, "link: up or down", api_relay },
	{ "GET", VM "/kvp", API_VIEWER, API_NO_BODY, false, "what the guest says of itself", api_relay },
	{ "PATCH", VM "/kvp", API_OPERATOR, API_NEEDS_BODY, false, "leave words for it", api_relay },
	{ "PUT", VM "/address", API_OPERATOR, API_NEEDS_BODY, false, "an adapter's address in the guest", api_relay },
	{ "GET", VM "/screenshot.png", API_VIEWER, API_NO_BODY, false, "the screen", api_relay },
	{ "POST", VM "/type", API_OPERATOR, API_NEEDS_BODY, false, "type a text", api_relay },
	{ "POST", VM "/keys", API_OPERATOR, API_NEEDS_BODY, false, "press keys", api_relay },
	{ "POST", VM "/mouse", API_OPERATOR, API_NEEDS_BODY, false, "move and click", api_relay },
	{ "POST", VM "/files", API_ADMIN, API_NEEDS_BODY, false, "copy a file into the guest", api_relay },
};
/* clang-format on */

const struct api_route *api_routes(size_t *ret_count)
{
	*ret_count = ARRAY_COUNT(routes);
	return routes;
}

/*
 * Does a path fit? {name} and {id} are one part of it, not empty, which goes to ret_name; {...} at the end is
 * whatever is left, not empty. ret_rest is behind the name.
 */
static bool fits(const char *row, const char *path, char *ret_name, const char **ret_rest)
{
	*ret_rest = "";
	while (*row) {
		size_t n;

		if (strcmp(row, "{...}") == 0)
			return *path;
		if (*row != '{') {
			if (*row++ != *path++)
				return false;
			continue;
		}
		n = strcspn(path, "/");
		if (n == 0)
			return false;
		memcpy(ret_name, path, n);
		ret_name[n] = '\0';
		path += n;
		*ret_rest = path;
		row = strchr(row, '}') + 1;
	}
	return !*path;
}

void api_refuse(struct api_call *c, int code, const char *fix, const char *fmt, ...)
{
	struct err err = { 0 };
	char text[ERR_TEXT_SIZE];
	va_list list;

	va_start(list, fmt);
	vsnprintf(text, sizeof text, fmt, list);
	va_end(list);
	err_set(&err, code, "%s", text);
	err_fix(&err, "%s", fix);
	control_reply_err(c->call, &err);
}

struct vm *api_vm(struct daemon *d, struct api_call *c)
{
	struct vm *vm = inventory_find(&d->inventory, c->name);
	const char *names[16], *near;
	char fix[128];
	size_t count = 0;

	if (vm)
		return vm;
	for (; count < ARRAY_COUNT(names) && count < d->inventory.count; count++)
		names[count] = d->inventory.vm[count]->name;
	near = nearest_word(c->name, names, count);
	snprintf(fix, sizeof fix,
		 near ? "did you mean '%s'?" : "see which there are: tabique vm list",
		 near);
	api_refuse(c, -ENOENT, fix, "there is no VM '%.80s'", c->name);
	return NULL;
}

struct vm *api_vm_running(struct daemon *d, struct api_call *c)
{
	struct vm *vm = api_vm(d, c);
	char fix[VM_NAME_SIZE + 48];

	if (!vm || (vm->state != VM_OFF && vm->state != VM_STARTING))
		return vm;
	snprintf(fix, sizeof fix, "start it: tabique vm start %s", vm->name);
	api_refuse(c, -EBUSY, fix, "VM '%s' is %s", vm->name, vm_state_word(vm->state));
	return NULL;
}

void api_handle(void *owner, struct control_call *call,
		const struct http_message *request, json_t *body)
{
	struct api_call c = { .call = call, .request = request, .body = body };
	struct daemon *d = owner;
	bool known = false;

	d->requests++;
	for (size_t k = 0; k < ARRAY_COUNT(routes); k++) {
		const struct api_route *r = &routes[k];

		if (!fits(r->path, request->path, c.name, &c.rest))
			continue;
		known = true;
		if (strcmp(r->method, request->method) != 0)
			continue;
		if (r->body == API_NEEDS_BODY && !body)
			api_refuse(&c, -EINVAL, "send a JSON object",
				   "the request needs a body");
		else
			r->handle(d, &c);
		return;
	}
	d->refused++;
	if (known)
		api_refuse(&c, -EOPNOTSUPP, "see GET /1.0/openapi.json",
			   "'%s' is not what '%s' knows", request->method, request->path);
	else
		control_reply_unknown(call, request);
}
