/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an RFB client sends. The input is cut into pieces by its own bytes; between them the picture
 * changes, shrinks and grows, and what the session has to say is taken, or not.
 */
#include "console/rfb_session.h"

#define MOST 300u

static void key(void *owner, u16 code, bool down)
{
	if (code == 0 || code >= RFB_KEYS)
		abort();
}

static void point(void *owner, u32 x, u32 y, u32 width, u32 height, u8 buttons, int wheel)
{
	if (x >= width || y >= height || buttons > 31 || wheel < -1 || wheel > 1)
		abort();
}

static const struct picture_hands hands = { key, point };

static void listen(struct rfb_session *s, unsigned times)
{
	const u8 *bytes;
	u8 sum = 0;
	size_t n;

	while (times-- > 0 && (n = rfb_session_output(s, &bytes)) > 0) {
		if (n > RFB_OUTPUT + RFB_TILE * PICTURE_MOST * 5)
			abort();
		for (size_t k = 0; k < n; k++)
			sum ^= bytes[k];
		rfb_session_sent(s, sum & 1 && n > 1 ? n / 2 : n);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u32 pixels[MOST * MOST];
	struct rfb_frame frame = { 200, 130, pixels };
	static struct rfb_session s;

	rfb_session_init(&s, &frame, &hands, NULL, "fuzz");
	while (size > 0 && s.state != RFB_STATE_OVER) {
		u8 how = data[size - 1];
		size_t n = min_u64(1 + how % 32u, size);

		rfb_session_hear(&s, data, n);
		pixels[how * 100] += how;
		rfb_session_mark(&s, how & 7, how >> 3 & 7);
		rfb_session_set_leds(&s, how & 7);
		if (how > 240) {
			frame.width = 1 + how * 7u % MOST;
			frame.height = 1 + how * 13u % MOST;
			rfb_session_mark_all(&s);
		}
		rfb_session_update(&s);
		listen(&s, how & 3);
		data += n;
		size -= n;
	}
	listen(&s, 1000);
	rfb_session_done(&s);
	return 0;
}
