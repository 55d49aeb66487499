/* SPDX-License-Identifier: Apache-2.0 */
/* PNG by libpng; see png.h. */
#include "console/png.h"

#include <errno.h>
#include <png.h>

/* Screens have large plain areas: more effort saves little. */
#define EFFORT 3

struct buffer {
	u8 *bytes;
	size_t used, size;
};

static void on_bytes(png_structp png, png_bytep bytes, size_t size)
{
	struct buffer *b = png_get_io_ptr(png);

	if (b->used + size > b->size) {
		size_t wanted = (b->used + size) * 2;
		u8 *larger = realloc(b->bytes, wanted);

		if (!larger)
			png_error(png, "no memory");
		b->bytes = larger;
		b->size = wanted;
	}
	memcpy(b->bytes + b->used, bytes, size);
	b->used += size;
}

static void on_flush(png_structp png) {}

/* What libpng says on its way to the jump; the caller hears a number. */
static void on_words(png_structp png, png_const_charp words) {}

NORETURN static void on_error(png_structp png, png_const_charp words)
{
	png_longjmp(png, 1);
}

static int write_all(png_structp png, png_infop info, const u32 *pixels, u32 width,
		     u32 height)
{
	if (setjmp(png_jmpbuf(png)))
		return -ENOMEM;
	png_set_compression_level(png, EFFORT);
	png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	/* Blue, green, red, nothing: as a little-endian host has XRGB. */
	png_set_bgr(png);
	png_set_filler(png, 0, PNG_FILLER_AFTER);
	for (u32 y = 0; y < height; y++)
		png_write_row(png, (png_const_bytep)(pixels + (size_t)y * width));
	png_write_end(png, info);
	return 0;
}

int png_write(const u32 *pixels, u32 width, u32 height, u8 **ret_bytes, size_t *ret_size)
{
	struct buffer b = { 0 };
	png_structp png;
	png_infop info;
	int r;

	if (width == 0 || height == 0 || width > PNG_MOST || height > PNG_MOST)
		return -EINVAL;
	png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_words);
	info = png ? png_create_info_struct(png) : NULL;
	r = info ? 0 : -ENOMEM;
	if (r == 0) {
		png_set_write_fn(png, &b, on_bytes, on_flush);
		r = write_all(png, info, pixels, width, height);
	}
	png_destroy_write_struct(&png, &info);
	if (r < 0) {
		free(b.bytes);
		return r;
	}
	*ret_bytes = b.bytes;
	*ret_size = b.used;
	return 0;
}
