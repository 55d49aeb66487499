/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic memory of a machine; see balloon.h. */
#include "vsp/balloon/balloon.h"

#include <errno.h>

#include "vsp/balloon/guest.h"
#include "wall/guest_memory.h"

/* More than any message, so that one that is too long is no broken ring. */
#define MAX_PACKET 8192
#define PACKETS_A_ROUND 16
/* From one decision of the policy to the next, however often the guest says how it is. */
#define DECISION_NS NS_PER_SEC

struct balloon {
	struct balloon_config config;
	struct balloon_guest guest;
	u32 relid;
	struct vmbus_channel *vmbus; /* NULL: closed */
	bool paused;
	u64 ticket; /* of what was released */

	struct policy_limits limits;
	bool held;
	u64 host_free;
	u64 demand;		 /* as of the last report */
	u64 decide_at, lower_at; /* the policy, and its next step down, not before */
	u64 punched, punch_failures;
};

static u64 now_of(const struct balloon *b)
{
	return b->config.clock->monotonic_ns(b->config.clock);
}

/* When the next thing is due, and that figures may have changed. */
static void settle(struct balloon *b)
{
	b->config.wake_at(b->config.owner,
			  b->paused ? UINT64_MAX : balloon_guest_when(&b->guest));
	if (b->config.changed)
		b->config.changed(b->config.owner);
}

/* ---- what the guest's side needs ------------------------------------------------------------- */

static bool send_message(void *owner, const void *message, u32 size)
{
	struct balloon *b = owner;

	/* Nobody executes from a page any more that the guest may be told to take back. */
	if (!b->vmbus || b->paused || gm_wait_published(b->config.gm, b->ticket) < 0)
		return false;
	return vmbus_channel_send(b->vmbus, VMBUS_PACKET_INBAND, 0, 0, message, size) ==
	       0;
}

static void release(void *owner, gpa_t gpa, u64 size)
{
	struct balloon *b = owner;

	/* It goes on as pages that the guest does not use, and that the host still has. */
	if (gm_release(b->config.gm, gpa, size, &b->ticket) < 0)
		b->punch_failures++;
	else
		b->punched += size;
}

/* Devices reach it only while the guest does. */
static bool set_high(void *owner, u64 high)
{
	struct balloon *b = owner;
	u64 before = gm_layout(b->config.gm)->high;

	if (high < before && gm_set_high(b->config.gm, high) < 0)
		return false;
	return b->config.map_high(b->config.owner, high) &&
	       gm_set_high(b->config.gm, high) == 0;
}

static void decide(struct balloon *b, u64 now)
{
	u64 has = balloon_guest_assigned(&b->guest), target;

	if (b->held || !b->guest.report.any)
		return;
	target = policy_target(&b->limits, has, b->demand, b->host_free);
	if (target < has && now < b->lower_at)
		return;
	if (target < has)
		b->lower_at = now + POLICY_SHRINK_SECONDS * NS_PER_SEC;
	balloon_guest_set_target(&b->guest, target, now);
}

static void reported(void *owner, u64 now)
{
	struct balloon *b = owner;
	const struct policy_report report = {
		.assigned = balloon_guest_assigned(&b->guest),
		.out = balloon_guest_out(&b->guest),
		.committed = b->guest.report.committed,
		.available = b->guest.report.available,
	};

	/* While pages are on their way its figures and ours are not of one moment. */
	if (b->guest.state != BALLOON_READY)
		return;
	b->demand = policy_demand(&report);
	if (now < b->decide_at)
		return;
	b->decide_at = now + DECISION_NS;
	decide(b, now);
}

static const struct balloon_ops guest_ops = {
	.send = send_message,
	.release = release,
	.set_high = set_high,
	.reported = reported,
};

/* What was decided for a guest that is no more. What somebody has said still holds. */
static void forget(struct balloon *b)
{
	b->demand = b->decide_at = b->lower_at = 0;
	if (!b->held)
		b->guest.target = 0;
}

/* ---- the channel ----------------------------------------------------------------------------- */

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct balloon *b = owner;

	b->vmbus = vmbus;
	balloon_guest_open(&b->guest);
	settle(b);
	return 0;
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct balloon *b = owner;
	u8 bytes[MAX_PACKET];
	struct vmbus_packet packet;
	u64 now = now_of(b);

	for (unsigned k = 0; k < PACKETS_A_ROUND; k++) {
		if (vmbus_channel_read(vmbus, bytes, sizeof bytes, &packet) != 1)
			break;
		if (packet.type != VMBUS_PACKET_INBAND)
			b->guest.counts.malformed++;
		else
			balloon_guest_receive(&b->guest, bytes + packet.header_size,
					      packet.size - packet.header_size, now);
		if (k + 1 == PACKETS_A_ROUND) {
			vmbus_channel_pause(vmbus);
			vmbus_channel_again(vmbus);
		}
	}
	balloon_guest_room(&b->guest, now);
	settle(b);
}

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct balloon *b = owner;

	b->vmbus = NULL;
	forget(b);
	balloon_guest_close(&b->guest);
	settle(b);
	vmbus_channel_closed(vmbus);
}

static const struct vmbus_device_ops device_ops = {
	.name = "dynamic memory",
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
};

/* ---- what somebody wants --------------------------------------------------------------------- */

static int no_driver(const struct balloon *b, struct err *err)
{
	if (b->guest.state == BALLOON_REFUSED) {
		err_set(err, -ENOTCONN,
			"the guest's driver speaks no version of dynamic memory that we "
			"do");
		return err_fix(err, "use a guest that is newer: Linux 3.10, or later");
	}
	err_set(err, -ENOTCONN,
		"the guest has no driver for dynamic memory, or has not started it yet");
	return err_fix(err, "in Linux it is the module hv_balloon: modprobe hv_balloon");
}

static int too_much(const struct balloon *b, struct err *err)
{
	u64 mib = gm_region_size(b->config.gm) >> 20;

	err_set(err, -EINVAL, "the VM was started with room for %llu MiB",
		(unsigned long long)mib);
	return err_fix(err, "give no more, or start it with more: --memory ...,max=SIZE");
}

static int check_limits(const struct balloon *b, const struct policy_limits *l,
			struct err *err)
{
	if (l->max > gm_region_size(b->config.gm))
		return too_much(b, err);
	if (l->min > l->max || l->min < WALL_PAGE_SIZE) {
		err_set(err, -EINVAL, "the least memory would be more than the most");
		return err_fix(err, "change memory.min and memory.max together");
	}
	if (l->buffer > POLICY_MAX_BUFFER || l->weight > POLICY_MAX_WEIGHT) {
		err_set(err, -EINVAL, "there is no such buffer, or no such weight");
		return err_fix(err, "a buffer is 0 to 2000 percent, a weight 0 to 10000");
	}
	return 0;
}

static int hold(struct balloon *b, u64 size, struct err *err)
{
	if (!balloon_guest_is_there(&b->guest))
		return no_driver(b, err);
	if (size > gm_region_size(b->config.gm))
		return too_much(b, err);
	if (size > balloon_guest_assigned(&b->guest) + balloon_guest_out(&b->guest) &&
	    !(b->guest.caps & BALLOON_CAN_HOT_ADD)) {
		err_set(err, -EOPNOTSUPP,
			"the guest takes no more memory than it began with");
		return err_fix(err, "start it with more: --memory SIZE");
	}
	b->held = true;
	balloon_guest_set_target(&b->guest, size, now_of(b));
	return 0;
}

int balloon_change(struct balloon *b, const struct balloon_change *change,
		   struct err *err)
{
	struct policy_limits l = b->limits;
	u64 now = now_of(b);
	int r;

	if (change->mask & BALLOON_MIN)
		l.min = change->limits.min;
	if (change->mask & BALLOON_MAX)
		l.max = change->limits.max;
	if (change->mask & BALLOON_BUFFER)
		l.buffer = change->limits.buffer;
	if (change->mask & BALLOON_WEIGHT)
		l.weight = change->limits.weight;
	r = check_limits(b, &l, err);
	if (r == 0 && change->mask & BALLOON_SIZE)
		r = hold(b, change->size, err);
	if (r < 0)
		return r;
	b->limits = l;
	if (!(change->mask & BALLOON_SIZE)) {
		b->held = false;
		b->lower_at = 0;
		decide(b, now);
	}
	settle(b);
	return 0;
}

void balloon_set_host_free(struct balloon *b, u64 bytes)
{
	b->host_free = bytes;
}

void balloon_show(const struct balloon *b, struct balloon_figures *f)
{
	u64 assigned = balloon_guest_assigned(&b->guest);

	*f = (struct balloon_figures){
		.assigned = assigned,
		.demand = b->demand,
		.target = b->guest.target ? b->guest.target : assigned,
		.limits = b->limits,
		.dynamic = !b->held,
		.status = !balloon_guest_is_there(&b->guest)
				  ? "no driver"
				  : policy_status(&b->limits, assigned, b->demand),
	};
}

void balloon_due(struct balloon *b)
{
	if (!b->paused)
		balloon_guest_due(&b->guest, now_of(b));
	settle(b);
}

/* ---- life ------------------------------------------------------------------------------------ */

int balloon_new(const struct balloon_config *config, struct balloon **ret_balloon)
{
	const struct vmbus_offer offer = {
		.interface = BALLOON_GUID_CLASS,
		.instance = BALLOON_GUID_INSTANCE,
		.flags = VMBUS_OFFER_ENUMERATE,
	};
	struct balloon *b = calloc(1, sizeof *b);
	int r = b ? 0 : -ENOMEM;

	if (r < 0)
		return r;
	b->config = *config;
	b->limits = config->limits;
	b->held = !config->dynamic;
	b->host_free = UINT64_MAX;
	r = balloon_guest_init(&b->guest, &guest_ops, b, gm_layout(config->gm),
			       gm_ram_size(config->gm), gm_region_size(config->gm));
	if (r == 0)
		r = vmbus_server_add(config->server, &offer, &device_ops, b, &b->relid);
	if (r < 0) {
		balloon_free(b);
		return r;
	}
	*ret_balloon = b;
	return 0;
}

void balloon_free(struct balloon *b)
{
	if (b)
		balloon_guest_done(&b->guest);
	free(b);
}

void balloon_reset(struct balloon *b)
{
	b->paused = false;
	forget(b);
	balloon_guest_reset(&b->guest);
	settle(b);
}

void balloon_pause(struct balloon *b)
{
	b->paused = true;
	settle(b);
}

void balloon_resume(struct balloon *b)
{
	b->paused = false;
	if (b->vmbus)
		vmbus_channel_again(b->vmbus);
	balloon_guest_resume(&b->guest, now_of(b));
	settle(b);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum {
	STATE_HELD = BALLOON_GUEST_FIELDS,
	STATE_MIN,
	STATE_MAX,
	STATE_BUFFER,
	STATE_WEIGHT,
};

void balloon_save(const struct balloon *b, struct state_writer *w)
{
	state_begin(w, "balloon", 1);
	balloon_guest_save(&b->guest, w);
	state_number(w, STATE_HELD, b->held);
	state_number(w, STATE_MIN, b->limits.min);
	state_number(w, STATE_MAX, b->limits.max);
	state_number(w, STATE_BUFFER, b->limits.buffer);
	state_number(w, STATE_WEIGHT, b->limits.weight);
	state_end(w);
}

/* 1: it is there; 0, -EPROTO. */
static int find_record(const u8 *bytes, size_t size, struct state_record *ret_record)
{
	int r;

	while ((r = state_next_record(&bytes, &size, ret_record)) == 1)
		if (strcmp(ret_record->name, "balloon") == 0)
			return 1;
	return r;
}

static int restore_limits(struct balloon *b, struct state_record record)
{
	struct policy_limits l = b->limits;
	struct err ignored = { 0 };
	struct state_field f;
	int r;

	while ((r = state_next_field(&record, &f)) == 1) {
		if (f.id == STATE_HELD)
			b->held = f.number != 0;
		else if (f.id == STATE_MIN)
			l.min = f.number;
		else if (f.id == STATE_MAX)
			l.max = f.number;
		else if (f.id == STATE_BUFFER)
			l.buffer = (u32)min_u64(f.number, UINT32_MAX);
		else if (f.id == STATE_WEIGHT)
			l.weight = (u32)min_u64(f.number, UINT32_MAX);
	}
	if (r == 0 && check_limits(b, &l, &ignored) < 0)
		r = -EPROTO;
	if (r == 0)
		b->limits = l;
	return r;
}

int balloon_restore_memory(struct balloon *b, const u8 *bytes, size_t size)
{
	struct state_record record;
	u64 high = 0;
	int r = find_record(bytes, size, &record);

	if (r == 1)
		r = balloon_guest_saved_high(&b->guest, record, &high);
	if (r == 0 && high > b->guest.ram->high && !set_high(b, high))
		r = -ENOMEM;
	return r;
}

int balloon_restore(struct balloon *b, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r = find_record(bytes, size, &record);

	if (r != 1)
		return r;
	r = balloon_guest_restore(&b->guest, record, b->vmbus != NULL, now_of(b));
	return r < 0 ? r : restore_limits(b, record);
}

/* ---- what is shown --------------------------------------------------------------------------- */

void balloon_inspect(const struct balloon *b, struct inspect *out)
{
	struct balloon_figures f;

	balloon_show(b, &f);
	inspect_words(out, "memory", "status", "%s", f.status);
	inspect_words(out, "memory", "decides", "%s", b->held ? "owner" : "policy");
	inspect_number(out, "memory", "channel", b->relid);
	inspect_number(out, "memory", "assigned", f.assigned);
	inspect_number(out, "memory", "target", f.target);
	inspect_number(out, "memory", "demand", f.demand);
	inspect_number(out, "memory", "start", gm_ram_size(b->config.gm));
	inspect_number(out, "memory", "room", gm_region_size(b->config.gm));
	inspect_number(out, "memory", "min", f.limits.min);
	inspect_number(out, "memory", "max", f.limits.max);
	inspect_number(out, "memory", "buffer", f.limits.buffer);
	inspect_number(out, "memory", "weight", f.limits.weight);
	if (b->host_free < UINT64_MAX)
		inspect_number(out, "memory", "host_free", b->host_free);
	inspect_number(out, "memory", "punched", b->punched);
	inspect_number(out, "memory", "punch_failures", b->punch_failures);
	balloon_guest_inspect(&b->guest, "memory", out);
}
