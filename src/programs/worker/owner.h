/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker hears from its owner and tells it. Loop thread. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "wall/worker_config.h"

/* A configuration that was checked, with the descriptors that came with it. */
struct start_order {
	struct worker_config config;
	int fd[WORKER_FD_COUNT]; /* -1 where it did not come */
	int module_fd[WORKER_MAX_MODULES];
	int image_fd[WORKER_MAX_IMAGES];
	int nic_fd[WORKER_MAX_NICS]; /* -1: unplugged */
};

/* Receive and check the first message; descriptors are the caller's then. */
int owner_receive_order(int owner, struct start_order *ret_order, struct err *err)
	MUST_CHECK;

/* What comes later. */
union owner_news {
	struct owner_message message;
	struct worker_disk_order disk;
	struct worker_guest_order guest;
};
/*
 * One message. kind OWNER_DISK or OWNER_GUEST: an order that was checked, and its descriptors in ret_fd,
 * the caller's; -1 elsewhere. -EAGAIN; -EPROTO: it is none, or no good order; anything else: the owner
 * is gone.
 */
int owner_receive_news(int owner, union owner_news *ret_news,
		       int ret_fd[WORKER_MAX_IMAGES]) MUST_CHECK;

/* An owner that is gone is noticed at the next read: sending never fails for the caller. */
void owner_say(int owner, enum owner_kind kind, const char *text);
void owner_say_failed(int owner, const struct err *err);
/* What became of a disk order; err counts where r is negative. */
void owner_say_disk(int owner, u32 id, int r, bool there, u64 size,
		    const struct err *err);
/* What became of an order about the guest. */
void owner_say_guest(int owner, u32 id, int r, const struct err *err);
/* The guest has ejected what was in that drive. */
void owner_say_ejected(int owner, u32 controller, u32 lun);
void owner_say_pair(int owner, u32 id, u32 pool, const char *key, const char *value);
struct balloon_figures;
void owner_say_memory(int owner, const struct balloon_figures *figures);
