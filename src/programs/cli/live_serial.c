/* SPDX-License-Identifier: Apache-2.0 */
/* The serial console in memory; see live_serial.h. */
#include "programs/cli/live_serial.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#define MAX_WAITING 16

struct waiting {
	u64 from;
	live_serial_fn done;
	void *owner;
};

struct live_serial {
	int guest;
	struct loop_watch *watch;
	u64 end; /* number of the next byte */
	struct waiting waiting[MAX_WAITING];
	unsigned waiting_count;
	char kept[LIVE_SERIAL_KEPT]; /* byte n is at n % LIVE_SERIAL_KEPT */
};

/* ---- the text -------------------------------------------------------------------------------- */

/* How many bytes of UTF-8 begin at p; 0: none, or one that is cut off. */
static size_t utf8_size(const u8 *p, size_t size)
{
	size_t want = p[0] < 0x80		    ? 1
		      : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
		      : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		      : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
						    : 0;

	if (want == 0 || want > size)
		return 0;
	for (size_t k = 1; k < want; k++)
		if ((p[k] & 0xc0) != 0x80)
			return 0;
	/* Too long a spelling, a half of a pair, beyond the last. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return want;
}

static void make_utf8(char *text, size_t size)
{
	for (size_t k = 0; k < size;) {
		size_t n = utf8_size((const u8 *)text + k, size - k);

		if (n == 0 || text[k] == '\0')
			text[k] = '?';
		k += n ? n : 1;
	}
}

static json_t *text_from(const struct live_serial *s, u64 from)
{
	u64 first = s->end > LIVE_SERIAL_KEPT ? s->end - LIVE_SERIAL_KEPT : 0;
	AUTO_FREE char *text = malloc(LIVE_SERIAL_KEPT);
	size_t size;

	if (!text)
		return NULL;
	if (from < first || from > s->end)
		from = first;
	size = (size_t)(s->end - from);
	for (size_t k = 0; k < size; k++)
		text[k] = s->kept[(from + k) % LIVE_SERIAL_KEPT];
	make_utf8(text, size);
	return json_pack("{s:I, s:I, s:s%}", "from", (json_int_t)from, "to",
			 (json_int_t)s->end, "text", text, size);
}

/* ---- the guest ------------------------------------------------------------------------------- */

static void answer_everybody(struct live_serial *s)
{
	struct waiting w[MAX_WAITING];
	unsigned count = s->waiting_count;

	memcpy(w, s->waiting, sizeof w);
	s->waiting_count = 0;
	for (unsigned k = 0; k < count; k++)
		w[k].done(w[k].owner, text_from(s, w[k].from));
}

static void on_guest(void *owner, unsigned events)
{
	struct live_serial *s = owner;
	char text[4096];
	ssize_t n = recv(s->guest, text, sizeof text, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* hv is gone, and its pidfd says so */
		loop_watch_remove(s->watch);
		s->watch = NULL;
		return;
	}
	for (ssize_t k = 0; k < n; k++)
		s->kept[s->end++ % LIVE_SERIAL_KEPT] = text[k];
	answer_everybody(s);
}

int live_serial_read(struct live_serial *s, u64 from, live_serial_fn done, void *owner)
{
	json_t *text;

	if (from >= s->end && s->watch) {
		if (s->waiting_count == MAX_WAITING)
			return -EBUSY;
		s->waiting[s->waiting_count++] = (struct waiting){ from, done, owner };
		return 0;
	}
	text = text_from(s, from);
	if (!text)
		return -ENOMEM;
	done(owner, text);
	return 0;
}

int live_serial_write(struct live_serial *s, const char *text, size_t size)
{
	ssize_t n = send(s->guest, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n < 0 ? -errno : (size_t)n < size ? -EAGAIN : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

int live_serial_new(struct loop *loop, int guest, struct live_serial **ret_serial)
{
	struct live_serial *s = calloc(1, sizeof *s);
	int r = s ? 0 : -ENOMEM;

	if (r == 0) {
		s->guest = guest;
		fcntl(guest, F_SETFL, O_NONBLOCK);
		r = loop_watch_add(loop, guest, LOOP_READ, on_guest, s, &s->watch);
	}
	if (r < 0) {
		free(s);
		return r;
	}
	*ret_serial = s;
	return 0;
}

void live_serial_free(struct live_serial *s)
{
	if (!s)
		return;
	loop_watch_remove(s->watch);
	for (unsigned k = 0; k < s->waiting_count; k++)
		s->waiting[k].done(s->waiting[k].owner, NULL);
	free(s);
}
