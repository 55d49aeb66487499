/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's HTTP API /1.0: one table of routes (api.c), from which requests are handed out and
 * GET /1.0/openapi.json is made. The handlers stand in api_host.c and api_vms.c; what concerns a VM that runs is
 * passed on to its owner (api_relay.c).
 *
 * Thread: the loop's.
 */
#pragma once

#include "control/server.h"
#include "programs/daemon/daemon.h"

struct api_call {
	struct control_call *call;
	const struct http_message *request;
	json_t *body;		   /* NULL: none was sent; else an object, borrowed */
	char name[HTTP_PATH_SIZE]; /* what stood for {name} or {id} */
	const char *rest;	   /* behind it: "/disks/scsi0:3" */
};

/* Roles of users, as far as they go here: who may connect to the socket is an administrator. */
enum api_role { API_VIEWER, API_OPERATOR, API_ADMIN };

struct api_route {
	const char *method;
	const char *path; /* /1.0/vms/{name}/disks/{...}: {...} is one part or several */
	enum api_role role;
	enum { API_NO_BODY, API_MAY_BODY, API_NEEDS_BODY } body;
	bool async; /* 202 */
	const char *summary;
	void (*handle)(struct daemon *daemon, struct api_call *call);
};
const struct api_route *api_routes(size_t *ret_count);

void api_handle(void *daemon, struct control_call *call,
		const struct http_message *request, json_t *body);
void api_refuse(struct api_call *call, int code, const char *fix, const char *fmt, ...)
	PRINTF(4, 5);
/* NULL: it was answered. */
struct vm *api_vm(struct daemon *daemon, struct api_call *call);

/* The same, and it runs. */
struct vm *api_vm_running(struct daemon *daemon, struct api_call *call);

/* api_host.c */
void api_root(struct daemon *daemon, struct api_call *call);
void api_host(struct daemon *daemon, struct api_call *call);
void api_openapi(struct daemon *daemon, struct api_call *call);
void api_metrics(struct daemon *daemon, struct api_call *call);
void api_events(struct daemon *daemon, struct api_call *call);
void api_operations(struct daemon *daemon, struct api_call *call);
void api_operation(struct daemon *daemon, struct api_call *call);
void api_operation_wait(struct daemon *daemon, struct api_call *call);
void api_operation_cancel(struct daemon *daemon, struct api_call *call);
/* api_vms.c */
void api_vms_list(struct daemon *daemon, struct api_call *call);
void api_vm_create(struct daemon *daemon, struct api_call *call);
void api_vm_show(struct daemon *daemon, struct api_call *call);
void api_vm_set(struct daemon *daemon, struct api_call *call);
void api_vm_delete(struct daemon *daemon, struct api_call *call);
void api_vm_state(struct daemon *daemon, struct api_call *call);
void api_vm_put_state(struct daemon *daemon, struct api_call *call);
/* api_relay.c */
void api_relay(struct daemon *daemon, struct api_call *call);
/* As it came, to the VM's owner; a VM that is off is said so. */
void api_relay_state(struct daemon *daemon, struct api_call *call, struct vm *vm,
		     const char *action);
/* GET of the VM itself, laid over shown (taken). */
void api_relay_show(struct daemon *daemon, struct api_call *call, struct vm *vm,
		    json_t *shown);
/* isolation.c */
void api_vm_isolation(struct daemon *daemon, struct api_call *call);
