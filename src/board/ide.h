/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IDE controller of the PIIX4: two channels with two drives each, disks (ATA) and DVD drives
 * (ATAPI), by programmed I/O and by bus master.
 *
 *	1f0-1f7, 3f6	first channel, line 14
 *	170-177, 376	second channel, line 15
 *	BAR4		bus master: command, status, table; eight ports a channel
 *
 *	1. ide_new
 *	2. ide_attach	drives; their units stay the caller's
 *	3. ide_connect	hv is told of the ports
 *	4. ide_pause	before a reset, a save or the end: done() when no disk works for us any more
 *	   ide_reset or ide_save; ide_resume
 *	5. ide_free	paused
 *
 * What a command moves goes through a buffer of the channel, IDE_BUFFER bytes at a time, so a guest
 * can make it neither allocate nor reach anything but RAM: the bus master's table is walked entry
 * by entry as far as the data of one buffer goes, and each entry is copied by wall/guest_memory.h,
 * which knows RAM alone.
 *
 * A command's way (ide_channel.h has the phases):
 *
 *	registers -> command -> [packet] -> disk request <-> buffer <-> DRQ blocks or bus master
 *		  -> status, interrupt
 *
 * Specification: ATA/ATAPI-6, SFF-8020i (packets), SFF-8038i (bus master), Intel 82371AB.
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

#define IDE_CHANNELS 2
#define IDE_DRIVES 2 /* a channel */
#define IDE_BUFFER (128u * 1024)

struct guest_memory;
struct ide;
struct scsi_unit;
struct state_writer;
struct worker_end;

struct ide_config {
	struct guest_memory *gm;
	/* The channel's interrupt line; level. */
	void (*set_line)(void *owner, unsigned channel, bool level);
	void *owner;
};
int ide_new(const struct ide_config *config, struct ide **ret_ide) MUST_CHECK;
void ide_free(struct ide *ide);

/*
 * Before the guest runs. A disk needs sectors of 512 bytes: -EMEDIUMTYPE; -EBUSY: there is one. The
 * unit's medium may change at any time.
 */
int ide_attach(struct ide *ide, unsigned channel, unsigned drive, struct scsi_unit *unit)
	MUST_CHECK;
int ide_connect(struct ide *ide, struct worker_end *end, struct err *err) MUST_CHECK;

/* ---- accesses; hv's arrive by the ranges that ide_connect makes ---- */
u32 ide_read(struct ide *ide, unsigned channel, unsigned reg, unsigned size);
void ide_write(struct ide *ide, unsigned channel, unsigned reg, unsigned size, u32 value);
u8 ide_read_status(struct ide *ide, unsigned channel); /* the alternate one */
void ide_write_control(struct ide *ide, unsigned channel, u8 value);
/* Bus master, offset 0 to 15. */
u32 ide_bm_read(struct ide *ide, unsigned offset, unsigned size);
void ide_bm_write(struct ide *ide, unsigned offset, unsigned size, u32 value);

/* done may be called from inside. Registers may be touched meanwhile; nothing starts. */
void ide_pause(struct ide *ide, void (*done)(void *owner), void *owner);
void ide_resume(struct ide *ide);
/* As at power-on; goes on. */
void ide_reset(struct ide *ide);

/* A record "ide" a channel; paused. Restore: the same drives are attached. -EPROTO. */
void ide_save(const struct ide *ide, struct state_writer *writer);
int ide_restore(struct ide *ide, const u8 *bytes, size_t size) MUST_CHECK;

/* ide.0, ide.0.0 and so on. */
void ide_inspect(const struct ide *ide, struct inspect *out);
