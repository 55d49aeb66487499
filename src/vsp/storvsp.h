/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic SCSI controller: 64 units on one or more VMBus channels (abi/storvsp.h).
 *
 *	1. storvsp_new		offers itself on the server
 *	2. storvsp_attach, storvsp_detach: any time; a guest that runs looks at the bus again
 *	3. storvsp_free		its channels are closed (vmbus_server_close_all)
 *
 * The primary channel goes through the protocol's steps before it takes requests:
 *
 *	open -> BEGIN_INIT -> QUERY_VERSION -> QUERY_PROPERTIES -> END_INIT -> ready
 *
 * and may ask for sub-channels after the properties; those take requests at once. A request is
 * answered on the channel that it came on. On each channel at most STORVSP_IN_FLIGHT requests are
 * under way; the others wait in the guest's ring.
 *
 * Payload is read and written in place, in guest pages that nobody parses; their last byte is
 * marked, and where a VP executes from them waited for, before the answer is sent
 * (wall/guest_memory.h).
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/err.h"
#include "scsi/bus.h"
#include "vmbus/server.h"

#define STORVSP_IN_FLIGHT 128
#define STORVSP_MAX_TRANSFER (1u << 20)
#define STORVSP_MAX_SUB_CHANNELS 15

struct storvsp;

struct storvsp_config {
	struct vmbus_server *server;
	struct guest_memory *gm;
	struct guid instance; /* stable over the VM's life */
	u16 max_sub_channels; /* <= STORVSP_MAX_SUB_CHANNELS */
	bool ide; /* for one disk of IDE, unit 0, whatever path and target a guest gives it */
};
int storvsp_new(const struct storvsp_config *config, struct storvsp **ret_storvsp)
	MUST_CHECK;
void storvsp_free(struct storvsp *storvsp);

/*
 * -EINVAL: no such number; -EBUSY: taken. The unit stays the caller's.
 *
 * -EAGAIN: the guest has not noticed yet that the unit before it left, and would take this one for
 * it, its size and its cached blocks too; or it noticed so short ago that it may not have taken
 * its device away. Ask again in a tenth of a second: where the guest has spoken to the number in
 * the meantime, the answer is the same again.
 */
int storvsp_attach(struct storvsp *storvsp, unsigned lun, struct scsi_unit *unit)
	MUST_CHECK;
/*
 * The guest does not reach it any more; what is in flight ends first. done may be called from
 * inside. -ENOENT; -EALREADY while another detach of this number is under way.
 */
int storvsp_detach(struct storvsp *storvsp, unsigned lun,
		   void (*done)(void *owner, struct scsi_unit *unit), void *owner)
	MUST_CHECK;
/*
 * There is such a unit, and the guest, which was told to look, has not asked it who it is; or it
 * has, but knew another one of this number before. Linux takes a device away by its number, from a
 * queue: what still stands there takes the new one away as well, when it was found already.
 */
bool storvsp_overlooked(const struct storvsp *storvsp, unsigned lun);
struct scsi_unit *storvsp_unit(const struct storvsp *storvsp, unsigned lun);
/*
 * The guest shall look at all units: it then hears of their unit attentions, also of units that it
 * has nothing else to say to.
 */
void storvsp_rescan(struct storvsp *storvsp);

/*
 * State, a record "storvsp" with the controller's instance in it; restore finds its own among the
 * records, after vmbus_server_restore. -EBUSY while requests are under way; -EPROTO: no such state.
 */
struct state_writer;
int storvsp_save(const struct storvsp *storvsp, struct state_writer *writer) MUST_CHECK;
int storvsp_restore(struct storvsp *storvsp, const u8 *bytes, size_t size) MUST_CHECK;

/* branch: the controller's, for instance "scsi.0"; its units are at branch.lun.N. */
void storvsp_inspect(const struct storvsp *storvsp, const char *branch,
		     struct inspect *out);
