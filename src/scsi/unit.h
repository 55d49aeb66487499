/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A logical unit: a disk or a DVD drive that executes SCSI commands on a disk (disk/disk.h). It
 * knows no transport: storvsp and the ATAPI drive hand it commands and get back status, sense and
 * how much data moved.
 *
 *	1. scsi_unit_new
 *	2. scsi_unit_execute, any number at a time
 *	3. scsi_unit_free	when nothing is in flight
 *
 * What the guest may know of the disk's state: a change of size, of the medium, a reset, are told
 * as unit attentions with the next command.
 *
 * Everything on the loop's thread. Data of commands that are parsed (UNMAP, PERSISTENT RESERVE OUT)
 * is copied once before it is looked at: the guest may change it meanwhile.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "scsi/command.h"

/* What one UNMAP may name, and how much one WRITE SAME may write. */
#define SCSI_MAX_UNMAP_DESCRIPTORS 256
#define SCSI_MAX_WRITE_SAME_BYTES (32u << 20)
#define SCSI_MAX_ATTENTIONS 4

struct scsi_unit_config {
	bool dvd;
	struct disk *disk; /* DVD: NULL where the drive is empty. Stays the caller's */
	u8 id[16]; /* for a disk without one of its own; stable over the VM's life */
};

/* Registrations and the one reservation; there is one initiator: the VM. */
struct scsi_reservation {
	u64 key; /* 0: not registered */
	u32 generation;
	bool held;
	u8 type;
};

struct scsi_unit_counters {
	u64 commands, reads, writes, flushes, unmaps, failures;
	u64 read_bytes, written_bytes;
};

struct scsi_unit {
	bool dvd;
	struct disk *disk;
	u8 id[16];
	unsigned in_flight;
	u16 attention[SCSI_MAX_ATTENTIONS]; /* oldest first */
	unsigned attention_count;
	struct scsi_reservation reservation;
	/* DVD */
	bool tray_locked;
	u8 media_event; /* for GET EVENT STATUS: 0 none, 2 new medium, 3 removed */
	/* The guest pressed eject; NULL: it stays. */
	void (*on_eject)(void *owner, struct scsi_unit *unit);
	void *owner;
	/* a change of the medium that waits for commands to end */
	struct disk *next_medium;
	void (*medium_done)(void *owner); /* NULL: none */
	void *medium_owner;
	struct scsi_unit_counters counters;
	/* a change of size that is under way */
	struct disk_request resize;
	void (*resize_done)(void *owner, int r);
	void *resize_owner;
	struct err resize_err; /* why it failed, in done() */
};

int scsi_unit_new(const struct scsi_unit_config *config, struct scsi_unit **ret_unit)
	MUST_CHECK;
void scsi_unit_free(struct scsi_unit *unit);

void scsi_unit_execute(struct scsi_unit *unit, struct scsi_command *command);

/* Tell the guest with its next command; one of a kind waits at a time. */
void scsi_unit_attention(struct scsi_unit *unit, u16 additional_sense);
/*
 * The disk shall have another size (0: look how large the file or device is now); it serves
 * commands meanwhile. The guest hears of it with its next command. done: 0 or a negative errno;
 * not called from inside. -EBUSY: one is under way; -EINVAL: a DVD drive.
 */
int scsi_unit_resize(struct scsi_unit *unit, u64 size, void (*done)(void *owner, int r),
		     void *owner) MUST_CHECK;
/*
 * Another medium or none (NULL), as soon as nothing is in flight; what the guest asks of the medium
 * until then it is told to ask again. The guest hears of it by unit attention and media event. done
 * may be called from inside, the old medium is nobody's then but its opener's. A DVD drive's, and
 * one change at a time.
 */
void scsi_unit_set_medium(struct scsi_unit *unit, struct disk *disk,
			  void (*done)(void *owner), void *owner);
/* What lies in a DVD drive is not what the guest thinks: it hears so. */
void scsi_unit_other_medium(struct scsi_unit *unit);
/* Bus or unit reset by the guest: reservations of the old kind go, and it hears of it. */
void scsi_unit_reset(struct scsi_unit *unit);

/*
 * State: reservation, unit attentions, tray. place tells units apart; restore finds its own among the
 * records and leaves a unit without one alone. A disk of another size, which in a drive is another medium,
 * is told to the guest. -EBUSY
 * while commands are under way; -EPROTO: no such state, or it had a medium and here is none.
 */
struct state_writer;
int scsi_unit_save(const struct scsi_unit *unit, u32 place, struct state_writer *writer)
	MUST_CHECK;
int scsi_unit_restore(struct scsi_unit *unit, u32 place, const u8 *bytes, size_t size)
	MUST_CHECK;

void scsi_unit_inspect(const struct scsi_unit *unit, const char *branch,
		       struct inspect *out);
