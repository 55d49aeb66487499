/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic mouse: a HID device with an absolute position, five buttons and a wheel.
 *
 *	         guest opens        asks for its version       acknowledges what it is
 *	CLOSED -------------> OPEN ---------------------> ASKED ------------------------> READY
 *
 * A guest that does not read gets the newest position when it does, and the sum of what the wheel
 * turned meanwhile.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/mouse.h"
#include "base/err.h"
#include "base/inspect.h"
#include "state/record.h"
#include "vmbus/server.h"

#define MOUSE_BUTTONS 0x1fu /* a bit each: left, right, middle, back, forward */

struct mouse_event {
	u16 x, y; /* 0 to MOUSE_MOST */
	u8 buttons;
	s16 wheel; /* away from the user is positive */
};

enum mouse_state { MOUSE_CLOSED, MOUSE_OPEN, MOUSE_ASKED, MOUSE_READY };

struct mouse {
	struct vmbus_server *server;
	u32 relid;
	struct vmbus_channel *vmbus; /* NULL: closed */
	enum mouse_state state;
	bool paused;		  /* the guest stands */
	bool waits;		  /* the event, for room in the ring */
	struct mouse_event event; /* the last one */
	struct {
		u64 reports, merged, malformed, unknown, dropped;
	} counts;
};

int mouse_init(struct mouse *mouse, struct vmbus_server *server) MUST_CHECK;

/* -ENOTCONN: the guest has no driver for it; -EINVAL: no such place; -EBUSY: it stands. */
int mouse_move(struct mouse *mouse, const struct mouse_event *event, struct err *err)
	MUST_CHECK;

void mouse_pause(struct mouse *mouse);
void mouse_resume(struct mouse *mouse);

/* State, a record "mouse"; after vmbus_server_save, _restore. -EPROTO. */
void mouse_save(const struct mouse *mouse, struct state_writer *writer);
int mouse_restore(struct mouse *mouse, const u8 *bytes, size_t size) MUST_CHECK;
void mouse_inspect(const struct mouse *mouse, struct inspect *out);
