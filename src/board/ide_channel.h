/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One channel of the IDE controller, as its parts see it (ide.c registers and phases, ide_ata.c and
 * ide_atapi.c commands, ide_dma.c bus master, ide_state.c). Private to this folder.
 *
 *	IDLE --command--> OUT (a packet, data to write) <-> DISK --> IDLE
 *	     \-> DISK <-> IN (data that was read)         --> IDLE
 *	     \-> DMA (for the bus master's start) <-> DISK --> IDLE
 *
 *	NEXT: a disk request that is put off while the controller is paused
 *
 * BSY stands in DISK, NEXT and DMA, DRQ in IN and OUT. A reset of the guest's in DISK waits for the
 * request to end (abandoned); its data goes nowhere.
 */
#pragma once

#include "abi/ata.h"
#include "board/ide.h"
#include "scsi/unit.h"

enum ide_phase { IDE_IDLE, IDE_IN, IDE_OUT, IDE_DISK, IDE_NEXT, IDE_DMA, IDE_PHASES };

/* What the command under way is. */
enum ide_work {
	IDE_NOTHING,
	IDE_ANSWER, /* IN: the buffer, nothing behind it */
	IDE_READ,
	IDE_WRITE,
	IDE_FLUSH,
	IDE_PACKET,	 /* OUT: the packet's bytes */
	IDE_PACKET_DATA, /* the packet's command */
	IDE_WORKS,
};

/* A register as hosts write it: the value before stays readable (HOB), for 48-bit addresses. */
struct ide_pair {
	u8 now, before;
};

struct ide_drive {
	struct scsi_unit *unit; /* NULL: nobody */
	struct ide_pair feature, count, low, mid, high;
	u8 status, error;
	u8 multiple;		   /* sectors of a block; 0: READ MULTIPLE is refused */
	u8 heads, sectors;	   /* as INITIALIZE DEVICE PARAMETERS left them */
	u8 sense[SCSI_SENSE_SIZE]; /* of the last packet that failed */
	bool has_sense;
	struct {
		u64 commands, failures, read_sectors, written_sectors, packets;
	} counts;
};

struct ide_channel {
	struct ide *ide;
	unsigned number;
	struct ide_drive drive[IDE_DRIVES];
	u8 device, control;
	bool irq;

	/* the command under way; of the drive that was selected then */
	enum ide_phase phase;
	enum ide_work work;
	struct ide_drive *worker; /* its drive */
	bool dma, fua;
	u64 sector; /* of the disk, next */
	u32 left;   /* bytes that the disk has yet to move */
	u32 block;  /* bytes a DRQ block */
	u32 at, end,
		size; /* in the buffer: byte, end of the block, end of what is in it */
	u8 cdb[ATA_CDB_SIZE];
	bool reading_cd; /* a packet that goes on by blocks: sector and left count */

	/* the disk's */
	struct disk_request request;
	struct scsi_command command;
	struct iovec iov;
	bool abandoned; /* the guest reset us meanwhile */
	bool starting,
		again; /* ide_start_disk is on the stack, and shall go round once more */

	/* the bus master */
	u8 bm_command, bm_status;
	u32 bm_table;
	/* its walk: the next entry, what is left of the one before */
	u32 bm_next;
	u32 bm_base, bm_left;
	bool bm_last;

	struct {
		u64 interrupts, dma_bytes, pio_bytes, dma_errors;
	} counts;
	u8 *buffer; /* IDE_BUFFER */
};

struct ide {
	struct ide_config config;
	struct ide_channel channel[IDE_CHANNELS];
	bool paused;
	void (*quiet)(void *owner);
	void *quiet_owner;
};

static inline bool ide_is_packet(const struct ide_drive *d)
{
	return d->unit && d->unit->dvd;
}

/* ---- ide.c ---- */
void ide_interrupt(struct ide_channel *c);
/* The command ends: error 0 or bits for the error register. */
void ide_finish(struct ide_channel *c, u8 error);
/* The next DRQ block of the buffer is the guest's. */
void ide_offer(struct ide_channel *c, enum ide_phase phase, bool interrupt);
/* What the command needs of its disk next, as soon as we may; BSY until then. */
void ide_start_disk(struct ide_channel *c);
/* A request has come back. True: the guest, or the machine, wants nothing of it any more. */
bool ide_came_back(struct ide_channel *c);
/* The command has gone on from there: who waits for quiet may hear of it. */
void ide_disk_done(struct ide_channel *c);
void ide_signature(struct ide_drive *d);

/* ---- ide_ata.c ---- */
void ide_ata_command(struct ide_channel *c, u8 command);
void ide_ata_next(struct ide_channel *c); /* the next request of a read, write or flush */
void ide_ata_block_done(struct ide_channel *c); /* the guest took or gave a block */
void ide_ata_set_features(struct ide_channel *c);
/* The words of IDENTIFY that disks and DVD drives have in common, into zeros. */
void ide_identify_drive(u8 *words, const struct ide_drive *d, const char *model);

/* ---- ide_atapi.c ---- */
void ide_atapi_command(struct ide_channel *c, u8 command);
void ide_atapi_next(struct ide_channel *c);
void ide_atapi_block_done(struct ide_channel *c);

/* ---- ide_dma.c ---- */
static inline bool ide_dma_runs(const struct ide_channel *c)
{
	return c->bm_status & BM_STATUS_ACTIVE;
}
/* Move size bytes between buffer and the table's memory. False: the table is bad or too short. */
bool ide_dma_copy(struct ide_channel *c, u32 size, bool to_memory);
void ide_dma_done(struct ide_channel *c);
/* The command waits for the bus master, or goes on where that runs. */
void ide_dma_wait(struct ide_channel *c);
