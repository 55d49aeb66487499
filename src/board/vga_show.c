/* SPDX-License-Identifier: Apache-2.0 */
/* What a VGA's registers and memory show; see vga.h. Nothing here changes either. */
#include "board/vga.h"

/* ---- modes ----------------------------------------------------------------------------------- */

static u32 scan_lines(const struct vga *v)
{
	return (v->crtc[VGA_CR_SCAN] & 0x1fu) + 1;
}

static bool doubles_lines(const struct vga *v)
{
	return v->crtc[VGA_CR_SCAN] & 0x80;
}

static u32 vertical_end(const struct vga *v)
{
	u8 o = v->crtc[VGA_CR_OVERFLOW];

	return (v->crtc[VGA_CR_VERTICAL_END] | (o & 2u) << 7 | (o & 0x40u) << 3) + 1;
}

static u32 split_line(const struct vga *v)
{
	return v->crtc[VGA_CR_LINE_COMPARE] | (v->crtc[VGA_CR_OVERFLOW] & 0x10u) << 4 |
	       (v->crtc[VGA_CR_SCAN] & 0x40u) << 3;
}

static bool is_half(const struct vga *v)
{
	return v->sequencer[VGA_SR_CLOCKING] & VGA_SR_CLOCKING_HALF;
}

static u32 cell_width(const struct vga *v)
{
	return v->sequencer[VGA_SR_CLOCKING] & VGA_SR_CLOCKING_8 ? 8 : 9;
}

static void text_mode(const struct vga *v, struct vga_mode *m)
{
	u32 lines = vertical_end(v) >> doubles_lines(v);

	m->kind = VGA_TEXT;
	m->columns = v->crtc[VGA_CR_DISPLAY_END] + 1u;
	m->rows = lines / scan_lines(v);
	m->width = m->columns * cell_width(v) << is_half(v);
	m->height = m->rows * scan_lines(v) << doubles_lines(v);
}

/* Of a VBE mode with 8 bits or more. */
static u32 pixel_size(const struct vga *v)
{
	return (v->vbe[VBE_BITS] + 7u) / 8;
}

static void graphics_mode(const struct vga *v, struct vga_mode *m)
{
	unsigned shift = v->graphics[VGA_GR_MODE] >> 5 & 3;

	m->kind = shift == 0 ? VGA_PLANAR : shift == 1 ? VGA_CGA : VGA_256;
	m->width = (v->crtc[VGA_CR_DISPLAY_END] + 1u) * 8 << is_half(v);
	m->height = vertical_end(v);
}

bool vga_mode(const struct vga *v, struct vga_mode *ret_mode)
{
	struct vga_mode m = { .kind = VGA_BLANK };

	if (v->vbe[VBE_ENABLE] & VBE_ENABLED) {
		m.kind = v->vbe[VBE_BITS] == 4 ? VGA_PLANAR : VGA_VBE;
		m.width = v->vbe[VBE_WIDTH];
		m.height = v->vbe[VBE_HEIGHT];
	} else if (v->graphics[VGA_GR_MISC] & VGA_GR_MISC_GRAPHICS) {
		graphics_mode(v, &m);
	} else {
		text_mode(v, &m);
	}
	if (m.width == 0 || m.height == 0 || m.width > VGA_MOST || m.height > VGA_MOST)
		return false;
	*ret_mode = m;
	return true;
}

/* The screen is dark though there is a mode. */
static bool is_off(const struct vga *v)
{
	return !(v->attribute_index & VGA_AR_INDEX_SHOW) ||
	       (v->sequencer[VGA_SR_CLOCKING] & VGA_SR_CLOCKING_OFF);
}

/* ---- colours --------------------------------------------------------------------------------- */

/* A DAC's entry as XRGB; its intensities have 6 bits, or 8. */
static u32 colour_of(const struct vga *v, u8 index)
{
	const u8 *d = v->dac[index & v->dac_mask];

	if (v->vbe[VBE_ENABLE] & VBE_DAC_8)
		return (u32)d[0] << 16 | (u32)d[1] << 8 | d[2];
	return (u32)(d[0] << 2 | d[0] >> 4) << 16 | (u32)(d[1] << 2 | d[1] >> 4) << 8 |
	       (u32)(d[2] << 2 | d[2] >> 4);
}

/* The attribute controller's sixteen. */
static void find_palette(const struct vga *v, u32 ret_colours[16])
{
	bool select = v->attribute[VGA_AR_MODE] & VGA_AR_MODE_SELECT;
	u8 more = v->attribute[VGA_AR_SELECT];

	for (unsigned k = 0; k < 16; k++) {
		u8 a = v->attribute[k];
		u8 index = (u8)(select ? (a & 0xf) | (more & 0xf) << 4
				       : (a & 0x3f) | (more & 0xc) << 4);

		ret_colours[k] = colour_of(v, index);
	}
}

/* ---- text ------------------------------------------------------------------------------------ */

/* A line of a character in plane 2; bit 3 of an attribute chooses between two fonts. */
static u8 font_line(const struct vga *v, u16 cell, u32 line)
{
	static const u16 place[] = { 0x0000, 0x4000, 0x8000, 0xc000,
				     0x2000, 0x6000, 0xa000, 0xe000 };
	u8 select = v->sequencer[VGA_SR_FONT];
	unsigned first = (select & 3) | (select >> 2 & 4);
	unsigned second = (select >> 2 & 3) | (select >> 3 & 4);
	u32 font = place[cell & 0x800 ? second : first];
	u32 at = (font + (cell & 0xffu) * 32 + line) & 0xffff;

	return v->config.vram[at * 4 + 2];
}

static u32 text_start(const struct vga *v)
{
	return (u32)v->crtc[VGA_CR_START_HIGH] << 8 | v->crtc[VGA_CR_START_LOW];
}

/* The first cell of a row; below the split the screen begins anew. */
static u32 row_offset(const struct vga *v, u32 row)
{
	u32 split = split_line(v) / scan_lines(v) + 1;
	u32 pitch = v->crtc[VGA_CR_OFFSET] * 2u;

	return row >= split && split_line(v) < vertical_end(v) - 1
		       ? (row - split) * pitch
		       : text_start(v) + row * pitch;
}

static bool cursor_is_at(const struct vga *v, u32 offset, u32 line)
{
	u32 at = (u32)v->crtc[VGA_CR_CURSOR_HIGH] << 8 | v->crtc[VGA_CR_CURSOR_LOW];
	u8 start = v->crtc[VGA_CR_CURSOR_START];

	return !(start & 0x20) && (offset & 0xffff) == at && line >= (start & 0x1fu) &&
	       line <= (v->crtc[VGA_CR_CURSOR_END] & 0x1fu);
}

static void text_line(const struct vga *v, const struct vga_mode *m, u32 y,
		      u32 *ret_pixels)
{
	u32 line = y >> doubles_lines(v), row = line / scan_lines(v);
	u32 width = cell_width(v), palette[16], *p = ret_pixels;
	u8 mode = v->attribute[VGA_AR_MODE];
	u8 back_mask = mode & VGA_AR_MODE_BLINK ? 7 : 15;
	u32 offset = row_offset(v, row);

	find_palette(v, palette);
	line %= scan_lines(v);
	for (u32 column = 0; column < m->columns; column++, offset++) {
		u16 cell = vga_cell(v, offset);
		u8 character = (u8)cell;
		u32 bits = (u32)font_line(v, cell, line) << 1;
		u32 fore = palette[cell >> 8 & 15];
		u32 back = palette[cell >> 12 & back_mask];

		/* The ninth pixel of frames goes on, of everything else it is empty. */
		if ((mode & VGA_AR_MODE_LINE_GRAPHICS) && character >= 0xc0 &&
		    character <= 0xdf)
			bits |= bits >> 1 & 1;
		if (cursor_is_at(v, offset, line))
			bits = 0x1ff;
		for (u32 x = 0; x < width; x++) {
			*p++ = bits >> (8 - x) & 1 ? fore : back;
			if (is_half(v)) {
				*p = p[-1];
				p++;
			}
		}
	}
}

/* Code page 437 from 0x80 on, and below 0x20 (0x00 and 0xff are blanks). */
static const u16 upper_points[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb,
	0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4,
	0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5,
	0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba,
	0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592,
	0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
	0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c,
	0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567,
	0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518,
	0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0,
	0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
	0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
	0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x0020,
};
static const u16 lower_points[32] = {
	0x0020, 0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022,
	0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c,
	0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
	0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};

/* One to three bytes. */
static char *put_point(char *at, u8 code)
{
	u16 point = code < 0x20	   ? lower_points[code]
		    : code < 0x7f  ? code
		    : code == 0x7f ? 0x2302
				   : upper_points[code - 0x80];

	if (point < 0x80) {
		*at++ = (char)point;
		return at;
	}
	if (point < 0x800) {
		*at++ = (char)(0xc0 | point >> 6);
	} else {
		*at++ = (char)(0xe0 | point >> 12);
		*at++ = (char)(0x80 | (point >> 6 & 0x3f));
	}
	*at++ = (char)(0x80 | (point & 0x3f));
	return at;
}

bool vga_text(const struct vga *v, char *ret_text, size_t size)
{
	struct vga_mode m;
	char *at = ret_text;

	if (!vga_mode(v, &m) || m.kind != VGA_TEXT ||
	    size < (size_t)m.rows * (m.columns * 3 + 1) + 1)
		return false;
	for (u32 row = 0; row < m.rows; row++) {
		u32 offset = row_offset(v, row);
		char *end = at;

		for (u32 column = 0; column < m.columns; column++) {
			at = put_point(at, (u8)vga_cell(v, offset + column));
			if (at[-1] != ' ')
				end = at;
		}
		at = end;
		*at++ = '\n';
	}
	*at = '\0';
	return true;
}

/* ---- graphics -------------------------------------------------------------------------------- */

/* Where a line begins, an offset of the planes; CGA's modes have odd lines elsewhere. */
static u32 line_offset(const struct vga *v, u32 y)
{
	u32 pitch = v->crtc[VGA_CR_OFFSET] * 2u, start = text_start(v), scan, at;
	u8 mode = v->crtc[VGA_CR_MODE];

	if (v->vbe[VBE_ENABLE] & VBE_ENABLED)
		return (v->vbe[VBE_Y] + y) * (v->vbe[VBE_VIRTUAL_WIDTH] / 8u) +
		       v->vbe[VBE_X] / 8u;
	if (y > split_line(v)) {
		y -= split_line(v) + 1;
		start = 0;
	}
	y >>= doubles_lines(v);
	scan = y % scan_lines(v);
	at = start + y / scan_lines(v) * pitch;
	if (!(mode & 1))
		at = (at & ~0x2000u) | (scan & 1) << 13;
	if (!(mode & 2))
		at = (at & ~0x4000u) | (scan & 2) << 13;
	return at;
}

static const u8 *planes_at(const struct vga *v, u32 offset)
{
	return v->config.vram + (offset & 0xffff) * 4;
}

/* A pixel, twice where dots have half the clock. */
static u32 *put(u32 *p, u32 pixel, bool twice)
{
	*p++ = pixel;
	if (twice)
		*p++ = pixel;
	return p;
}

static void planar_line(const struct vga *v, const struct vga_mode *m, u32 y,
			u32 *ret_pixels)
{
	bool twice = is_half(v) && !(v->vbe[VBE_ENABLE] & VBE_ENABLED);
	u32 palette[16], offset = line_offset(v, y), *p = ret_pixels;
	u8 planes = v->attribute[VGA_AR_PLANES] & 15;

	find_palette(v, palette);
	for (u32 x = 0; x < m->width >> twice; x++) {
		const u8 *at = planes_at(v, offset + x / 8);
		unsigned bit = 7 - x % 8;
		unsigned c = (at[0] >> bit & 1) | (at[1] >> bit & 1) << 1 |
			     (at[2] >> bit & 1) << 2 | (at[3] >> bit & 1) << 3;

		p = put(p, palette[c & planes], twice);
	}
}

/* Two bits a pixel: four pixels of planes 0 and 2, then four of 1 and 3. */
static void cga_line(const struct vga *v, const struct vga_mode *m, u32 y,
		     u32 *ret_pixels)
{
	u32 palette[16], offset = line_offset(v, y), *p = ret_pixels;
	u8 planes = v->attribute[VGA_AR_PLANES] & 15;
	bool twice = is_half(v);

	find_palette(v, palette);
	for (u32 x = 0; x < m->width >> twice; x++) {
		const u8 *at = planes_at(v, offset + x / 8) + (x >> 2 & 1);
		unsigned shift = 6 - x % 4 * 2;
		unsigned c = (at[0] >> shift & 3) | (at[2] >> shift & 3) << 2;

		p = put(p, palette[c & planes], twice);
	}
}

/* A byte a pixel, each of them two dots wide. */
static void line_256(const struct vga *v, const struct vga_mode *m, u32 y,
		     u32 *ret_pixels)
{
	u32 offset = line_offset(v, y) * 4, *p = ret_pixels;

	for (u32 x = 0; x < m->width / 2; x++)
		p = put(p,
			colour_of(v,
				  v->config.vram[(offset + x) & (VGA_PLANES_SIZE - 1)]),
			true);
}

static u32 widen(u32 p, unsigned green_bits)
{
	u32 blue = p & 31, green = p >> 5 & (BIT(green_bits) - 1);
	u32 red = p >> (5 + green_bits) & 31;

	green = green_bits == 6 ? green << 2 | green >> 4 : green << 3 | green >> 2;
	return (red << 3 | red >> 2) << 16 | green << 8 | (blue << 3 | blue >> 2);
}

static u32 pixel_of(const struct vga *v, const u8 *at)
{
	switch (v->vbe[VBE_BITS]) {
	case 8:
		return colour_of(v, at[0]);
	case 15:
		return widen(at[0] | (u32)at[1] << 8, 5);
	case 16:
		return widen(at[0] | (u32)at[1] << 8, 6);
	default:
		return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16;
	}
}

static void vbe_line(const struct vga *v, const struct vga_mode *m, u32 y,
		     u32 *ret_pixels)
{
	u64 size = pixel_size(v), pitch = v->vbe[VBE_VIRTUAL_WIDTH] * size;
	u64 at = (v->vbe[VBE_Y] + (u64)y) * pitch + v->vbe[VBE_X] * size;

	/* What lies behind memory is black. */
	for (u32 x = 0; x < m->width; x++, at += size)
		ret_pixels[x] = at + size <= v->config.vram_size
					? pixel_of(v, v->config.vram + at)
					: 0;
}

void vga_line(const struct vga *v, const struct vga_mode *m, u32 y, u32 *ret_pixels)
{
	/* A last pixel that a doubled one does not reach. */
	memset(ret_pixels, 0, m->width * sizeof *ret_pixels);
	if (is_off(v) && m->kind != VGA_VBE)
		return;
	switch (m->kind) {
	case VGA_BLANK:
		return;
	case VGA_TEXT:
		text_line(v, m, y, ret_pixels);
		return;
	case VGA_PLANAR:
		planar_line(v, m, y, ret_pixels);
		return;
	case VGA_CGA:
		cga_line(v, m, y, ret_pixels);
		return;
	case VGA_256:
		line_256(v, m, y, ret_pixels);
		return;
	case VGA_VBE:
		vbe_line(v, m, y, ret_pixels);
		return;
	}
}
