/* SPDX-License-Identifier: Apache-2.0 */
/* An EDID; see edid.h. Section numbers are those of VESA E-EDID 1.4. */
#include "vsp/edid.h"

#define BLANK_X 160u /* pixels: reduced blanking of CVT */
#define BLANK_Y 30u
#define HERTZ 60u
#define MILLIMETRES_X 300u
#define MILLIMETRES_Y 225u

/* 3.10.2 */
static void put_timing(u8 *at, u32 width, u32 height)
{
	/* In units of 10 kHz. */
	u32 clock = (width + BLANK_X) * (height + BLANK_Y) / 1000 * HERTZ / 10;

	at[0] = (u8)clock;
	at[1] = (u8)(clock >> 8);
	at[2] = (u8)width;
	at[3] = BLANK_X;
	at[4] = (u8)(width >> 8 << 4);
	at[5] = (u8)height;
	at[6] = BLANK_Y;
	at[7] = (u8)(height >> 8 << 4);
	at[8] = 48; /* the sync's begin and width, across */
	at[9] = 32;
	at[10] = 3 << 4 | 6; /* and down */
	at[12] = (u8)MILLIMETRES_X;
	at[13] = (u8)MILLIMETRES_Y;
	at[14] = (u8)(MILLIMETRES_X >> 8 << 4 | MILLIMETRES_Y >> 8);
	at[17] = 0x1a; /* digital, separate sync, positive across */
}

/* 3.10.3 */
static void put_name(u8 *at, const char *name)
{
	memset(at, ' ', 18);
	memset(at, 0, 5);
	at[3] = 0xfc;
	for (unsigned k = 0; k < 12 && name[k]; k++)
		at[5 + k] = (u8)name[k];
	at[5 + strlen(name)] = '\n';
}

void edid_build(u32 width, u32 height, u8 ret_block[VIDEO_EDID_SIZE])
{
	static const u8 header[] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
	/* sRGB's colours, 3.7 */
	static const u8 colours[] = { 0xee, 0x91, 0xa3, 0x54, 0x4c,
				      0x99, 0x26, 0x0f, 0x50, 0x54 };
	u8 *b = ret_block, sum = 0;

	memset(b, 0, VIDEO_EDID_SIZE);
	memcpy(b, header, sizeof header);
	/* "TBQ", five bits a letter, most significant first. */
	b[8] = ('T' - '@') << 2 | ('B' - '@') >> 3;
	b[9] = (u8)(('B' - '@') << 5 | ('Q' - '@'));
	b[10] = 1;
	b[17] = 36; /* of the year 2026 */
	b[18] = 1;
	b[19] = 4;
	b[20] = 0x80; /* digital */
	b[21] = MILLIMETRES_X / 10;
	b[22] = MILLIMETRES_Y / 10;
	b[23] = 120;  /* gamma 2.2 */
	b[24] = 0x06; /* sRGB; the first timing is the native one */
	memcpy(b + 25, colours, sizeof colours);
	b[35] = 0x21;	       /* 640x480, 800x600 at 60 Hz */
	b[36] = 0x08;	       /* 1024x768 at 60 Hz */
	memset(b + 38, 1, 16); /* no standard timings */
	put_timing(b + 54, width, height);
	put_name(b + 72, "Tabique");
	/* Nothing in the other two. */
	b[93] = 0x10;
	b[111] = 0x10;
	for (unsigned k = 0; k < VIDEO_EDID_SIZE - 1; k++)
		sum = (u8)(sum + b[k]);
	b[VIDEO_EDID_SIZE - 1] = (u8)-sum;
}
