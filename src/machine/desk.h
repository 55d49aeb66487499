/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on a person's desk: screen, keyboard and mouse of a machine, each a synthetic device, and
 * the video function on the PCI bus, which says where the frame buffer lies.
 *
 *	1. desk_new		offers the devices, adds the function to the bus
 *	2. desk_connect		hv is there: VRAM is mapped where the bus says
 *	3. desk_due		at the time that wake_at was told last
 *	4. desk_type, desk_press, desk_point, desk_picture: any time
 *	5. desk_pause, desk_save; elsewhere desk_restore and desk_resume, or here desk_resume
 *	6. desk_reset at a reset of the guest, whose channels are closed
 *	7. desk_free
 *
 * Thread: the loop's.
 */
#pragma once

#include "board/pci.h"
#include "console/picture.h"
#include "vsp/keyboard.h"
#include "vsp/mouse.h"
#include "vsp/video.h"

struct worker_end;

struct desk_config {
	struct vmbus_server *server;
	struct guest_memory *gm;
	const struct clock *clock;
	struct pci_bus *pci;
	u8 *vram;      /* mapped */
	u64 vram_size; /* of the frame buffer; less than VIDEO_MIN_VRAM: no screen */
	/* With a BIOS: VGA, its text piece behind the frame buffer, and PS/2 (pc_desk.h). */
	bool pc;
	struct worker_end *end;
	u32 window_slot;
	void (*reset)(void *owner); /* the guest resets the machine by its keyboard */
	int (*map)(void *owner, gpa_t gpa); /* see video.h */
	/* The screen has changed, or what is on it; the keyboard's leds have. */
	void (*changed)(void *owner);
	void (*leds)(void *owner, u16 leds);
	/* Call desk_due at that time of the clock, and not before; UINT64_MAX: never. */
	void (*wake_at)(void *owner, u64 when_ns);
	void *owner;
};

struct desk;

int desk_new(const struct desk_config *config, struct desk **ret_desk) MUST_CHECK;
void desk_free(struct desk *desk);
int desk_connect(struct desk *desk, struct err *err) MUST_CHECK;
void desk_due(struct desk *desk);

/*
 * Type a text on a layout (console/layout.h), or press keys by their names. done is called once, perhaps
 * from inside, when the guest has read all of it; r < 0: err says why not.
 */
void desk_type(struct desk *desk, const char *layout, const char *text,
	       keyboard_done_fn done, void *owner);
void desk_press(struct desk *desk, const char *keys, keyboard_done_fn done, void *owner);
/* A key goes down or up under somebody's finger. */
void desk_hold(struct desk *desk, u16 key, bool down);
int desk_point(struct desk *desk, const struct mouse_event *event, struct err *err)
	MUST_CHECK;

/*
 * The screen as it is now, written into a descriptor (struct worker_picture). -ENODEV: there is none (yet).
 */
int desk_picture(struct desk *desk, int fd, struct err *err) MUST_CHECK;
/* The text of a text mode's screen, in UTF-8. -ENODEV: it shows none. */
int desk_text(struct desk *desk, int fd, struct err *err) MUST_CHECK;

/* The same for who looks all the time; as in console/picture.h. */
bool desk_size(const struct desk *desk, u32 *ret_width, u32 *ret_height);
int desk_line(const struct desk *desk, u32 y, u32 *ret_pixels) MUST_CHECK;
bool desk_take_dirt(struct desk *desk, struct picture_area *ret_area);
void desk_watch(struct desk *desk, bool on);

void desk_reset(struct desk *desk);
void desk_pause(struct desk *desk);
void desk_resume(struct desk *desk);
void desk_save(const struct desk *desk, struct state_writer *writer);
int desk_restore(struct desk *desk, const u8 *bytes, size_t size) MUST_CHECK;
void desk_inspect(const struct desk *desk, struct inspect *out);
