/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IDE controller with a disk (channel 0, drive 0) and a DVD drive (channel 1, drive 0) in the memory
 * of a mini-guest; the test is the guest's driver.
 */
#pragma once

#include "abi/ata.h"
#include "board/ide.h"
#include "miniguest/ministor.h"

#define DRIVES_DISK_SIZE (8u << 20)

struct drives {
	struct ministor *stor; /* memory, loop, disks */
	struct ide *ide;
	struct scsi_unit *disk, *dvd;
	struct disk *medium;
	int disk_fd, medium_fd; /* what is on them */
	bool line[IDE_CHANNELS];
	unsigned interrupts[IDE_CHANNELS]; /* times that the line rose */
};

/* medium: bytes of the disc, 0: the drive is empty. */
bool drives_init(struct drives *d, u64 medium);
void drives_done(struct drives *d);

/* Registers of an address of 28 bits, then the command. */
void drives_command(struct drives *d, u8 command, u32 sector, u8 count);
/* 48 bits. */
void drives_command_wide(struct drives *d, u8 command, u64 sector, u16 count);
/* Until BSY goes; the status, which takes the interrupt back. */
u8 drives_wait(struct drives *d, unsigned channel);
/* One DRQ block by the data port, words of 16 bits. */
void drives_in(struct drives *d, unsigned channel, void *to, u32 size);
void drives_out(struct drives *d, unsigned channel, const void *from, u32 size);
/* A packet of the DVD drive up to its first answer; the status. */
u8 drives_packet(struct drives *d, const u8 cdb[ATA_CDB_SIZE], bool dma, u16 limit);
/* The bus master's table (in the guest's page 1) and start. */
void drives_table(struct drives *d, unsigned channel, const struct bm_entry *entry,
		  unsigned count);
void drives_start(struct drives *d, unsigned channel, bool to_memory);
