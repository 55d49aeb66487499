/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner of a VM that runs answers, passed on; see api.h. */
#include <errno.h>
#include <stdio.h>

#include "programs/daemon/api.h"
#include "programs/daemon/lifecycle.h"
#include "programs/daemon/relay.h"

/* One that waits for news, such as the console's, may take its time. */
#define PATIENCE_SECONDS 3600
#define SHOW_SECONDS 5

struct passing {
	struct daemon *daemon;
	struct control_call *call;
	char name[VM_NAME_SIZE];
	char action[16]; /* api_relay_state */
	char etag[24];
	json_t *shown; /* api_relay_show */
};

static struct passing *passing_new(struct daemon *d, struct api_call *c,
				   const struct vm *vm)
{
	struct passing *p;

	p = calloc(1, sizeof *p);
	if (!p) {
		api_refuse(c, -ENOMEM, "try again", "%s", err_words(-ENOMEM));
		return NULL;
	}
	p->daemon = d;
	p->call = c->call;
	memcpy(p->name, vm->name, sizeof p->name);
	memcpy(p->etag, vm->etag, sizeof p->etag);
	return p;
}

/* What is no JSON is a picture. */
static void pass_on(struct control_call *call, const struct relay_answer *a)
{
	if (!a->status)
		control_reply_err(call, a->err);
	else
		control_reply_with(call,
				   &(struct control_answer){ .status = a->status,
							     .json = json_incref(a->json),
							     .bytes = a->bytes,
							     .size = a->size,
							     .type = "image/png" });
}

static void on_answer(void *owner, const struct relay_answer *answer)
{
	AUTO_FREE struct passing *p = owner;
	struct vm *vm = inventory_find(&p->daemon->inventory, p->name);

	if (vm && answer->status == 200 && vm->state != VM_OFF) {
		if (strcmp(p->action, "pause") == 0)
			vm_set_state(p->daemon, vm, VM_PAUSED);
		else if (strcmp(p->action, "resume") == 0 ||
			 strcmp(p->action, "reset") == 0)
			vm_set_state(p->daemon, vm, VM_RUNNING);
	}
	pass_on(p->call, answer);
}

static void ask(struct passing *p, const struct vm *vm, const char *method,
		const char *path, const json_t *body, unsigned seconds, relay_fn done)
{
	char socket[VM_NAME_SIZE + 16];

	vm_socket(p->daemon, vm, socket, sizeof socket);
	relay_ask(p->daemon->loop, socket, method, path, body, seconds, done, p);
}

void api_relay(struct daemon *d, struct api_call *c)
{
	const struct vm *vm = api_vm_running(d, c);
	struct passing *p = vm ? passing_new(d, c, vm) : NULL;
	char path[HTTP_PATH_SIZE + 16];

	if (!p)
		return;
	snprintf(path, sizeof path, "/1.0/vms/self%s", c->rest);
	ask(p, vm, c->request->method, path, c->body, PATIENCE_SECONDS, on_answer);
}

void api_relay_state(struct daemon *d, struct api_call *c, struct vm *vm,
		     const char *action)
{
	struct passing *p = api_vm_running(d, c) ? passing_new(d, c, vm) : NULL;

	if (!p)
		return;
	snprintf(p->action, sizeof p->action, "%s", action);
	ask(p, vm, "PUT", "/1.0/vms/self/state", c->body, PATIENCE_SECONDS, on_answer);
}

/* An owner that does not answer costs what it would have said. */
static void on_shown(void *owner, const struct relay_answer *answer)
{
	AUTO_FREE struct passing *p = owner;
	json_t *more = json_object_get(answer->json, "metadata"), *value;
	const char *key;

	if (answer->status != 200)
		json_object_set_new(p->shown, "status",
				    json_string("its owner process does not answer"));
	json_object_foreach(more, key, value) if (!json_object_get(p->shown, key))
		json_object_set(p->shown, key, value);
	control_reply_with(p->call, &(struct control_answer){
					    .status = 200,
					    .etag = p->etag,
					    .json = json_pack("{s:s, s:s, s:o}", "type",
							      "sync", "status", "done",
							      "metadata", p->shown),
				    });
}

void api_relay_show(struct daemon *d, struct api_call *c, struct vm *vm, json_t *shown)
{
	struct passing *p = passing_new(d, c, vm);

	if (!p) {
		json_decref(shown);
		return;
	}
	p->shown = shown;
	ask(p, vm, "GET", "/1.0/vms/self", NULL, SHOW_SECONDS, on_shown);
}
