/* SPDX-License-Identifier: Apache-2.0 */
/* Screen, keyboard and mouse; see desk.h. */
#include "machine/desk.h"

#include <errno.h>

#include "abi/board.h"
#include "console/layout.h"
#include "wall/worker_config.h"

struct desk {
	struct desk_config config;
	struct keyboard keyboard;
	struct mouse mouse;
	bool has_video;
	struct video video;
	struct pci_function function; /* of the video, on the bus */
};

/* ---- time ------------------------------------------------------------------------------------ */

static void on_wake(void *owner)
{
	struct desk *d = owner;

	d->config.wake_at(d->config.owner, keyboard_when(&d->keyboard));
}

void desk_due(struct desk *d)
{
	keyboard_due(&d->keyboard);
}

/* ---- the function on the PCI bus ------------------------------------------------------------- */

static void on_config(void *owner, const struct pci_function *f, u8 at, unsigned size)
{
	struct desk *d = owner;
	u32 address = pci_bar_address(f, 0);

	/*
	 * Who looks for a BAR's size switches it off meanwhile. Moving VRAM stops every processor and drops
	 * what was decoded, so it stays where it was until it is switched on somewhere else.
	 */
	if (address)
		video_set_bar(&d->video, address);
}

static int add_function(struct desk *d)
{
	d->function = (struct pci_function){
		.name = "video",
		.number = PCI_FUNCTION(8, 0),
		.vendor = PCI_VENDOR_MICROSOFT,
		.device = PCI_DEVICE_VIDEO,
		.class = PCI_CLASS_VGA,
		.command_mask = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
		.command = PCI_COMMAND_MEMORY,
		.bar = { { .size = (u32)d->config.vram_size,
			   .base = BOARD_GPA_VIDEO,
			   .flags = PCI_BAR_PREFETCH } },
		.changed = on_config,
		.owner = d,
	};
	return pci_bus_add(d->config.pci, &d->function);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int map(void *owner, gpa_t gpa)
{
	struct desk *d = owner;

	return d->config.map(d->config.owner, gpa);
}

static void on_changed(void *owner)
{
	struct desk *d = owner;

	d->config.changed(d->config.owner);
}

static void on_leds(void *owner, u16 leds)
{
	struct desk *d = owner;

	d->config.leds(d->config.owner, leds);
}

static int new_video(struct desk *d)
{
	const struct video_config video = {
		.server = d->config.server,
		.gm = d->config.gm,
		.vram = d->config.vram,
		.vram_size = (u32)d->config.vram_size,
		.map = map,
		.changed = on_changed,
		.owner = d,
	};
	int r = video_init(&d->video, &video);

	d->has_video = r == 0;
	return r < 0 ? r : add_function(d);
}

/* The order of the offers: numbers of channels follow from it, and saved states know them. */
int desk_new(const struct desk_config *config, struct desk **ret_desk)
{
	struct desk *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return -ENOMEM;
	d->config = *config;
	r = keyboard_init(&d->keyboard, &(struct keyboard_config){
						.server = config->server,
						.clock = config->clock,
						.wake = on_wake,
						.leds = on_leds,
						.owner = d,
					});
	if (r == 0)
		r = mouse_init(&d->mouse, config->server);
	if (r == 0 && config->vram_size >= VIDEO_MIN_VRAM)
		r = new_video(d);
	if (r < 0) {
		desk_free(d);
		return r;
	}
	*ret_desk = d;
	return 0;
}

void desk_free(struct desk *d)
{
	if (!d)
		return;
	keyboard_done(&d->keyboard);
	if (d->has_video)
		video_done(&d->video);
	free(d);
}

void desk_connect(struct desk *d)
{
	if (d->has_video)
		on_config(d, &d->function, 0, PCI_CONFIG_SIZE);
}

/* ---- hands ----------------------------------------------------------------------------------- */

/* Strokes of a request; count < 0: there are none, and err says why. */
static void strike(struct desk *d, const struct stroke *strokes, int count,
		   const struct err *err, keyboard_done_fn done, void *owner)
{
	if (count < 0)
		done(owner, count, err);
	else
		keyboard_type(&d->keyboard, strokes, (unsigned)count, done, owner);
}

void desk_type(struct desk *d, const char *name, const char *text, keyboard_done_fn done,
	       void *owner)
{
	static struct stroke strokes[KEYBOARD_STROKES]; /* large */
	const struct layout *layout = layout_find(name);
	struct err err = { 0 };
	int count;

	if (layout) {
		count = layout_type(layout, text, strokes, KEYBOARD_STROKES, &err);
	} else {
		count = err_set(&err, -EINVAL, "there is no keyboard layout '%.40s'",
				name);
		err_fix(&err, "choose one of %s", layout_names());
	}
	strike(d, strokes, count, &err, done, owner);
}

void desk_press(struct desk *d, const char *keys, keyboard_done_fn done, void *owner)
{
	static struct stroke strokes[KEYBOARD_STROKES]; /* large */
	struct err err = { 0 };
	int count = keys_parse(keys, strokes, KEYBOARD_STROKES, &err);

	strike(d, strokes, count, &err, done, owner);
}

void desk_hold(struct desk *d, u16 key, bool down)
{
	keyboard_hold(&d->keyboard, key, down);
}

int desk_point(struct desk *d, const struct mouse_event *event, struct err *err)
{
	return mouse_move(&d->mouse, event, err);
}

/* ---- eyes ------------------------------------------------------------------------------------ */

static int write_all(int fd, const void *bytes, size_t size)
{
	const u8 *at = bytes;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int desk_picture(struct desk *d, int fd, struct err *err)
{
	const struct video_mode *mode = d->has_video ? video_mode(&d->video) : NULL;
	struct worker_picture picture;
	u32 line[VIDEO_MAX_WIDTH];
	int r;

	if (!mode) {
		err_set(err, -ENODEV,
			d->has_video ? "the guest shows no screen (yet)"
				     : "the VM has no screen");
		return err_fix(err, d->has_video ? "wait until its driver has come up; "
						   "on "
						   "Linux the module is hyperv_fb or "
						   "hyperv_drm"
						 : "start it with --video-memory 8M");
	}
	picture = (struct worker_picture){ mode->width, mode->height };
	r = write_all(fd, &picture, sizeof picture);
	for (u32 y = 0; r == 0 && y < mode->height; y++) {
		r = video_line(&d->video, y, line);
		if (r == 0)
			r = write_all(fd, line, mode->width * sizeof line[0]);
	}
	return r < 0 ? err_set(err, r, "the picture cannot be taken: %s", err_words(r))
		     : 0;
}

bool desk_size(const struct desk *d, u32 *ret_width, u32 *ret_height)
{
	const struct video_mode *mode = d->has_video ? video_mode(&d->video) : NULL;

	if (!mode)
		return false;
	*ret_width = mode->width;
	*ret_height = mode->height;
	return true;
}

int desk_line(const struct desk *d, u32 y, u32 *ret_pixels)
{
	return d->has_video ? video_line(&d->video, y, ret_pixels) : -ENODEV;
}

bool desk_take_dirt(struct desk *d, struct picture_area *ret_area)
{
	struct video_area area;

	if (!d->has_video || !video_take_dirt(&d->video, &area))
		return false;
	*ret_area = (struct picture_area){ area.x, area.y, area.width, area.height };
	return true;
}

void desk_watch(struct desk *d, bool on)
{
	if (d->has_video)
		video_watch(&d->video, on);
}

/* ---- resets, state --------------------------------------------------------------------------- */

void desk_reset(struct desk *d)
{
	if (d->has_video)
		video_reset(&d->video);
}

void desk_pause(struct desk *d)
{
	keyboard_pause(&d->keyboard);
	mouse_pause(&d->mouse);
}

void desk_resume(struct desk *d)
{
	keyboard_resume(&d->keyboard);
	mouse_resume(&d->mouse);
}

void desk_save(const struct desk *d, struct state_writer *w)
{
	keyboard_save(&d->keyboard, w);
	mouse_save(&d->mouse, w);
	if (d->has_video)
		video_save(&d->video, w);
}

int desk_restore(struct desk *d, const u8 *bytes, size_t size)
{
	int r = keyboard_restore(&d->keyboard, bytes, size);

	if (r == 0)
		r = mouse_restore(&d->mouse, bytes, size);
	if (r == 0 && d->has_video)
		r = video_restore(&d->video, bytes, size);
	return r;
}

void desk_inspect(const struct desk *d, struct inspect *out)
{
	keyboard_inspect(&d->keyboard, out);
	mouse_inspect(&d->mouse, out);
	if (d->has_video)
		video_inspect(&d->video, out);
}
