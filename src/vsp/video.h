/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic video: the guest says where its frame buffer is and how it is laid out, and this reads it.
 *
 *	         guest opens         version agreed          location          situation
 *	CLOSED -------------> OPEN ----------------> AGREED -----------> PLACED ---------> shows a screen
 *
 * The frame buffer is either VRAM, a region of its own that is mapped where the guest wants it, or,
 * where Linux found room for it there, a piece of guest RAM, which is read and never mapped over.
 * Before the guest has chosen, VRAM is where the BAR of the video function on the PCI bus says
 * (video_set_bar). Every number of the guest's is checked against the size of VRAM when it comes;
 * what does not fit shows no screen. Pixels themselves are looked at by nobody here.
 *
 * Who shows the screen to somebody (video_watch) is told by the guest what changes; a picture
 * now and then needs no such thing.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/video.h"
#include "base/err.h"
#include "base/inspect.h"
#include "state/record.h"
#include "vmbus/server.h"

#define VIDEO_MIN_VRAM (4u << 20)
#define VIDEO_MAX_VRAM (64u << 20)
#define VIDEO_MAX_WIDTH 4096u
#define VIDEO_MAX_HEIGHT 4096u
#define VIDEO_NOWHERE UINT64_MAX

struct video_config {
	struct vmbus_server *server;
	struct guest_memory *gm;
	const u8 *vram; /* mapped; guests write it at any time */
	u32 vram_size;	/* VIDEO_MIN_VRAM to VIDEO_MAX_VRAM, whole MiB */
	/* Put VRAM at that address and nowhere else; VIDEO_NOWHERE: away with it. Negative: it cannot lie there. */
	int (*map)(void *owner, gpa_t gpa);
	/* The screen, or what is on it, has changed. May be NULL. */
	void (*changed)(void *owner);
	void *owner;
};

struct video_mode {
	u32 width, height, pitch, offset, depth; /* depth 16 or 32 */
};

struct video_area {
	u32 x, y, width, height;
};

enum video_state { VIDEO_CLOSED, VIDEO_OPEN, VIDEO_AGREED, VIDEO_PLACED };

struct video {
	struct video_config config;
	u32 relid;
	struct vmbus_channel *vmbus; /* NULL: closed */
	enum video_state state;
	u32 version;
	gpa_t bar;    /* VIDEO_NOWHERE: switched off */
	gpa_t place;  /* as the guest chose; VIDEO_NOWHERE: it did not */
	bool in_ram;  /* that is RAM */
	gpa_t mapped; /* where VRAM is now */
	bool shows;
	struct video_mode mode; /* while it shows */
	bool watched;
	struct video_area dirt; /* since video_take_dirt; width 0: none */
	struct {
		bool visible;
		s32 x, y;
		u32 width, height, hot_x, hot_y;
	} pointer;
	u8 *packet; /* room for one */
	struct {
		u64 malformed, unknown, situations, dirt, refused, dropped, maps;
	} counts;
};

/* Offered. Embedded in its owner, which outlives the server's interest in it. */
int video_init(struct video *video, const struct video_config *config) MUST_CHECK;
void video_done(struct video *video);

/* The BAR's address; 0: it is switched off. */
void video_set_bar(struct video *video, u32 address);
/* The guest is reset: channels were closed. */
void video_reset(struct video *video);

/* What is shown; NULL: nothing yet, or no more. */
const struct video_mode *video_mode(const struct video *video);
/* A line of it, mode->width pixels of XRGB. -ENODEV, -EINVAL. */
int video_line(const struct video *video, u32 y, u32 *ret_pixels) MUST_CHECK;

/* The guest tells of changes from now on, or need not. */
void video_watch(struct video *video, bool on);
/* What has changed since the last call; false: nothing. */
bool video_take_dirt(struct video *video, struct video_area *ret_area);

/* State, a record "video"; after vmbus_server_save, _restore. VRAM's contents are not in it. -EPROTO. */
void video_save(const struct video *video, struct state_writer *writer);
int video_restore(struct video *video, const u8 *bytes, size_t size) MUST_CHECK;
void video_inspect(const struct video *video, struct inspect *out);
