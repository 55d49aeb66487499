/* SPDX-License-Identifier: Apache-2.0 */
/* Screen, keyboard and mouse; see desk.h. */
#include "machine/desk.h"

#include <errno.h>

#include "abi/board.h"
#include "console/layout.h"
#include "machine/pc_desk.h"
#include "wall/worker_config.h"

/* Of a screen; what is larger is not read. */
#define DESK_TEXT (64u << 10)

struct desk {
	struct desk_config config;
	struct keyboard keyboard;
	struct mouse mouse;
	bool has_video;
	struct video video;
	struct pci_function function; /* of the video, on the bus */
	struct pc_desk *pc;	      /* NULL: no BIOS, or no screen */
};

/* ---- time ------------------------------------------------------------------------------------ */

static void on_wake(void *owner)
{
	struct desk *d = owner;

	d->config.wake_at(d->config.owner,
			  min_u64(keyboard_when(&d->keyboard),
				  d->pc ? pc_desk_when(d->pc) : UINT64_MAX));
}

void desk_due(struct desk *d)
{
	keyboard_due(&d->keyboard);
	if (d->pc)
		pc_desk_due(d->pc);
	on_wake(d);
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

static void on_reset(void *owner)
{
	struct desk *d = owner;

	d->config.reset(d->config.owner);
}

static int new_pc(struct desk *d)
{
	const struct pc_desk_config config = {
		.end = d->config.end,
		.clock = d->config.clock,
		.vram = d->config.vram,
		.frame_size = (u32)d->config.vram_size,
		.slot = d->config.window_slot,
		.reset = on_reset,
		.changed = on_changed,
		.leds = on_leds,
		.wake = on_wake,
		.owner = d,
	};

	return pc_desk_new(&config, &d->pc);
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
	if (r == 0 && config->pc && d->has_video)
		r = new_pc(d);
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
	pc_desk_free(d->pc);
	keyboard_done(&d->keyboard);
	if (d->has_video)
		video_done(&d->video);
	free(d);
}

int desk_connect(struct desk *d, struct err *err)
{
	if (d->has_video)
		on_config(d, &d->function, 0, PCI_CONFIG_SIZE);
	return d->pc ? pc_desk_connect(d->pc, err) : 0;
}

/* ---- hands ----------------------------------------------------------------------------------- */

/* Is it the synthetic one that the guest listens to? Before its driver has come, PS/2's it is. */
static bool types_synthetic(const struct desk *d)
{
	return !d->pc || d->keyboard.state == KEYBOARD_READY;
}

/* Strokes of a request; count < 0: there are none, and err says why. */
static void strike(struct desk *d, const struct stroke *strokes, int count,
		   const struct err *err, keyboard_done_fn done, void *owner)
{
	if (count < 0)
		done(owner, count, err);
	else if (types_synthetic(d))
		keyboard_type(&d->keyboard, strokes, (unsigned)count, done, owner);
	else
		pc_desk_type(d->pc, strokes, (unsigned)count, done, owner);
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
	if (types_synthetic(d))
		keyboard_hold(&d->keyboard, key, down);
	else
		pc_desk_hold(d->pc, key, down);
}

int desk_point(struct desk *d, const struct mouse_event *event, struct err *err)
{
	if (!d->pc || d->mouse.state == MOUSE_READY)
		return mouse_move(&d->mouse, event, err);
	pc_desk_point(d->pc, event->x, event->y, MOUSE_MOST, event->wheel,
		      event->buttons);
	return 0;
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

static int no_screen(const struct desk *d, struct err *err)
{
	err_set(err, -ENODEV,
		d->has_video ? "the guest shows no screen (yet)"
			     : "the VM has no screen");
	return err_fix(err, d->has_video ? "wait until its driver has come up; on Linux "
					   "the module is hyperv_fb or hyperv_drm"
					 : "start it with --video-memory 8M");
}

/* VGA's picture is seen until the guest's driver shows its own. */
static bool shows_pc(const struct desk *d)
{
	return d->pc && !video_mode(&d->video);
}

int desk_picture(struct desk *d, int fd, struct err *err)
{
	struct worker_picture picture;
	u32 line[PICTURE_MOST];
	int r;

	if (!desk_size(d, &picture.width, &picture.height))
		return no_screen(d, err);
	r = write_all(fd, &picture, sizeof picture);
	for (u32 y = 0; r == 0 && y < picture.height; y++) {
		r = desk_line(d, y, line);
		if (r == 0)
			r = write_all(fd, line, picture.width * sizeof line[0]);
	}
	return r < 0 ? err_set(err, r, "the picture cannot be taken: %s", err_words(r))
		     : 0;
}

int desk_text(struct desk *d, int fd, struct err *err)
{
	AUTO_FREE char *text = malloc(DESK_TEXT);
	int r;

	if (!text)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	if (!shows_pc(d) || !pc_desk_text(d->pc, text, DESK_TEXT)) {
		err_set(err, -ENODEV, "the guest's screen is in no text mode");
		return err_fix(err, "take a picture of it: tabique vm screenshot -f "
				    "FILE.png");
	}
	r = write_all(fd, text, strlen(text));
	return r < 0 ? err_set(err, r, "the text cannot be taken: %s", err_words(r)) : 0;
}

bool desk_size(const struct desk *d, u32 *ret_width, u32 *ret_height)
{
	const struct video_mode *mode = d->has_video ? video_mode(&d->video) : NULL;

	if (shows_pc(d))
		return pc_desk_size(d->pc, ret_width, ret_height);
	if (!mode)
		return false;
	*ret_width = mode->width;
	*ret_height = mode->height;
	return true;
}

int desk_line(const struct desk *d, u32 y, u32 *ret_pixels)
{
	if (shows_pc(d))
		return pc_desk_line(d->pc, y, ret_pixels);
	return d->has_video ? video_line(&d->video, y, ret_pixels) : -ENODEV;
}

bool desk_take_dirt(struct desk *d, struct picture_area *ret_area)
{
	struct video_area area;

	if (shows_pc(d))
		return pc_desk_take_dirt(d->pc, ret_area);
	if (!d->has_video || !video_take_dirt(&d->video, &area))
		return false;
	*ret_area = (struct picture_area){ area.x, area.y, area.width, area.height };
	return true;
}

void desk_watch(struct desk *d, bool on)
{
	if (d->has_video)
		video_watch(&d->video, on);
	if (d->pc)
		pc_desk_watch(d->pc, on);
}

/* ---- resets, state --------------------------------------------------------------------------- */

void desk_reset(struct desk *d)
{
	if (d->has_video)
		video_reset(&d->video);
	if (d->pc)
		pc_desk_reset(d->pc);
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
	if (d->pc)
		pc_desk_save(d->pc, w);
}

int desk_restore(struct desk *d, const u8 *bytes, size_t size)
{
	int r = keyboard_restore(&d->keyboard, bytes, size);

	if (r == 0)
		r = mouse_restore(&d->mouse, bytes, size);
	if (r == 0 && d->has_video)
		r = video_restore(&d->video, bytes, size);
	if (r == 0 && d->pc)
		r = pc_desk_restore(d->pc, bytes, size);
	return r;
}

void desk_inspect(const struct desk *d, struct inspect *out)
{
	keyboard_inspect(&d->keyboard, out);
	mouse_inspect(&d->mouse, out);
	if (d->has_video)
		video_inspect(&d->video, out);
	if (d->pc)
		pc_desk_inspect(d->pc, out);
}
