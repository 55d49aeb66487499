/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's synthetic network adapters: one netvsp (vsp/netvsp/netvsp.h) for each that the
 * configuration names, with the port whose descriptor came with it.
 *
 *	1. nics_new		offers them to the guest
 *	2. nics_link		a cable is pulled or put in, any time
 *	3. nics_reset, or nics_pause, nics_save, and elsewhere nics_restore and nics_resume
 *	4. nics_free		the guest's channels are closed
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "base/inspect.h"
#include "base/types.h"

struct guest_memory;
struct loop;
struct nics;
struct state_writer;
struct vmbus_server;
struct worker_config;

struct nics_config {
	struct loop *loop;
	struct vmbus_server *server;
	struct guest_memory *gm;
	const struct worker_config *config; /* checked */
};
/* fd: config->nic_count of them, -1 where there is none; ours from here on. */
int nics_new(const struct nics_config *config, const int *fd, struct nics **ret_nics,
	     struct err *err) MUST_CHECK;
void nics_free(struct nics *nics);

/* -ENOENT: there is no such adapter, or it never had a port. */
int nics_link(struct nics *nics, u64 nic, bool in, struct err *err) MUST_CHECK;

void nics_reset(struct nics *nics);
/* No frame moves any more; resume: they do again. */
void nics_pause(struct nics *nics);
void nics_resume(struct nics *nics);
int nics_save(const struct nics *nics, struct state_writer *writer) MUST_CHECK;
/* Their guest goes on here after nics_resume; its addresses are announced then. */
int nics_restore(struct nics *nics, const u8 *bytes, size_t size) MUST_CHECK;

/* nic.N */
void nics_inspect(const struct nics *nics, struct inspect *out);
