/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command sets of a logical unit share: how a command ends, how data crosses. Private to
 * this folder.
 */
#pragma once

#include "scsi/unit.h"

void scsi_begin(struct scsi_command *c, struct scsi_unit *unit);

/* ---- ends; each calls done() ---- */
void scsi_good(struct scsi_command *c);
void scsi_fail(struct scsi_command *c, enum scsi_sense_key key, u16 additional);
/* ILLEGAL REQUEST, invalid field in CDB. */
void scsi_bad_field(struct scsi_command *c);
void scsi_conflict(struct scsi_command *c);
/* A negative errno of the disk. */
void scsi_disk_failed(struct scsi_command *c, int r);

/* ---- data ---- */
/* Send min(size, allocation, room) bytes and end well. */
void scsi_reply(struct scsi_command *c, const void *bytes, u32 size, u32 allocation);
/* Copy what the initiator sent; returns how much there was, at most size. */
u32 scsi_fetch(const struct scsi_command *c, void *to, u32 size);
/* Make iov exactly size bytes long; false where it is shorter. */
bool scsi_trim_iov(struct scsi_command *c, u32 size);

void scsi_sense_fill(u8 sense[SCSI_SENSE_SIZE], enum scsi_sense_key key, u16 additional);

/* ---- command sets, by file ---- */
void scsi_inquiry(struct scsi_unit *unit, struct scsi_command *c);
void scsi_mode_sense(struct scsi_unit *unit, struct scsi_command *c);
void scsi_mode_select(struct scsi_unit *unit, struct scsi_command *c);

void scsi_read_capacity_10(struct scsi_unit *unit, struct scsi_command *c);
void scsi_service_action_in(struct scsi_unit *unit, struct scsi_command *c);
void scsi_read(struct scsi_unit *unit, struct scsi_command *c);
void scsi_write(struct scsi_unit *unit, struct scsi_command *c);
void scsi_verify(struct scsi_unit *unit, struct scsi_command *c);
void scsi_synchronize(struct scsi_unit *unit, struct scsi_command *c);
void scsi_unmap(struct scsi_unit *unit, struct scsi_command *c);
void scsi_write_same(struct scsi_unit *unit, struct scsi_command *c);

void scsi_persistent_in(struct scsi_unit *unit, struct scsi_command *c);
void scsi_persistent_out(struct scsi_unit *unit, struct scsi_command *c);

void scsi_start_stop(struct scsi_unit *unit, struct scsi_command *c);
void scsi_prevent_allow(struct scsi_unit *unit, struct scsi_command *c);
void scsi_read_toc(struct scsi_unit *unit, struct scsi_command *c);
void scsi_get_configuration(struct scsi_unit *unit, struct scsi_command *c);
void scsi_get_event_status(struct scsi_unit *unit, struct scsi_command *c);
void scsi_read_disc_information(struct scsi_unit *unit, struct scsi_command *c);
