/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Persistent reservations (SPC-4, 5.13). A unit has one initiator, the VM: a reservation never keeps
 * anybody out, but cluster software in a guest checks that registering, reserving and releasing
 * behave.
 */
#include "scsi/execute.h"

enum { IN_KEYS, IN_RESERVATION, IN_CAPABILITIES, IN_FULL_STATUS };
enum {
	OUT_REGISTER,
	OUT_RESERVE,
	OUT_RELEASE,
	OUT_CLEAR,
	OUT_PREEMPT,
	OUT_PREEMPT_AND_ABORT,
	OUT_REGISTER_AND_IGNORE,
};

static bool good_type(u8 type)
{
	return type == 1 || type == 3 || (type >= 5 && type <= 8);
}

void scsi_persistent_in(struct scsi_unit *unit, struct scsi_command *c)
{
	const struct scsi_reservation *r = &unit->reservation;
	u32 allocation = be16_at(c->cdb + 7);
	u8 data[64] = { 0 };
	u32 size = 8;

	be32_put(data, r->generation);
	switch (c->cdb[1] & 0x1f) {
	case IN_KEYS:
		if (r->key) {
			be64_put(data + 8, r->key);
			size = 16;
		}
		be32_put(data + 4, size - 8);
		break;
	case IN_RESERVATION:
		if (r->held) {
			be64_put(data + 8, r->key);
			data[21] = r->type;
			size = 24;
		}
		be32_put(data + 4, size - 8);
		break;
	case IN_CAPABILITIES:
		be32_put(data, 0);
		be16_put(data, 8);
		data[3] = 0x80;		    /* the type mask is valid */
		be16_put(data + 4, 0xea01); /* all six types */
		break;
	case IN_FULL_STATUS:
		if (r->key) {
			be64_put(data + 8, r->key);
			data[20] = r->held ? 1 : 0;
			data[21] = r->held ? r->type : 0;
			be16_put(data + 26, 1); /* relative target port */
			size = 32;
		}
		be32_put(data + 4, size - 8);
		break;
	default:
		scsi_bad_field(c);
		return;
	}
	scsi_reply(c, data, size, allocation);
}

static void give_up(struct scsi_reservation *r)
{
	r->held = false;
	r->type = 0;
}

void scsi_persistent_out(struct scsi_unit *unit, struct scsi_command *c)
{
	struct scsi_reservation *r = &unit->reservation;
	u8 action = c->cdb[1] & 0x1f, type = c->cdb[2] & 0xf, scope = c->cdb[2] >> 4;
	u8 list[24];
	u64 key, new_key;

	if (be32_at(c->cdb + 5) != sizeof list ||
	    scsi_fetch(c, list, sizeof list) < sizeof list) {
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_PARAMETER_LIST_LENGTH);
		return;
	}
	key = be64_at(list);
	new_key = be64_at(list + 8);
	if (action > OUT_REGISTER_AND_IGNORE ||
	    (action == OUT_RESERVE && (!good_type(type) || scope != 0))) {
		scsi_bad_field(c);
		return;
	}
	/* Persistence over power loss, other ports: not offered. */
	if (list[20] & 0x0d) {
		scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD_IN_LIST);
		return;
	}
	/* All but REGISTER of a stranger and REGISTER AND IGNORE need the key that is registered. */
	if (action != OUT_REGISTER_AND_IGNORE && key != r->key) {
		scsi_conflict(c);
		return;
	}
	if (action != OUT_REGISTER_AND_IGNORE && action != OUT_REGISTER && r->key == 0) {
		scsi_conflict(c);
		return;
	}
	switch (action) {
	case OUT_REGISTER:
	case OUT_REGISTER_AND_IGNORE:
		r->key = new_key;
		r->generation++;
		if (new_key == 0)
			give_up(r);
		break;
	case OUT_RESERVE:
		if (r->held && r->type != type) {
			scsi_conflict(c);
			return;
		}
		r->held = true;
		r->type = type;
		break;
	case OUT_RELEASE:
		if (r->held && r->type != type) {
			scsi_fail(c, SENSE_ILLEGAL_REQUEST, ASC_INVALID_RELEASE);
			return;
		}
		give_up(r);
		break;
	case OUT_CLEAR:
		r->key = 0;
		r->generation++;
		give_up(r);
		break;
	case OUT_PREEMPT:
	case OUT_PREEMPT_AND_ABORT:
		/* Nobody else is registered: there is only ourselves to preempt. */
		if (new_key != r->key || !good_type(type)) {
			scsi_conflict(c);
			return;
		}
		r->generation++;
		r->held = true;
		r->type = type;
		break;
	}
	c->moved = sizeof list;
	scsi_good(c);
}
