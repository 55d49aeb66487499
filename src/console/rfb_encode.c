/* SPDX-License-Identifier: Apache-2.0 */
/* Pixels for RFB clients; see rfb_encode.h. */
#include "console/rfb_encode.h"

#include <errno.h>

#include "abi/rfb.h"

/* ---- buffers --------------------------------------------------------------------------------- */

void rfb_buffer_done(struct rfb_buffer *b)
{
	free(take_ptr(b->bytes));
}

u8 *rfb_buffer_add(struct rfb_buffer *b, size_t size)
{
	u8 *at;

	if (b->failed)
		return NULL;
	if (size > b->room - b->size) {
		size_t room = max_u64(b->size + size, b->room * 2);
		u8 *bytes = realloc(b->bytes, room);

		if (!bytes) {
			b->failed = true;
			return NULL;
		}
		b->bytes = bytes;
		b->room = room;
	}
	at = b->bytes + b->size;
	b->size += size;
	return at;
}

static void put(struct rfb_buffer *b, u32 value, unsigned size)
{
	u8 *at = rfb_buffer_add(b, size);

	for (unsigned k = 0; at && k < size; k++)
		at[k] = (u8)(value >> 8 * (size - 1 - k));
}

void rfb_put8(struct rfb_buffer *b, u8 value)
{
	put(b, value, 1);
}

void rfb_put16(struct rfb_buffer *b, u16 value)
{
	put(b, value, 2);
}

void rfb_put32(struct rfb_buffer *b, u32 value)
{
	put(b, value, 4);
}

/* ---- pixel formats --------------------------------------------------------------------------- */

/* Where the bytes of ZRLE's shorter pixels are: of 32 bits with 24 used, three. */
static void find_small(struct rfb_format *f)
{
	u32 used = f->part[0][255] | f->part[1][255] | f->part[2][255];

	f->small_size = f->size;
	f->small_from = 0;
	if (f->bits != 32 || f->depth > 24 || f->mapped)
		return;
	if (used >> 24 == 0) {
		f->small_size = 3;
	} else if ((used & 0xff) == 0) {
		f->small_size = 3;
		f->small_from = 1;
	}
}

static int derive(struct rfb_format *f)
{
	u64 most = BIT64(f->bits) - 1;

	f->size = f->bits / 8u;
	for (unsigned c = 0; c < 3; c++) {
		if (f->shift[c] >= f->bits || ((u64)f->max[c] << f->shift[c]) > most)
			return -EPROTO;
		for (u32 v = 0; v < 256; v++)
			f->part[c][v] = (v * f->max[c] + 127) / 255 << f->shift[c];
	}
	find_small(f);
	return 0;
}

void rfb_format_ours(struct rfb_format *ret_format)
{
	*ret_format = (struct rfb_format){
		.bits = 32,
		.depth = 24,
		.max = { 255, 255, 255 },
		.shift = { 16, 8, 0 },
	};
	if (derive(ret_format) < 0)
		abort(); /* these numbers are good */
}

static u16 get16(const u8 *bytes)
{
	return (u16)(bytes[0] << 8 | bytes[1]);
}

int rfb_format_parse(const u8 bytes[RFB_FORMAT_SIZE], struct rfb_format *ret_format)
{
	struct rfb_format f = {
		.bits = bytes[0],
		.depth = bytes[1],
		.big_endian = bytes[2],
		.mapped = !bytes[3],
		.max = { get16(bytes + 4), get16(bytes + 6), get16(bytes + 8) },
		.shift = { bytes[10], bytes[11], bytes[12] },
	};
	int r;

	if (f.bits != 8 && f.bits != 16 && f.bits != 32)
		return -EPROTO;
	if (f.mapped) {
		if (f.bits != 8)
			return -EPROTO;
		memcpy(f.max, (u16[]){ 7, 7, 3 }, sizeof f.max);
		memcpy(f.shift, (u8[]){ 5, 2, 0 }, sizeof f.shift);
	}
	r = derive(&f);
	if (r == 0)
		*ret_format = f;
	return r;
}

void rfb_format_put(const struct rfb_format *f, struct rfb_buffer *b)
{
	rfb_put8(b, f->bits);
	rfb_put8(b, f->depth);
	rfb_put8(b, f->big_endian);
	rfb_put8(b, !f->mapped);
	for (unsigned c = 0; c < 3; c++)
		rfb_put16(b, f->max[c]);
	for (unsigned c = 0; c < 3; c++)
		rfb_put8(b, f->shift[c]);
	rfb_put16(b, 0);
	rfb_put8(b, 0);
}

static u32 convert(const struct rfb_format *f, u32 xrgb)
{
	return f->part[0][xrgb >> 16 & 0xff] | f->part[1][xrgb >> 8 & 0xff] |
	       f->part[2][xrgb & 0xff];
}

/* Pixels [x, x + count) of a line, in the client's values. */
static void take_line(const struct rfb_frame *frame, const struct rfb_format *f, u32 x,
		      u32 y, u32 count, u32 *ret_values)
{
	u32 there = y < frame->height && x < frame->width
			    ? (u32)min_u64(count, frame->width - x)
			    : 0;
	const u32 *pixels = frame->pixels + (size_t)y * frame->width + x;

	for (u32 k = 0; k < there; k++)
		ret_values[k] = convert(f, pixels[k]);
	memset(ret_values + there, 0, (count - there) * sizeof *ret_values);
}

/* Some bytes of a value, from the least significant one on, in the client's order. */
static inline u8 *put_bytes(u8 *at, u32 value, unsigned size, bool big_endian)
{
	for (unsigned k = 0; k < size; k++)
		*at++ = (u8)(value >> 8 * (big_endian ? size - 1 - k : k));
	return at;
}

/* ---- Raw ------------------------------------------------------------------------------------- */

void rfb_encode_raw(const struct rfb_frame *frame, const struct picture_area *area,
		    const struct rfb_format *f, struct rfb_buffer *b)
{
	u32 line[PICTURE_MOST];
	u8 *at = rfb_buffer_add(b, (size_t)area->width * area->height * f->size);

	for (u32 y = 0; at && y < area->height; y++) {
		take_line(frame, f, area->x, area->y + y, area->width, line);
		for (u32 x = 0; x < area->width; x++)
			at = put_bytes(at, line[x], f->size, f->big_endian);
	}
}

/* ---- ZRLE ------------------------------------------------------------------------------------ */

struct tile {
	u32 width, height, count;
	u32 value[RFB_TILE * RFB_TILE];
	u32 palette[RFB_TILE_MOST_PACKED];
	u32 colours; /* in the palette; more than it holds: too many */
	u32 runs;
};

static u32 find_colour(const struct tile *t, u32 value)
{
	u32 k = 0;

	while (k < t->colours && t->palette[k] != value)
		k++;
	return k;
}

static void count_colours(struct tile *t)
{
	t->colours = 0;
	t->runs = 0;
	for (u32 k = 0; k < t->count; k++) {
		if (k > 0 && t->value[k] == t->value[k - 1])
			continue;
		t->runs++;
		if (t->colours > RFB_TILE_MOST_PACKED)
			continue;
		if (find_colour(t, t->value[k]) < t->colours)
			continue;
		if (t->colours < RFB_TILE_MOST_PACKED)
			t->palette[t->colours] = t->value[k];
		t->colours++;
	}
}

static u8 *put_small(u8 *at, const struct rfb_format *f, u32 value)
{
	return put_bytes(at, value >> 8 * f->small_from, f->small_size, f->big_endian);
}

/* Bits of an index into the palette; each line begins at a whole byte. */
static unsigned packed_bits(u32 colours)
{
	return colours <= 2 ? 1 : colours <= 4 ? 2 : 4;
}

static u8 *put_packed(u8 *at, const struct tile *t, const struct rfb_format *f)
{
	unsigned bits = packed_bits(t->colours);
	const u32 *v = t->value;

	*at++ = (u8)t->colours;
	for (u32 k = 0; k < t->colours; k++)
		at = put_small(at, f, t->palette[k]);
	for (u32 y = 0; y < t->height; y++) {
		unsigned used = 0;

		for (u32 x = 0; x < t->width; x++, v++) {
			if (used == 0)
				*at = 0;
			used += bits;
			*at |= (u8)(find_colour(t, *v) << (8 - used));
			if (used == 8) {
				at++;
				used = 0;
			}
		}
		at += used > 0;
	}
	return at;
}

static u8 *put_runs(u8 *at, const struct tile *t, const struct rfb_format *f)
{
	*at++ = RFB_TILE_RLE;
	for (u32 k = 0; k < t->count;) {
		u32 length = 1;

		while (k + length < t->count && t->value[k + length] == t->value[k])
			length++;
		at = put_small(at, f, t->value[k]);
		k += length;
		/* One less than it is, in pieces of 255. */
		for (length--; length >= 255; length -= 255)
			*at++ = 255;
		*at++ = (u8)length;
	}
	return at;
}

static u8 *put_raw_tile(u8 *at, const struct tile *t, const struct rfb_format *f)
{
	*at++ = RFB_TILE_RAW;
	for (u32 k = 0; k < t->count; k++)
		at = put_small(at, f, t->value[k]);
	return at;
}

/* The shortest way, roughly; it gets at most a byte longer than raw. */
static void put_tile(struct tile *t, const struct rfb_format *f, struct rfb_buffer *b)
{
	size_t raw = 1 + (size_t)t->count * f->small_size, before = b->size;
	size_t runs;
	u8 *at = rfb_buffer_add(b, raw + 1 + RFB_TILE_MOST_PACKED * sizeof(u32)), *end;

	if (!at)
		return;
	count_colours(t);
	/* A run longer than 255 takes more bytes of length. */
	runs = 1 + (size_t)t->runs * (f->small_size + 1) + t->count / 255;
	if (t->colours == 1) {
		*at = RFB_TILE_SOLID;
		end = put_small(at + 1, f, t->palette[0]);
	} else if (runs < raw && (t->colours > RFB_TILE_MOST_PACKED ||
				  runs < t->count * packed_bits(t->colours) / 8)) {
		end = put_runs(at, t, f);
	} else if (t->colours <= RFB_TILE_MOST_PACKED) {
		end = put_packed(at, t, f);
	} else {
		end = put_raw_tile(at, t, f);
	}
	b->size = before + (size_t)(end - at);
}

static void put_tiles(const struct rfb_frame *frame, const struct picture_area *area,
		      const struct rfb_format *f, struct rfb_buffer *b)
{
	struct tile t;

	for (u32 y = 0; y < area->height; y += RFB_TILE) {
		for (u32 x = 0; x < area->width; x += RFB_TILE) {
			t.width = (u32)min_u64(RFB_TILE, area->width - x);
			t.height = (u32)min_u64(RFB_TILE, area->height - y);
			t.count = t.width * t.height;
			for (u32 k = 0; k < t.height; k++)
				take_line(frame, f, area->x + x, area->y + y + k, t.width,
					  t.value + k * t.width);
			put_tile(&t, f, b);
		}
	}
}

/* All of the scratch, and whatever the stream still has of it. */
static int deflate_all(z_stream *z, struct rfb_buffer *scratch, struct rfb_buffer *b)
{
	size_t bound = deflateBound(z, scratch->size) + 64;
	size_t before = b->size;
	u8 *at = rfb_buffer_add(b, bound);

	if (!at || scratch->failed)
		return -ENOMEM;
	z->next_in = scratch->bytes;
	z->avail_in = (uInt)scratch->size;
	z->next_out = at;
	z->avail_out = (uInt)bound;
	/* With room left over, a flush is complete. */
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in > 0 || z->avail_out == 0)
		return -EIO;
	b->size = before + (bound - z->avail_out);
	return 0;
}

int rfb_encode_zrle(const struct rfb_frame *frame, const struct picture_area *area,
		    const struct rfb_format *f, z_stream *z, struct rfb_buffer *scratch,
		    struct rfb_buffer *b)
{
	size_t length_at = b->size, size;
	int r;

	rfb_put32(b, 0);
	scratch->size = 0;
	put_tiles(frame, area, f, scratch);
	r = deflate_all(z, scratch, b);
	if (r < 0)
		return r;
	size = b->size - length_at - 4;
	for (unsigned k = 0; k < 4; k++)
		b->bytes[length_at + k] = (u8)(size >> 8 * (3 - k));
	return 0;
}
