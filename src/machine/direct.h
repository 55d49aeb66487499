/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine, which starts a kernel without firmware or (config->bios) firmware that finds its own:
 * RAM, hv's chips, ACPI, fw_cfg, the board of gen1.h where there is firmware, the VMBus with integration components, SCSI controllers and network adapters, and test devices where they are asked for.
 *
 *	1. direct_new		makes the parts; outside the jail
 *	2. direct_start		inside, before the loop's thread takes its list of system calls
 *	3. direct_load		checks the images, loads the guest into RAM: hv is not needed yet
 *	4. direct_power_on	tells hv everything and runs the guest
 *	5. direct_reset		any number of times: stops, loads again, runs
 *	6. direct_quiet		no device reaches for guest memory or a disk any more
 *	7. direct_free		closes the disks
 *
 * A guest that goes on elsewhere: direct_save; there direct_restore and direct_resume in place of 3
 * and 4. One that only stands for a while: direct_pause and direct_resume.
 *
 * Thread: loop thread.
 */
#pragma once

#include "base/err.h"
#include "machine/disks.h"

struct balloon;
struct components;
struct desk;
struct screen;
struct direct;
struct guest_memory;
struct loop;
struct nics;
struct worker_config;
struct worker_end;

struct direct_parts {
	const struct worker_config *config; /* checked; outlives the machine */
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop;
	u8 *rom;  /* the ROM region, mapped */
	u8 *vram; /* the VRAM region, mapped */
	int kernel_fd;
	const int *module_fd; /* config->module_count of them */
	const int *
		image_fd; /* config->image_count of them; the machine's from direct_new on */
	const int *nic_fd; /* config->nic_count of them, the same; -1: no port */
	/* What each thread of the disks does first. */
	int (*enter_thread)(void *owner);
	int (*enter_nbd_thread)(void *owner);
	void (*ejected)(void *owner, u32 controller, u32 lun); /* disks.h; NULL is fine */
	void (*guest_reset)(
		void *owner); /* the guest resets the machine by its keyboard */
	void (*memory_changed)(void *owner); /* vsp/balloon/balloon.h; NULL is fine */
	void *owner;
};

int direct_new(const struct direct_parts *parts, struct direct **ret_machine,
	       struct err *err) MUST_CHECK;
void direct_free(struct direct *machine);

int direct_start(struct direct *machine, struct err *err) MUST_CHECK;
int direct_load(struct direct *machine, struct err *err) MUST_CHECK;
int direct_power_on(struct direct *machine, struct err *err) MUST_CHECK;
/*
 * done is called, perhaps from inside, when the guest runs anew; r < 0: it does not, and err says
 * why. What is asked meanwhile is the same reset.
 */
void direct_reset(struct direct *machine,
		  void (*done)(void *owner, int r, const struct err *err), void *owner);
void direct_quiet(struct direct *machine, void (*done)(void *owner), void *owner);

/*
 * Stop the guest where it is and take all that it is (blocks.h). done is called once, perhaps from
 * inside; r < 0: nothing was taken. ret_blocks NULL: it only stands (direct_pause). direct_resume: it
 * goes on, and is told what time it is.
 */
struct machine_blocks;
void direct_save(struct direct *machine, struct machine_blocks *ret_blocks,
		 void (*done)(void *owner, int r, const struct err *err), void *owner);
int direct_resume(struct direct *machine, struct err *err) MUST_CHECK;
static inline void direct_pause(struct direct *machine,
				void (*done)(void *owner, int r, const struct err *err),
				void *owner)
{
	direct_save(machine, NULL, done, owner);
}
/* In place of load and power_on. The guest stands until direct_resume. */
int direct_restore(struct direct *machine, const struct machine_blocks *blocks,
		   struct err *err) MUST_CHECK;

/* hv rang: it may have room for messages again. */
void direct_flush(struct direct *machine);
/* A disk comes, grows or leaves (disks.h), from direct_load on. */
void direct_change_disk(struct direct *machine, const struct worker_disk_order *order,
			int *image_fd, disks_done_fn done, void *owner);
/* What the guest can be asked for; see vsp/ic/components.h. */
struct components *direct_components(struct direct *machine);
/* How much memory it has, and shall have; see vsp/balloon/balloon.h. */
struct balloon *direct_balloon(struct direct *machine);
struct nics *direct_nics(struct direct *machine); /* see nics.h */
/* Screen, keyboard, mouse; see machine/desk.h. */
struct desk *direct_desk(struct direct *machine);
/* Who looks at it all the time; see machine/screen.h. */
struct screen *direct_screen(struct direct *machine);
void direct_inspect(const struct direct *machine, struct inspect *out);

/* What was loaded: "Linux", "multiboot", "PVH". */
const char *direct_kernel_kind(const struct direct *machine);
