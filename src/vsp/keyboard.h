/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic keyboard: strokes of keys (console/keys.h) wait here for a guest to take them.
 *
 * A stroke goes out as a whole, and the next one KEYBOARD_PACE_NS later, but not before the guest
 * has read it: so a guest that is slow loses nothing, however much is typed; and since a key's release
 * lies right behind its press, no guest takes a slow host for a finger that stays on it. A guest
 * that has read nothing for KEYBOARD_PATIENCE_NS is given up: what waits is thrown away, and who
 * asked for it hears so.
 *
 * Thread: the loop's.
 */
#pragma once

#include "abi/keyboard.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/inspect.h"
#include "console/keys.h"
#include "state/record.h"
#include "vmbus/server.h"

#define KEYBOARD_STROKES 8192u /* that wait, at most */
#define KEYBOARD_PACE_NS 5000000ull
#define KEYBOARD_PATIENCE_NS (10 * NS_PER_SEC)

typedef void (*keyboard_done_fn)(void *owner, int r, const struct err *err);

struct keyboard_config {
	struct vmbus_server *server;
	const struct clock *clock;
	/* What keyboard_when says has changed. */
	void (*wake)(void *owner);
	/* The guest has set leds. May be NULL. */
	void (*leds)(void *owner, u16 leds);
	void *owner;
};

/* Somebody who typed, until the guest has read the last of it. */
struct keyboard_asked {
	u64 last; /* the stroke's number, counted from 1 */
	keyboard_done_fn done;
	void *owner;
	struct keyboard_asked *next;
};

enum keyboard_state { KEYBOARD_CLOSED, KEYBOARD_OPEN, KEYBOARD_READY };

struct keyboard {
	struct keyboard_config config;
	u32 relid;
	struct vmbus_channel *vmbus; /* NULL: closed */
	enum keyboard_state state;
	bool paused; /* the guest stands */
	u16 leds;
	struct stroke *stroke; /* a circle of KEYBOARD_STROKES */
	u64 sent, queued;      /* numbers of the last ones */
	unsigned events;       /* of the stroke that is being sent, out already */
	u64 next_ns;	       /* when it is looked again; UINT64_MAX: nothing waits */
	u64 read_ns;	       /* when the guest was seen to have read all */
	struct keyboard_asked *asked; /* oldest first */
	struct {
		u64 malformed, unknown, dropped, lost;
	} counts;
};

int keyboard_init(struct keyboard *keyboard, const struct keyboard_config *config)
	MUST_CHECK;
/* Who waits is not told any more. */
void keyboard_done(struct keyboard *keyboard);

/*
 * done is called once, perhaps from inside, when the guest has read all of it; NULL: nobody minds.
 * -ENOTCONN: it has no driver for the keyboard, -EBUSY: too much waits, or it stands; -ETIMEDOUT.
 */
void keyboard_type(struct keyboard *keyboard, const struct stroke *stroke, unsigned count,
		   keyboard_done_fn done, void *owner);
/* A key goes down or up. Where the guest has no driver, stands, or is too far behind, nothing happens. */
void keyboard_hold(struct keyboard *keyboard, u16 key, bool down);

/* When something is due (UINT64_MAX: nothing is), and doing it. */
u64 keyboard_when(const struct keyboard *keyboard);
void keyboard_due(struct keyboard *keyboard);

/* The guest stands: nothing is put into its ring. */
void keyboard_pause(struct keyboard *keyboard);
void keyboard_resume(struct keyboard *keyboard);

/* State, a record "keyb"; strokes that wait are in it. After vmbus_server_save, _restore. -EPROTO. */
void keyboard_save(const struct keyboard *keyboard, struct state_writer *writer);
int keyboard_restore(struct keyboard *keyboard, const u8 *bytes, size_t size) MUST_CHECK;
void keyboard_inspect(const struct keyboard *keyboard, struct inspect *out);
