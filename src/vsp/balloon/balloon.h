/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic memory of a machine: the channel to the guest's driver (guest.h), memory that goes back to the
 * host and comes from it, and who decides how much the guest shall have:
 *
 *	held	somebody has said how much (balloon_change with a size); at the start, where the machine
 *		has no dynamic memory, what it started with
 *	else	the policy (policy.h), from what the guest reports
 *
 *	1. balloon_new, which offers it
 *	2. balloon_due at the time that wake_at was told last; balloon_change, balloon_show
 *	3. balloon_reset: the machine begins anew
 *	   or balloon_pause, balloon_save; elsewhere balloon_restore_memory before anything of the
 *	   guest's is looked for in memory, balloon_restore after the VMBus's, balloon_resume
 *	4. balloon_free
 *
 * Memory of the guest that is not there for it is not there for devices either. What is released reads
 * as zeros from then on, in every process.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "base/inspect.h"
#include "state/record.h"
#include "vmbus/server.h"
#include "vsp/balloon/policy.h"

struct balloon;

struct balloon_figures {
	u64 assigned, demand, target; /* bytes; demand 0: not known */
	struct policy_limits limits;
	bool dynamic;	    /* the policy decides */
	const char *status; /* "no driver", "ok", "warning", "low" */
};

struct balloon_config {
	struct vmbus_server *server;
	struct guest_memory *gm; /* with the machine's start in it */
	const struct clock *clock;
	struct policy_limits limits;
	bool dynamic;
	/* Call balloon_due at that time, and not before; UINT64_MAX: never. */
	void (*wake_at)(void *owner, u64 when_ns);
	/* The guest's map ends there now, bytes from GM_HIGH_BASE. False: it cannot be. */
	bool (*map_high)(void *owner, u64 high);
	/* Figures may be others than they were. NULL: nobody looks. */
	void (*changed)(void *owner);
	void *owner;
};

int balloon_new(const struct balloon_config *config, struct balloon **ret_balloon)
	MUST_CHECK;
void balloon_free(struct balloon *balloon);
void balloon_due(struct balloon *balloon);

/* What somebody wants to be otherwise; what is not in the mask stays. */
enum {
	BALLOON_SIZE = 1,
	BALLOON_MIN = 2,
	BALLOON_MAX = 4,
	BALLOON_BUFFER = 8,
	BALLOON_WEIGHT = 16
};
struct balloon_change {
	u32 mask;
	u64 size; /* hold it there; without it the policy decides from now on */
	struct policy_limits limits;
};
/* 0, or the sentence: -EINVAL, -EOPNOTSUPP, -ENOTCONN. The guest gets there by and by. */
int balloon_change(struct balloon *balloon, const struct balloon_change *change,
		   struct err *err) MUST_CHECK;
void balloon_show(const struct balloon *balloon, struct balloon_figures *ret_figures);
/* What the host has left, for policy_target. */
void balloon_set_host_free(struct balloon *balloon, u64 bytes);

/* The channel is closed. */
void balloon_reset(struct balloon *balloon);
/* The guest stands: nothing is put into its ring until it goes on, here or elsewhere. */
void balloon_pause(struct balloon *balloon);
void balloon_resume(struct balloon *balloon);

void balloon_save(const struct balloon *balloon, struct state_writer *writer);
/* A state without dynamic memory in it is one of a guest that has none out. -EPROTO. */
int balloon_restore_memory(struct balloon *balloon, const u8 *bytes, size_t size)
	MUST_CHECK;
int balloon_restore(struct balloon *balloon, const u8 *bytes, size_t size) MUST_CHECK;

/* At branch memory. */
void balloon_inspect(const struct balloon *balloon, struct inspect *out);
