/* SPDX-License-Identifier: Apache-2.0 */
/* The API of one VM: paths, what is asked of each, and answers; see run_control.h. */
#include "programs/cli/run_control.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "control/inspect_tree.h"
#include "control/server.h"
#include "programs/cli/live_copy.h"
#include "programs/cli/live_disks.h"
#include "programs/cli/live_guest.h"
#include "programs/cli/live_memory.h"
#include "programs/cli/live_nics.h"
#include "programs/cli/live_picture.h"
#include "programs/cli/live_serial.h"
#include "programs/cli/words.h"

#define VM "/1.0/vms/self"
#define MAX_WAIT_SECONDS 86400

/* A stop that is answered later. */
struct stopping {
	struct run_control *control;
	struct control_call *call;
	struct loop_alarm alarm;
	u32 seconds;
	struct stopping *next;
};

/* An inspect that is answered later, and of which branch. */
struct looking {
	struct control_call *call;
	char path[HTTP_PATH_SIZE];
};

struct run_control {
	struct run_control_config config;
	struct control_server *server;
	struct run_inspect *inspect;
	struct live_disks *disks;
	struct live_guest *guest;
	struct live_memory memory;
	struct live_nics nics;
	struct stopping *stopping;
	u64 start_ns;
	bool asked; /* the guest was, to end */
	bool paused;
};

/* ---- answers --------------------------------------------------------------------------------- */

static void refuse(struct control_call *call, int code, const char *text, const char *fix)
{
	struct err err = { 0 };

	err_set(&err, code, "%s", text);
	err_fix(&err, "%s", fix);
	control_reply_err(call, &err);
}

static void body_is_wrong(struct control_call *call, const json_error_t *where)
{
	struct err err = { 0 };

	err_set(&err, -EINVAL, "the request's body is not what is expected: %s",
		where->text);
	err_fix(&err, "see tabique-run(1), section API");
	control_reply_err(call, &err);
}

/* ---- GET ------------------------------------------------------------------------------------- */

static json_t *state(const struct run_control *rc)
{
	return json_pack("{s:s}", "state",
			 rc->paused  ? "paused"
			 : rc->asked ? "stopping"
				     : "running");
}

static void get_root(struct run_control *rc, struct control_call *call, const char *rest,
		     json_t *body)
{
	control_reply(call,
		      json_pack("{s:s, s:s, s:[s, s, s, s, s]}", "api", "1.0", "version",
				TABIQUE_VERSION, "resources", "/1.0/vms", VM "/state",
				VM "/disks", VM "/nics", VM "/inspect"));
}

static void get_vms(struct run_control *rc, struct control_call *call, const char *rest,
		    json_t *body)
{
	control_reply(call, json_pack("[s]", VM));
}

static void get_vm(struct run_control *rc, struct control_call *call, const char *rest,
		   json_t *body)
{
	static const char *const engines[] = { "auto", "kvm", "soft", "interp" };
	const struct run_options *o = rc->config.options;
	u64 now = host_clock.monotonic_ns(&host_clock);
	json_t *vm = state(rc);
	json_t *more = json_pack("{s:I, s:i, s:s, s:I, s:{s:i, s:i}, s:o}", "memory",
				 (json_int_t)o->memory, "cpus", (int)o->cpus, "engine",
				 engines[o->engine], "uptime",
				 (json_int_t)((now - rc->start_ns) / NS_PER_SEC), "pids",
				 "hv", rc->config.hv_pid, "worker", rc->config.worker_pid,
				 "disks", live_disks_list(rc->disks));

	json_object_update(vm, more);
	json_decref(more);
	json_object_set_new(vm, "nics", live_nics_list(&rc->nics));
	if (rc->config.nat_pid)
		json_object_set_new(json_object_get(vm, "pids"), "nat",
				    json_integer(rc->config.nat_pid));
	if (rc->memory.known)
		json_object_set_new(vm, "dynamic_memory", live_memory_show(&rc->memory));
	control_reply(call, vm);
}

static void get_state(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	control_reply(call, state(rc));
}

/* ---- inspect --------------------------------------------------------------------------------- */

static void on_inspected(void *owner, json_t *tree)
{
	struct looking *looking = owner;
	json_t *branch = tree ? inspect_branch(tree, looking->path) : NULL;

	/* Without a tree the VM is over: the call ends with the server. */
	if (!tree)
		;
	else if (branch)
		control_reply(looking->call, json_incref(branch));
	else
		refuse(looking->call, -ENOENT, "inspect shows nothing at that path",
		       "see what there is: tabique vm inspect");
	json_decref(tree);
	free(looking);
}

static void get_inspect(struct run_control *rc, struct control_call *call,
			const char *rest, json_t *body)
{
	struct looking *looking = calloc(1, sizeof *looking);
	int r = looking ? 0 : -ENOMEM;

	if (r == 0) {
		looking->call = call;
		snprintf(looking->path, sizeof looking->path, "%s", rest);
		r = run_inspect_ask(rc->inspect, on_inspected, looking);
	}
	if (r < 0) {
		free(looking);
		refuse(call, r, err_words(r), "try again");
	}
}

/* ---- stop and reset -------------------------------------------------------------------------- */

static void stopping_end(struct stopping *s)
{
	for (struct stopping **p = &s->control->stopping; *p; p = &(*p)->next) {
		if (*p != s)
			continue;
		*p = s->next;
		break;
	}
	loop_alarm_set(&s->alarm, UINT64_MAX);
	free(s);
}

static void on_patience(void *owner)
{
	struct stopping *s = owner;
	struct err err = { 0 };

	err_set(&err, -ETIMEDOUT, "the guest has not powered off in %u seconds",
		s->seconds);
	err_fix(&err, "wait longer (timeout=SECONDS), or pull the plug (--force)");
	control_reply_err(s->call, &err);
	stopping_end(s);
}

/* seconds 0: as long as it takes; else they count from that time. */
static void wait_for_end(struct run_control *rc, struct control_call *call, u32 seconds,
			 u64 since_ns)
{
	struct stopping *s = calloc(1, sizeof *s);

	if (!s) {
		refuse(call, -ENOMEM, err_words(-ENOMEM), "try again");
		return;
	}
	*s = (struct stopping){
		.control = rc, .call = call, .seconds = seconds, .next = rc->stopping
	};
	rc->stopping = s;
	loop_alarm_init(rc->config.loop, &s->alarm, on_patience, s);
	if (seconds > 0)
		loop_alarm_set(&s->alarm, since_ns + (u64)seconds * NS_PER_SEC);
}

/* An order about the guest, until its answer. */
struct asking {
	struct run_control *control;
	struct control_call *call;
	u32 op; /* enum worker_guest_op */
	u32 seconds;
	u64 since_ns;
};

/* It does so, or nobody has told it yet. */
static void guest_stops(struct asking *a, bool told)
{
	struct run_control *rc = a->control;

	if (!told)
		rc->config.power_button(rc->config.owner);
	rc->asked = true;
	if (a->seconds == 0)
		control_reply(a->call, state(rc));
	else
		wait_for_end(rc, a->call, a->seconds, a->since_ns);
}

static void on_guest_answered(void *owner, int r, json_t *pairs, const struct err *err)
{
	AUTO_FREE struct asking *a = owner;

	/* It has ended before it answered: that is what was asked for. */
	if (a->op == WORKER_GUEST_STOP && (r == 0 || r == -ENOTCONN || r == -ESHUTDOWN)) {
		guest_stops(a, r != -ENOTCONN);
		return;
	}
	if (r < 0) {
		control_reply_err(a->call, err);
		return;
	}
	if (a->op == WORKER_GUEST_PAUSE || a->op == WORKER_GUEST_RESUME)
		a->control->paused = a->op == WORKER_GUEST_PAUSE;
	control_reply(a->call, pairs ? json_incref(pairs) : state(a->control));
}

static void ask_guest(struct run_control *rc, struct control_call *call,
		      struct worker_guest_order *order, int fd, u32 seconds)
{
	struct asking *a = calloc(1, sizeof *a);

	if (!a) {
		refuse(call, -ENOMEM, err_words(-ENOMEM), "try again");
		return;
	}
	*a = (struct asking){ .control = rc,
			      .call = call,
			      .op = order->op,
			      .seconds = seconds,
			      .since_ns = host_clock.monotonic_ns(&host_clock) };
	live_guest_ask(rc->guest, order, fd, on_guest_answered, a);
}

static void stop(struct run_control *rc, struct control_call *call, bool force,
		 json_int_t seconds)
{
	if (seconds < 0 || seconds > MAX_WAIT_SECONDS) {
		refuse(call, -EINVAL, "\"wait\" is not a number of seconds",
		       "give 0 to 86400");
		return;
	}
	if (force) {
		wait_for_end(rc, call, 0, 0);
		rc->config.power_off(rc->config.owner);
		return;
	}
	ask_guest(rc, call, &(struct worker_guest_order){ .op = WORKER_GUEST_STOP }, -1,
		  (u32)seconds);
}

static const struct {
	const char *name;
	enum worker_guest_op op;
} guest_actions[] = {
	{ "reboot", WORKER_GUEST_REBOOT }, { "pause", WORKER_GUEST_PAUSE },
	{ "resume", WORKER_GUEST_RESUME }, { "freeze", WORKER_GUEST_FREEZE },
	{ "thaw", WORKER_GUEST_THAW },
};

/* False: it is none of these. */
static bool guest_action(struct run_control *rc, struct control_call *call,
			 const char *action)
{
	for (size_t k = 0; k < ARRAY_COUNT(guest_actions); k++) {
		if (strcmp(action, guest_actions[k].name) != 0)
			continue;
		ask_guest(rc, call,
			  &(struct worker_guest_order){ .op = guest_actions[k].op }, -1,
			  0);
		return true;
	}
	return false;
}

static void put_state(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	const char *action = "";
	int force = 0;
	json_int_t seconds = 0;
	json_error_t where;

	if (json_unpack_ex(body, &where, 0, "{s:s, s?b, s?I !}", "action", &action,
			   "force", &force, "wait", &seconds) < 0) {
		body_is_wrong(call, &where);
	} else if (strcmp(action, "stop") == 0) {
		stop(rc, call, force, seconds);
	} else if (strcmp(action, "reset") == 0) {
		rc->config.reset(rc->config.owner);
		rc->paused = false;
		control_reply(call, state(rc));
	} else if (!guest_action(rc, call, action)) {
		refuse(call, -EINVAL, "no such action",
		       "\"stop\", \"reset\", \"reboot\", \"pause\", \"resume\", "
		       "\"freeze\" or "
		       "\"thaw\"");
	}
}

/* ---- what a guest says of itself, and is told ------------------------------------------------ */

/* False: it was too long, and answered. */
static bool put_text(struct control_call *call, const char *text, char *ret_text,
		     size_t size)
{
	if (strlen(text) < size) {
		memcpy(ret_text, text, strlen(text) + 1);
		return true;
	}
	refuse(call, -EINVAL, "a text in the request is too long", "give a shorter one");
	return false;
}

static void get_kvp(struct run_control *rc, struct control_call *call, const char *rest,
		    json_t *body)
{
	ask_guest(rc, call, &(struct worker_guest_order){ .op = WORKER_GUEST_KVP_LIST },
		  -1, 0);
}

static void patch_kvp(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_KVP_DELETE };
	void *pair = json_object_iter(body);
	json_t *value = pair ? json_object_iter_value(pair) : NULL;

	if (json_object_size(body) != 1 ||
	    (!json_is_string(value) && !json_is_null(value))) {
		refuse(call, -EINVAL, "the request is not one key with its text",
		       "send {KEY: TEXT}, or {KEY: null} to take it away");
		return;
	}
	if (json_is_string(value))
		order.op = WORKER_GUEST_KVP_SET;
	if (put_text(call, json_object_iter_key(pair), order.name, sizeof order.name) &&
	    (json_is_null(value) ||
	     put_text(call, json_string_value(value), order.text, sizeof order.text)))
		ask_guest(rc, call, &order, -1, 0);
}

static void put_address(struct run_control *rc, struct control_call *call,
			const char *rest, json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_ADDRESS };
	const char *adapter, *address = "", *mask = "", *gateway = "", *dns = "";
	json_error_t where;
	int dhcp = 0;

	if (json_unpack_ex(body, &where, 0, "{s:s, s?b, s?s, s?s, s?s, s?s !}", "adapter",
			   &adapter, "dhcp", &dhcp, "address", &address, "mask", &mask,
			   "gateway", &gateway, "dns", &dns) < 0) {
		body_is_wrong(call, &where);
		return;
	}
	if (!dhcp && !*address) {
		refuse(call, -EINVAL, "neither an address nor DHCP", "give \"address\"");
		return;
	}
	order.yes = (u32)dhcp;
	if (put_text(call, adapter, order.name, sizeof order.name) &&
	    put_text(call, address, order.ip.address, sizeof order.ip.address) &&
	    put_text(call, mask, order.ip.mask, sizeof order.ip.mask) &&
	    put_text(call, gateway, order.ip.gateway, sizeof order.ip.gateway) &&
	    put_text(call, dns, order.ip.dns, sizeof order.ip.dns))
		ask_guest(rc, call, &order, -1, 0);
}

static void patch_vm(struct run_control *rc, struct control_call *call, const char *rest,
		     json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_MEMORY };
	struct err err = { 0 };

	if (live_memory_read(body, &order.memory, &err) < 0)
		control_reply_err(call, &err);
	else
		ask_guest(rc, call, &order, -1, 0);
}

/* ---- files into the guest -------------------------------------------------------------------- */

/* A copy whose file is being opened. */
struct copying {
	struct run_control *control;
	struct control_call *call;
	struct worker_guest_order order;
};

static void on_file_opened(void *owner, int r, u64 size, int fd, const struct err *err)
{
	AUTO_FREE struct copying *c = owner;

	if (r < 0) {
		control_reply_err(c->call, err);
		return;
	}
	c->order.size = size;
	ask_guest(c->control, c->call, &c->order, fd, 0);
	close(fd);
}

/*
 * Where in the guest: a folder, which keeps its '/' (what does not end with one Linux' daemon does not
 * make), and a name, which is the file's own where none follows.
 */
static bool split_target(struct control_call *call, const char *file, const char *to,
			 struct worker_guest_order *order)
{
	const char *slash = strrchr(to, '/'), *name = slash ? slash + 1 : "";
	size_t folder = slash ? (size_t)(slash - to) + 1 : 0;

	if (to[0] != '/' || folder >= sizeof order->text) {
		refuse(call, -EINVAL, "\"to\" is not a whole path in the guest",
		       "begin it with '/'; end it with '/' for a folder");
		return false;
	}
	memcpy(order->text, to, folder);
	return put_text(call, *name ? name : strrchr(file, '/') + 1, order->name,
			sizeof order->name);
}

static void post_file(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	struct copying *c = calloc(1, sizeof *c);
	const char *file = "", *to = "";
	json_error_t where;
	int force = 0, r;

	if (json_unpack_ex(body, &where, 0, "{s:s, s:s, s?b !}", "file", &file, "to", &to,
			   "force", &force) < 0)
		body_is_wrong(call, &where);
	else if (file[0] != '/')
		refuse(call, -EINVAL, "\"file\" is not the whole path of a file",
		       "begin it with '/'");
	else if (!c)
		refuse(call, -ENOMEM, err_words(-ENOMEM), "try again");
	else if (split_target(call, file, to, &c->order)) {
		c->control = rc;
		c->call = call;
		c->order.op = WORKER_GUEST_COPY;
		c->order.yes = (u32)force;
		r = live_copy_open(rc->config.loop, file, on_file_opened, c);
		if (r == 0)
			return;
		refuse(call, r, err_words(r), "try again");
	}
	free(c);
}

/* ---- screen, keyboard, mouse ----------------------------------------------------------------- */

static void on_picture(void *owner, int r, u8 *bytes, size_t size, const struct err *err)
{
	if (r < 0)
		control_reply_err(owner, err);
	else
		control_reply_bytes(owner, "image/png", bytes, size);
	free(bytes);
}

static void get_picture(struct run_control *rc, struct control_call *call,
			const char *rest, json_t *body)
{
	live_picture_take(rc->config.loop, rc->guest, on_picture, call);
}

static void on_text(void *owner, int r, u8 *bytes, size_t size, const struct err *err)
{
	if (r < 0)
		control_reply_err(owner, err);
	else
		control_reply_bytes(owner, "text/plain; charset=utf-8", bytes, size);
	free(bytes);
}

static void get_screen_text(struct run_control *rc, struct control_call *call,
			    const char *rest, json_t *body)
{
	live_picture_read(rc->config.loop, rc->guest, on_text, call);
}

static void post_type(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_TYPE };
	const char *text = "", *layout = "us";
	json_error_t where;

	if (json_unpack_ex(body, &where, 0, "{s:s, s?s !}", "text", &text, "layout",
			   &layout) < 0)
		body_is_wrong(call, &where);
	else if (put_text(call, text, order.text, sizeof order.text) &&
		 put_text(call, layout, order.name, sizeof order.name))
		ask_guest(rc, call, &order, -1, 0);
}

static void post_keys(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_PRESS };
	const char *keys = "";
	json_error_t where;

	if (json_unpack_ex(body, &where, 0, "{s:s !}", "keys", &keys) < 0)
		body_is_wrong(call, &where);
	else if (put_text(call, keys, order.text, sizeof order.text))
		ask_guest(rc, call, &order, -1, 0);
}

/* What no mouse can do the worker says; here it only has to fit. */
static void post_mouse(struct run_control *rc, struct control_call *call,
		       const char *rest, json_t *body)
{
	struct worker_guest_order order = { .op = WORKER_GUEST_POINT };
	int x = 0, y = 0, buttons = 0, wheel = 0;
	json_error_t where;

	if (json_unpack_ex(body, &where, 0, "{s:i, s:i, s?i, s?i !}", "x", &x, "y", &y,
			   "buttons", &buttons, "wheel", &wheel) < 0) {
		body_is_wrong(call, &where);
		return;
	}
	if (((x | y | buttons) & ~0xffff) || wheel < INT16_MIN || wheel > INT16_MAX) {
		refuse(call, -EINVAL, "the mouse has no such place or button",
		       "places are 0 to 32767, buttons bits 0 to 4");
		return;
	}
	order.pointer.x = (u16)x;
	order.pointer.y = (u16)y;
	order.pointer.buttons = (u16)buttons;
	order.pointer.wheel = (s16)wheel;
	ask_guest(rc, call, &order, -1, 0);
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void on_disk(void *owner, json_t *metadata, const struct err *err)
{
	if (metadata)
		control_reply(owner, metadata);
	else
		control_reply_err(owner, err);
}

static void get_disks(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	control_reply(call, live_disks_list(rc->disks));
}

static bool set_format(const char *name, int *ret_format)
{
	for (int k = 0; k < DISK_FORMATS; k++) {
		if (strcmp(name, disk_format_name((enum disk_format)k)) == 0) {
			*ret_format = k;
			return true;
		}
	}
	return false;
}

static void post_disk(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	static struct live_attach a; /* large */
	const char *file = "", *format = NULL;
	int controller = -1, lun = -1, read_only = 0, passthrough = 0;
	json_error_t where;

	if (json_unpack_ex(body, &where, 0, "{s:s, s?i, s?i, s?s, s?b, s?b !}", "file",
			   &file, "controller", &controller, "lun", &lun, "format",
			   &format, "read_only", &read_only, "passthrough",
			   &passthrough) < 0) {
		body_is_wrong(call, &where);
		return;
	}
	a = (struct live_attach){
		.disk = { .read_only = read_only, .format = -1 },
		.controller = controller,
		.lun = lun,
		.passthrough = passthrough,
	};
	if ((file[0] != '/' && !disk_name_is_nbd(file)) ||
	    strlen(file) >= sizeof a.disk.path)
		refuse(call, -EINVAL,
		       "\"file\" is not the whole path of a file, nor an NBD address",
		       "begin it with '/'");
	else if (controller < -1 || controller >= WORKER_MAX_CONTROLLERS || lun < -1 ||
		 lun >= WORKER_MAX_LUNS)
		refuse(call, -EINVAL, "there is no such unit",
		       "controllers are 0 to 3, units 0 to 63");
	else if (format && !set_format(format, &a.disk.format))
		refuse(call, -EINVAL, "there is no such format", "raw, iso, vhd or vhdx");
	else {
		memcpy(a.disk.path, file, strlen(file));
		live_disks_attach(rc->disks, &a, on_disk, call);
	}
}

/* The unit that a path ends with; false: it was answered. */
static bool unit_of(struct control_call *call, const char *rest, u32 *ret_controller,
		    u32 *ret_lun)
{
	if (parse_unit(rest, ret_controller, ret_lun))
		return true;
	refuse(call, -ENOENT, "there is no such unit",
	       "a unit is called scsi0:3: controllers 0 to 3, units 0 to 63");
	return false;
}

static void get_disk(struct run_control *rc, struct control_call *call, const char *rest,
		     json_t *body)
{
	u32 controller, lun;
	json_t *disk;

	if (!unit_of(call, rest, &controller, &lun))
		return;
	disk = live_disks_show(rc->disks, controller, lun);
	if (disk)
		control_reply(call, disk);
	else
		refuse(call, -ENOENT, "there is no disk at that place",
		       "see which there are: tabique vm show");
}

static void delete_disk(struct run_control *rc, struct control_call *call,
			const char *rest, json_t *body)
{
	u32 controller, lun;

	if (unit_of(call, rest, &controller, &lun))
		live_disks_detach(rc->disks, controller, lun, on_disk, call);
}

/* {"medium": FILE or null, "force": BOOL} */
static void change_medium(struct run_control *rc, struct control_call *call,
			  u32 controller, u32 lun, json_t *body)
{
	static const struct run_disk room;
	json_t *medium = NULL;
	const char *path;
	json_error_t where;
	int force = 0;

	if (json_unpack_ex(body, &where, 0, "{s:o, s?b !}", "medium", &medium, "force",
			   &force) < 0) {
		body_is_wrong(call, &where);
		return;
	}
	path = json_string_value(medium);
	if (!json_is_null(medium) &&
	    (!path || path[0] != '/' || strlen(path) >= sizeof room.path))
		refuse(call, -EINVAL, "\"medium\" is not the whole path of a file",
		       "begin it with '/', or give null for none");
	else
		live_disks_set_medium(rc->disks, controller, lun, path, force, on_disk,
				      call);
}

static void patch_disk(struct run_control *rc, struct control_call *call,
		       const char *rest, json_t *body)
{
	json_int_t size = 0, grow = 0;
	u32 controller, lun;
	json_error_t where;

	if (!unit_of(call, rest, &controller, &lun))
		return;
	if (body && json_object_get(body, "medium"))
		change_medium(rc, call, controller, lun, body);
	else if (body && json_unpack_ex(body, &where, 0, "{s?I, s?I !}", "size", &size,
					"grow", &grow) < 0)
		body_is_wrong(call, &where);
	else if (size < 0 || grow < 0 || (size > 0 && grow > 0))
		refuse(call, -EINVAL, "that is no size",
		       "give \"size\" or \"grow\", in bytes");
	else
		live_disks_resize(rc->disks, controller, lun, (u64)(size + grow),
				  grow > 0, on_disk, call);
}

/* ---- the serial console ---------------------------------------------------------------------- */

static bool has_serial(struct run_control *rc, struct control_call *call)
{
	if (!rc->config.serial)
		refuse(call, -EBUSY, "a terminal has the serial console of this VM",
		       "use it there, where 'tabique run' was started");
	return rc->config.serial;
}

static void on_serial(void *owner, json_t *text)
{
	/* Without text the VM is over, and the call ends with the server. */
	if (text)
		control_reply(owner, text);
}

static void get_serial(struct run_control *rc, struct control_call *call,
		       const char *rest, json_t *body)
{
	const char *end = "";
	u64 from = 0;
	int r;

	if (!has_serial(rc, call))
		return;
	if (*rest && (!parse_number(rest, &from, &end) || *end)) {
		refuse(call, -EINVAL, "that is no number of a byte",
		       "give the \"to\" of "
		       "the answer before");
		return;
	}
	r = live_serial_read(rc->config.serial, from, on_serial, call);
	if (r < 0)
		refuse(call, r, err_words(r), "try again");
}

static void post_serial(struct run_control *rc, struct control_call *call,
			const char *rest, json_t *body)
{
	const char *text;
	json_error_t where;
	size_t size;
	int r;

	if (!has_serial(rc, call))
		return;
	if (json_unpack_ex(body, &where, 0, "{s:s% !}", "text", &text, &size) < 0) {
		body_is_wrong(call, &where);
		return;
	}
	r = live_serial_write(rc->config.serial, text, size);
	if (r < 0)
		refuse(call, -EBUSY, "the guest does not read its serial console",
		       "wait until it does");
	else
		control_reply(call, NULL);
}

/* ---- network adapters ------------------------------------------------------------------------ */

static void get_nics(struct run_control *rc, struct control_call *call, const char *rest,
		     json_t *body)
{
	control_reply(call, live_nics_list(&rc->nics));
}

/* The adapter that a path ends with; false: it was answered. */
static bool nic_of(struct run_control *rc, struct control_call *call, const char *rest,
		   unsigned *ret_nic)
{
	if (live_nics_find(&rc->nics, rest, ret_nic))
		return true;
	refuse(call, -ENOENT, "there is no such network adapter",
	       "see which there are: tabique vm show");
	return false;
}

static void get_nic(struct run_control *rc, struct control_call *call, const char *rest,
		    json_t *body)
{
	unsigned nic;

	if (nic_of(rc, call, rest, &nic))
		control_reply(call, live_nics_show(&rc->nics, nic));
}

static void on_nic(void *owner, int r, json_t *nic, const struct err *err)
{
	if (r < 0)
		control_reply_err(owner, err);
	else
		control_reply(owner, nic);
}

static void patch_nic(struct run_control *rc, struct control_call *call, const char *rest,
		      json_t *body)
{
	const char *link = "";
	json_error_t where;
	unsigned nic;

	if (!nic_of(rc, call, rest, &nic))
		return;
	if (json_unpack_ex(body, &where, 0, "{s:s !}", "link", &link) < 0)
		body_is_wrong(call, &where);
	else if (strcmp(link, "up") != 0 && strcmp(link, "down") != 0)
		refuse(call, -EINVAL, "\"link\" is neither up nor down",
		       "give \"up\" or \"down\"");
	else
		live_nics_set_link(&rc->nics, nic, link[0] == 'u', on_nic, call);
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* rest: what stands behind a path that ends with '/'. body: NULL where there is none. */
static const struct {
	const char *method, *path;
	bool body;
	void (*handle)(struct run_control *rc, struct control_call *call,
		       const char *rest, json_t *body);
} rows[] = {
	{ "GET", "/1.0", false, get_root },
	{ "GET", "/1.0/vms", false, get_vms },
	{ "GET", VM, false, get_vm },
	{ "PATCH", VM, true, patch_vm },
	{ "GET", VM "/state", false, get_state },
	{ "PUT", VM "/state", true, put_state },
	{ "GET", VM "/inspect", false, get_inspect },
	{ "GET", VM "/inspect/", false, get_inspect },
	{ "GET", VM "/kvp", false, get_kvp },
	{ "PATCH", VM "/kvp", true, patch_kvp },
	{ "PUT", VM "/address", true, put_address },
	{ "POST", VM "/files", true, post_file },
	{ "GET", VM "/serial", false, get_serial },
	{ "GET", VM "/serial/", false, get_serial },
	{ "POST", VM "/serial", true, post_serial },
	{ "GET", VM "/nics", false, get_nics },
	{ "GET", VM "/nics/", false, get_nic },
	{ "PATCH", VM "/nics/", true, patch_nic },
	{ "GET", VM "/screenshot.png", false, get_picture },
	{ "GET", VM "/screen.txt", false, get_screen_text },
	{ "POST", VM "/type", true, post_type },
	{ "POST", VM "/keys", true, post_keys },
	{ "POST", VM "/mouse", true, post_mouse },
	{ "GET", VM "/disks", false, get_disks },
	{ "POST", VM "/disks", true, post_disk },
	{ "GET", VM "/disks/", false, get_disk },
	{ "DELETE", VM "/disks/", false, delete_disk },
	{ "PATCH", VM "/disks/", false, patch_disk },
};

static bool path_fits(const char *row, const char *path, const char **ret_rest)
{
	size_t size = strlen(row);

	if (strncmp(row, path, size) != 0)
		return false;
	*ret_rest = path + size;
	return row[size - 1] == '/' ? path[size] != '\0' : path[size] == '\0';
}

static void on_request(void *owner, struct control_call *call,
		       const struct http_message *request, json_t *body)
{
	struct run_control *rc = owner;
	const char *rest;

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		if (strcmp(rows[k].method, request->method) != 0 ||
		    !path_fits(rows[k].path, request->path, &rest))
			continue;
		if (rows[k].body && !body)
			refuse(call, -EINVAL, "the request needs a body",
			       "send a JSON object");
		else
			rows[k].handle(rc, call, rest, body);
		return;
	}
	control_reply_unknown(call, request);
}

/* ---- life ------------------------------------------------------------------------------------ */

int run_control_new(const struct run_control_config *config,
		    struct run_control **ret_control)
{
	struct run_control *rc = calloc(1, sizeof *rc);
	int r;

	if (!rc)
		return -ENOMEM;
	rc->config = *config;
	rc->start_ns = host_clock.monotonic_ns(&host_clock);
	r = run_inspect_new(config->loop, config->hv_socket, config->worker_socket,
			    &rc->inspect);
	if (r == 0)
		r = live_disks_new(config->loop, config->worker_socket,
				   &config->options->disks, &rc->disks);
	if (r == 0)
		r = live_guest_new(config->worker_socket, &rc->guest);
	if (r == 0)
		rc->nics = (struct live_nics){ .nics = &config->options->nics,
					       .guest = rc->guest };
	if (r == 0)
		r = control_server_new(
			&(struct control_server_config){
				.loop = config->loop,
				.socket = config->socket,
				.handle = on_request,
				.owner = rc,
			},
			&rc->server);
	if (r < 0) {
		run_control_free(rc);
		return r;
	}
	*ret_control = rc;
	return 0;
}

void run_control_free(struct run_control *rc)
{
	if (!rc)
		return;
	while (rc->stopping)
		stopping_end(rc->stopping);
	live_guest_free(rc->guest);
	live_disks_free(rc->disks);
	run_inspect_free(rc->inspect);
	control_server_free(rc->server);
	free(rc);
}

void run_control_hear(struct run_control *rc, enum run_side side,
		      const struct owner_message *m)
{
	if (m->kind == OWNER_INSPECT)
		run_inspect_hear(rc->inspect, side, m);
	else if (side == RUN_WORKER && m->kind == OWNER_DISK_DONE)
		live_disks_hear(rc->disks, m);
	else if (side == RUN_WORKER && m->kind == OWNER_DISK_EJECTED)
		live_disks_hear_ejected(rc->disks, m);
	else if (side == RUN_WORKER && m->kind == OWNER_MEMORY)
		live_memory_hear(&rc->memory, m);
	else if (side == RUN_WORKER)
		live_guest_hear(rc->guest, m);
}

void run_control_ended(struct run_control *rc, const char *end, int code)
{
	/* Who asked for the end and has no answer yet is among those who wait for it then. */
	if (rc)
		live_guest_free(take_ptr(rc->guest));
	while (rc && rc->stopping) {
		control_reply(rc->stopping->call,
			      json_pack("{s:s, s:s, s:i}", "state", "off", "end", end,
					"code", code));
		stopping_end(rc->stopping);
	}
}
