/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keyboard controller (i8042) of a PC with a PS/2 keyboard and a PS/2 mouse on it.
 *
 *	strokes, keys --> keyboard --\  scan codes of set 2 (or 1)
 *	                              >-- controller -- port 60, lines 1 and 12
 *	movements ----> mouse -------/       translates set 2 to set 1 where it is told to
 *
 * Each device has a queue; the controller has one byte for the guest at a time, and its line is up
 * while that waits and the guest wants interrupts. A stroke that is typed goes out when the guest
 * has read the one before, and PS2_PACE_NS later, so that nothing is lost. A key that is held is repeated by who holds it (viewers
 * do), not here. What does not fit a queue is dropped and counted, as by the real devices.
 *
 * ps2_keyboard.c and ps2_mouse.c are the devices, and know no controller.
 *
 * Specification: IBM PS/2 technical reference (keyboard and auxiliary device controller); Microsoft's
 * IntelliMouse for the wheel and five buttons.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/inspect.h"
#include "console/keys.h"

struct state_writer;

#define PS2_PORT_DATA 0x60u
#define PS2_PORT_COMMAND 0x64u
#define PS2_LINE_KEYBOARD 1u
#define PS2_LINE_MOUSE 12u

#define PS2_QUEUE 128u /* a power of two; the longest stroke has 56 bytes */
#define PS2_STROKES 8192u
#define PS2_PACE_NS 20000000ull /* between strokes: a BIOS keeps fifteen */
#define PS2_LINE_NS \
	400000000ull /* after Enter: what reads those may be away for a while */
#define PS2_PATIENCE_NS (10 * NS_PER_SEC)

/* Bytes of a device for the guest. */
struct ps2_queue {
	u8 byte[PS2_QUEUE];
	u32 head, count;
};

static inline u32 ps2_queue_room(const struct ps2_queue *q)
{
	return PS2_QUEUE - q->count;
}

static inline void ps2_queue_put(struct ps2_queue *q, u8 byte)
{
	if (q->count < PS2_QUEUE)
		q->byte[(q->head + q->count++) % PS2_QUEUE] = byte;
}

static inline u8 ps2_queue_take(struct ps2_queue *q)
{
	u8 byte = q->byte[q->head];

	q->head = (q->head + 1) % PS2_QUEUE;
	q->count--;
	return byte;
}

struct ps2_keyboard {
	struct ps2_queue queue;
	bool scans; /* sends keys */
	u8 set;	    /* 1 or 2 */
	u8 leds;    /* as KEYBOARD LEDs: scroll 1, num 2, caps 4 */
	u8 rate;
	u8 command; /* waits for its argument; 0: none does */
	u8 last;    /* for a resend */
	u64 lost;
};

struct ps2_mouse {
	struct ps2_queue queue;
	bool reports, remote, wraps, doubles;
	u8 resolution, rate, id;
	u8 rates[2]; /* set before: a knock at the door of the wheel */
	u8 command;
	u8 buttons, sent_buttons;
	s32 dx, dy, wheel; /* not yet reported; y upwards */
	u64 lost;
};

void ps2_keyboard_reset(struct ps2_keyboard *keyboard);
void ps2_keyboard_write(struct ps2_keyboard *keyboard, u8 byte);
/* A key goes down or up; false: it does not scan, or has no room. */
bool ps2_keyboard_key(struct ps2_keyboard *keyboard, u16 key, bool down);
/* What the controller makes of a byte of set 2. */
u8 ps2_translate(u8 byte);

void ps2_mouse_reset(struct ps2_mouse *mouse);
void ps2_mouse_write(struct ps2_mouse *mouse, u8 byte);
/* Moved by so much, to the right and downwards; buttons: left, right, middle, back, forward. */
void ps2_mouse_move(struct ps2_mouse *mouse, s32 dx, s32 dy, int wheel, u8 buttons);
/* A report is put into the queue, if there is one and room for it. */
void ps2_mouse_report(struct ps2_mouse *mouse);

typedef void (*ps2_done_fn)(void *owner, int r, const struct err *err);

struct ps2_config {
	const struct clock *clock;
	void (*set_line)(void *owner, unsigned line, bool level);
	void (*reset)(void *owner); /* the guest pulls the machine's reset line */
	void (*leds)(void *owner, u16 leds);
	void (*wake)(void *owner); /* what ps2_when says has changed */
	void *owner;
};

struct ps2 {
	struct ps2_config config;
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
	u8 mode;    /* the command byte */
	u8 command; /* waits for its argument; 0: none does */
	u8 output;  /* what port 60 gives */
	enum { PS2_NOTHING, PS2_FROM_KEYBOARD, PS2_FROM_MOUSE, PS2_FROM_CONTROLLER } full;
	bool as_mouse; /* what comes of the controller counts as the mouse's */
	bool broke;    /* the byte before was F0: the next is a release */
	bool line[2];  /* keyboard's, mouse's */
	/* typing */
	struct stroke *stroke; /* the ones that wait, count of them */
	u32 next, count;
	u64 next_ns; /* not before that */
	u64 read_ns; /* when the guest was seen to have read all */
	ps2_done_fn done;
	void *done_owner;
	struct {
		u64 reads, writes, unknown;
	} counts;
};

void ps2_init(struct ps2 *ps2, const struct ps2_config *config);
void ps2_done(struct ps2 *ps2);
void ps2_reset(struct ps2 *ps2);

u8 ps2_read(struct ps2 *ps2, u16 port);
void ps2_write(struct ps2 *ps2, u16 port, u8 value);

/*
 * Type strokes; done is called once, perhaps from inside, when the guest has read them all. -EBUSY: the
 * text before is not read yet; -ENOTCONN: nobody listens; -ETIMEDOUT.
 */
void ps2_type(struct ps2 *ps2, const struct stroke *stroke, unsigned count,
	      ps2_done_fn done, void *owner);
u64 ps2_when(const struct ps2 *ps2);
void ps2_due(struct ps2 *ps2);

void ps2_key(struct ps2 *ps2, u16 key, bool down);
void ps2_point(struct ps2 *ps2, s32 dx, s32 dy, int wheel, u8 buttons);

/* State, a record "ps2"; strokes that wait are given up. After a restore lines are set anew. -EPROTO. */
void ps2_save(const struct ps2 *ps2, struct state_writer *writer);
int ps2_restore(struct ps2 *ps2, const u8 *bytes, size_t size) MUST_CHECK;
void ps2_inspect(const struct ps2 *ps2, struct inspect *out);
