/* SPDX-License-Identifier: Apache-2.0 */
/* The API but for VMs: the host, operations, events, figures, and the document of it all; see api.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "programs/daemon/api.h"
#include "programs/daemon/vm_cpu.h"

void api_root(struct daemon *d, struct api_call *c)
{
	control_reply(c->call, json_pack("{s:s, s:s, s:[s, s, s, s, s, s]}", "api", "1.0",
					 "version", TABIQUE_VERSION, "resources",
					 "/1.0/vms", "/1.0/operations", "/1.0/events",
					 "/1.0/host", "/1.0/openapi.json", "/metrics"));
}

void api_host(struct daemon *d, struct api_call *c)
{
	struct utsname name = { 0 };
	struct sysinfo info = { 0 };
	unsigned running = 0;

	uname(&name);
	sysinfo(&info);
	for (unsigned k = 0; k < d->inventory.count; k++)
		running += d->inventory.vm[k]->state != VM_OFF;
	control_reply(
		c->call,
		json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:i, s:i, s:b}", "node",
			  d->node, "version", TABIQUE_VERSION, "kernel", name.release,
			  "cpus", (int)sysconf(_SC_NPROCESSORS_ONLN), "memory",
			  (json_int_t)((u64)info.totalram * info.mem_unit), "free_memory",
			  (json_int_t)((u64)info.freeram * info.mem_unit), "vms",
			  (int)d->inventory.count, "running", (int)running, "launcher",
			  launcher_link_is_up(d->launcher)));
}

void api_events(struct daemon *d, struct api_call *c)
{
	events_listen(d->events, c->call);
}

void api_operations(struct daemon *d, struct api_call *c)
{
	control_reply(c->call, operations_list(d->operations));
}

void api_operation(struct daemon *d, struct api_call *c)
{
	operations_show(d->operations, c->name, c->call);
}

void api_operation_wait(struct daemon *d, struct api_call *c)
{
	operations_wait(d->operations, c->name, c->call);
}

void api_operation_cancel(struct daemon *d, struct api_call *c)
{
	operations_cancel(d->operations, c->name, c->call);
}

/* ---- figures --------------------------------------------------------------------------------- */

/* Text exposition format 0.0.4 of Prometheus. */
void api_metrics(struct daemon *d, struct api_call *c)
{
	unsigned states[VM_STOPPING + 1] = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f) {
		api_refuse(c, -ENOMEM, "try again", "%s", err_words(-ENOMEM));
		return;
	}
	for (unsigned k = 0; k < d->inventory.count; k++)
		states[d->inventory.vm[k]->state]++;
	fputs("# HELP tabique_vms VMs of this host by state.\n# TYPE tabique_vms gauge\n",
	      f);
	for (unsigned k = 0; k <= VM_STOPPING; k++)
		fprintf(f, "tabique_vms{state=\"%s\"} %u\n", vm_state_word(k), states[k]);
	fputs("# HELP tabique_vm_cpu_seconds_total Processor time of a VM's processes.\n"
	      "# TYPE tabique_vm_cpu_seconds_total counter\n",
	      f);
	for (unsigned k = 0; k < d->inventory.count; k++) {
		const struct vm *vm = d->inventory.vm[k];

		if (vm->state != VM_OFF)
			fprintf(f, "tabique_vm_cpu_seconds_total{vm=\"%s\"} %.2f\n",
				vm->name, (double)vm_cpu_ns(vm) / 1e9);
	}
	fputs("# HELP tabique_vm_memory_bytes Memory that a VM is configured with.\n"
	      "# TYPE tabique_vm_memory_bytes gauge\n",
	      f);
	for (unsigned k = 0; k < d->inventory.count; k++)
		fprintf(f, "tabique_vm_memory_bytes{vm=\"%s\"} %lld\n",
			d->inventory.vm[k]->name,
			(long long)config_number(d->inventory.vm[k]->config, "memory"));
	fprintf(f,
		"# HELP tabique_api_requests_total Requests to the API.\n"
		"# TYPE tabique_api_requests_total counter\n"
		"tabique_api_requests_total %llu\n"
		"# HELP tabique_api_unknown_total Requests of routes that there are "
		"not.\n"
		"# TYPE tabique_api_unknown_total counter\n"
		"tabique_api_unknown_total %llu\n"
		"# HELP tabique_operations_running Operations that are not over.\n"
		"# TYPE tabique_operations_running gauge\n"
		"tabique_operations_running %u\n"
		"# HELP tabique_launcher_up Is the launcher there?\n"
		"# TYPE tabique_launcher_up gauge\ntabique_launcher_up %d\n",
		(unsigned long long)d->requests, (unsigned long long)d->refused,
		operations_running(d->operations), launcher_link_is_up(d->launcher));
	fclose(f);
	control_reply_with(c->call, &(struct control_answer){ .status = 200,
							      .bytes = text ? text : "",
							      .size = size,
							      .type = "text/plain; "
								      "version=0.0.4" });
	free(text);
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *field_schema(const struct config_field *f)
{
	json_t *schema = json_pack("{s:s}", "description", f->help);

	switch (f->type) {
	case CONFIG_NUMBER:
	case CONFIG_SIZE:
		json_object_set_new(schema, "type", json_string("integer"));
		json_object_set_new(schema, "minimum", json_integer(f->least));
		json_object_set_new(schema, "maximum", json_integer(f->most));
		json_object_set_new(schema, "default", json_integer(f->number));
		break;
	case CONFIG_WORD:
		json_object_set_new(schema, "type", json_string("string"));
		json_object_set_new(schema, "default", json_string(f->text));
		json_object_set_new(schema, "enum", json_array());
		for (const char *const *w = f->words; *w; w++)
			json_array_append_new(json_object_get(schema, "enum"),
					      json_string(*w));
		break;
	case CONFIG_TEXT:
	case CONFIG_PATH:
		json_object_set_new(schema, "type", json_string("string"));
		json_object_set_new(schema, "maxLength", json_integer(f->most - 1));
		break;
	case CONFIG_LIST:
	case CONFIG_FILES:
		json_object_set_new(schema, "type", json_string("array"));
		json_object_set_new(schema, "maxItems", json_integer(VM_MAX_LIST));
		json_object_set_new(schema, "items",
				    json_pack("{s:s, s:I}", "type", "string", "maxLength",
					      (json_int_t)f->most - 1));
		break;
	}
	if (f->hot)
		json_object_set_new(schema, "x-hot", json_true());
	return schema;
}

static json_t *vm_schema(void)
{
	json_t *properties = json_object();
	size_t count;
	const struct config_field *f = config_fields(&count);

	for (size_t k = 0; k < count; k++)
		json_object_set_new(properties, f[k].name, field_schema(&f[k]));
	return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
			 "properties", properties);
}

static json_t *problem_schema(void)
{
	return json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:{s:s}}}}", "type",
			 "object", "properties", "code", "type", "string", "message",
			 "type", "string", "cause", "type", "string", "fix", "type",
			 "array", "items", "type", "string");
}

/* {name}, {id} and {...} of a path. */
static json_t *parameters(const char *path)
{
	json_t *list = json_array();

	for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
		size_t n = strcspn(p + 1, "}");
		bool rest = strncmp(p, "{...}", 5) == 0;

		json_array_append_new(list, json_pack("{s:s%, s:s, s:b, s:{s:s}}", "name",
						      rest ? "rest" : p + 1,
						      rest ? (size_t)4 : n, "in", "path",
						      "required", 1, "schema", "type",
						      "string"));
	}
	return list;
}

static json_t *operation_of(const struct api_route *r)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };
	json_t *o = json_pack("{s:s, s:s, s:o, s:{s:{s:s}, s:{s:s}}}", "summary",
			      r->summary, "x-role", roles[r->role], "parameters",
			      parameters(r->path), "responses", r->async ? "202" : "200",
			      "description", r->async ? "accepted: an operation" : "done",
			      "default", "description",
			      "refused: application/problem+json");

	if (r->body != API_NO_BODY)
		json_object_set_new(o, "requestBody",
				    json_pack("{s:b, s:{s:{s:{s:s}}}}", "required",
					      r->body == API_NEEDS_BODY, "content",
					      "application/json", "schema", "type",
					      "object"));
	return o;
}

void api_openapi(struct daemon *d, struct api_call *c)
{
	json_t *paths = json_object();
	size_t count;
	const struct api_route *routes = api_routes(&count);

	for (size_t k = 0; k < count; k++) {
		char path[128], method[8];
		const char *dots = strstr(routes[k].path, "{...}");
		json_t *entry;

		snprintf(path, sizeof path, "%.*s%s",
			 dots ? (int)(dots - routes[k].path) : 120, routes[k].path,
			 dots ? "{rest}" : "");
		for (size_t n = 0; n < sizeof method; n++)
			method[n] = (char)(routes[k].method[n] | 0x20);
		method[strlen(routes[k].method)] = '\0';
		entry = json_object_get(paths, path);
		if (!entry) {
			entry = json_object();
			json_object_set_new(paths, path, entry);
		}
		json_object_set_new(entry, method, operation_of(&routes[k]));
	}
	/* A document, not a reply of ours: as those who read it expect it. */
	control_reply_with(
		c->call,
		&(struct control_answer){
			.status = 200,
			.json = json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:{s:o, s:o}}}",
					  "openapi", "3.0.3", "info", "title", "Tabique",
					  "version", TABIQUE_VERSION, "paths", paths,
					  "components", "schemas", "VM", vm_schema(),
					  "Problem", problem_schema()),
		});
}
