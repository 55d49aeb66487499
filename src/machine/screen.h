/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The desk's screen, keyboard and mouse for RFB clients (console/rfb_server.h): what joins the two.
 *
 * Thread: the loop's.
 */
#pragma once

#include "base/inspect.h"
#include "base/types.h"

struct desk;
struct loop;
struct screen;

int screen_new(struct loop *loop, struct desk *desk, struct screen **ret_screen)
	MUST_CHECK;
/* Drops everybody who looks. */
void screen_free(struct screen *screen);

/* Somebody has connected; fd is taken. -EBUSY: too many have. */
int screen_show(struct screen *screen, int fd) MUST_CHECK;
/* The picture has changed, or its size. */
void screen_changed(struct screen *screen);
void screen_set_leds(struct screen *screen, u8 leds);
void screen_inspect(const struct screen *screen, struct inspect *out);
