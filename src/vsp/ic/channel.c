/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An integration component's channel; see channel.h. In the order in which things happen: it opens,
 * versions are agreed, a question goes out, its answer comes or does not, it closes.
 */
#include "vsp/ic/channel.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"

/* More than any answer, so that one that is too long is no broken ring. */
#define MAX_PACKET 8192
#define PACKETS_A_ROUND 16

static const struct ic_version frameworks[] = { { 3, 0 }, { 1, 0 } };

static bool send(struct ic_channel *c, u16 message, const void *body, u32 size);
static void send_waiting(struct ic_channel *c);

/* ---- opens ----------------------------------------------------------------------------------- */

static void set_deadline(struct ic_channel *c, u64 when)
{
	c->deadline = when;
	c->host->wake(c->host->owner);
}

void ic_timer_set(struct ic_channel *c, u64 when_ns)
{
	c->timer = when_ns;
	c->host->wake(c->host->owner);
}

u64 ic_now(const struct ic_channel *c)
{
	return c->host->clock->monotonic_ns(c->host->clock);
}

static int on_open(void *owner, struct vmbus_channel *vmbus)
{
	struct ic_channel *c = owner;

	c->vmbus = vmbus;
	c->state = IC_OPEN;
	c->waits = false;
	c->deadline = UINT64_MAX;
	/* The guest is not signalled before it knows that the channel is open. */
	vmbus_channel_again(vmbus);
	return 0;
}

/* ---- versions are agreed --------------------------------------------------------------------- */

static u16 put_versions(struct ic_wire_version *to, const struct ic_version *from,
			size_t count)
{
	u16 n = 0;

	for (; n < count && (from[n].major || from[n].minor); n++)
		to[n] = (struct ic_wire_version){ le16_of(from[n].major),
						  le16_of(from[n].minor) };
	return n;
}

static void offer_versions(struct ic_channel *c)
{
	struct {
		struct ic_negotiate head;
		struct ic_wire_version version[ARRAY_COUNT(frameworks) + IC_VERSIONS];
	} PACKED m = { 0 };
	u16 fw = put_versions(m.version, frameworks, ARRAY_COUNT(frameworks));
	u16 n = put_versions(m.version + fw, c->kind->version, IC_VERSIONS);

	m.head.fw_count = le16_of(fw);
	m.head.count = le16_of(n);
	c->framework = frameworks[0];
	c->version = c->kind->version[0];
	/* Where the guest's ring has no room, it says when there is. */
	if (send(c, IC_NEGOTIATE, &m, (u32)sizeof m.head + (fw + n) * 4u))
		c->state = IC_AGREEING;
}

static bool is_one_of(struct ic_version v, const struct ic_version *list, size_t count)
{
	for (size_t k = 0; k < count; k++)
		if ((list[k].major || list[k].minor) && list[k].major == v.major &&
		    list[k].minor == v.minor)
			return true;
	return false;
}

/* What the guest chose makes sense, and is ours. */
static bool take_versions(struct ic_channel *c, const u8 *body, u32 size)
{
	struct {
		struct ic_negotiate head;
		struct ic_wire_version version[2];
	} PACKED m;

	if (size < sizeof m)
		return false;
	memcpy(&m, body, sizeof m);
	if (le16_get(m.head.fw_count) != 1 || le16_get(m.head.count) != 1)
		return false;
	c->framework = (struct ic_version){ le16_get(m.version[0].major),
					    le16_get(m.version[0].minor) };
	c->version = (struct ic_version){ le16_get(m.version[1].major),
					  le16_get(m.version[1].minor) };
	return is_one_of(c->framework, frameworks, ARRAY_COUNT(frameworks)) &&
	       is_one_of(c->version, c->kind->version, IC_VERSIONS);
}

static void fail_waiting(struct ic_channel *c)
{
	if (!c->waits)
		return;
	c->waits = false;
	set_deadline(c, UINT64_MAX);
	if (c->kind->closed)
		c->kind->closed(c->owner);
}

static void on_versions(struct ic_channel *c, const u8 *body, u32 size)
{
	if (!take_versions(c, body, size)) {
		c->state = IC_REFUSED;
		log_guest("%s: the guest speaks no version of it that we do",
			  c->kind->name);
		fail_waiting(c);
		return;
	}
	c->state = IC_READY;
	send_waiting(c);
	if (c->kind->ready)
		c->kind->ready(c->owner);
}

/* ---- a question ------------------------------------------------------------------------------ */

/* False: the ring has no room, or is broken. */
static bool send(struct ic_channel *c, u16 message, const void *body, u32 size)
{
	struct {
		struct ic_header header;
		u8 body[IC_MAX_BODY];
	} PACKED m;

	m.header = (struct ic_header){
		.pipe = le32_of(IC_PIPE_DATA),
		.pipe_size = le32_of((u32)sizeof m.header - 8 + size),
		.fw_major = le16_of(c->framework.major),
		.fw_minor = le16_of(c->framework.minor),
		.message = le16_of(message),
		.major = le16_of(c->version.major),
		.minor = le16_of(c->version.minor),
		.size = le16_of((u16)size),
		.transaction = ++c->transaction,
		.flags = IC_TRANSACTION | IC_REQUEST,
	};
	memcpy(m.body, body, size);
	return vmbus_channel_send(c->vmbus, VMBUS_PACKET_INBAND, 0, c->transaction, &m,
				  (u32)sizeof m.header + size) == 0;
}

static bool send_body(struct ic_channel *c)
{
	if (!send(c, c->kind->message, c->body, c->size))
		return false;
	c->state = IC_ASKED;
	c->counts.asked++;
	return true;
}

static void send_waiting(struct ic_channel *c)
{
	if (c->waits && send_body(c))
		c->waits = false;
	fail_waiting(c);
}

int ic_ask(struct ic_channel *c, const void *body, u32 size, u64 timeout_ns)
{
	if (c->state == IC_CLOSED || c->state == IC_REFUSED)
		return -ENOTCONN;
	if (c->host->paused || c->waits || c->state == IC_ASKED || c->state == IC_SILENT)
		return -EBUSY;
	memcpy(c->body, body, size);
	c->size = size;
	if (c->state != IC_READY)
		c->waits = true;
	else if (!send_body(c))
		return -EIO;
	set_deadline(c, ic_now(c) + timeout_ns);
	return 0;
}

int ic_why_not(const struct ic_channel *c, int r, struct err *err)
{
	if (r == -ENOTCONN && c->state == IC_REFUSED) {
		err_set(err, r, "the guest's driver speaks no version of %s that we do",
			c->kind->name);
		return err_fix(err, "use a guest that is newer: Linux 3.10, or later");
	}
	if (r == -ENOTCONN) {
		err_set(err, r,
			"the guest has no driver for %s, or has not started it yet",
			c->kind->name);
		return err_fix(err, "in Linux it is the module hv_utils: modprobe "
				    "hv_utils");
	}
	if (r == -EBUSY && c->host->paused) {
		err_set(err, r, "the VM is paused");
		return err_fix(err, "let it go on first: tabique vm resume");
	}
	if (r == -EBUSY) {
		err_set(err, r,
			"the guest has not answered the last question about %s yet",
			c->kind->name);
		return err_fix(err, "try again in a moment");
	}
	return err_set(err, r, "%s: the guest takes no message: %s", c->kind->name,
		       err_words(r));
}

/* ---- its answer ------------------------------------------------------------------------------ */

static void on_answer(struct ic_channel *c, const struct ic_header *h, const u8 *body,
		      u32 size)
{
	bool negotiation = le16_get(h->message) == IC_NEGOTIATE;

	if (!(h->flags & IC_RESPONSE) || h->transaction != c->transaction ||
	    (negotiation ? c->state != IC_AGREEING
			 : le16_get(h->message) != c->kind->message ||
				   (c->state != IC_ASKED && c->state != IC_SILENT))) {
		c->counts.unexpected++;
		return;
	}
	if (negotiation) {
		on_versions(c, body, size);
		return;
	}
	bool late = c->state == IC_SILENT;
	c->state = IC_READY;
	if (late) {
		c->counts.late++;
		if (c->kind->late)
			c->kind->late(c->owner, le32_get(h->status));
		return;
	}
	c->counts.answered++;
	set_deadline(c, UINT64_MAX);
	c->kind->answered(c->owner, le32_get(h->status), body, size);
}

static void on_packet(struct ic_channel *c, const struct vmbus_packet *packet,
		      const u8 *bytes)
{
	const u8 *payload = bytes + packet->header_size;
	u32 size = packet->size - packet->header_size;
	struct ic_header h;

	if (packet->type != VMBUS_PACKET_INBAND || size < sizeof h) {
		c->counts.malformed++;
		return;
	}
	memcpy(&h, payload, sizeof h);
	on_answer(c, &h, payload + sizeof h, size - (u32)sizeof h);
}

static void on_ready(void *owner, struct vmbus_channel *vmbus)
{
	struct ic_channel *c = owner;
	u8 bytes[MAX_PACKET];
	struct vmbus_packet packet;

	for (unsigned k = 0; k < PACKETS_A_ROUND; k++) {
		int r = vmbus_channel_read(vmbus, bytes, sizeof bytes, &packet);

		if (r != 1)
			break;
		/*
		 * The guest gets its room back first: the next question may be in on_packet, and Linux
		 * drops an answer that finds no room.
		 */
		vmbus_channel_pause(vmbus);
		on_packet(c, &packet, bytes);
		if (k + 1 == PACKETS_A_ROUND)
			vmbus_channel_again(vmbus);
	}
	if (c->state == IC_OPEN && !c->host->paused)
		offer_versions(c);
}

u64 ic_channel_when(const struct ic_channel *c)
{
	return c->host->paused ? UINT64_MAX : min_u64(c->deadline, c->timer);
}

static void on_silence(struct ic_channel *c)
{
	c->deadline = UINT64_MAX;
	c->counts.silent++;
	c->waits = false;
	if (c->state == IC_ASKED)
		c->state = IC_SILENT;
	if (c->kind->silent)
		c->kind->silent(c->owner);
}

void ic_channel_due(struct ic_channel *c, u64 now_ns)
{
	if (c->host->paused)
		return;
	if (now_ns >= c->deadline)
		on_silence(c);
	if (now_ns >= c->timer) {
		c->timer = UINT64_MAX;
		c->kind->timer(c->owner);
	}
}

/* ---- closes ---------------------------------------------------------------------------------- */

static void on_close(void *owner, struct vmbus_channel *vmbus)
{
	struct ic_channel *c = owner;

	c->vmbus = NULL;
	c->state = IC_CLOSED;
	c->waits = false;
	c->timer = UINT64_MAX;
	set_deadline(c, UINT64_MAX);
	if (c->kind->closed)
		c->kind->closed(c->owner);
	vmbus_channel_closed(vmbus);
}

/* ---- life ------------------------------------------------------------------------------------ */

static const struct vmbus_device_ops device_ops = {
	.open = on_open,
	.ready = on_ready,
	.close = on_close,
};

int ic_channel_offer(struct ic_channel *c, struct ic_host *host,
		     const struct ic_kind *kind, void *owner)
{
	struct vmbus_offer offer = {
		.interface = kind->interface,
		.instance = kind->instance,
		.flags = IC_OFFER_FLAGS | VMBUS_OFFER_ENUMERATE,
		.user = { IC_PIPE_MESSAGES },
	};

	*c = (struct ic_channel){ .host = host,
				  .kind = kind,
				  .owner = owner,
				  .ops = device_ops,
				  .deadline = UINT64_MAX,
				  .timer = UINT64_MAX };
	c->ops.name = kind->name;
	return vmbus_server_add(host->server, &offer, &c->ops, c, &c->relid);
}

void ic_channel_resume(struct ic_channel *c)
{
	if (c->vmbus)
		vmbus_channel_again(c->vmbus);
	if (c->kind->resumed)
		c->kind->resumed(c->owner);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum {
	STATE_INSTANCE = 1,
	STATE_STATE,
	STATE_FRAMEWORK,
	STATE_VERSION,
	STATE_TRANSACTION,
	STATE_KEPT,
};

static u64 number_of(struct ic_version v)
{
	return (u64)v.major << 16 | v.minor;
}

static struct ic_version version_of(u64 number)
{
	return (struct ic_version){ (u16)(number >> 16), (u16)number };
}

void ic_channel_save(const struct ic_channel *c, struct state_writer *w)
{
	state_begin(w, "ic", 1);
	state_bytes(w, STATE_INSTANCE, &c->kind->instance, sizeof c->kind->instance);
	state_number(w, STATE_STATE, c->state);
	state_number(w, STATE_FRAMEWORK, number_of(c->framework));
	state_number(w, STATE_VERSION, number_of(c->version));
	state_number(w, STATE_TRANSACTION, c->transaction);
	if (c->kind->keep)
		state_number(w, STATE_KEPT, c->kind->keep(c->owner));
	state_end(w);
}

static bool is_of(const struct ic_channel *c, struct state_record record)
{
	struct state_field f;

	while (state_next_field(&record, &f) == 1)
		if (f.id == STATE_INSTANCE && f.size == sizeof c->kind->instance &&
		    memcmp(f.bytes, &c->kind->instance, f.size) == 0)
			return true;
	return false;
}

static int restore_record(struct ic_channel *c, struct state_record *record)
{
	u64 state = IC_CLOSED;
	struct state_field f;
	int r;

	while ((r = state_next_field(record, &f)) == 1) {
		if (f.id == STATE_STATE)
			state = f.number;
		else if (f.id == STATE_FRAMEWORK)
			c->framework = version_of(f.number);
		else if (f.id == STATE_VERSION)
			c->version = version_of(f.number);
		else if (f.id == STATE_TRANSACTION)
			c->transaction = (u8)f.number;
		else if (f.id == STATE_KEPT && c->kind->kept)
			c->kind->kept(c->owner, f.number);
	}
	/* Open is what the VMBus says is open. */
	if (r < 0 || state >= IC_STATES || (state == IC_CLOSED) != (c->vmbus == NULL))
		return -EPROTO;
	c->state = state == IC_ASKED ? IC_SILENT : (enum ic_state)state;
	if (c->state >= IC_READY &&
	    (!is_one_of(c->framework, frameworks, ARRAY_COUNT(frameworks)) ||
	     !is_one_of(c->version, c->kind->version, IC_VERSIONS)))
		return -EPROTO;
	return 0;
}

int ic_channel_restore(struct ic_channel *c, const u8 *bytes, size_t size)
{
	struct state_record record;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "ic") == 0 && is_of(c, record))
			return restore_record(c, &record);
	return r < 0 ? r : -EPROTO;
}

void ic_channel_inspect(const struct ic_channel *c, struct inspect *out)
{
	static const char *const states[] = { "closed", "open",	 "agreeing", "refused",
					      "ready",	"asked", "silent" };
	char branch[32];

	snprintf(branch, sizeof branch, "ic.%s", c->kind->name);
	inspect_words(out, branch, "state", "%s", states[c->state]);
	inspect_number(out, branch, "channel", c->relid);
	if (c->state >= IC_READY)
		inspect_words(out, branch, "version", "%u.%u", c->version.major,
			      c->version.minor);
	inspect_number(out, branch, "asked", c->counts.asked);
	inspect_number(out, branch, "answered", c->counts.answered);
	inspect_number(out, branch, "silent", c->counts.silent);
	inspect_number(out, branch, "late", c->counts.late);
	inspect_number(out, branch, "malformed", c->counts.malformed);
	inspect_number(out, branch, "unexpected", c->counts.unexpected);
	if (c->kind->inspect)
		c->kind->inspect(c->owner, branch, out);
}
