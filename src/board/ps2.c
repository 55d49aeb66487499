/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard controller; see ps2.h. */
#include "board/ps2.h"

#include <errno.h>

#include "state/record.h"

/* Status, port 64. */
#define STATUS_FULL 0x01u
#define STATUS_SYSTEM 0x04u
#define STATUS_COMMAND 0x08u
#define STATUS_UNLOCKED 0x10u
#define STATUS_MOUSE 0x20u

/* The command byte. */
#define MODE_KEYBOARD_LINE 0x01u
#define MODE_MOUSE_LINE 0x02u
#define MODE_SYSTEM 0x04u
#define MODE_NO_KEYBOARD 0x10u
#define MODE_NO_MOUSE 0x20u
#define MODE_TRANSLATE 0x40u

enum {
	READ_MODE = 0x20,
	WRITE_MODE = 0x60,
	MOUSE_OFF = 0xa7,
	MOUSE_ON = 0xa8,
	TEST_MOUSE = 0xa9,
	TEST = 0xaa,
	TEST_KEYBOARD = 0xab,
	KEYBOARD_OFF = 0xad,
	KEYBOARD_ON = 0xae,
	READ_INPUT = 0xc0,
	READ_OUTPUT = 0xd0,
	WRITE_OUTPUT = 0xd1,
	WRITE_AS_KEYBOARD = 0xd2,
	WRITE_AS_MOUSE = 0xd3,
	WRITE_MOUSE = 0xd4,
	PULSE = 0xf0,
};

/* ---- the byte for the guest ------------------------------------------------------------------ */

static bool is_mouses(const struct ps2 *p)
{
	return p->full == PS2_FROM_MOUSE ||
	       (p->full == PS2_FROM_CONTROLLER && p->as_mouse);
}

static void set_line(struct ps2 *p, unsigned n, bool level)
{
	if (p->line[n] == level)
		return;
	p->line[n] = level;
	p->config.set_line(p->config.owner, n ? PS2_LINE_MOUSE : PS2_LINE_KEYBOARD,
			   level);
}

static void set_lines(struct ps2 *p)
{
	bool full = p->full != PS2_NOTHING;

	set_line(p, 0, full && !is_mouses(p) && (p->mode & MODE_KEYBOARD_LINE));
	set_line(p, 1, full && is_mouses(p) && (p->mode & MODE_MOUSE_LINE));
}

/* The next byte of the keyboard's; a release in set 2 is two bytes, in set 1 one. */
static bool take_key(struct ps2 *p)
{
	struct ps2_queue *q = &p->keyboard.queue;

	while (q->count > 0) {
		u8 byte = ps2_queue_take(q);

		if (!(p->mode & MODE_TRANSLATE)) {
			p->output = byte;
			return true;
		}
		if (byte == 0xf0) {
			p->broke = true;
			continue;
		}
		byte = ps2_translate(byte);
		p->output = p->broke ? byte | 0x80 : byte;
		p->broke = false;
		return true;
	}
	return false;
}

static void feed(struct ps2 *p);

/* Something to read, if there is nothing yet. Answers of the controller come first. */
static void fill(struct ps2 *p)
{
	if (p->full == PS2_NOTHING && !(p->mode & MODE_NO_KEYBOARD)) {
		feed(p);
		if (take_key(p))
			p->full = PS2_FROM_KEYBOARD;
	}
	if (p->full == PS2_NOTHING && !(p->mode & MODE_NO_MOUSE)) {
		ps2_mouse_report(&p->mouse);
		if (p->mouse.queue.count > 0) {
			p->output = ps2_queue_take(&p->mouse.queue);
			p->full = PS2_FROM_MOUSE;
		}
	}
	set_lines(p);
}

static void answer(struct ps2 *p, u8 byte, bool as_mouse)
{
	p->output = byte;
	p->full = PS2_FROM_CONTROLLER;
	p->as_mouse = as_mouse;
	/* Each byte is an edge of its own. */
	set_line(p, 0, false);
	set_line(p, 1, false);
}

/* ---- typing ---------------------------------------------------------------------------------- */

static u64 now(const struct ps2 *p)
{
	return p->config.clock->monotonic_ns(p->config.clock);
}

static void end_typing(struct ps2 *p, int code, const char *text)
{
	ps2_done_fn done = take_ptr(p->done);
	struct err err = { 0 };

	p->next = p->count = 0;
	free(take_ptr(p->stroke));
	p->config.wake(p->config.owner);
	if (code < 0) {
		err_set(&err, code, "%s", text);
		err_fix(&err, "look at its screen: tabique vm screenshot");
	}
	if (done)
		done(p->done_owner, code, &err);
}

/* The next stroke, when the guest has read the one before. */
static void feed(struct ps2 *p)
{
	const struct stroke *s;
	u64 time;

	if (p->count == 0 || p->keyboard.queue.count > 0 || !p->keyboard.scans)
		return;
	time = now(p);
	p->read_ns = time;
	if (p->next == p->count) {
		end_typing(p, 0, NULL);
		return;
	}
	p->config.wake(p->config.owner);
	if (time < p->next_ns)
		return;
	s = &p->stroke[p->next++];
	p->next_ns = time +
		     (s->count > 0 && s->key[0] == KEY_ENTER ? PS2_LINE_NS : PS2_PACE_NS);
	for (unsigned k = 0; k < s->count; k++)
		ps2_keyboard_key(&p->keyboard, s->key[k], true);
	for (unsigned k = s->count; k-- > 0;)
		ps2_keyboard_key(&p->keyboard, s->key[k], false);
}

static void refuse(ps2_done_fn done, void *owner, int code, const char *text,
		   const char *fix)
{
	struct err err = { 0 };

	err_set(&err, code, "%s", text);
	err_fix(&err, "%s", fix);
	if (done)
		done(owner, code, &err);
}

void ps2_type(struct ps2 *p, const struct stroke *stroke, unsigned count,
	      ps2_done_fn done, void *owner)
{
	if (p->count > 0 || count > PS2_STROKES) {
		refuse(done, owner, -EBUSY, "the guest is still being typed at",
		       "try again when it has read that");
		return;
	}
	if (!p->keyboard.scans || (p->mode & MODE_NO_KEYBOARD)) {
		refuse(done, owner, -ENOTCONN, "the guest has switched its keyboard off",
		       "wait until it listens");
		return;
	}
	p->stroke = calloc(max_u64(count, 1), sizeof *stroke);
	if (!p->stroke) {
		refuse(done, owner, -ENOMEM, err_words(-ENOMEM), "try again");
		return;
	}
	memcpy(p->stroke, stroke, count * sizeof *stroke);
	p->next = 0;
	p->count = count;
	p->done = done;
	p->done_owner = owner;
	p->read_ns = now(p);
	if (count == 0)
		end_typing(p, 0, NULL);
	fill(p);
	p->config.wake(p->config.owner);
}

u64 ps2_when(const struct ps2 *p)
{
	if (p->count == 0)
		return UINT64_MAX;
	/* All is read, and it listens: it is the next one's turn. */
	return p->keyboard.queue.count == 0 && p->full == PS2_NOTHING &&
			       p->keyboard.scans && !(p->mode & MODE_NO_KEYBOARD)
		       ? p->next_ns
		       : p->read_ns + PS2_PATIENCE_NS;
}

void ps2_due(struct ps2 *p)
{
	fill(p);
	if (p->count > 0 && now(p) >= p->read_ns + PS2_PATIENCE_NS)
		end_typing(p, -ETIMEDOUT, "the guest does not read its keyboard");
}

void ps2_key(struct ps2 *p, u16 key, bool down)
{
	ps2_keyboard_key(&p->keyboard, key, down);
	fill(p);
}

void ps2_point(struct ps2 *p, s32 dx, s32 dy, int wheel, u8 buttons)
{
	ps2_mouse_move(&p->mouse, dx, dy, wheel, buttons);
	fill(p);
}

/* ---- registers ------------------------------------------------------------------------------- */

static u8 output_port(const struct ps2 *p)
{
	/* Reset is not pulled, A20 is open. */
	return (u8)(0x03 | (p->line[0] ? 0x10 : 0) | (p->line[1] ? 0x20 : 0) |
		    (p->full != PS2_NOTHING ? 0x80 : 0));
}

static u8 status(const struct ps2 *p)
{
	return (u8)((p->full != PS2_NOTHING ? STATUS_FULL : 0) |
		    (p->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0) |
		    (p->command ? STATUS_COMMAND : 0) | STATUS_UNLOCKED |
		    (p->full != PS2_NOTHING && is_mouses(p) ? STATUS_MOUSE : 0));
}

u8 ps2_read(struct ps2 *p, u16 port)
{
	u8 value = p->output;

	p->counts.reads++;
	if (port == PS2_PORT_COMMAND)
		return status(p);
	p->full = PS2_NOTHING;
	set_lines(p);
	fill(p);
	return value;
}

static void write_command(struct ps2 *p, u8 command)
{
	p->command = 0;
	switch (command) {
	case READ_MODE:
		answer(p, p->mode, false);
		return;
	case WRITE_MODE:
	case WRITE_OUTPUT:
	case WRITE_AS_KEYBOARD:
	case WRITE_AS_MOUSE:
	case WRITE_MOUSE:
		p->command = command;
		return;
	case MOUSE_OFF:
		p->mode |= MODE_NO_MOUSE;
		return;
	case MOUSE_ON:
		p->mode &= ~MODE_NO_MOUSE;
		return;
	case TEST_MOUSE:
	case TEST_KEYBOARD:
		answer(p, 0x00, false);
		return;
	case TEST:
		p->mode |= MODE_SYSTEM;
		answer(p, 0x55, false);
		return;
	case KEYBOARD_OFF:
		p->mode |= MODE_NO_KEYBOARD;
		return;
	case KEYBOARD_ON:
		p->mode &= ~MODE_NO_KEYBOARD;
		return;
	case READ_INPUT:
		answer(p, 0x80, false);
		return;
	case READ_OUTPUT:
		answer(p, output_port(p), false);
		return;
	}
	if (command < PULSE)
		p->counts.unknown++;
	else if (!(command & 1))
		p->config.reset(p->config.owner);
}

static void write_keyboard(struct ps2 *p, u8 value)
{
	u8 leds = p->keyboard.leds;

	/* Writing to it switches it on. */
	p->mode &= ~MODE_NO_KEYBOARD;
	ps2_keyboard_write(&p->keyboard, value);
	if (leds != p->keyboard.leds)
		p->config.leds(p->config.owner, p->keyboard.leds);
}

static void write_data(struct ps2 *p, u8 value)
{
	u8 command = p->command;

	p->command = 0;
	switch (command) {
	case WRITE_MODE:
		p->mode = value;
		return;
	case WRITE_OUTPUT:
		if (!(value & 1))
			p->config.reset(p->config.owner);
		return;
	case WRITE_AS_KEYBOARD:
	case WRITE_AS_MOUSE:
		answer(p, value, command == WRITE_AS_MOUSE);
		return;
	case WRITE_MOUSE:
		p->mode &= ~MODE_NO_MOUSE;
		ps2_mouse_write(&p->mouse, value);
		return;
	default:
		write_keyboard(p, value);
		return;
	}
}

void ps2_write(struct ps2 *p, u16 port, u8 value)
{
	p->counts.writes++;
	if (port == PS2_PORT_COMMAND)
		write_command(p, value);
	else
		write_data(p, value);
	fill(p);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void power_on(struct ps2 *p)
{
	p->mode = MODE_KEYBOARD_LINE | MODE_MOUSE_LINE | MODE_TRANSLATE;
	p->command = p->output = 0;
	p->full = PS2_NOTHING;
	p->as_mouse = p->broke = false;
	ps2_keyboard_reset(&p->keyboard);
	ps2_mouse_reset(&p->mouse);
}

void ps2_init(struct ps2 *p, const struct ps2_config *config)
{
	*p = (struct ps2){ .config = *config };
	power_on(p);
}

void ps2_done(struct ps2 *p)
{
	free(take_ptr(p->stroke));
	p->count = 0;
}

void ps2_reset(struct ps2 *p)
{
	if (p->count > 0)
		end_typing(p, -ENOTCONN, "the guest was reset");
	power_on(p);
	set_lines(p);
	p->config.leds(p->config.owner, 0);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_CONTROLLER = 1, STATE_KEYBOARD, STATE_KEYS, STATE_MOUSE, STATE_MOVES };

struct controller_state {
	u8 mode, command, output, full, as_mouse, broke, line[2];
} PACKED;

struct keyboard_state {
	u8 scans, set, leds, rate, command, last;
} PACKED;

struct mouse_state {
	u8 reports, remote, wraps, doubles, resolution, rate, id, rates[2], command;
	u8 buttons, sent_buttons;
	s32 dx, dy, wheel;
} PACKED;

static void save_queue(struct state_writer *w, u16 id, const struct ps2_queue *q)
{
	struct ps2_queue copy = *q;
	u8 bytes[PS2_QUEUE];
	u32 size = 0;

	while (copy.count > 0)
		bytes[size++] = ps2_queue_take(&copy);
	state_bytes(w, id, bytes, size);
}

void ps2_save(const struct ps2 *p, struct state_writer *w)
{
	const struct ps2_keyboard *k = &p->keyboard;
	const struct ps2_mouse *m = &p->mouse;
	const struct controller_state c = {
		p->mode,
		p->command,
		p->output,
		(u8)p->full,
		p->as_mouse,
		p->broke,
		{ p->line[0], p->line[1] },
	};
	const struct keyboard_state ks = { k->scans, k->set,	 k->leds,
					   k->rate,  k->command, k->last };
	const struct mouse_state ms = {
		.reports = m->reports,
		.remote = m->remote,
		.wraps = m->wraps,
		.doubles = m->doubles,
		.resolution = m->resolution,
		.rate = m->rate,
		.id = m->id,
		.rates = { m->rates[0], m->rates[1] },
		.command = m->command,
		.buttons = m->buttons,
		.sent_buttons = m->sent_buttons,
		.dx = m->dx,
		.dy = m->dy,
		.wheel = m->wheel,
	};

	state_begin(w, "ps2", 1);
	state_bytes(w, STATE_CONTROLLER, &c, sizeof c);
	state_bytes(w, STATE_KEYBOARD, &ks, sizeof ks);
	save_queue(w, STATE_KEYS, &k->queue);
	state_bytes(w, STATE_MOUSE, &ms, sizeof ms);
	save_queue(w, STATE_MOVES, &m->queue);
	state_end(w);
}

static int take_queue(struct ps2_queue *q, const struct state_field *f)
{
	if (f->size > PS2_QUEUE)
		return -EPROTO;
	q->head = q->count = 0;
	for (u32 k = 0; k < f->size; k++)
		ps2_queue_put(q, f->bytes[k]);
	return 0;
}

static int take_controller(struct ps2 *p, const struct state_field *f)
{
	struct controller_state c;

	if (f->size != sizeof c)
		return -EPROTO;
	memcpy(&c, f->bytes, sizeof c);
	if (c.full > PS2_FROM_CONTROLLER)
		return -EPROTO;
	p->mode = c.mode;
	p->command = c.command;
	p->output = c.output;
	p->full = c.full;
	p->as_mouse = c.as_mouse & 1;
	p->broke = c.broke & 1;
	/* hv has its lines itself. */
	p->line[0] = c.line[0] & 1;
	p->line[1] = c.line[1] & 1;
	return 0;
}

static int take_keyboard(struct ps2_keyboard *k, const struct state_field *f)
{
	struct keyboard_state s;

	if (f->size != sizeof s)
		return -EPROTO;
	memcpy(&s, f->bytes, sizeof s);
	if (s.set != 1 && s.set != 2)
		return -EPROTO;
	k->scans = s.scans & 1;
	k->set = s.set;
	k->leds = s.leds & 7;
	k->rate = s.rate;
	k->command = s.command;
	k->last = s.last;
	return 0;
}

static int take_mouse(struct ps2_mouse *m, const struct state_field *f)
{
	struct mouse_state s;

	if (f->size != sizeof s)
		return -EPROTO;
	memcpy(&s, f->bytes, sizeof s);
	if (s.id != 0 && s.id != 3 && s.id != 4)
		return -EPROTO;
	ps2_mouse_reset(m);
	m->reports = s.reports & 1;
	m->remote = s.remote & 1;
	m->wraps = s.wraps & 1;
	m->doubles = s.doubles & 1;
	m->resolution = s.resolution;
	m->rate = s.rate;
	m->id = s.id;
	memcpy(m->rates, s.rates, sizeof m->rates);
	m->command = s.command;
	/* Within their limits whatever the bytes are. */
	ps2_mouse_move(m, s.dx, 0, 0, s.buttons);
	m->dy = s.dy > -4096 && s.dy < 4096 ? s.dy : 0;
	m->wheel = s.wheel > -1024 && s.wheel < 1024 ? s.wheel : 0;
	m->sent_buttons = s.sent_buttons & 31;
	return 0;
}

static int take_field(struct ps2 *p, const struct state_field *f)
{
	switch (f->id) {
	case STATE_CONTROLLER:
		return take_controller(p, f);
	case STATE_KEYBOARD:
		return take_keyboard(&p->keyboard, f);
	case STATE_KEYS:
		return take_queue(&p->keyboard.queue, f);
	case STATE_MOUSE:
		return take_mouse(&p->mouse, f);
	case STATE_MOVES:
		return take_queue(&p->mouse.queue, f);
	}
	return 0;
}

int ps2_restore(struct ps2 *p, const u8 *bytes, size_t size)
{
	struct state_record record;
	struct state_field f;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "ps2") == 0)
			break;
	if (r != 1)
		return r < 0 ? r : -EPROTO;
	while ((r = state_next_field(&record, &f)) == 1) {
		r = take_field(p, &f);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	p->config.leds(p->config.owner, p->keyboard.leds);
	return 0;
}

void ps2_inspect(const struct ps2 *p, struct inspect *out)
{
	inspect_words(out, "ps2", "mode", "%#x", p->mode);
	inspect_number(out, "ps2", "scan_set", p->keyboard.set);
	inspect_number(out, "ps2", "leds", p->keyboard.leds);
	inspect_number(out, "ps2", "keys_waiting", p->keyboard.queue.count);
	inspect_number(out, "ps2", "keys_lost", p->keyboard.lost);
	inspect_number(out, "ps2", "strokes_waiting", p->count - p->next);
	inspect_number(out, "ps2", "mouse_id", p->mouse.id);
	inspect_number(out, "ps2", "mouse_reports", p->mouse.reports);
	inspect_number(out, "ps2", "reads", p->counts.reads);
	inspect_number(out, "ps2", "writes", p->counts.writes);
	inspect_number(out, "ps2", "unknown", p->counts.unknown);
}
