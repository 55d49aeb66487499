/* SPDX-License-Identifier: Apache-2.0 */
/* VGA: registers and memory; see vga.h. */
#include "board/vga.h"

#include <errno.h>

#include "state/record.h"

/* A frame takes 16.6 ms, the last 1.1 of them retrace; a line 32 us, the last 6 of them. */
#define FRAME_NS 16683000ull
#define RETRACE_NS 1100000ull
#define LINE_NS 31770ull
#define LINE_RETRACE_NS 6000ull

/* The most that VBE reports. */
#define VBE_MOST_WIDTH 2560u
#define VBE_MOST_HEIGHT 1600u

/* ---- the window ------------------------------------------------------------------------------ */

static bool vbe_is_on(const struct vga *v)
{
	return v->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* Text is what its bytes are: no latches, no masks, both planes. */
static bool is_plain_text(const struct vga *v)
{
	const u8 *g = v->graphics;

	return !(v->sequencer[VGA_SR_MEMORY] & VGA_SR_MEMORY_NO_ODD_EVEN) &&
	       (v->sequencer[VGA_SR_MAP_MASK] & 3) == 3 &&
	       (g[VGA_GR_MODE] & 0x1b) == VGA_GR_MODE_ODD_EVEN &&
	       (g[VGA_GR_ENABLE_SET] & 3) == 0 && g[VGA_GR_ROTATE] == 0 &&
	       g[VGA_GR_BIT_MASK] == 0xff && !(g[VGA_GR_READ_PLANE] & 2);
}

/* Where the guest's window is, of GR6. */
static u32 window_start(const struct vga *v)
{
	static const u32 start[] = { 0, 0, 0x10000, 0x18000 };

	return start[v->graphics[VGA_GR_MISC] >> 2 & 3];
}

static u32 window_size(const struct vga *v)
{
	static const u32 size[] = { 0x20000, 0x10000, 0x8000, 0x8000 };

	return size[v->graphics[VGA_GR_MISC] >> 2 & 3];
}

/* Between the planes and the text piece: all that the largest window reaches. */
static void copy_text(struct vga *v, bool to_piece)
{
	u8 *planes = v->config.vram, *text = v->config.vram + v->config.vram_size;

	v->counts.copies++;
	v->text_piece = to_piece;
	for (u32 at = 0; at < VGA_TEXT_SIZE; at += 2) {
		u8 *cell = planes + 2 * (size_t)at;

		if (to_piece)
			memcpy(text + at, cell, 2);
		else
			memcpy(cell, text + at, 2);
	}
}

static void map(struct vga *v, gpa_t gpa, u32 size, u32 offset)
{
	if (size == 0)
		gpa = offset = 0;
	if (gpa == v->window && size == v->window_size && offset == v->window_offset)
		return;
	v->counts.maps++;
	/* Where hv refuses, accesses come here and find the same. */
	if (v->config.map(v->config.owner, gpa, size, offset) < 0) {
		gpa = size = offset = 0;
		if (v->config.map(v->config.owner, 0, 0, 0) < 0)
			return;
	}
	v->window = gpa;
	v->window_size = size;
	v->window_offset = offset;
}

void vga_map(struct vga *v)
{
	bool ram = v->misc & VGA_MISC_RAM;
	bool plain = !vbe_is_on(v) && is_plain_text(v);
	u32 bank = v->vbe[VBE_BANK] << 16;
	gpa_t gpa = VGA_WINDOW + window_start(v);

	v->changes++;
	if (plain != v->text_piece)
		copy_text(v, plain);
	if (!ram)
		map(v, 0, 0, 0);
	else if (plain)
		map(v, gpa, window_size(v), v->config.vram_size);
	else if (vbe_is_on(v) && v->vbe[VBE_BITS] > 4)
		map(v, VGA_WINDOW, bank < v->config.vram_size ? 0x10000 : 0, bank);
	else if ((v->sequencer[VGA_SR_MEMORY] & VGA_SR_MEMORY_CHAIN_4) &&
		 (v->sequencer[VGA_SR_MAP_MASK] & 15) == 15)
		map(v, gpa, window_size(v), 0);
	else
		map(v, 0, 0, 0);
}

/* ---- memory through the latches -------------------------------------------------------------- */

/* Offset in the guest's window; false: it is outside. */
static bool find(const struct vga *v, u32 *io_offset)
{
	u32 start = window_start(v);

	if (!(v->misc & VGA_MISC_RAM) || *io_offset < start ||
	    *io_offset - start >= window_size(v))
		return false;
	*io_offset -= start;
	return true;
}

/* The four bytes at an offset of the planes. */
static u8 *planes_at(const struct vga *v, u32 offset)
{
	return v->config.vram + (offset & 0xffff) * 4;
}

/* Where a byte of text is. */
static u8 *text_at(const struct vga *v, u32 offset, u32 plane)
{
	if (v->text_piece && plane < 2)
		return v->config.vram + v->config.vram_size +
		       ((offset * 2 + plane) & (VGA_TEXT_SIZE - 1));
	return planes_at(v, offset) + plane;
}

static u8 read_byte(struct vga *v, u32 offset)
{
	const u8 *g = v->graphics;
	u32 plane = g[VGA_GR_READ_PLANE] & 3;
	u8 differs = 0;

	if (!find(v, &offset))
		return 0xff;
	if (v->sequencer[VGA_SR_MEMORY] & VGA_SR_MEMORY_CHAIN_4)
		return v->config.vram[offset];
	if (g[VGA_GR_MODE] & VGA_GR_MODE_ODD_EVEN)
		return *text_at(v, offset >> 1, (plane & 2) | (offset & 1));
	memcpy(v->latch, planes_at(v, offset), 4);
	if (!(g[VGA_GR_MODE] & VGA_GR_MODE_READ_COMPARE))
		return v->latch[plane];
	for (unsigned p = 0; p < 4; p++)
		if (g[VGA_GR_DONT_CARE] >> p & 1)
			differs |= v->latch[p] ^ (g[VGA_GR_COMPARE] >> p & 1 ? 0xff : 0);
	return (u8)~differs;
}

static u8 combine(const struct vga *v, unsigned plane, u8 value)
{
	switch (v->graphics[VGA_GR_ROTATE] >> 3 & 3) {
	case 1:
		return value & v->latch[plane];
	case 2:
		return value | v->latch[plane];
	case 3:
		return value ^ v->latch[plane];
	}
	return value;
}

static u8 rotate(const struct vga *v, u8 value)
{
	unsigned by = v->graphics[VGA_GR_ROTATE] & 7;

	return (u8)(value >> by | value << (8 - by));
}

/* Write modes 0 to 3: what a plane gets, before the bit mask. */
static u8 written(const struct vga *v, unsigned plane, u8 value, u8 *io_mask)
{
	const u8 *g = v->graphics;
	u8 set = g[VGA_GR_SET] >> plane & 1 ? 0xff : 0;

	switch (g[VGA_GR_MODE] & 3) {
	case 0:
		value = g[VGA_GR_ENABLE_SET] >> plane & 1 ? set : rotate(v, value);
		return combine(v, plane, value);
	case 1:
		*io_mask = 0;
		return 0;
	case 2:
		return combine(v, plane, value >> plane & 1 ? 0xff : 0);
	default:
		*io_mask &= rotate(v, value);
		return combine(v, plane, set);
	}
}

static void write_planes(struct vga *v, u32 offset, u8 value)
{
	u8 *at = planes_at(v, offset);

	for (unsigned plane = 0; plane < 4; plane++) {
		u8 mask = v->graphics[VGA_GR_BIT_MASK];
		u8 bits = written(v, plane, value, &mask);

		if (v->sequencer[VGA_SR_MAP_MASK] >> plane & 1)
			at[plane] = (bits & mask) | (v->latch[plane] & ~mask);
	}
}

static void write_byte(struct vga *v, u32 offset, u8 value)
{
	u8 mask = v->sequencer[VGA_SR_MAP_MASK];
	u32 plane;

	if (!find(v, &offset))
		return;
	v->changes++;
	if (v->sequencer[VGA_SR_MEMORY] & VGA_SR_MEMORY_CHAIN_4) {
		if (mask >> (offset & 3) & 1)
			v->config.vram[offset] = value;
	} else if (v->graphics[VGA_GR_MODE] & VGA_GR_MODE_ODD_EVEN) {
		plane = (v->graphics[VGA_GR_READ_PLANE] & 2) | (offset & 1);
		if (mask >> plane & 1)
			*text_at(v, offset >> 1, plane) = value;
	} else {
		write_planes(v, offset, value);
	}
}

u64 vga_memory_read(struct vga *v, u32 offset, unsigned size)
{
	u64 value = 0;

	v->counts.reads++;
	for (unsigned k = 0; k < size; k++)
		value |= (u64)read_byte(v, offset + k) << 8 * k;
	return value;
}

void vga_memory_write(struct vga *v, u32 offset, unsigned size, u64 value)
{
	v->counts.writes++;
	for (unsigned k = 0; k < size; k++)
		write_byte(v, offset + k, (u8)(value >> 8 * k));
}

/* ---- VBE ------------------------------------------------------------------------------------- */

static u16 read_vbe(const struct vga *v)
{
	bool most = v->vbe[VBE_ENABLE] & VBE_CAPABILITIES;

	if (v->vbe_index >= VBE_COUNT)
		return 0;
	if (v->vbe_index == VBE_MEMORY)
		return (u16)min_u64(v->config.vram_size >> 16, 0xffff);
	if (most && v->vbe_index == VBE_WIDTH)
		return VBE_MOST_WIDTH;
	if (most && v->vbe_index == VBE_HEIGHT)
		return VBE_MOST_HEIGHT;
	if (most && v->vbe_index == VBE_BITS)
		return 32;
	return v->vbe[v->vbe_index];
}

/* Bytes of a line; 4 bits are planes of one each. */
static u32 vbe_pitch(u32 width, u32 bits)
{
	return bits == 4 ? width / 8 * 4 : width * ((bits + 7) / 8);
}

/* A mode begins: its virtual screen is as wide as it is, and as high as memory goes. */
static void begin_vbe(struct vga *v, u16 enable)
{
	u32 pitch = vbe_pitch(v->vbe[VBE_WIDTH], v->vbe[VBE_BITS]);

	v->vbe[VBE_VIRTUAL_WIDTH] = v->vbe[VBE_WIDTH];
	v->vbe[VBE_VIRTUAL_HEIGHT] =
		pitch ? (u16)min_u64(v->config.vram_size / pitch, 0xffff) : 0;
	v->vbe[VBE_X] = v->vbe[VBE_Y] = v->vbe[VBE_BANK] = 0;
	if (!(enable & VBE_NO_CLEAR))
		memset(v->config.vram, 0,
		       min_u64(v->config.vram_size, (u64)pitch * v->vbe[VBE_HEIGHT]));
}

static void set_virtual_width(struct vga *v, u16 width)
{
	u32 pitch = vbe_pitch(width, v->vbe[VBE_BITS]);

	if (pitch == 0 || width < v->vbe[VBE_WIDTH])
		return;
	v->vbe[VBE_VIRTUAL_WIDTH] = width;
	v->vbe[VBE_VIRTUAL_HEIGHT] = (u16)min_u64(v->config.vram_size / pitch, 0xffff);
}

static void write_vbe(struct vga *v, u16 value)
{
	bool on = vbe_is_on(v);

	switch (v->vbe_index) {
	case VBE_ID:
		if (value >= VBE_ID_0 && value <= VBE_ID_5)
			v->vbe[VBE_ID] = value;
		return;
	case VBE_WIDTH:
	case VBE_HEIGHT:
		if (!on && value <= VGA_MOST)
			v->vbe[v->vbe_index] = value;
		return;
	case VBE_BITS:
		value = value ?: 8;
		if (!on && (value == 4 || value == 8 || value == 15 || value == 16 ||
			    value == 24 || value == 32))
			v->vbe[VBE_BITS] = value;
		return;
	case VBE_ENABLE:
		if ((value & VBE_ENABLED) && !on) {
			/* What lay in the text piece belongs to the planes, below the new picture. */
			if (v->text_piece)
				copy_text(v, false);
			begin_vbe(v, value);
		}
		v->vbe[VBE_ENABLE] = value;
		break;
	case VBE_BANK:
		v->vbe[VBE_BANK] = value;
		break;
	case VBE_VIRTUAL_WIDTH:
		set_virtual_width(v, value);
		break;
	case VBE_X:
	case VBE_Y:
		v->vbe[v->vbe_index] = value;
		break;
	default:
		return;
	}
	vga_map(v);
}

/* ---- registers ------------------------------------------------------------------------------- */

static bool is_crtc(const struct vga *v, u16 port)
{
	return (port & ~1u) == (v->misc & VGA_MISC_COLOUR ? VGA_PORT_CRTC : 0x3b4u);
}

static bool is_status(const struct vga *v, u16 port)
{
	return port == (v->misc & VGA_MISC_COLOUR ? VGA_PORT_STATUS : 0x3bau);
}

static void write_crtc(struct vga *v, u8 value)
{
	if (v->crtc_index >= VGA_CR_COUNT)
		return;
	/* Locked, but for a bit of the line at which the screen splits. */
	if (v->crtc_index <= 7 && (v->crtc[VGA_CR_PROTECT] & 0x80)) {
		if (v->crtc_index == VGA_CR_OVERFLOW)
			v->crtc[VGA_CR_OVERFLOW] = (v->crtc[VGA_CR_OVERFLOW] & ~0x10) |
						   (value & 0x10);
		return;
	}
	v->crtc[v->crtc_index] = value;
}

static void write_attribute(struct vga *v, u8 value)
{
	static const u8 mask[VGA_AR_COUNT] = {
		[0 ... 15] = 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f
	};
	u8 index = v->attribute_index & 0x1f;

	if (!v->attribute_data)
		v->attribute_index = value & 0x3f;
	else if (index < VGA_AR_COUNT)
		v->attribute[index] = value & mask[index];
	v->attribute_data = !v->attribute_data;
}

static void write_dac(struct vga *v, u8 value)
{
	if (!(v->vbe[VBE_ENABLE] & VBE_DAC_8))
		value &= 0x3f;
	v->dac[v->dac_write][v->dac_part] = value;
	v->dac_part = (v->dac_part + 1) % 3;
	v->dac_write += v->dac_part == 0;
}

static u8 read_dac(struct vga *v)
{
	u8 value = v->dac[v->dac_read][v->dac_part];

	v->dac_part = (v->dac_part + 1) % 3;
	v->dac_read += v->dac_part == 0;
	return value;
}

static u8 read_status(struct vga *v)
{
	u64 now = v->config.clock->monotonic_ns(v->config.clock);
	bool frame = now % FRAME_NS >= FRAME_NS - RETRACE_NS;
	bool line = now % LINE_NS >= LINE_NS - LINE_RETRACE_NS;

	v->attribute_data = false;
	return (u8)((frame ? 8 : 0) | (frame || line ? 1 : 0));
}

static void write_sequencer(struct vga *v, u8 value)
{
	static const u8 mask[VGA_SR_COUNT] = { 3, 0x3d, 0xf, 0x3f, 0xe };

	if (v->sequencer_index < VGA_SR_COUNT)
		v->sequencer[v->sequencer_index] = value & mask[v->sequencer_index];
}

static void write_graphics(struct vga *v, u8 value)
{
	static const u8 mask[VGA_GR_COUNT] = { 0xf,  0xf, 0xf, 0x1f, 3,
					       0x7b, 0xf, 0xf, 0xff };

	if (v->graphics_index < VGA_GR_COUNT)
		v->graphics[v->graphics_index] = value & mask[v->graphics_index];
}

/* True: the window may be another one now. */
static bool write_port(struct vga *v, u16 port, u8 value)
{
	switch (port) {
	case VGA_PORT_ATTRIBUTE:
	case VGA_PORT_ATTRIBUTE_READ:
		write_attribute(v, value);
		return false;
	case VGA_PORT_MISC:
		v->misc = value & ~0x10;
		return true;
	case VGA_PORT_SEQUENCER:
		v->sequencer_index = value & 7;
		return false;
	case VGA_PORT_SEQUENCER + 1:
		write_sequencer(v, value);
		return true;
	case VGA_PORT_DAC_MASK:
		v->dac_mask = value;
		return false;
	case VGA_PORT_DAC_READ:
		v->dac_read = value;
		v->dac_reads = true;
		v->dac_part = 0;
		return false;
	case VGA_PORT_DAC_WRITE:
		v->dac_write = value;
		v->dac_reads = false;
		v->dac_part = 0;
		return false;
	case VGA_PORT_DAC:
		write_dac(v, value);
		return false;
	case VGA_PORT_GRAPHICS:
		v->graphics_index = value & 15;
		return false;
	case VGA_PORT_GRAPHICS + 1:
		write_graphics(v, value);
		return true;
	}
	if (is_crtc(v, port) && (port & 1))
		write_crtc(v, value);
	else if (is_crtc(v, port))
		v->crtc_index = value;
	else if (is_status(v, port))
		v->feature = value;
	return false;
}

static u8 read_port(struct vga *v, u16 port)
{
	switch (port) {
	case VGA_PORT_ATTRIBUTE:
		return v->attribute_data ? 0 : v->attribute_index;
	case VGA_PORT_ATTRIBUTE_READ:
		return v->attribute[v->attribute_index & 0x1f];
	case VGA_PORT_MISC:
		return 0x10; /* a colour monitor is there */
	case VGA_PORT_SEQUENCER:
		return v->sequencer_index;
	case VGA_PORT_SEQUENCER + 1:
		return v->sequencer[v->sequencer_index];
	case VGA_PORT_DAC_MASK:
		return v->dac_mask;
	case VGA_PORT_DAC_READ:
		return v->dac_reads ? 3 : 0;
	case VGA_PORT_DAC_WRITE:
		return v->dac_write;
	case VGA_PORT_DAC:
		return read_dac(v);
	case 0x3ca:
		return v->feature;
	case VGA_PORT_MISC_READ:
		return v->misc;
	case VGA_PORT_GRAPHICS:
		return v->graphics_index;
	case VGA_PORT_GRAPHICS + 1:
		return v->graphics[v->graphics_index];
	}
	if (is_crtc(v, port))
		return port & 1 ? v->crtc[v->crtc_index] : v->crtc_index;
	return is_status(v, port) ? read_status(v) : 0xff;
}

static bool is_vbe(u16 port)
{
	return port - VBE_PORT < VBE_PORT_COUNT;
}

u32 vga_port_read(struct vga *v, u16 port, unsigned size)
{
	u32 value = 0;

	v->counts.port_reads++;
	if (is_vbe(port))
		return port == VBE_PORT ? v->vbe_index : read_vbe(v);
	for (unsigned k = 0; k < size; k++)
		value |= (u32)read_port(v, (u16)(port + k)) << 8 * k;
	return value;
}

void vga_port_write(struct vga *v, u16 port, unsigned size, u32 value)
{
	bool moves = false;

	v->counts.port_writes++;
	v->changes++;
	if (is_vbe(port)) {
		if (port == VBE_PORT)
			v->vbe_index = (u16)value;
		else
			write_vbe(v, (u16)value);
		return;
	}
	for (unsigned k = 0; k < size; k++)
		moves |= write_port(v, (u16)(port + k), (u8)(value >> 8 * k));
	if (moves)
		vga_map(v);
}

/* ---- life ------------------------------------------------------------------------------------ */

void vga_reset(struct vga *v)
{
	static const u8 crtc[VGA_CR_COUNT] = {
		0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
		0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
		0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
	};
	struct vga_config config = v->config;

	*v = (struct vga){
		.config = config,
		.misc = 0x67,
		.dac_mask = 0xff,
		.sequencer = { 3, 0, 3, 0, 2 },
		.graphics = { [VGA_GR_MODE] = VGA_GR_MODE_ODD_EVEN,
			      [VGA_GR_MISC] = 0x0e,
			      [VGA_GR_BIT_MASK] = 0xff },
		.attribute = { [VGA_AR_MODE] = 0x0c, [VGA_AR_PLANES] = 0x0f },
		.vbe = { [VBE_ID] = VBE_ID_5, [VBE_BITS] = 8 },
		.text_piece = v->text_piece,
		.window = v->window,
		.window_size = v->window_size,
		.window_offset = v->window_offset,
		.changes = v->changes,
		.counts = v->counts,
	};
	memcpy(v->crtc, crtc, sizeof crtc);
	for (u8 k = 0; k < 16; k++)
		v->attribute[k] = k;
	vga_map(v);
}

void vga_init(struct vga *v, const struct vga_config *config)
{
	*v = (struct vga){ .config = *config };
	vga_reset(v);
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_REGISTERS = 1, STATE_INDICES, STATE_DAC, STATE_VBE, STATE_TEXT_PIECE };

struct registers {
	u8 misc, feature;
	u8 attribute[VGA_AR_COUNT], sequencer[VGA_SR_COUNT], graphics[VGA_GR_COUNT];
	u8 crtc[VGA_CR_COUNT];
	u8 latch[4];
} PACKED;

struct indices {
	u8 attribute, attribute_data, sequencer, graphics, crtc;
	u8 dac_mask, dac_read, dac_write, dac_part, dac_reads;
	u16 vbe;
} PACKED;

void vga_save(const struct vga *v, struct state_writer *w)
{
	struct registers r = { .misc = v->misc, .feature = v->feature };
	const struct indices i = {
		v->attribute_index, v->attribute_data, v->sequencer_index,
		v->graphics_index,  v->crtc_index,     v->dac_mask,
		v->dac_read,	    v->dac_write,      v->dac_part,
		v->dac_reads,	    v->vbe_index,
	};

	memcpy(r.attribute, v->attribute, sizeof r.attribute);
	memcpy(r.sequencer, v->sequencer, sizeof r.sequencer);
	memcpy(r.graphics, v->graphics, sizeof r.graphics);
	memcpy(r.crtc, v->crtc, sizeof r.crtc);
	memcpy(r.latch, v->latch, sizeof r.latch);
	state_begin(w, "vga", 1);
	state_bytes(w, STATE_REGISTERS, &r, sizeof r);
	state_bytes(w, STATE_INDICES, &i, sizeof i);
	state_bytes(w, STATE_DAC, v->dac, sizeof v->dac);
	/* Host's and wire's order are one (x86). */
	state_bytes(w, STATE_VBE, v->vbe, sizeof v->vbe);
	state_number(w, STATE_TEXT_PIECE, v->text_piece);
	state_end(w);
}

static void take_registers(struct vga *v, const struct registers *r)
{
	v->misc = r->misc;
	v->feature = r->feature;
	memcpy(v->attribute, r->attribute, sizeof r->attribute);
	memcpy(v->sequencer, r->sequencer, sizeof r->sequencer);
	memcpy(v->graphics, r->graphics, sizeof r->graphics);
	memcpy(v->crtc, r->crtc, sizeof r->crtc);
	memcpy(v->latch, r->latch, sizeof r->latch);
}

/* What is used as an index keeps the width that a guest's write has. */
static void take_indices(struct vga *v, const struct indices *i)
{
	v->attribute_index = i->attribute & 0x3f;
	v->attribute_data = i->attribute_data & 1;
	v->sequencer_index = i->sequencer & 7;
	v->graphics_index = i->graphics & 15;
	v->crtc_index = i->crtc;
	v->dac_mask = i->dac_mask;
	v->dac_read = i->dac_read;
	v->dac_write = i->dac_write;
	v->dac_part = i->dac_part % 3;
	v->dac_reads = i->dac_reads & 1;
	v->vbe_index = i->vbe;
}

static bool vbe_is_good(const u16 vbe[VBE_COUNT])
{
	u16 bits = vbe[VBE_BITS];

	return vbe[VBE_WIDTH] <= VGA_MOST && vbe[VBE_HEIGHT] <= VGA_MOST &&
	       vbe[VBE_VIRTUAL_WIDTH] >=
		       (vbe[VBE_ENABLE] & VBE_ENABLED ? vbe[VBE_WIDTH] : 0) &&
	       (bits == 4 || bits == 8 || bits == 15 || bits == 16 || bits == 24 ||
		bits == 32);
}

static int take_field(struct vga *v, const struct state_field *f)
{
	struct registers registers;
	struct indices indices;
	u16 vbe[VBE_COUNT];

	switch (f->id) {
	case STATE_REGISTERS:
		if (f->size != sizeof registers)
			return -EPROTO;
		memcpy(&registers, f->bytes, sizeof registers);
		take_registers(v, &registers);
		return 0;
	case STATE_INDICES:
		if (f->size != sizeof indices)
			return -EPROTO;
		memcpy(&indices, f->bytes, sizeof indices);
		take_indices(v, &indices);
		return 0;
	case STATE_DAC:
		if (f->size != sizeof v->dac)
			return -EPROTO;
		memcpy(v->dac, f->bytes, sizeof v->dac);
		return 0;
	case STATE_VBE:
		if (f->size != sizeof vbe)
			return -EPROTO;
		memcpy(vbe, f->bytes, sizeof vbe);
		if (!vbe_is_good(vbe))
			return -EPROTO;
		memcpy(v->vbe, vbe, sizeof vbe);
		return 0;
	case STATE_TEXT_PIECE:
		v->text_piece = f->number & 1;
		return 0;
	}
	return 0;
}

int vga_restore(struct vga *v, const u8 *bytes, size_t size)
{
	struct state_record record;
	struct state_field f;
	int r;

	while ((r = state_next_record(&bytes, &size, &record)) == 1)
		if (strcmp(record.name, "vga") == 0)
			break;
	if (r != 1)
		return r < 0 ? r : -EPROTO;
	while ((r = state_next_field(&record, &f)) == 1) {
		r = take_field(v, &f);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	vga_map(v);
	return 0;
}

u16 vga_cell(const struct vga *v, u32 offset)
{
	return (u16)(*text_at(v, offset, 0) | *text_at(v, offset, 1) << 8);
}

void vga_inspect(const struct vga *v, struct inspect *out)
{
	static const char *const kinds[] = { "blank", "text", "planar",
					     "cga",   "256",  "vbe" };
	struct vga_mode mode;

	if (vga_mode(v, &mode))
		inspect_words(out, "vga", "mode", "%s %ux%u", kinds[mode.kind],
			      mode.width, mode.height);
	inspect_words(out, "vga", "window", "%#llx, %u bytes",
		      (unsigned long long)v->window, v->window_size);
	inspect_number(out, "vga", "port_reads", v->counts.port_reads);
	inspect_number(out, "vga", "port_writes", v->counts.port_writes);
	inspect_number(out, "vga", "memory_reads", v->counts.reads);
	inspect_number(out, "vga", "memory_writes", v->counts.writes);
	inspect_number(out, "vga", "maps", v->counts.maps);
	inspect_number(out, "vga", "copies", v->counts.copies);
}
