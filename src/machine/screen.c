/* SPDX-License-Identifier: Apache-2.0 */
/* Desk and RFB server; see screen.h. */
#include "machine/screen.h"

#include <errno.h>

#include "console/rfb_server.h"
#include "machine/desk.h"

struct screen {
	struct desk *desk;
	struct rfb_server *server;
};

/* ---- eyes ------------------------------------------------------------------------------------ */

static bool size(void *owner, u32 *ret_width, u32 *ret_height)
{
	struct screen *s = owner;

	return desk_size(s->desk, ret_width, ret_height);
}

static int line(void *owner, u32 y, u32 *ret_pixels)
{
	struct screen *s = owner;

	return desk_line(s->desk, y, ret_pixels);
}

static bool dirt(void *owner, struct picture_area *ret_area)
{
	struct screen *s = owner;

	return desk_take_dirt(s->desk, ret_area);
}

static void watch(void *owner, bool on)
{
	struct screen *s = owner;

	desk_watch(s->desk, on);
}

static const struct picture_source source = {
	.size = size,
	.line = line,
	.dirt = dirt,
	.watch = watch,
};

/* ---- hands ----------------------------------------------------------------------------------- */

static void key(void *owner, u16 code, bool down)
{
	struct screen *s = owner;

	desk_hold(s->desk, code, down);
}

/* A pixel's middle on the mouse's own scale. */
static u16 scale(u32 at, u32 size)
{
	return (u16)min_u64(((u64)at * 2 + 1) * MOUSE_MOST / (2ull * size), MOUSE_MOST);
}

/* Before the guest has a driver nothing happens, as with a mouse that is not plugged in. */
static void point(void *owner, u32 x, u32 y, u32 width, u32 height, u8 buttons, int wheel)
{
	struct screen *s = owner;
	const struct mouse_event event = {
		.x = scale(x, width),
		.y = scale(y, height),
		.buttons = buttons & MOUSE_BUTTONS,
		.wheel = (s16)wheel,
	};
	struct err err = { 0 };

	if (desk_point(s->desk, &event, &err) < 0)
		return;
}

static const struct picture_hands hands = { .key = key, .point = point };

/* ---- life ------------------------------------------------------------------------------------ */

int screen_new(struct loop *loop, struct desk *desk, struct screen **ret_screen)
{
	struct screen *s = calloc(1, sizeof *s);
	int r;

	if (!s)
		return -ENOMEM;
	s->desk = desk;
	r = rfb_server_new(&(struct rfb_server_config){ .loop = loop,
							.clock = &host_clock,
							.source = &source,
							.hands = &hands,
							.owner = s,
							.name = "tabique" },
			   &s->server);
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_screen = s;
	return 0;
}

void screen_free(struct screen *s)
{
	if (!s)
		return;
	rfb_server_free(s->server);
	free(s);
}

int screen_show(struct screen *s, int fd)
{
	return rfb_server_add(s->server, fd);
}

void screen_changed(struct screen *s)
{
	rfb_server_changed(s->server);
}

void screen_set_leds(struct screen *s, u8 leds)
{
	rfb_server_set_leds(s->server, leds);
}

void screen_inspect(const struct screen *s, struct inspect *out)
{
	rfb_server_inspect(s->server, out);
}
