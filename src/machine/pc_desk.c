/* SPDX-License-Identifier: Apache-2.0 */
/* VGA and keyboard controller on the wall; see pc_desk.h. */
#include "machine/pc_desk.h"

#include <errno.h>

#include "wall/worker_end.h"

#define LOOK_NS (NS_PER_SEC / PC_DESK_RATE)
/* Characters that are compared; a screen of more is always shown anew. */
#define MOST_CELLS 16384u

struct pc_desk {
	struct pc_desk_config config;
	bool connected;
	struct vga vga;
	struct ps2 ps2;
	/* eyes */
	bool watched;
	u64 look_ns; /* the next look */
	/* what was seen last */
	struct vga_mode seen;
	u64 seen_changes;
	u16 cell[MOST_CELLS];
	/* hands */
	u32 x, y;
};

/* ---- the wall -------------------------------------------------------------------------------- */

static u64 read_vga(void *owner, u64 port, unsigned size)
{
	struct pc_desk *d = owner;

	return vga_port_read(&d->vga, (u16)port, (unsigned)min_u64(size, 4));
}

static void write_vga(void *owner, u64 port, unsigned size, u64 value)
{
	struct pc_desk *d = owner;

	vga_port_write(&d->vga, (u16)port, (unsigned)min_u64(size, 4), (u32)value);
}

static u64 read_window(void *owner, u64 offset, unsigned size)
{
	struct pc_desk *d = owner;

	return vga_memory_read(&d->vga, (u32)offset, size);
}

static void write_window(void *owner, u64 offset, unsigned size, u64 value)
{
	struct pc_desk *d = owner;

	vga_memory_write(&d->vga, (u32)offset, size, value);
}

static u64 read_ps2(void *owner, u64 port, unsigned size)
{
	struct pc_desk *d = owner;

	return ps2_read(&d->ps2, (u16)port);
}

static void write_ps2(void *owner, u64 port, unsigned size, u64 value)
{
	struct pc_desk *d = owner;

	ps2_write(&d->ps2, (u16)port, (u8)value);
}

/* Offsets are relative to a range, ports to nothing: a set of functions a range would say no more. */
#define PORTS(name, base, functions)                                                \
	static u64 name##_read(void *owner, u64 offset, unsigned size)              \
	{                                                                           \
		return read_##functions(owner, (base) + offset, size);              \
	}                                                                           \
	static void name##_write(void *owner, u64 offset, unsigned size, u64 value) \
	{                                                                           \
		write_##functions(owner, (base) + offset, size, value);             \
	}                                                                           \
	static const struct worker_range_ops name = { .read = name##_read,          \
						      .write = name##_write };

PORTS(mono, 0x3b0, vga)
PORTS(attribute, 0x3c0, vga)
PORTS(sequencer, 0x3c2, vga)
PORTS(dac, 0x3c6, vga)
PORTS(graphics, 0x3ca, vga)
PORTS(crtc, 0x3d0, vga)
PORTS(vbe, VBE_PORT, vga)
PORTS(data, PS2_PORT_DATA, ps2)
PORTS(command, PS2_PORT_COMMAND, ps2)

static const struct worker_range_ops window = { .read = read_window,
						.write = write_window };

/* Posted is what moves no memory: see vga.h. */
static const struct worker_range ranges[] = {
	{ .base = 0x3b0, .size = 16, .ops = &mono },
	{ .base = 0x3c0, .size = 2, .ops = &attribute, .posted = true },
	{ .base = 0x3c2, .size = 4, .ops = &sequencer },
	{ .base = 0x3c6, .size = 4, .ops = &dac, .posted = true },
	{ .base = 0x3ca, .size = 6, .ops = &graphics },
	{ .base = 0x3d0, .size = 16, .ops = &crtc, .posted = true },
	{ .base = VBE_PORT, .size = VBE_PORT_COUNT, .ops = &vbe },
	{ .base = PS2_PORT_DATA, .size = 1, .ops = &data },
	{ .base = PS2_PORT_COMMAND, .size = 1, .ops = &command },
	{ .base = VGA_WINDOW,
	  .size = VGA_WINDOW_SIZE,
	  .ops = &window,
	  .mmio = true,
	  .posted = true },
};

int pc_desk_connect(struct pc_desk *d, struct err *err)
{
	int r = 0;

	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(ranges); k++) {
		struct worker_range range = ranges[k];

		range.owner = d;
		r = worker_add_range(d->config.end, &range, err);
	}
	if (r < 0)
		return r;
	d->connected = true;
	vga_map(&d->vga);
	return 0;
}

static int map_window(void *owner, gpa_t gpa, u32 size, u32 offset)
{
	struct pc_desk *d = owner;
	const struct worker_map map = {
		.slot = d->config.slot,
		.kind = size ? WALL_MAP_RW : WALL_MAP_NONE,
		.gpa = gpa,
		.size = size,
		.region = WALL_REGION_VRAM,
		.offset = offset,
	};
	struct err err = { 0 };

	return d->connected ? worker_map(d->config.end, &map, &err) : -ENOTCONN;
}

static void set_line(void *owner, unsigned line, bool level)
{
	struct pc_desk *d = owner;

	/* hv that takes nothing any more is gone; the loop hears of it. */
	if (d->connected)
		(void)worker_set_line(d->config.end, line, level);
}

static void pull_reset(void *owner)
{
	struct pc_desk *d = owner;

	d->config.reset(d->config.owner);
}

static void set_leds(void *owner, u16 leds)
{
	struct pc_desk *d = owner;

	d->config.leds(d->config.owner, leds);
}

static void wake(void *owner)
{
	struct pc_desk *d = owner;

	d->config.wake(d->config.owner);
}

/* ---- life ------------------------------------------------------------------------------------ */

int pc_desk_new(const struct pc_desk_config *config, struct pc_desk **ret_desk)
{
	struct pc_desk *d = calloc(1, sizeof *d);

	if (!d)
		return -ENOMEM;
	d->config = *config;
	d->look_ns = UINT64_MAX;
	vga_init(&d->vga, &(struct vga_config){ .vram = config->vram,
						.vram_size = config->frame_size,
						.clock = config->clock,
						.map = map_window,
						.owner = d });
	ps2_init(&d->ps2, &(struct ps2_config){ .clock = config->clock,
						.set_line = set_line,
						.reset = pull_reset,
						.leds = set_leds,
						.wake = wake,
						.owner = d });
	*ret_desk = d;
	return 0;
}

void pc_desk_free(struct pc_desk *d)
{
	if (!d)
		return;
	ps2_done(&d->ps2);
	free(d);
}

void pc_desk_reset(struct pc_desk *d)
{
	vga_reset(&d->vga);
	ps2_reset(&d->ps2);
}

void pc_desk_save(const struct pc_desk *d, struct state_writer *w)
{
	vga_save(&d->vga, w);
	ps2_save(&d->ps2, w);
}

int pc_desk_restore(struct pc_desk *d, const u8 *bytes, size_t size)
{
	int r = vga_restore(&d->vga, bytes, size);

	return r < 0 ? r : ps2_restore(&d->ps2, bytes, size);
}

void pc_desk_inspect(const struct pc_desk *d, struct inspect *out)
{
	vga_inspect(&d->vga, out);
	ps2_inspect(&d->ps2, out);
}

/* ---- time ------------------------------------------------------------------------------------ */

u64 pc_desk_when(const struct pc_desk *d)
{
	return min_u64(d->look_ns, ps2_when(&d->ps2));
}

void pc_desk_due(struct pc_desk *d)
{
	u64 now = d->config.clock->monotonic_ns(d->config.clock);

	ps2_due(&d->ps2);
	if (now < d->look_ns)
		return;
	d->look_ns = now + LOOK_NS;
	d->config.changed(d->config.owner);
}

/* ---- eyes ------------------------------------------------------------------------------------ */

bool pc_desk_size(const struct pc_desk *d, u32 *ret_width, u32 *ret_height)
{
	struct vga_mode m;

	if (!vga_mode(&d->vga, &m))
		return false;
	*ret_width = m.width;
	*ret_height = m.height;
	return true;
}

int pc_desk_line(const struct pc_desk *d, u32 y, u32 *ret_pixels)
{
	struct vga_mode m;

	if (!vga_mode(&d->vga, &m))
		return -ENODEV;
	if (y >= m.height)
		return -EINVAL;
	vga_line(&d->vga, &m, y, ret_pixels);
	return 0;
}

/* Rows of text that are not as they were seen. */
static bool compare_text(struct pc_desk *d, const struct vga_mode *m,
			 struct picture_area *ret_area)
{
	u32 start = d->vga.crtc[VGA_CR_START_HIGH] << 8 | d->vga.crtc[VGA_CR_START_LOW];
	u32 pitch = d->vga.crtc[VGA_CR_OFFSET] * 2u, first = m->rows, end = 0;
	u32 height = m->height / m->rows;

	for (u32 row = 0; row < m->rows; row++) {
		u16 *seen = d->cell + row * m->columns;

		for (u32 column = 0; column < m->columns; column++) {
			u16 cell = vga_cell(&d->vga, start + row * pitch + column);

			if (seen[column] == cell)
				continue;
			seen[column] = cell;
			first = (u32)min_u64(first, row);
			end = row + 1;
		}
	}
	if (end == 0)
		return false;
	*ret_area = (struct picture_area){ 0, first * height, m->width,
					   (end - first) * height };
	return true;
}

bool pc_desk_take_dirt(struct pc_desk *d, struct picture_area *ret_area)
{
	struct vga_mode m;
	bool same;

	if (!vga_mode(&d->vga, &m))
		return false;
	same = d->vga.changes == d->seen_changes && m.kind == d->seen.kind &&
	       m.width == d->seen.width && m.height == d->seen.height;
	d->seen = m;
	d->seen_changes = d->vga.changes;
	*ret_area = (struct picture_area){ 0, 0, m.width, m.height };
	if (m.kind == VGA_TEXT && m.rows > 0 && m.rows * m.columns <= MOST_CELLS) {
		struct picture_area area;
		bool changed = compare_text(d, &m, &area);

		if (same && changed)
			*ret_area = area;
		return changed || !same;
	}
	/* A frame buffer may have been written to, planes have not. */
	return !same || d->vga.window_size > 0 || m.kind == VGA_VBE;
}

void pc_desk_watch(struct pc_desk *d, bool on)
{
	d->watched = on;
	d->look_ns = on ? d->config.clock->monotonic_ns(d->config.clock) : UINT64_MAX;
	wake(d);
}

bool pc_desk_text(const struct pc_desk *d, char *ret_text, size_t size)
{
	return vga_text(&d->vga, ret_text, size);
}

/* ---- hands ----------------------------------------------------------------------------------- */

void pc_desk_type(struct pc_desk *d, const struct stroke *stroke, unsigned count,
		  ps2_done_fn done, void *owner)
{
	ps2_type(&d->ps2, stroke, count, done, owner);
}

void pc_desk_hold(struct pc_desk *d, u16 key, bool down)
{
	ps2_key(&d->ps2, key, down);
}

void pc_desk_point(struct pc_desk *d, u32 x, u32 y, u32 most, int wheel, u8 buttons)
{
	u32 width = 640, height = 480;

	(void)pc_desk_size(d, &width, &height);
	x = (u32)((u64)x * width / (most + 1ull));
	y = (u32)((u64)y * height / (most + 1ull));
	ps2_point(&d->ps2, (s32)(x - d->x), (s32)(y - d->y), wheel, buttons);
	d->x = x;
	d->y = y;
}
