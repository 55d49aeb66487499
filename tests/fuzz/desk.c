/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest says on the channels of keyboard, mouse and video. The input is a row of steps: a byte for
 * the channel, one for what is done, one for a size, then bytes. A screen that is shown is read to its last
 * line each time. At the end every channel closes, and whoever typed has been told once what became of it.
 */
#include "miniguest/minidesk.h"

enum { SAY, START, MESSAGE, TAKE, WAIT, ASK, REOPEN, MOVE, BAR, STEPS };

static unsigned asked, ended;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_end(void *owner, int r, const struct err *err)
{
	require((r < 0) == (err->code < 0));
	ended++;
}

static void look(struct minidesk *m)
{
	static u32 line[VIDEO_MAX_WIDTH];
	const struct video_mode *mode = video_mode(&m->video);
	struct video_area area;

	if (!mode)
		return;
	require(video_line(&m->video, 0, line) == 0);
	require(video_line(&m->video, mode->height - 1, line) == 0);
	require(video_line(&m->video, mode->height, line) < 0);
	if (video_take_dirt(&m->video, &area))
		require(area.x + area.width <= mode->width &&
			area.y + area.height <= mode->height);
}

static void start(struct minidesk *m, unsigned which, u64 gpa)
{
	if (which == DESK_KEYBOARD)
		(void)minidesk_start_keyboard(m);
	else if (which == DESK_MOUSE)
		(void)minidesk_start_mouse(m);
	else
		(void)minidesk_start_video(m, gpa);
}

/* A header that is right, and bytes behind it. */
static void say_message(struct minidesk *m, unsigned which, const u8 *data, u32 size)
{
	u8 bytes[16 + 256] = { 1 };
	u32 type = size > 0 ? data[0] : 0, body = size > 0 ? size - 1 : 0;
	u32 words[4] = { 1, 8 + body, type, which == DESK_VIDEO ? 8 + body : body };

	if (which == DESK_KEYBOARD) {
		memcpy(bytes, &type, 4);
		memcpy(bytes + 4, data + 1, body);
		(void)minidesk_say(m, which, bytes, 4 + body, true);
		return;
	}
	memcpy(bytes, words, sizeof words);
	memcpy(bytes + 16, data + 1, body);
	(void)minidesk_say(m, which, bytes, 16 + body, true);
}

static void ask(struct minidesk *m, unsigned which, const u8 *data, u32 size)
{
	struct mouse_event event = { 0 };
	struct stroke s = { .count = 2, .key = { 0x2a, 0x1e } };
	struct err err = { 0 };

	if (which == DESK_KEYBOARD) {
		asked++;
		s.count = (u8)(1 + size % STROKE_KEYS);
		keyboard_type(&m->keyboard, &s, 1, on_end, NULL);
	} else if (which == DESK_MOUSE) {
		memcpy(&event, data, min_u64(size, sizeof event));
		require((mouse_move(&m->mouse, &event, &err) < 0) == (err.code < 0));
	} else {
		video_watch(&m->video, size & 1);
	}
}

static void step(struct minidesk *m, unsigned which, u8 what, const u8 *data, u32 size)
{
	struct mini_channel *channel = &m->channel[which];
	u64 gpa = 0;

	memcpy(&gpa, data, min_u64(size, sizeof gpa));
	switch (what % STEPS) {
	case SAY:
		(void)mini_send(channel, VMBUS_PACKET_INBAND, size & 1, 1, data, size,
				16);
		return;
	case START:
		start(m, which, gpa);
		return;
	case MESSAGE:
		say_message(m, which, data, size);
		return;
	case TAKE:
		while (minidesk_take(m, which))
			;
		mini_signal(channel);
		return;
	case WAIT:
		minidesk_advance(m, (u64)size * NS_PER_SEC / 16);
		return;
	case ASK:
		ask(m, which, data, size);
		return;
	case REOPEN:
		if (mini_close_and_wait(channel))
			(void)mini_open(m->mini, which + 1, 4, 4, channel);
		return;
	case MOVE:
		/* Who waits for an answer goes with the host: as many as there are. */
		require(minidesk_move(m));
		asked = ended = 0;
		return;
	case BAR:
		video_set_bar(&m->video, (u32)gpa & 0xff800000);
		return;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct minidesk *m;

	if (!m)
		m = minidesk_new();
	asked = ended = 0;
	require(minidesk_start(m));
	while (size >= 3) {
		u32 n = (u32)min_u64(data[2], size - 3);

		step(m, data[0] % DESK_DEVICES, data[1], data + 3, n);
		look(m);
		data += 3 + n;
		size -= 3 + n;
	}
	for (unsigned k = 0; k < DESK_DEVICES; k++)
		mini_close(&m->channel[k]);
	require(asked == ended && !video_mode(&m->video));
	mini_forget(m->mini);
	require(mini_unload(m->mini));
	mini_forget(m->mini);
	return 0;
}
