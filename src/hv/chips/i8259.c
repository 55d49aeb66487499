/* SPDX-License-Identifier: Apache-2.0 */
/* The pair of 8259A: i8259.h has the map. Under the chipset lock. */
#include "hv/chips/i8259.h"

#include <errno.h>

#include "wall/wall.h"

#define MASTER 0
#define SLAVE 1
#define CASCADE_LINE 2

/* Lines that the ELCR cannot make level-triggered: timer, keyboard, cascade, RTC, FPU. */
static const u8 elcr_writable[2] = { 0xf8, 0xde };

/*
 * Priorities go round: the line after `lowest` is the highest. Rank 0 is highest, 8 means none.
 */
static unsigned rank_of(const struct i8259_half *h, u8 lines)
{
	for (unsigned rank = 0; rank < 8; rank++)
		if (lines & BIT((h->lowest + 1 + rank) & 7))
			return rank;
	return 8;
}

static unsigned line_of(const struct i8259_half *h, unsigned rank)
{
	return (h->lowest + 1 + rank) & 7;
}

static u8 level_lines(const struct i8259_half *h)
{
	return h->level_all ? 0xff : h->elcr;
}

/* The line that this half would answer an acknowledge with, or -1. */
static int best_line(const struct i8259_half *h, bool is_master)
{
	unsigned request = rank_of(h, h->irr & (u8)~h->mask);
	u8 in_service = h->isr;
	unsigned serving;

	if (!h->ready || request == 8)
		return -1;
	if (h->special_mask)
		in_service &= (u8)~h->mask;
	/* A slave's higher line may interrupt its lower one through the same master line. */
	if (h->special_fully_nested && is_master)
		in_service &= (u8)~BIT(CASCADE_LINE);
	serving = rank_of(h, in_service);
	return request < serving ? (int)line_of(h, request) : -1;
}

/*
 * An edge stays latched when its line falls before the acknowledge. The real part answers such
 * an acknowledge with line 7's vector; devices here lower their lines from other threads at any
 * moment, and a guest bears an interrupt too many better than one that tells it nothing.
 */
static void set_half_line(struct i8259_half *h, unsigned n, bool level)
{
	u8 bit = (u8)BIT(n);

	if (level && ((level_lines(h) & bit) || !(h->lines & bit)))
		h->irr |= bit;
	else if (!level && (level_lines(h) & bit))
		h->irr &= (u8)~bit;
	if (level)
		h->lines |= bit;
	else
		h->lines &= (u8)~bit;
}

/* From the slave to the master it is a wire on one chip: when it falls, so does the request. */
static void set_cascade(struct i8259 *pic)
{
	struct i8259_half *master = &pic->half[MASTER];
	bool level = best_line(&pic->half[SLAVE], false) >= 0;

	set_half_line(master, CASCADE_LINE, level);
	if (!level)
		master->irr &= (u8)~BIT(CASCADE_LINE);
}

static void update(struct i8259 *pic)
{
	bool level;

	set_cascade(pic);
	level = best_line(&pic->half[MASTER], true) >= 0;
	if (level == pic->output_level)
		return;
	pic->output_level = level;
	chip_pin_set(&pic->output, level);
}

static void acknowledge_line(struct i8259_half *h, unsigned n)
{
	u8 bit = (u8)BIT(n);

	if (!(level_lines(h) & bit))
		h->irr &= (u8)~bit;
	if (!h->auto_eoi)
		h->isr |= bit;
	else if (h->rotate_on_auto_eoi)
		h->lowest = (u8)n;
}

static u8 ack_half(struct i8259 *pic, unsigned half)
{
	struct i8259_half *h = &pic->half[half];
	int line = best_line(h, half == MASTER);

	if (line < 0) {
		pic->spurious++;
		return h->base | 7;
	}
	acknowledge_line(h, (unsigned)line);
	return h->base | (u8)line;
}

u8 i8259_ack(struct i8259 *pic)
{
	bool from_slave = best_line(&pic->half[MASTER], true) == CASCADE_LINE;
	u8 vector = ack_half(pic, MASTER);

	pic->acks++;
	if (from_slave && !pic->half[MASTER].single) {
		vector = ack_half(pic, SLAVE);
		/*
		 * The cascade is a wire, not a latch: if the slave still asks (for a higher line
		 * in special fully nested mode), that is a new edge.
		 */
		pic->half[MASTER].lines &= (u8)~BIT(CASCADE_LINE);
	}
	update(pic);
	return vector;
}

void i8259_set_line(struct i8259 *pic, unsigned line, bool level)
{
	if (line >= I8259_LINES || line == CASCADE_LINE)
		return;
	set_half_line(&pic->half[line >> 3], line & 7, level);
	update(pic);
}

static void reset_half(struct i8259_half *h)
{
	u8 lines = h->lines;

	*h = (struct i8259_half){ .lines = lines, .lowest = 7, .mask = 0xff };
}

void i8259_init(struct i8259 *pic, const struct chip_pin *output)
{
	memset(pic, 0, sizeof *pic);
	pic->output = *output;
	i8259_reset(pic);
}

void i8259_reset(struct i8259 *pic)
{
	reset_half(&pic->half[MASTER]);
	reset_half(&pic->half[SLAVE]);
	update(pic);
}

/* ICW1 clears the edge latches and the mask; a line that is up must fall before it asks again. */
static void write_icw1(struct i8259_half *h, u8 value)
{
	h->irr = h->lines & (value & 0x08 ? 0xff : h->elcr);
	h->isr = 0;
	h->mask = 0;
	h->lowest = 7;
	h->level_all = value & 0x08;
	h->single = value & 0x02;
	h->icw4_follows = value & 0x01;
	h->icw_expected = 2;
	h->auto_eoi = h->rotate_on_auto_eoi = false;
	h->special_mask = h->special_fully_nested = false;
	h->read_isr = h->poll = false;
	h->ready = false;
}

static void write_ocw2(struct i8259_half *h, u8 value)
{
	u8 line = value & 7;
	u8 in_service = h->isr;
	unsigned rank;

	if (h->special_mask)
		in_service &= (u8)~h->mask;
	switch (value >> 5) {
	case 0: /* rotate in AEOI mode: off */
	case 4: /* on */
		h->rotate_on_auto_eoi = value >> 7;
		return;
	case 1: /* non-specific EOI */
	case 5: /* and rotate */
		rank = rank_of(h, in_service);
		if (rank == 8)
			return;
		line = (u8)line_of(h, rank);
		h->isr &= (u8)~BIT(line);
		if (value & 0x80)
			h->lowest = line;
		return;
	case 7: /* specific EOI and rotate */
		h->lowest = line;
		h->isr &= (u8)~BIT(line);
		return;
	case 3: /* specific EOI */
		h->isr &= (u8)~BIT(line);
		return;
	case 6: /* set priority */
		h->lowest = line;
		return;
	case 2: /* no operation */
		return;
	}
}

static void write_command(struct i8259_half *h, u8 value)
{
	if (value & 0x10) {
		write_icw1(h, value);
	} else if (value & 0x08) {
		if (value & 0x04)
			h->poll = true;
		if (value & 0x02)
			h->read_isr = value & 0x01;
		if (value & 0x40)
			h->special_mask = value & 0x20;
	} else {
		write_ocw2(h, value);
	}
}

static void write_data(struct i8259_half *h, u8 value)
{
	switch (h->icw_expected) {
	case 2:
		h->base = value & 0xf8;
		h->icw_expected = h->single ? (h->icw4_follows ? 4 : 0) : 3;
		break;
	case 3: /* which line the slave is on: ours are soldered */
		h->icw_expected = h->icw4_follows ? 4 : 0;
		break;
	case 4:
		h->auto_eoi = value & 0x02;
		h->special_fully_nested = value & 0x10;
		h->icw_expected = 0;
		break;
	default:
		h->mask = value;
		return;
	}
	h->ready = h->icw_expected == 0;
}

/* A poll is an acknowledge by reading: bit 7 = there was one, 0-2 = which. */
static u8 poll_half(struct i8259 *pic, unsigned half)
{
	struct i8259_half *h = &pic->half[half];
	int line = best_line(h, half == MASTER);

	h->poll = false;
	if (line < 0)
		return 0x07;
	acknowledge_line(h, (unsigned)line);
	if (half == MASTER && line == CASCADE_LINE)
		h->lines &= (u8)~BIT(CASCADE_LINE);
	update(pic);
	return 0x80 | (u8)line;
}

static u8 read_half(struct i8259 *pic, unsigned half, bool data)
{
	struct i8259_half *h = &pic->half[half];

	if (h->poll)
		return poll_half(pic, half);
	if (data)
		return h->mask;
	return h->read_isr ? h->isr : h->irr;
}

u8 i8259_read(struct i8259 *pic, u16 port)
{
	switch (port) {
	case 0x20:
	case 0x21:
		return read_half(pic, MASTER, port & 1);
	case 0xa0:
	case 0xa1:
		return read_half(pic, SLAVE, port & 1);
	case 0x4d0:
	case 0x4d1:
		return pic->half[port & 1].elcr;
	}
	return 0xff;
}

static void write_elcr(struct i8259 *pic, unsigned half, u8 value)
{
	struct i8259_half *h = &pic->half[half];

	h->elcr = value & elcr_writable[half];
	/* What is level now follows its line; what became edge keeps what it had. */
	h->irr = (h->irr & (u8)~h->elcr) | (h->lines & h->elcr);
}

void i8259_write(struct i8259 *pic, u16 port, u8 value)
{
	struct i8259_half *h = &pic->half[port & 0x80 ? SLAVE : MASTER];

	switch (port) {
	case 0x20:
	case 0xa0:
		write_command(h, value);
		break;
	case 0x21:
	case 0xa1:
		write_data(h, value);
		break;
	case 0x4d0:
	case 0x4d1:
		write_elcr(pic, port & 1, value);
		break;
	}
	update(pic);
}

/* ---- state ----------------------------------------------------------------------------------- */

#define STATE_VERSION 1

/* flags */
#define FLAG_ICW4_FOLLOWS 0x001u
#define FLAG_SINGLE 0x002u
#define FLAG_AUTO_EOI 0x004u
#define FLAG_ROTATE 0x008u
#define FLAG_SPECIAL_MASK 0x010u
#define FLAG_SPECIAL_NESTED 0x020u
#define FLAG_READ_ISR 0x040u
#define FLAG_POLL 0x080u
#define FLAG_LEVEL_ALL 0x100u
#define FLAG_READY 0x200u
#define FLAGS 0x3ffu

struct i8259_half_state {
	u8 lines, irr, isr, mask, elcr, base, lowest, icw_expected;
	le16 flags;
} PACKED;

struct i8259_state {
	struct chip_state_head head;
	struct i8259_half_state half[2];
	u8 output_level;
} PACKED;
_Static_assert(sizeof(struct i8259_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void i8259_save(const struct i8259 *pic, void *block)
{
	struct i8259_state s = { .output_level = pic->output_level };

	for (unsigned i = 0; i < 2; i++) {
		const struct i8259_half *h = &pic->half[i];

		s.half[i] = (struct i8259_half_state){
			.lines = h->lines,
			.irr = h->irr,
			.isr = h->isr,
			.mask = h->mask,
			.elcr = h->elcr,
			.base = h->base,
			.lowest = h->lowest,
			.icw_expected = h->icw_expected,
			.flags = le16_of(
				(h->icw4_follows ? FLAG_ICW4_FOLLOWS : 0) |
				(h->single ? FLAG_SINGLE : 0) |
				(h->auto_eoi ? FLAG_AUTO_EOI : 0) |
				(h->rotate_on_auto_eoi ? FLAG_ROTATE : 0) |
				(h->special_mask ? FLAG_SPECIAL_MASK : 0) |
				(h->special_fully_nested ? FLAG_SPECIAL_NESTED : 0) |
				(h->read_isr ? FLAG_READ_ISR : 0) |
				(h->poll ? FLAG_POLL : 0) |
				(h->level_all ? FLAG_LEVEL_ALL : 0) |
				(h->ready ? FLAG_READY : 0)),
		};
	}
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

static bool half_is_sound(const struct i8259_half_state *h, unsigned i)
{
	u16 flags = le16_get(h->flags);

	return !(flags & ~FLAGS) && h->lowest <= 7 && !(h->base & 7) &&
	       h->icw_expected <= 4 && h->icw_expected != 1 &&
	       !(h->elcr & ~elcr_writable[i]) &&
	       !((flags & FLAG_READY) && h->icw_expected);
}

int i8259_restore(struct i8259 *pic, const void *block)
{
	struct i8259_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) ||
	    !half_is_sound(&s.half[0], 0) || !half_is_sound(&s.half[1], 1) ||
	    s.output_level > 1)
		return -EINVAL;
	for (unsigned i = 0; i < 2; i++) {
		const struct i8259_half_state *h = &s.half[i];
		u16 flags = le16_get(h->flags);

		pic->half[i] = (struct i8259_half){
			.lines = h->lines,
			.irr = h->irr,
			.isr = h->isr,
			.mask = h->mask,
			.elcr = h->elcr,
			.base = h->base,
			.lowest = h->lowest,
			.icw_expected = h->icw_expected,
			.icw4_follows = flags & FLAG_ICW4_FOLLOWS,
			.single = flags & FLAG_SINGLE,
			.auto_eoi = flags & FLAG_AUTO_EOI,
			.rotate_on_auto_eoi = flags & FLAG_ROTATE,
			.special_mask = flags & FLAG_SPECIAL_MASK,
			.special_fully_nested = flags & FLAG_SPECIAL_NESTED,
			.read_isr = flags & FLAG_READ_ISR,
			.poll = flags & FLAG_POLL,
			.level_all = flags & FLAG_LEVEL_ALL,
			.ready = flags & FLAG_READY,
		};
	}
	/* The pin's own level is what the halves say, whatever the block claims. */
	update(pic);
	return 0;
}

void i8259_inspect(const struct i8259 *pic, struct inspect *out)
{
	static const char *const names[2] = { "master", "slave" };

	for (unsigned i = 0; i < 2; i++) {
		const struct i8259_half *h = &pic->half[i];

		inspect_line(out, names[i],
			     "irr 0x%02x isr 0x%02x mask 0x%02x lines 0x%02x elcr 0x%02x "
			     "base 0x%02x lowest %u%s%s%s%s",
			     h->irr, h->isr, h->mask, h->lines, h->elcr, h->base,
			     h->lowest, h->auto_eoi ? " auto-eoi" : "",
			     h->special_mask ? " special-mask" : "",
			     h->special_fully_nested ? " special-nested" : "",
			     h->ready ? "" : " not initialised");
	}
	inspect_line(out, "output", "%u acks %llu spurious %llu", pic->output_level,
		     (unsigned long long)pic->acks, (unsigned long long)pic->spurious);
}
