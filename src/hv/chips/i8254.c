/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254 and port 0x61: i8254.h has the map and the theory. Under the chipset lock. */
#include "hv/chips/i8254.h"

#include <errno.h>

#include "wall/wall.h"

#define GATED 2 /* the channel whose gate port 0x61 moves */

#define SPEAKER_GATE 0x01u
#define SPEAKER_ON 0x02u
#define SPEAKER_REFRESH 0x10u
#define SPEAKER_OUTPUT 0x20u

/* The refresh request of a PC toggles at this rate: 15.085 us. */
#define REFRESH_NS 15085u

static u64 now_ns(const struct i8254 *pit)
{
	return pit->clock->monotonic_ns(pit->clock);
}

static u64 ticks_of_ns(u64 ns)
{
	return (u64)((__uint128_t)ns * I8254_HZ / NS_PER_SEC);
}

/* The first ns at which that many ticks have passed. */
static u64 ns_of_ticks(u64 ticks)
{
	__uint128_t ns = ((__uint128_t)ticks * NS_PER_SEC + I8254_HZ - 1) / I8254_HZ;

	return ns > UINT64_MAX / 2 ? UINT64_MAX / 2 : (u64)ns;
}

/* The last ns at which no more than that have: where a period that is over began. */
static u64 ns_before_ticks(u64 ticks)
{
	return (u64)((__uint128_t)ticks * NS_PER_SEC / I8254_HZ);
}

static bool is_periodic(const struct i8254_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Does a low gate stop the count (the others are started by its rise)? */
static bool gate_stops(const struct i8254_channel *c)
{
	return c->mode != 1 && c->mode != 5;
}

static u64 elapsed_ticks(const struct i8254_channel *c, u64 now)
{
	if (!c->started)
		return 0;
	if (gate_stops(c) && !c->gate)
		return c->stopped_ticks;
	return now > c->loaded_ns ? ticks_of_ns(now - c->loaded_ns) : 0;
}

/*
 * Modes 2 and 3 take a new count over when the period ends. Everything that looks at such a
 * channel calls this first.
 */
static void take_next_count(struct i8254_channel *c, u64 now)
{
	if (c->next_count == 0 || !is_periodic(c) || !c->gate ||
	    elapsed_ticks(c, now) < c->count)
		return;
	/* load_count made loaded_ns the start of the period in which the count was written. */
	c->loaded_ns += ns_before_ticks(c->count);
	c->count = c->next_count;
	c->next_count = 0;
}

/* What the counting element holds: in binary, whatever the display. */
static u32 current_count(const struct i8254_channel *c, u64 now)
{
	u32 modulus = c->bcd ? 10000 : 65536;
	u64 ticks = elapsed_ticks(c, now);

	if (!c->loaded)
		return 0;
	switch (c->mode) {
	case 2:
		return (c->count - (u32)(ticks % c->count)) % modulus;
	case 3:
		/* Goes down by two, twice a period; odd counts lose their lowest bit. */
		return ((c->count & ~1u) -
			(u32)(2 * (ticks % c->count) % max_u64(c->count & ~1u, 2))) %
		       modulus;
	}
	/* The others go on through zero. */
	return (u32)((c->count + modulus - ticks % modulus) % modulus);
}

static bool output_of(const struct i8254_channel *c, u64 now)
{
	u64 ticks = elapsed_ticks(c, now);

	switch (c->mode) {
	case 0:
		return c->loaded && c->started && ticks >= c->count;
	case 1:
		return !c->started || ticks >= c->count;
	case 2:
		return !c->loaded || !c->gate || ticks % c->count != c->count - 1;
	case 3:
		return !c->loaded || !c->gate || ticks % c->count < (c->count + 1) / 2;
	case 4:
	case 5:
		return !c->loaded || !c->started || ticks != c->count;
	}
	return true;
}

/* ---- channel 0's pin and alarm ---------------------------------------------------------------- */

static void set_output(struct i8254 *pit, bool level)
{
	if (pit->output_level == level)
		return;
	pit->output_level = level;
	chip_pin_set(&pit->output, level);
}

/*
 * When channel 0's output next rises, as ticks since its count was loaded; 0 = never. One tick of
 * low is between terminal count and rise in modes 2 and 4.
 */
static u64 next_rise(const struct i8254_channel *c, u64 ticks)
{
	if (!c->loaded || !c->started)
		return 0;
	switch (c->mode) {
	case 0:
		return ticks < c->count ? c->count : 0;
	case 4:
		return ticks <= c->count ? (u64)c->count + 1 : 0;
	case 2:
	case 3:
		return (ticks / c->count + 1) * c->count;
	}
	return 0; /* 1 and 5 wait for a gate that never moves */
}

static void set_alarm(struct i8254 *pit)
{
	struct i8254_channel *c = &pit->channel[0];
	u64 now = now_ns(pit);
	u64 rise;

	take_next_count(c, now);
	rise = next_rise(c, elapsed_ticks(c, now));
	pit->edge_ns = CHIP_NO_ALARM;
	if (rise) {
		pit->edge_ns = c->loaded_ns + ns_of_ticks(rise);
		if (is_periodic(c))
			pit->edge_ns =
				max_u64(pit->edge_ns, pit->fired_ns + I8254_MIN_ALARM_NS);
	}
	chip_alarm_set(&pit->alarm, pit->edge_ns);
}

void i8254_on_alarm(struct i8254 *pit)
{
	struct i8254_channel *c = &pit->channel[0];
	u64 now = now_ns(pit);

	if (pit->edge_ns == CHIP_NO_ALARM)
		return;
	if (now < pit->edge_ns) {
		set_alarm(pit);
		return;
	}
	/* However late: one edge. What was missed is counted. */
	if (is_periodic(c))
		pit->missed += ticks_of_ns(now - pit->edge_ns) / c->count;
	pit->fired++;
	pit->fired_ns = now;
	set_output(pit, false);
	set_output(pit, true);
	set_alarm(pit);
}

/* After anything that changes channel 0. */
static void channel_changed(struct i8254 *pit, unsigned n)
{
	struct i8254_channel *c = &pit->channel[0];

	if (n != 0)
		return;
	/* High between edges in the periodic modes and before the strobe; mode 0 waits low. */
	set_output(pit, c->mode != 0 || output_of(c, now_ns(pit)));
	set_alarm(pit);
}

/* ---- registers ----------------------------------------------------------------------------------- */

static u16 displayed(const struct i8254_channel *c, u32 count)
{
	u32 v = count;

	if (!c->bcd)
		return (u16)v;
	return (u16)(v / 1000 % 10 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

/* 0 means the most; digits over 9 count as what they weigh, within four digits. */
static u32 count_of_written(const struct i8254_channel *c, u16 v)
{
	u32 n = v;

	if (c->bcd)
		n = ((v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u +
		     (v & 15)) %
		    10000;
	if (n == 0)
		n = c->bcd ? 10000 : 65536;
	return n;
}

static void load_count(struct i8254 *pit, unsigned n, u16 written)
{
	struct i8254_channel *c = &pit->channel[n];
	u64 now = now_ns(pit);
	u32 count = count_of_written(c, written);

	/* Modes 2 and 3 cannot count from 1; real parts misbehave, ours takes the least. */
	if (is_periodic(c) && count < 2)
		count = 2;
	if (is_periodic(c) && c->loaded && c->started) {
		take_next_count(c, now);
		/* So that loaded_ns is the start of the running period. */
		if (c->gate) {
			u64 periods = elapsed_ticks(c, now) / c->count;

			c->loaded_ns += ns_before_ticks(periods * c->count);
		}
		c->next_count = count;
	} else if (!gate_stops(c) && c->started) {
		c->next_count = count; /* modes 1 and 5: at the next rise of the gate */
	} else {
		c->count = count;
		c->next_count = 0;
		if (gate_stops(c)) {
			c->started = true;
			c->stopped_ticks = 0;
			c->loaded_ns = now;
		}
	}
	c->loaded = true;
	channel_changed(pit, n);
}

static void latch_count(struct i8254 *pit, struct i8254_channel *c)
{
	u64 now = now_ns(pit);

	if (c->latched_bytes)
		return; /* the first latch stands until it is read */
	take_next_count(c, now);
	c->latch = displayed(c, current_count(c, now));
	c->latched_bytes = c->access == 3 ? 2 : 1;
}

static void latch_status(struct i8254 *pit, struct i8254_channel *c)
{
	u64 now = now_ns(pit);
	bool null_count;

	if (c->status_latched)
		return;
	take_next_count(c, now);
	/* Written but not in the counter yet. */
	null_count = !c->loaded || c->next_count || (!gate_stops(c) && !c->started);
	c->status_latch = (u8)((output_of(c, now) ? 0x80 : 0) | (null_count ? 0x40 : 0) |
			       c->access << 4 | c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static void write_control(struct i8254 *pit, u8 value)
{
	unsigned n = value >> 6;
	struct i8254_channel *c;

	if (n == 3) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(value & BIT(i + 1)))
				continue;
			if (!(value & 0x20))
				latch_count(pit, &pit->channel[i]);
			if (!(value & 0x10))
				latch_status(pit, &pit->channel[i]);
		}
		return;
	}
	c = &pit->channel[n];
	if (!(value & 0x30)) {
		latch_count(pit, c);
		return;
	}
	*c = (struct i8254_channel){
		.access = value >> 4 & 3,
		.mode = value >> 1 & 7,
		.bcd = value & 1,
		.gate = c->gate,
		.count = 65536,
	};
	if (c->mode > 5)
		c->mode &= 3; /* 6 and 7 are 2 and 3 */
	channel_changed(pit, n);
}

static void write_counter(struct i8254 *pit, unsigned n, u8 value)
{
	struct i8254_channel *c = &pit->channel[n];

	switch (c->access) {
	case 1:
		load_count(pit, n, value);
		return;
	case 2:
		load_count(pit, n, (u16)(value << 8));
		return;
	case 3:
		if (c->write_high) {
			c->write_high = false;
			load_count(pit, n, (u16)(c->written_low | value << 8));
			return;
		}
		c->written_low = value;
		c->write_high = true;
		if (c->mode == 0) {
			/* The first byte stops a count of mode 0. */
			c->started = false;
			channel_changed(pit, n);
		}
		return;
	}
}

static u8 read_counter(struct i8254 *pit, unsigned n)
{
	struct i8254_channel *c = &pit->channel[n];
	u64 now = now_ns(pit);
	u16 count;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status_latch;
	}
	if (c->latched_bytes) {
		bool high = c->access == 2 || (c->access == 3 && c->latched_bytes == 1);

		c->latched_bytes--;
		return (u8)(c->latch >> (high ? 8 : 0));
	}
	take_next_count(c, now);
	count = displayed(c, current_count(c, now));
	if (c->access == 2)
		return (u8)(count >> 8);
	if (c->access == 3) {
		c->read_high = !c->read_high;
		if (!c->read_high)
			return (u8)(count >> 8);
	}
	return (u8)count;
}

static void set_gate(struct i8254 *pit, struct i8254_channel *c, bool gate)
{
	u64 now = now_ns(pit);

	if (c->gate == gate)
		return;
	take_next_count(c, now);
	if (gate_stops(c) && !gate) {
		/* Modes 0 and 4 keep the count; 2 and 3 start again when the gate rises. */
		c->stopped_ticks = is_periodic(c) ? 0 : elapsed_ticks(c, now);
		c->gate = false;
		return;
	}
	c->gate = gate;
	if (!gate || !c->loaded)
		return;
	if (c->next_count) {
		c->count = c->next_count;
		c->next_count = 0;
	}
	if (!gate_stops(c)) {
		c->started = true; /* modes 1 and 5: each rise starts the count anew */
		c->stopped_ticks = 0;
	}
	c->loaded_ns = now - min_u64(now, ns_of_ticks(c->stopped_ticks));
	c->stopped_ticks = 0;
}

static u8 read_speaker(struct i8254 *pit)
{
	struct i8254_channel *c = &pit->channel[GATED];
	u64 now = now_ns(pit);

	take_next_count(c, now);
	return (u8)((c->gate ? SPEAKER_GATE : 0) | (pit->speaker ? SPEAKER_ON : 0) |
		    (now / REFRESH_NS & 1 ? SPEAKER_REFRESH : 0) |
		    (output_of(c, now) ? SPEAKER_OUTPUT : 0));
}

u8 i8254_read(struct i8254 *pit, u16 port)
{
	switch (port) {
	case 0x40:
	case 0x41:
	case 0x42:
		return read_counter(pit, port & 3);
	case 0x61:
		return read_speaker(pit);
	}
	return 0xff;
}

void i8254_write(struct i8254 *pit, u16 port, u8 value)
{
	switch (port) {
	case 0x40:
	case 0x41:
	case 0x42:
		write_counter(pit, port & 3, value);
		break;
	case 0x43:
		write_control(pit, value);
		break;
	case 0x61:
		pit->speaker = value & SPEAKER_ON;
		set_gate(pit, &pit->channel[GATED], value & SPEAKER_GATE);
		break;
	}
}

void i8254_init(struct i8254 *pit, const struct clock *clock,
		const struct chip_pin *output, const struct chip_alarm *alarm)
{
	memset(pit, 0, sizeof *pit);
	pit->clock = clock;
	pit->output = *output;
	pit->alarm = *alarm;
	i8254_reset(pit);
}

void i8254_reset(struct i8254 *pit)
{
	for (unsigned n = 0; n < 3; n++)
		pit->channel[n] = (struct i8254_channel){
			.mode = 3,
			.access = 3,
			.gate = n != GATED,
			.count = 65536,
		};
	pit->speaker = false;
	pit->fired_ns = 0;
	channel_changed(pit, 0);
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

#define FLAG_BCD 0x01u
#define FLAG_GATE 0x02u
#define FLAG_LOADED 0x04u
#define FLAG_STARTED 0x08u
#define FLAG_WRITE_HIGH 0x10u
#define FLAG_READ_HIGH 0x20u
#define FLAG_STATUS_LATCHED 0x40u
#define FLAGS 0x7fu

/* Longer than any uptime, short of where sums of it overflow. */
#define MAX_AGE_NS (UINT64_MAX / 8)

struct i8254_channel_state {
	u8 mode, access, flags, latched_bytes, status_latch, written_low;
	le16 latch;
	le32 count, next_count;
	le64 age_ns; /* since loaded_ns */
	le64 stopped_ticks;
} PACKED;

struct i8254_state {
	struct chip_state_head head;
	struct i8254_channel_state channel[3];
	u8 speaker, output_level;
} PACKED;
_Static_assert(sizeof(struct i8254_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void i8254_save(const struct i8254 *pit, void *block)
{
	struct i8254_state s = {
		.speaker = pit->speaker,
		.output_level = pit->output_level,
	};
	u64 now = now_ns(pit);

	for (unsigned n = 0; n < 3; n++) {
		const struct i8254_channel *c = &pit->channel[n];

		s.channel[n] = (struct i8254_channel_state){
			.mode = c->mode,
			.access = c->access,
			.flags =
				(u8)((c->bcd ? FLAG_BCD : 0) | (c->gate ? FLAG_GATE : 0) |
				     (c->loaded ? FLAG_LOADED : 0) |
				     (c->started ? FLAG_STARTED : 0) |
				     (c->write_high ? FLAG_WRITE_HIGH : 0) |
				     (c->read_high ? FLAG_READ_HIGH : 0) |
				     (c->status_latched ? FLAG_STATUS_LATCHED : 0)),
			.latched_bytes = c->latched_bytes,
			.status_latch = c->status_latch,
			.written_low = c->written_low,
			.latch = le16_of(c->latch),
			.count = le32_of(c->count),
			.next_count = le32_of(c->next_count),
			.age_ns = le64_of(c->started && now > c->loaded_ns
						  ? now - c->loaded_ns
						  : 0),
			.stopped_ticks = le64_of(c->stopped_ticks),
		};
	}
	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

static bool count_is_sound(const struct i8254_channel_state *c, u32 count)
{
	u32 most = c->flags & FLAG_BCD ? 10000 : 65536;

	return count >= (c->mode == 2 || c->mode == 3 ? 2 : 1) &&
	       (count <= most || (count == 65536 && !(c->flags & FLAG_LOADED)));
}

static bool channel_is_sound(const struct i8254_channel_state *c, unsigned n)
{
	u32 next = le32_get(c->next_count);

	if (c->mode > 5 || c->access < 1 || c->access > 3 || (c->flags & ~FLAGS) ||
	    c->latched_bytes > (c->access == 3 ? 2 : 1))
		return false;
	if (n != GATED && !(c->flags & FLAG_GATE))
		return false;
	if ((c->flags & FLAG_STARTED) && !(c->flags & FLAG_LOADED))
		return false;
	if (!count_is_sound(c, le32_get(c->count)) || (next && !count_is_sound(c, next)))
		return false;
	return le64_get(c->age_ns) <= MAX_AGE_NS &&
	       le64_get(c->stopped_ticks) <= ticks_of_ns(MAX_AGE_NS);
}

int i8254_restore(struct i8254 *pit, const void *block)
{
	struct i8254_state s;
	u64 now = now_ns(pit);

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) || s.speaker > 1 ||
	    s.output_level > 1)
		return -EINVAL;
	for (unsigned n = 0; n < 3; n++)
		if (!channel_is_sound(&s.channel[n], n))
			return -EINVAL;
	for (unsigned n = 0; n < 3; n++) {
		const struct i8254_channel_state *c = &s.channel[n];
		u64 age = le64_get(c->age_ns);
		u64 period = ns_of_ticks(le32_get(c->count));

		/*
		 * This host may have been up for less than the channel has counted: then what
		 * went by is folded into whole periods, or counts as long past.
		 */
		if (age > now)
			age = c->mode == 2 || c->mode == 3 ? age % period : now;
		pit->channel[n] = (struct i8254_channel){
			.mode = c->mode,
			.access = c->access,
			.bcd = c->flags & FLAG_BCD,
			.gate = c->flags & FLAG_GATE,
			.loaded = c->flags & FLAG_LOADED,
			.started = c->flags & FLAG_STARTED,
			.write_high = c->flags & FLAG_WRITE_HIGH,
			.read_high = c->flags & FLAG_READ_HIGH,
			.latched_bytes = c->latched_bytes,
			.status_latched = c->flags & FLAG_STATUS_LATCHED,
			.status_latch = c->status_latch,
			.written_low = c->written_low,
			.latch = le16_get(c->latch),
			.count = le32_get(c->count),
			.next_count = le32_get(c->next_count),
			.loaded_ns = now - min_u64(now, age),
			.stopped_ticks = le64_get(c->stopped_ticks),
		};
	}
	pit->speaker = s.speaker;
	pit->fired_ns = 0;
	set_output(pit, s.output_level);
	set_alarm(pit);
	return 0;
}

void i8254_inspect(const struct i8254 *pit, struct inspect *out)
{
	static const char *const names[3] = { "channel 0", "channel 1", "channel 2" };
	u64 now = now_ns(pit);

	for (unsigned n = 0; n < 3; n++) {
		const struct i8254_channel *c = &pit->channel[n];

		inspect_line(out, names[n],
			     "mode %u%s gate %u count %u of %u output %u%s", c->mode,
			     c->bcd ? " bcd" : "", c->gate, current_count(c, now),
			     c->count, output_of(c, now), c->loaded ? "" : " not loaded");
	}
	inspect_line(out, "interrupts", "%llu missed %llu",
		     (unsigned long long)pit->fired, (unsigned long long)pit->missed);
}
