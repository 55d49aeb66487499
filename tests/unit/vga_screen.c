/* SPDX-License-Identifier: Apache-2.0 */
/* VGA: a guest's writes, and the picture and the text that come of them. */
#include "board/vga.h"
#include "harness.h"
#include "state/record.h"

#define VRAM (1u << 20)

static u64 time_ns(const struct clock *clock)
{
	return 0;
}

static const struct clock still = { .monotonic_ns = time_ns };

struct fixture {
	struct vga vga;
	u8 *vram;
	/* the window, as it was mapped */
	gpa_t gpa;
	u32 size, offset;
};

static int map(void *owner, gpa_t gpa, u32 size, u32 offset)
{
	struct fixture *f = owner;

	f->gpa = gpa;
	f->size = size;
	f->offset = offset;
	return 0;
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){ .vram = calloc(1, VRAM + VGA_TEXT_SIZE) };
	vga_init(&f->vga, &(struct vga_config){ .vram = f->vram,
						.vram_size = VRAM,
						.clock = &still,
						.map = map,
						.owner = f });
}

static void end(struct fixture *f)
{
	free(f->vram);
}

/* The guest's: through the mapping where there is one. */
static void poke(struct fixture *f, u32 address, u8 value)
{
	if (address >= f->gpa && address - f->gpa < f->size)
		f->vram[f->offset + (address - f->gpa)] = value;
	else
		vga_memory_write(&f->vga, address - VGA_WINDOW, 1, value);
}

static u8 peek(struct fixture *f, u32 address)
{
	if (address >= f->gpa && address - f->gpa < f->size)
		return f->vram[f->offset + (address - f->gpa)];
	return (u8)vga_memory_read(&f->vga, address - VGA_WINDOW, 1);
}

static void set(struct fixture *f, u16 port, u8 index, u8 value)
{
	vga_port_write(&f->vga, port, 2, (u32)value << 8 | index);
}

static void set_vbe(struct fixture *f, u16 index, u16 value)
{
	vga_port_write(&f->vga, VBE_PORT, 2, index);
	vga_port_write(&f->vga, VBE_PORT + 1, 2, value);
}

static void show(struct fixture *f)
{
	(void)vga_port_read(&f->vga, VGA_PORT_STATUS, 1);
	vga_port_write(&f->vga, VGA_PORT_ATTRIBUTE, 1, VGA_AR_INDEX_SHOW);
}

static void set_dac(struct fixture *f, u8 index, u8 red, u8 green, u8 blue)
{
	vga_port_write(&f->vga, VGA_PORT_DAC_WRITE, 1, index);
	vga_port_write(&f->vga, VGA_PORT_DAC, 1, red);
	vga_port_write(&f->vga, VGA_PORT_DAC, 1, green);
	vga_port_write(&f->vga, VGA_PORT_DAC, 1, blue);
}

/* As a BIOS does: the window to A0000, plane 2 alone, addresses as they are. */
static void load_glyph(struct fixture *f, u8 code, u8 line, u8 bits)
{
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MAP_MASK, 4);
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MEMORY, 6);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 0);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MISC, 4);
	poke(f, 0xa0000 + code * 32u + line, bits);
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MAP_MASK, 3);
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MEMORY, 2);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MODE, VGA_GR_MODE_ODD_EVEN);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MISC, 0x0e);
}

/* A line of the screen in letters: what each colour is called. */
static const char *picture(struct fixture *f, u32 y, u32 from, u32 count)
{
	static char letters[VGA_MOST + 1];
	u32 line[VGA_MOST];
	struct vga_mode m;

	if (!vga_mode(&f->vga, &m))
		return "no mode";
	vga_line(&f->vga, &m, y, line);
	for (u32 k = 0; k < count; k++) {
		u32 p = line[from + k];

		letters[k] = p == 0	     ? '.'
			     : p == 0xff0000 ? 'R'
			     : p == 0x00ff00 ? 'G'
			     : p == 0x0000ff ? 'B'
			     : p == 0xffffff ? '#'
					     : '?';
	}
	letters[count] = '\0';
	return letters;
}

static void colours(struct fixture *f)
{
	set_dac(f, 7, 63, 63, 63);
	set_dac(f, 1, 63, 0, 0);
	set_dac(f, 2, 0, 63, 0);
	set_dac(f, 4, 0, 0, 63);
	show(f);
}

TEST(vga_text_is_plain_memory_and_makes_a_picture)
{
	struct fixture f;
	char text[8192];

	begin(&f);
	colours(&f);
	ASSERT_EQ(f.gpa, 0xb8000);
	ASSERT_EQ(f.size, 0x8000);
	poke(&f, 0xb8000, 'H');
	poke(&f, 0xb8001, 0x07);
	poke(&f, 0xb8002, 0x81); /* u umlaut */
	poke(&f, 0xb8003, 0x12);
	load_glyph(&f, 'H', 2, 0xa5);
	load_glyph(&f, 0x81, 2, 0xf0);
	ASSERT_EQ(f.gpa, 0xb8000);
	ASSERT_EQ(peek(&f, 0xb8000), 'H');
	ASSERT_STR(picture(&f, 2, 0, 18), "#.#..#.#.GGGGRRRRR");
	ASSERT_STR(picture(&f, 3, 0, 18), ".........RRRRRRRRR");
	ASSERT(vga_text(&f.vga, text, sizeof text));
	ASSERT_MEM(text, "H\xc3\xbc\n\n", 5);
	end(&f);
}

TEST(vga_ninth_pixel_of_frames_goes_on)
{
	struct fixture f;

	begin(&f);
	colours(&f);
	poke(&f, 0xb8000, 0xc4);
	poke(&f, 0xb8001, 0x07);
	poke(&f, 0xb8002, 'x');
	poke(&f, 0xb8003, 0x07);
	load_glyph(&f, 0xc4, 0, 0xff);
	load_glyph(&f, 'x', 0, 0xff);
	ASSERT_STR(picture(&f, 0, 0, 18), "#################.");
	end(&f);
}

TEST(vga_cursor_is_where_it_is_put)
{
	struct fixture f;

	begin(&f);
	colours(&f);
	for (u32 k = 0; k < 160; k += 2)
		poke(&f, 0xb8001 + k, 0x07);
	set(&f, VGA_PORT_CRTC, VGA_CR_CURSOR_START, 13);
	set(&f, VGA_PORT_CRTC, VGA_CR_CURSOR_END, 14);
	set(&f, VGA_PORT_CRTC, VGA_CR_CURSOR_LOW, 1);
	ASSERT_STR(picture(&f, 12, 0, 27), "...........................");
	ASSERT_STR(picture(&f, 13, 0, 27), ".........#########.........");
	set(&f, VGA_PORT_CRTC, VGA_CR_CURSOR_START, 0x20);
	ASSERT_STR(picture(&f, 13, 0, 27), "...........................");
	end(&f);
}

/* Mode 12h: four planes, latches, write modes. */
static void planar(struct fixture *f)
{
	set(f, VGA_PORT_SEQUENCER, VGA_SR_CLOCKING, 1);
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MEMORY, 6);
	set(f, VGA_PORT_SEQUENCER, VGA_SR_MAP_MASK, 15);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 0);
	set(f, VGA_PORT_GRAPHICS, VGA_GR_MISC, 5);
	set(f, VGA_PORT_CRTC, VGA_CR_PROTECT, 0);
	set(f, VGA_PORT_CRTC, VGA_CR_OVERFLOW, 0x3e);
	set(f, VGA_PORT_CRTC, VGA_CR_SCAN, 0x40);
	set(f, VGA_PORT_CRTC, VGA_CR_VERTICAL_END, 0xdf);
	set(f, VGA_PORT_CRTC, VGA_CR_MODE, 0xe3);
	colours(f);
}

TEST(vga_planes_are_written_by_every_mode)
{
	struct fixture f;
	struct vga_mode m;

	begin(&f);
	planar(&f);
	ASSERT(vga_mode(&f.vga, &m));
	ASSERT_EQ(m.kind, VGA_PLANAR);
	ASSERT_EQ(m.width, 640);
	ASSERT_EQ(m.height, 480);
	ASSERT_EQ(f.size, 0);
	/* 0: data, to some planes */
	set(&f, VGA_PORT_SEQUENCER, VGA_SR_MAP_MASK, 1);
	poke(&f, 0xa0000 + 80, 0xf0);
	ASSERT_STR(picture(&f, 1, 0, 8), "RRRR....");
	/* 0 with set/reset and a bit mask over the latches */
	set(&f, VGA_PORT_SEQUENCER, VGA_SR_MAP_MASK, 15);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_SET, 2);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_ENABLE_SET, 15);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_BIT_MASK, 0x3c);
	(void)peek(&f, 0xa0000 + 80);
	poke(&f, 0xa0000 + 80, 0xff);
	ASSERT_STR(picture(&f, 1, 0, 8), "RRGGGG..");
	/* 1: the latches, elsewhere */
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 1);
	(void)peek(&f, 0xa0000 + 80);
	poke(&f, 0xa0000 + 161, 0);
	ASSERT_STR(picture(&f, 2, 8, 8), "RRGGGG..");
	/* 2: a colour; 3: a colour where bits are */
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 2);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_BIT_MASK, 0xff);
	poke(&f, 0xa0000 + 240, 4);
	ASSERT_STR(picture(&f, 3, 0, 8), "BBBBBBBB");
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 3);
	(void)peek(&f, 0xa0000 + 240);
	poke(&f, 0xa0000 + 240, 0x81);
	ASSERT_STR(picture(&f, 3, 0, 8), "GBBBBBBG");
	/* Reading where a colour is */
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 8);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_COMPARE, 2);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_DONT_CARE, 15);
	ASSERT_EQ(peek(&f, 0xa0000 + 240), 0x81);
	end(&f);
}

/* Mode 13h is VRAM as it is. */
TEST(vga_chain_4_is_mapped)
{
	struct fixture f;
	struct vga_mode m;

	begin(&f);
	planar(&f);
	set(&f, VGA_PORT_SEQUENCER, VGA_SR_MEMORY, 14);
	set(&f, VGA_PORT_GRAPHICS, VGA_GR_MODE, 0x40);
	set(&f, VGA_PORT_CRTC, VGA_CR_SCAN, 0x41);
	set(&f, VGA_PORT_CRTC, VGA_CR_OFFSET, 40);
	ASSERT_EQ(f.gpa, 0xa0000);
	ASSERT_EQ(f.size, 0x10000);
	ASSERT(vga_mode(&f.vga, &m));
	ASSERT_EQ(m.kind, VGA_256);
	poke(&f, 0xa0000 + 321, 2);
	poke(&f, 0xa0000 + 323, 7);
	ASSERT_STR(picture(&f, 3, 0, 10), "..GG..##..");
	end(&f);
}

TEST(vga_vbe_has_a_linear_frame_buffer_and_banks)
{
	struct fixture f;
	struct vga_mode m;
	u32 red = 0xff0000;

	begin(&f);
	colours(&f);
	vga_port_write(&f.vga, VBE_PORT, 2, VBE_ID);
	ASSERT_EQ(vga_port_read(&f.vga, VBE_PORT + 1, 2), VBE_ID_5);
	set_vbe(&f, VBE_WIDTH, 320);
	set_vbe(&f, VBE_HEIGHT, 200);
	set_vbe(&f, VBE_BITS, 32);
	set_vbe(&f, VBE_ENABLE, 0x41);
	ASSERT(vga_mode(&f.vga, &m));
	ASSERT_EQ(m.kind, VGA_VBE);
	memcpy(f.vram + (319 + 60 * 320) * 4, &red, 4);
	ASSERT_STR(picture(&f, 60, 316, 4), "...R");
	set_vbe(&f, VBE_BANK, 1);
	ASSERT_EQ(f.offset, 0x10000);
	poke(&f, 0xa0000 + (319 + 60 * 320) * 4 - 0x10000 + 1, 0xff);
	ASSERT_EQ(f.vram[(319 + 60 * 320) * 4 + 1], 0xff);
	/* A bank behind memory is nowhere, a picture behind it black. */
	set_vbe(&f, VBE_BANK, 0xffff);
	ASSERT_EQ(f.size, 0);
	set_vbe(&f, VBE_Y, 0xffff);
	set_vbe(&f, VBE_X, 0xffff);
	ASSERT_STR(picture(&f, 199, 316, 4), "....");
	vga_port_write(&f.vga, VBE_PORT, 2, VBE_MEMORY);
	ASSERT_EQ(vga_port_read(&f.vga, VBE_PORT + 1, 2), 16);
	end(&f);
}

TEST(vga_state_goes_on_elsewhere)
{
	struct fixture f, other;
	struct state_writer w = { 0 };
	char text[8192];

	begin(&f);
	colours(&f);
	poke(&f, 0xb8000, 'a');
	set(&f, VGA_PORT_CRTC, VGA_CR_OFFSET, 41);
	vga_save(&f.vga, &w);
	begin(&other);
	memcpy(other.vram, f.vram, VRAM + VGA_TEXT_SIZE);
	ASSERT_EQ(vga_restore(&other.vga, w.bytes, w.used), 0);
	ASSERT_EQ(other.gpa, 0xb8000);
	ASSERT(vga_text(&other.vga, text, sizeof text));
	ASSERT_MEM(text, "a\n", 2);
	ASSERT_EQ(other.vga.crtc[VGA_CR_OFFSET], 41);
	ASSERT_MEM(other.vga.dac, f.vga.dac, sizeof f.vga.dac);
	ASSERT_ERR(vga_restore(&other.vga, w.bytes, w.used - 3), EPROTO);
	free(w.bytes);
	end(&other);
	end(&f);
}
