/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest does to a VGA: ports, the window, and pictures of whatever has come of it. Input: five
 * bytes an access. Then its state, and a state made of the input.
 */
#include "board/vga.h"
#include "state/record.h"

#define VRAM (1u << 20)

static u64 time_ns;

static u64 read_clock(const struct clock *clock)
{
	return time_ns += 100000;
}

static const struct clock clock_of_fuzz = { .monotonic_ns = read_clock };

static int map(void *owner, gpa_t gpa, u32 size, u32 offset)
{
	if (size > 0 && (gpa < VGA_WINDOW || gpa + size > VGA_WINDOW + VGA_WINDOW_SIZE ||
			 (u64)offset + size > VRAM + VGA_TEXT_SIZE || offset % 4096))
		abort();
	return 0;
}

static void look(struct vga *v)
{
	static u32 line[VGA_MOST];
	static char text[4 << 20];
	struct vga_mode m;
	u32 sum = 0;

	if (!vga_mode(v, &m))
		return;
	if (m.width > VGA_MOST || m.height > VGA_MOST)
		abort();
	for (u32 y = 0; y < m.height; y += 1 + m.height / 8) {
		vga_line(v, &m, y, line);
		for (u32 x = 0; x < m.width; x++)
			sum += line[x];
	}
	vga_line(v, &m, m.height - 1, line);
	text[0] = (char)sum;
	if (vga_text(v, text, sizeof text) && !memchr(text, 0, sizeof text))
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* To the byte, so that one too far is seen. */
	u8 *vram = calloc(1, VRAM + VGA_TEXT_SIZE);
	const struct vga_config config = { vram, VRAM, &clock_of_fuzz, map, NULL };
	struct state_writer w = { 0 };
	static struct vga v, other;
	unsigned looks = 0;

	if (!vram)
		return 0;
	vga_init(&v, &config);
	for (const u8 *end = data + size, *at = data; end - at >= 5; at += 5) {
		unsigned n = at[0] >> 6 == 3 ? 2 : 1;
		u32 value = at[1] | (u32)at[2] << 8;
		u16 port = (u16)(at[0] & 32 ? VBE_PORT + at[0] % 3
					    : VGA_PORT + (at[3] % VGA_PORT_COUNT));

		if (at[0] & 16)
			(void)vga_port_read(&v, port, n);
		else if (at[0] & 8)
			vga_memory_write(
				&v, (at[3] | (u32)at[4] << 8 | at[2] << 16) % 0x20008,
				1u << (at[0] & 3), value * 0x10001ull);
		else if (at[0] & 4)
			(void)vga_memory_read(&v, (at[3] | (u32)at[4] << 8) * 2u,
					      1u << (at[0] & 3));
		else
			vga_port_write(&v, port, n, value);
		if (at[4] == 0xff && looks++ < 8)
			look(&v);
	}
	look(&v);
	vga_save(&v, &w);
	vga_init(&other, &config);
	if (!w.failed && vga_restore(&other, w.bytes, w.used) < 0)
		abort();
	look(&other);
	if (vga_restore(&other, data, size) == 0)
		look(&other);
	free(w.bytes);
	free(vram);
	return 0;
}
