/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest says on the channels of the integration components. The input is a row of steps: a byte
 * for the channel, one for what is done, one for a size, then bytes. At the end every channel closes, and
 * whoever asked for something has been told once what became of it.
 */
#include <fcntl.h>

#include "miniguest/miniic.h"

enum { AGREE, ANSWER, SAY, WAIT, ASK, REOPEN, MOVE, PAUSE, STEPS };

static unsigned asked, ended;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void on_end(void *owner, int r, const struct err *err)
{
	require((r < 0) == (err->code < 0));
	ended++;
}

/* Some pieces long, and now and then shorter than was said. */
static void copy(struct components *c, u8 what)
{
	static const u8 zeros[20000];
	const struct fcopy_order order = { .name = "name",
					   .folder = "/",
					   .size = sizeof zeros };
	int fd[2];

	require(pipe2(fd, O_CLOEXEC | O_NONBLOCK) == 0);
	require(write(fd[1], zeros, sizeof zeros - (what & 8)) > 0);
	close(fd[1]);
	fcopy_copy(&c->fcopy, &order, fd[0], on_end, NULL);
}

static void on_pair(void *owner, u8 pool, const char *key, const char *value)
{
	require(pool < IC_KVP_POOLS && strlen(key) < 772 && strlen(value) < 3076);
}

static void ask(struct miniic *m, u8 what)
{
	struct components *c = m->components;

	asked++;
	switch (what % 8) {
	case 0:
	case 1:
		shutdown_ask(&c->shutdown, what & 1, on_end, NULL);
		return;
	case 2:
		kvp_list(&c->kvp, on_pair, on_end, NULL);
		return;
	case 3:
		kvp_set(&c->kvp, "key", what & 8 ? NULL : "value", on_end, NULL);
		return;
	case 4:
		kvp_set_address(&c->kvp,
				&(struct kvp_address){ .adapter = "{0}",
						       .address = "10.0.0.1",
						       .mask = "",
						       .gateway = "",
						       .dns = "" },
				on_end, NULL);
		return;
	case 5:
		vss_freeze(&c->vss, on_end, NULL);
		return;
	case 6:
		vss_thaw(&c->vss, on_end, NULL);
		return;
	default:
		copy(c, what);
	}
}

static void step(struct miniic *m, struct ic_channel *c, u8 what, const u8 *data,
		 u32 size)
{
	struct mini_channel *channel = &m->channel[c->relid - 1];
	struct ic_header h;
	u8 *body;

	switch (what % STEPS) {
	case AGREE:
		(void)miniic_agree(m, c, c->kind->version[0].major,
				   c->kind->version[0].minor);
		return;
	case ANSWER: /* rightly but for the bytes */
		if (!miniic_take(m, c, &h, &body))
			return;
		memcpy(body, data, min_u64(size, m->packet_size - sizeof h));
		(void)miniic_answer(m, c, size > 0 && data[0] & 1 ? IC_FAILED : IC_OK);
		return;
	case SAY:
		(void)mini_send(channel, VMBUS_PACKET_INBAND, 0, 1, data, size, 16);
		return;
	case WAIT:
		miniic_advance(m, (u64)size * NS_PER_SEC / 4);
		return;
	case ASK:
		ask(m, size > 0 ? data[0] : 0);
		return;
	case REOPEN:
		if (mini_close_and_wait(channel))
			(void)mini_open(m->mini, c->relid, 4, 4, channel);
		return;
	case MOVE:
		/* Who waits for an answer goes with the host: as many as there are. */
		require(miniic_move(m));
		asked = ended = 0;
		return;
	case PAUSE:
		components_pause(m->components);
		miniic_advance(m, NS_PER_SEC);
		components_resume(m->components);
		return;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct miniic *m;

	if (!m)
		m = miniic_new();
	asked = ended = 0;
	require(miniic_start(m));
	while (size >= 3) {
		struct ic_channel *c = m->components->channel[data[0] % COMPONENTS];
		u32 n = (u32)min_u64(data[2], size - 3);

		step(m, c, data[1], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
	}
	for (unsigned k = 0; k < COMPONENTS; k++)
		mini_close(&m->channel[k]);
	require(asked == ended);
	mini_forget(m->mini);
	require(mini_unload(m->mini));
	mini_forget(m->mini);
	return 0;
}
