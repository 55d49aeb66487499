/* SPDX-License-Identifier: Apache-2.0 */
/* A PS/2 mouse, with a wheel where its driver knocks; see ps2.h. */
#include "board/ps2.h"

#define ACK 0xfau
#define PASSED 0xaau
#define ERROR 0xfcu
#define MOST_WAITING (1 << 20) /* of movement that was not asked for */

enum {
	SCALE_1 = 0xe6,
	SCALE_2 = 0xe7,
	SET_RESOLUTION = 0xe8,
	STATUS = 0xe9,
	STREAM = 0xea,
	READ = 0xeb,
	END_WRAP = 0xec,
	WRAP = 0xee,
	REMOTE = 0xf0,
	IDENTIFY = 0xf2,
	SET_RATE = 0xf3,
	ENABLE = 0xf4,
	DISABLE = 0xf5,
	DEFAULTS = 0xf6,
	RESET = 0xff,
};

/* What it is: a plain mouse, one with a wheel, one with five buttons too. */
enum { PLAIN = 0, WHEEL = 3, FIVE = 4 };

static void set_defaults(struct ps2_mouse *m)
{
	m->reports = m->remote = m->wraps = m->doubles = false;
	m->resolution = 2;
	m->rate = 100;
	m->command = 0;
	m->dx = m->dy = m->wheel = 0;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	set_defaults(m);
	m->queue.count = 0;
	m->id = PLAIN;
	memset(m->rates, 0, sizeof m->rates);
	m->sent_buttons = m->buttons;
}

/* ---- movement -------------------------------------------------------------------------------- */

static s32 clamp(s32 value, s32 least, s32 most)
{
	return value < least ? least : value > most ? most : value;
}

void ps2_mouse_move(struct ps2_mouse *m, s32 dx, s32 dy, int wheel, u8 buttons)
{
	m->dx = clamp(m->dx + clamp(dx, -MOST_WAITING, MOST_WAITING), -MOST_WAITING,
		      MOST_WAITING);
	m->dy = clamp(m->dy - clamp(dy, -MOST_WAITING, MOST_WAITING), -MOST_WAITING,
		      MOST_WAITING);
	m->wheel = clamp(m->wheel - wheel, -1024, 1024);
	m->buttons = buttons & 31;
}

static bool has_news(const struct ps2_mouse *m)
{
	return m->dx || m->dy || (m->id != PLAIN && m->wheel) ||
	       m->buttons != m->sent_buttons;
}

static void put_report(struct ps2_mouse *m)
{
	s32 dx = clamp(m->dx, -255, 255), dy = clamp(m->dy, -255, 255);
	s32 wheel = m->id == PLAIN ? m->wheel : clamp(m->wheel, -7, 7);

	m->dx -= dx;
	m->dy -= dy;
	m->wheel -= wheel;
	m->sent_buttons = m->buttons;
	ps2_queue_put(&m->queue,
		      (u8)((m->buttons & 7) | 8 | (dx < 0 ? 16 : 0) | (dy < 0 ? 32 : 0)));
	ps2_queue_put(&m->queue, (u8)dx);
	ps2_queue_put(&m->queue, (u8)dy);
	if (m->id == WHEEL)
		ps2_queue_put(&m->queue, (u8)wheel);
	if (m->id == FIVE)
		ps2_queue_put(&m->queue, (u8)((wheel & 15) | (m->buttons & 0x18) << 1));
}

/* One report waits at a time: what moves meanwhile is in the next one. */
void ps2_mouse_report(struct ps2_mouse *m)
{
	if (m->reports && !m->remote && !m->wraps && m->queue.count == 0 && has_news(m))
		put_report(m);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void answer(struct ps2_mouse *m, u8 byte)
{
	ps2_queue_put(&m->queue, byte);
}

static void put_status(struct ps2_mouse *m)
{
	u8 b = m->buttons;

	answer(m,
	       (u8)((b & 1) << 2 | (b & 4) >> 1 | (b & 2) >> 1 | (m->doubles ? 16 : 0) |
		    (m->reports ? 32 : 0) | (m->remote ? 64 : 0)));
	answer(m, m->resolution);
	answer(m, m->rate);
}

/* 200, 100, 80 in a row: a wheel, please; 200, 200, 80: five buttons too. */
static void knock(struct ps2_mouse *m, u8 rate)
{
	if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 100)
		m->id = WHEEL;
	if (rate == 80 && m->rates[0] == 200 && m->rates[1] == 200)
		m->id = FIVE;
	m->rates[0] = m->rates[1];
	m->rates[1] = rate;
	m->rate = rate;
}

static void take_argument(struct ps2_mouse *m, u8 byte)
{
	if (m->command == SET_RATE)
		knock(m, byte);
	else if (byte <= 3)
		m->resolution = byte;
	m->command = 0;
	answer(m, ACK);
}

static void take_command(struct ps2_mouse *m, u8 byte)
{
	switch (byte) {
	case SCALE_1:
	case SCALE_2:
		m->doubles = byte == SCALE_2;
		return;
	case SET_RESOLUTION:
	case SET_RATE:
		m->command = byte;
		return;
	case STATUS:
		put_status(m);
		return;
	case STREAM:
	case REMOTE:
		m->remote = byte == REMOTE;
		return;
	case READ:
		put_report(m);
		return;
	case END_WRAP:
	case WRAP:
		m->wraps = byte == WRAP;
		return;
	case IDENTIFY:
		answer(m, m->id);
		return;
	case ENABLE:
	case DISABLE:
		m->reports = byte == ENABLE;
		return;
	case DEFAULTS:
		set_defaults(m);
		return;
	case RESET:
		ps2_mouse_reset(m);
		answer(m, ACK);
		answer(m, PASSED);
		answer(m, PLAIN);
		return;
	}
}

static bool is_command(u8 byte)
{
	return (byte >= SCALE_1 && byte <= END_WRAP) || byte == WRAP || byte == REMOTE ||
	       (byte >= IDENTIFY && byte <= DEFAULTS) || byte == RESET;
}

void ps2_mouse_write(struct ps2_mouse *m, u8 byte)
{
	/* A movement that is half read is not finished before an answer. */
	m->queue.count = 0;
	if (m->wraps && byte != END_WRAP && byte != RESET) {
		answer(m, byte);
		return;
	}
	if (m->command) {
		take_argument(m, byte);
		return;
	}
	if (byte != RESET)
		answer(m, is_command(byte) ? ACK : ERROR);
	take_command(m, byte);
}
