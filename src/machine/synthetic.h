/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's VMBus with what hangs on it: integration components, dynamic memory, screen, keyboard and
 * mouse, SCSI controllers and their disks, network adapters.
 *
 *	1. synthetic_new	outside the jail: descriptors of its own
 *	2. synthetic_start	inside, before the loop's thread filters itself: the disks' threads
 *	3. synthetic_open	the images are parsed
 *	4. synthetic_connect	hv is there, the guest does not run yet
 *	5. synthetic_change_disk	any time; see disks.h
 *	   synthetic_components	what the guest is asked for; see vsp/ic/components.h
 *	   synthetic_desk	its screen, keyboard and mouse; see desk.h
 *	   synthetic_screen	for who looks at it all the time; see screen.h
 *	6. synthetic_stop, synthetic_reset: at a reset of the guest, which stands
 *	   or synthetic_pause, synthetic_save; then elsewhere 1 to 4, synthetic_restore and _resume
 *	7. synthetic_quiet, synthetic_free: closes the disks
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "machine/disks.h"

struct balloon;
struct components;
struct desk;
struct screen;
struct guest_memory;
struct loop;
struct nics;
struct state_writer;
struct scsi_unit;
struct synthetic;
struct worker_config;
struct worker_end;

struct synthetic_parts {
	const struct worker_config *config; /* checked; outlives us */
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop;
	struct pci_bus *pci; /* for the video function; its state goes with ours */
	u8 *vram;	     /* mapped */
	u32 video_slot;	     /* of the wall, for the frame buffer */
	u32 window_slot;     /* for VGA's window */
	const int *image_fd; /* config->image_count of them; ours from synthetic_new on */
	const int *nic_fd;   /* config->nic_count of them, the same */
	/* Each thread of the disks, before its first work. */
	int (*enter_thread)(void *owner);
	int (*enter_nbd_thread)(void *owner);
	void (*ejected)(void *owner, u32 controller, u32 lun); /* disks.h; NULL is fine */
	/* disks.h; of machine, NULL: there is no IDE */
	int (*attach_ide)(void *machine, unsigned channel, unsigned drive,
			  struct scsi_unit *unit, struct err *err);
	void (*guest_reset)(void *owner);    /* desk.h */
	void (*memory_changed)(void *owner); /* vsp/balloon/balloon.h; NULL is fine */
	void *owner;
	/* vsp/balloon/balloon.h: the machine's */
	bool (*map_high)(void *machine, u64 high);
	void *machine;
};

int synthetic_new(const struct synthetic_parts *parts, struct synthetic **ret_synthetic,
		  struct err *err) MUST_CHECK;
void synthetic_free(struct synthetic *synthetic);

int synthetic_start(struct synthetic *synthetic, struct err *err) MUST_CHECK;
int synthetic_open(struct synthetic *synthetic, struct err *err) MUST_CHECK;
int synthetic_connect(struct synthetic *synthetic, struct err *err) MUST_CHECK;

/* done is called when no device reaches for guest memory any more; maybe from inside. */
void synthetic_stop(struct synthetic *synthetic, void (*done)(void *owner), void *owner);
void synthetic_reset(struct synthetic *synthetic);
/* The same, and no change of a disk is under way any more. */
void synthetic_quiet(struct synthetic *synthetic, void (*done)(void *owner), void *owner);

/* Only where the configuration said that disks may come (hot_disks). */
void synthetic_change_disk(struct synthetic *synthetic,
			   const struct worker_disk_order *order, int *image_fd,
			   disks_done_fn done, void *owner);

/*
 * The guest stands and shall go on elsewhere, or here: done is called when nothing is under way any
 * more, perhaps from inside; then its state may be saved. resume: it goes on, and has just been told
 * to, so that the time that it is sent is its own.
 */
void synthetic_pause(struct synthetic *synthetic, void (*done)(void *owner), void *owner);
void synthetic_resume(struct synthetic *synthetic);
int synthetic_save(const struct synthetic *synthetic, struct state_writer *writer,
		   struct err *err) MUST_CHECK;
/*
 * After synthetic_connect, and nothing of the guest has run: first its memory, then hv's blocks are given,
 * then the rest.
 */
int synthetic_restore_memory(struct synthetic *synthetic, const u8 *bytes, size_t size,
			     struct err *err) MUST_CHECK;
int synthetic_restore(struct synthetic *synthetic, const u8 *bytes, size_t size,
		      struct err *err) MUST_CHECK;

struct desk *synthetic_desk(struct synthetic *synthetic);
struct screen *synthetic_screen(struct synthetic *synthetic);
struct components *synthetic_components(struct synthetic *synthetic);
struct balloon *synthetic_balloon(struct synthetic *synthetic);
struct nics *synthetic_nics(struct synthetic *synthetic); /* see nics.h */

/* hv has room for messages again, perhaps. */
void synthetic_flush(struct synthetic *synthetic);
void synthetic_inspect(const struct synthetic *synthetic, struct inspect *out);
