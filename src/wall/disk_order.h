/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tabique-disk is asked to do, and what it says: messages over the socket at OWNER_FD of a
 * process that lives for one order.
 *
 *	owner -> disk	DISK_ORDER with the image's descriptor; for what has a target (create, convert)
 *			the target's behind it
 *	disk -> owner	DISK_NEED_PARENT: the names that the last image gives for its parent
 *	owner -> disk	DISK_PARENT with its descriptor: as often as the chain is deep
 *	disk -> owner	DISK_PROGRESS, DISK_FINDING, DISK_FACTS; at the end DISK_DONE or DISK_FAILED
 *
 * Paths never travel: names are for messages. The owner checks a parent's names, which are hostile
 * text, before it opens anything; the disk's end checks that it got the right image.
 */
#pragma once

#include "base/disk_format.h"
#include "base/err.h"
#include "base/types.h"

#define DISK_ORDER_VERSION 2u
#define DISK_ORDER_NAME 1024 /* as DISK_NAME_SIZE */

enum disk_order_verb {
	DISK_VERB_CREATE, /* target; with a chain: differencing */
	DISK_VERB_FACTS,  /* of the image alone, no parent is asked for */
	DISK_VERB_CHECK,
	DISK_VERB_CONVERT, /* chain into target */
	DISK_VERB_RESIZE,
	DISK_VERB_MERGE, /* image into its parent */
};

enum disk_order_type { DISK_TYPE_FIXED, DISK_TYPE_DYNAMIC, DISK_TYPE_DIFFERENCING };

enum disk_message_kind {
	DISK_ORDER,
	DISK_NEED_PARENT,
	DISK_PARENT,
	DISK_PROGRESS,
	DISK_FINDING,
	DISK_FACTS,
	DISK_DONE,
	DISK_FAILED,
};

struct disk_image_name {
	char name[DISK_ORDER_NAME];
	u32 format; /* enum disk_format */
	u32 device_block;
	u32 nbd; /* the descriptor is a socket to an NBD server */
	char nbd_export[DISK_EXPORT_SIZE];
};

struct disk_order {
	u32 version;
	u32 verb;
	u32 uid, jail_flags;
	u32 has_source, has_target;
	u32 type; /* enum disk_order_type */
	u32 repair;
	u64 size;
	u32 block_size, logical_block;
	struct disk_image_name source, target;
	/* create differencing: how the parent is found from the child's place */
	char parent_relative[DISK_ORDER_NAME], parent_absolute[DISK_ORDER_NAME];
};

struct disk_need_parent {
	char relative[DISK_ORDER_NAME], absolute[DISK_ORDER_NAME];
};

struct disk_facts {
	u32 format, type; /* enum disk_format, enum disk_order_type */
	u64 size, block_size, file_size;
	u32 logical_block, physical_block;
	u8 id[16];
	char relative[DISK_ORDER_NAME], absolute[DISK_ORDER_NAME]; /* of the parent */
};

struct disk_message {
	u32 kind;
	u32 error; /* DISK_FINDING: bytes may be lost */
	union {
		struct disk_order order;
		struct disk_need_parent need;
		struct disk_image_name parent;
		struct disk_facts facts;
		struct {
			u64 done, total;
		} progress;
		char text[ERR_TEXT_SIZE];
		struct {
			s32 code;
			char text[ERR_TEXT_SIZE], fix[ERR_FIX_SIZE];
		} failed;
	} u;
};
