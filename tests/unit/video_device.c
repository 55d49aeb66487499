/* SPDX-License-Identifier: Apache-2.0 */
/* vsp/video.h against the driver of a mini-guest. */
#include "harness.h"
#include "miniguest/minidesk.h"
#include "vsp/edid.h"

static void free_desk(struct minidesk **m)
{
	minidesk_free(*m);
}
#define GUEST_OF_DESK __attribute__((cleanup(free_desk))) struct minidesk *
#define BAR 0xf8000000u

static void put_pixel(u8 *at, u32 pixel)
{
	memcpy(at, &pixel, sizeof pixel);
}

TEST(screen_is_read_from_vram_where_the_guest_put_it)
{
	GUEST_OF_DESK m = minidesk_new();
	u32 line[1024];

	ASSERT(minidesk_start(m));
	ASSERT(!video_mode(&m->video));
	ASSERT_ERR(video_line(&m->video, 0, line), ENODEV);
	ASSERT(minidesk_start_video(m, 0xf9000000));
	ASSERT_EQ(m->mapped, 0xf9000000);
	ASSERT(minidesk_situation(m, 1024, 768, 4096, 0, 32));
	ASSERT_EQ(video_mode(&m->video)->width, 1024);
	ASSERT_EQ(video_mode(&m->video)->height, 768);
	/* The byte above the colours is the guest's own. */
	put_pixel(m->vram + 4096 * 767 + 4 * 1023, 0xff123456);
	ASSERT_EQ(video_line(&m->video, 767, line), 0);
	ASSERT_EQ(line[1023], 0x123456);
	ASSERT_EQ(line[0], 0);
	ASSERT_ERR(video_line(&m->video, 768, line), EINVAL);
}

TEST(screen_of_sixteen_bits_becomes_one_of_thirty_two)
{
	static const u16 colours[] = { 0xf800, 0x07e0, 0x001f, 0xffff };
	static const u32 wide[] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffffff };
	GUEST_OF_DESK m = minidesk_new();
	u32 line[4];

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, BAR));
	memcpy(m->vram + 64, colours, sizeof colours);
	ASSERT(minidesk_situation(m, 4, 2, 64, 0, 16));
	ASSERT_EQ(video_line(&m->video, 1, line), 0);
	ASSERT_MEM(line, wide, sizeof wide);
}

TEST(frame_buffer_in_ram_is_read_and_never_mapped_over)
{
	GUEST_OF_DESK m = minidesk_new();
	const u64 page = 8192; /* 32 MiB of 64 */
	u32 line[640];

	ASSERT(minidesk_start(m));
	video_set_bar(&m->video, BAR);
	ASSERT_EQ(m->mapped, BAR);
	ASSERT(minidesk_start_video(m, page * 4096));
	ASSERT_EQ(m->mapped, VIDEO_NOWHERE);
	ASSERT(minidesk_situation(m, 640, 480, 2560, 4096, 32));
	put_pixel(mini_page(m->mini, page + 1) + 4, 0x445566);
	ASSERT_EQ(video_line(&m->video, 0, line), 0);
	ASSERT_EQ(line[1], 0x445566);
}

TEST(frame_buffer_over_the_end_of_ram_or_a_chip_is_refused)
{
	GUEST_OF_DESK m = minidesk_new();

	ASSERT(minidesk_start(m));
	video_set_bar(&m->video, BAR);
	/* hv refuses what overlaps RAM or a chip; the mini-host stands in for it. */
	m->refused = MINI_RAM - 4096;
	ASSERT(!minidesk_start_video(m, MINI_RAM - 4096));
	ASSERT_EQ(m->mapped, BAR);
	ASSERT_EQ(m->video.state, VIDEO_AGREED);
	ASSERT_EQ(m->video.counts.refused, 1);
	/* And nothing is shown without a place. */
	ASSERT(!minidesk_situation(m, 640, 480, 2560, 0, 32));
	ASSERT(!video_mode(&m->video));
	ASSERT(minidesk_start_video(m, BAR + (16 << 20)));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 0, 32));
}

TEST(screen_that_ends_behind_vram_is_not_shown)
{
	static const struct {
		u32 width, height, pitch, offset;
		u8 depth;
	} bad[] = {
		{ 0, 480, 2560, 0, 32 },
		{ 640, 0, 2560, 0, 32 },
		{ 640, 480, 2559, 0, 32 },
		{ 640, 480, 0, 0, 32 },
		{ 640, 480, 2560, 0, 24 },
		{ 640, 480, 2560, 0, 0 },
		{ 4097, 16, 4097 * 4, 0, 32 },
		{ 16, 4097, 64, 0, 32 },
		{ 2048, 1024, 8192, 1, 32 },
		{ 2048, 1025, 8192, 0, 32 },
		{ 640, 480, 0xffffffff, 0, 32 },
		{ 640, 480, 2560, 0xffffffff, 32 },
		{ 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 32 },
		{ 1, 2, 8 << 20, 0, 32 },
		{ 1, 1, 4, (8 << 20) - 3, 32 },
	};
	GUEST_OF_DESK m = minidesk_new();
	u32 line[2048];

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, BAR));
	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		ASSERT(minidesk_situation(m, bad[k].width, bad[k].height, bad[k].pitch,
					  bad[k].offset, bad[k].depth));
		ASSERT(!video_mode(&m->video));
	}
	ASSERT_EQ(m->video.counts.refused, ARRAY_COUNT(bad));
	/* To its last byte. */
	ASSERT(minidesk_situation(m, 2048, 1024, 8192, 0, 32));
	ASSERT_EQ(video_line(&m->video, 1023, line), 0);
	ASSERT(minidesk_situation(m, 1, 1, 4, (8 << 20) - 4, 32));
	ASSERT_EQ(video_line(&m->video, 0, line), 0);
}

TEST(resolutions_are_those_that_fit_and_as_many_as_were_asked_for)
{
	GUEST_OF_DESK m = minidesk_new();
	struct video_resolutions_response r;
	u8 most = 64, sum = 0;

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, BAR));
	ASSERT(minidesk_say_video(m, VIDEO_RESOLUTIONS_REQUEST, &most, 1));
	ASSERT(minidesk_take(m, DESK_VIDEO));
	memcpy(&r, m->packet + sizeof(struct video_header), sizeof r);
	/* 1920x1200 needs more than 8 MiB. */
	ASSERT_EQ(r.count, 13);
	ASSERT_EQ(le16_get(r.list[r.count - 1].width), 1920);
	ASSERT_EQ(le16_get(r.list[r.count - 1].height), 1080);
	ASSERT_EQ(le16_get(r.list[r.preferred].width), 1024);
	for (unsigned k = 0; k < VIDEO_EDID_SIZE; k++)
		sum = (u8)(sum + r.edid[k]);
	ASSERT_EQ(sum, 0);
	most = 2;
	ASSERT(minidesk_say_video(m, VIDEO_RESOLUTIONS_REQUEST, &most, 1));
	ASSERT(minidesk_take(m, DESK_VIDEO));
	memcpy(&r, m->packet + sizeof(struct video_header), sizeof r);
	ASSERT_EQ(r.count, 2);
	ASSERT_EQ(r.preferred, 0);
}

TEST(edid_says_how_large_the_screen_is)
{
	u8 e[VIDEO_EDID_SIZE];

	edid_build(1920, 1080, e);
	ASSERT_EQ(e[54 + 2] | (e[54 + 4] >> 4) << 8, 1920);
	ASSERT_EQ(e[54 + 5] | (e[54 + 7] >> 4) << 8, 1080);
	/* 2080 * 1110 * 60, in units of 10 kHz. */
	ASSERT_EQ(e[54] | e[55] << 8, 13848);
	ASSERT_MEM(e + 72 + 5, "Tabique\n", 8);
}

TEST(changes_are_told_as_one_area_on_the_screen)
{
	const struct {
		struct video_dirt dirt;
		struct video_rectangle r[3];
	} PACKED message = { { 0, 3 },
			     { { le32_of(10), le32_of(20), le32_of(30), le32_of(40) },
			       { le32_of((u32)-5), le32_of(25), le32_of(15),
				 le32_of(0x7fffffff) },
			       { le32_of(9), le32_of(9), le32_of(9), le32_of(50) } } };
	GUEST_OF_DESK m = minidesk_new();
	struct video_area area;

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, BAR));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 0, 32));
	ASSERT(video_take_dirt(&m->video, &area));
	ASSERT_EQ(area.width, 640);
	ASSERT(!video_take_dirt(&m->video, &area));
	ASSERT(minidesk_say_video(m, VIDEO_DIRT, &message, sizeof message));
	ASSERT(video_take_dirt(&m->video, &area));
	ASSERT_EQ(area.x, 0);
	ASSERT_EQ(area.y, 20);
	ASSERT_EQ(area.width, 30);
	ASSERT_EQ(area.height, 460);
	/* More rectangles than there are. */
	ASSERT(minidesk_say_video(m, VIDEO_DIRT, &message, sizeof message - 1));
	ASSERT_EQ(m->video.counts.malformed, 1);
	ASSERT(!video_take_dirt(&m->video, &area));
}

TEST(guest_is_told_once_that_somebody_watches)
{
	GUEST_OF_DESK m = minidesk_new();
	struct video_feature_change f;

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, BAR));
	video_watch(&m->video, true);
	video_watch(&m->video, true);
	ASSERT(minidesk_take(m, DESK_VIDEO));
	memcpy(&f, m->packet + sizeof(struct video_header), sizeof f);
	ASSERT_EQ(f.dirt, 1);
	ASSERT(!minidesk_take(m, DESK_VIDEO));
}

TEST(messages_without_sense_are_counted_and_change_nothing)
{
	GUEST_OF_DESK m = minidesk_new();
	const struct video_version_request old = { le32_of(3) };
	u8 zeros[64] = { 0 };

	ASSERT(minidesk_start(m));
	/* A location before versions are agreed, and a version that is none of ours. */
	ASSERT(minidesk_say_video(m, VIDEO_VRAM_LOCATION, zeros, 17));
	ASSERT(!minidesk_take(m, DESK_VIDEO));
	ASSERT(minidesk_say_video(m, VIDEO_VERSION_REQUEST, &old, sizeof old));
	ASSERT(minidesk_take(m, DESK_VIDEO));
	ASSERT_EQ(m->packet[sizeof(struct video_header) + 4], 0);
	ASSERT_EQ(m->video.state, VIDEO_OPEN);
	ASSERT(minidesk_start_video(m, BAR));
	for (u32 size = 0; size < 17; size++)
		ASSERT(minidesk_say_video(m, VIDEO_VRAM_LOCATION, zeros, size));
	for (u32 type = 15; type < 40; type++)
		ASSERT(minidesk_say_video(m, (enum video_message)type, zeros, 40));
	ASSERT(!minidesk_take(m, DESK_VIDEO));
	ASSERT_EQ(m->mapped, BAR);
	ASSERT_EQ(m->video.counts.unknown, 25);
	/* Sizes that lie. */
	ASSERT(minidesk_say(m, DESK_VIDEO, zeros, 8, false));
	ASSERT(minidesk_say(m, DESK_VIDEO, zeros, 64, false));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 0, 32));
}

TEST(closing_takes_the_screen_away_and_vram_back_to_its_bar)
{
	GUEST_OF_DESK m = minidesk_new();

	ASSERT(minidesk_start(m));
	video_set_bar(&m->video, BAR);
	ASSERT(minidesk_start_video(m, 0xf1000000));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 0, 32));
	ASSERT_EQ(m->mapped, 0xf1000000);
	ASSERT(mini_close_and_wait(&m->channel[DESK_VIDEO]));
	ASSERT(!video_mode(&m->video));
	ASSERT_EQ(m->mapped, BAR);
	video_set_bar(&m->video, 0);
	ASSERT_EQ(m->mapped, VIDEO_NOWHERE);
}

TEST(screen_goes_on_elsewhere)
{
	GUEST_OF_DESK m = minidesk_new();
	u32 line[640];

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, 0xf1000000));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 4096, 32));
	put_pixel(m->vram + 4096, 0x111213);
	ASSERT(minidesk_move(m));
	ASSERT_EQ(m->mapped, 0xf1000000);
	ASSERT_EQ(video_mode(&m->video)->width, 640);
	ASSERT_EQ(video_line(&m->video, 0, line), 0);
	ASSERT_EQ(line[0], 0x111213);
	ASSERT(minidesk_situation(m, 800, 600, 3200, 0, 32));
	/* Without a screen, too. */
	ASSERT(minidesk_situation(m, 0, 0, 0, 0, 32));
	ASSERT(minidesk_move(m));
	ASSERT(!video_mode(&m->video));
}

TEST(state_that_makes_no_sense_is_refused)
{
	GUEST_OF_DESK m = minidesk_new();
	struct state_writer w = { 0 };
	unsigned refused = 0;

	ASSERT(minidesk_start(m));
	ASSERT(minidesk_start_video(m, 0xf1000000));
	ASSERT(minidesk_situation(m, 640, 480, 2560, 4096, 32));
	m->video.mode.height = 100000;
	minidesk_save(m, &w);
	refused += !minidesk_restore(m, &w);
	free(w.bytes);
	ASSERT_EQ(refused, 1);
}
