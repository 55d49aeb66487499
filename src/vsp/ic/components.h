/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The integration components of a machine, all of them together.
 *
 *	1. components_new	offers them, in an order that stays
 *	2. components_due	at the time that wake_at was told last
 *	3. shutdown_ask, kvp_list and so on, with what is inside: any time; each component does one
 *	   thing at a time
 *	4. components_pause, components_save; elsewhere components_restore and components_resume,
 *	   or here components_resume
 *	5. components_free	the channels are closed; who still waits is not answered
 *
 * Thread: the loop's.
 */
#pragma once

#include "vsp/ic/fcopy.h"
#include "vsp/ic/heartbeat.h"
#include "vsp/ic/kvp.h"
#include "vsp/ic/shutdown.h"
#include "vsp/ic/timesync.h"
#include "vsp/ic/vss.h"

#define COMPONENTS 6

struct components_config {
	struct vmbus_server *server;
	const struct clock *clock;
	struct loop *loop; /* for descriptors that are read */
	/* Call components_due at that time of the clock, and not before; UINT64_MAX: never. */
	void (*wake_at)(void *owner, u64 when_ns);
	/* The guest's reference time, in 100 ns; false: it cannot be had. */
	bool (*reference_time)(void *owner, u64 *ret_time);
	void *owner;
};

struct components {
	struct components_config config;
	struct ic_host host;
	struct heartbeat heartbeat;
	struct shutdown shutdown;
	struct timesync timesync;
	struct kvp kvp;
	struct vss vss;
	struct fcopy fcopy;
	struct ic_channel *channel[COMPONENTS]; /* in the order of the offers */
};

int components_new(const struct components_config *config,
		   struct components **ret_components) MUST_CHECK;
void components_free(struct components *components);
void components_due(struct components *components);

/* The guest stands: nothing is put into its rings until it goes on, here or elsewhere. */
void components_pause(struct components *components);
void components_resume(struct components *components);
/* After vmbus_server_save and _restore. */
void components_save(const struct components *components, struct state_writer *writer);
int components_restore(struct components *components, const u8 *bytes, size_t size)
	MUST_CHECK;

void components_inspect(const struct components *components, struct inspect *out);
