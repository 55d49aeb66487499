/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hv_storvsc of the mini-guest: initializes a SCSI controller, sends commands with their data in
 * guest pages, waits for answers. And a disk to put behind it.
 */
#pragma once

#include "abi/storvsp.h"
#include "miniguest/miniguest.h"
#include "vsp/storvsp.h"

struct ministor {
	struct mini *mini;
	struct storvsp *storvsp;
	struct disk_pool *pool;
	struct mini_channel channel;
	u64 data_page; /* 257 pages for data */
	u64 transaction;
};

/* A controller on a new mini-guest, no units. */
struct ministor *ministor_new(u16 max_sub_channels);
/* Closes what is open; units and disks made here go too. */
void ministor_free(struct ministor *s);

/* A raw disk in memory. *ret_fd, where not NULL, is another descriptor of it, the caller's. */
struct disk *ministor_disk(struct ministor *s, u64 size, bool read_only, int *ret_fd);
/* A disc, for DVD drives. */
struct disk *ministor_disc(struct ministor *s, u64 size, int *ret_fd);
/* A disk with a unit on it, attached at lun. */
struct scsi_unit *ministor_add(struct ministor *s, unsigned lun, u64 size);

/* Connect, take the offer, open, the protocol's steps; false: some step failed. */
bool ministor_start(struct ministor *s);
/* One packet of the protocol; the answer's status, UINT32_MAX where none came. */
u32 ministor_step(struct ministor *s, u32 operation, struct storvsp_packet *io_packet);

/* What came back of a command. */
struct ministor_result {
	bool answered;
	u8 srb_status, scsi_status;
	u32 moved;
	u8 key;
	u16 additional; /* of the sense data */
};
/*
 * Send a command with the first `size` bytes of the data pages, direction as storvsp has it, and
 * wait for its answer.
 */
struct ministor_result ministor_command(struct ministor *s, u8 lun, const void *cdb,
					u32 cdb_size, u8 data_in, u32 size);
/* Send alone; transaction is what the answer repeats. */
bool ministor_send(struct mini_channel *channel, u64 transaction, u8 lun, const void *cdb,
		   u32 cdb_size, u8 data_in, u64 first_page, u32 size);
/* READ(10) and WRITE(10), up to 1 MiB of the data pages; true where all moved well. */
bool ministor_read(struct ministor *s, u8 lun, u32 lba, u32 size);
bool ministor_write(struct ministor *s, u8 lun, u32 lba, u32 size, bool fua);
bool ministor_flush(struct ministor *s, u8 lun);
u8 *ministor_data(struct ministor *s);
