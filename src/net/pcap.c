/* SPDX-License-Identifier: Apache-2.0 */
/* Captures; see pcap.h. draft-ietf-opsawg-pcap. */
#include "net/pcap.h"

#include <errno.h>
#include <time.h>

#include "base/err.h"
#include "base/log.h"
#include "net/finish.h"
#include "net/port.h"

/* clang-format off */
struct file_header {
	u32 magic;	     /* 0xa1b23c4d: nanoseconds, our byte order */
	u16 major, minor;    /* 2.4 */
	u32 zone, accuracy;  /* 0 */
	u32 most;	     /* bytes of a frame */
	u32 link;	     /* 1: Ethernet */
};

struct frame_header {
	u32 seconds, nanoseconds;
	u32 kept, size; /* bytes */
};
/* clang-format on */

int net_pcap_init(struct net_pcap *p, int fd)
{
	const struct file_header h = {
		.magic = 0xa1b23c4d, .major = 2, .minor = 4, .most = 262144, .link = 1
	};

	*p = (struct net_pcap){ .fd = fd, .buffer = malloc(PCAP_BUFFER) };
	if (!p->buffer)
		return -ENOMEM;
	memcpy(p->buffer, &h, sizeof h);
	p->used = sizeof h;
	net_pcap_flush(p);
	return 0;
}

void net_pcap_done(struct net_pcap *p)
{
	net_pcap_flush(p);
	if (p->fd >= 0)
		close(take_fd(&p->fd));
	free(take_ptr(p->buffer));
}

void net_pcap_flush(struct net_pcap *p)
{
	for (u32 done = 0; p->fd >= 0 && done < p->used;) {
		ssize_t n = write(p->fd, p->buffer + done, p->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			log_warn("the capture ends here, the switch goes on: %s",
				 err_words(n < 0 ? -errno : -ENOSPC));
			close(take_fd(&p->fd));
			break;
		}
		done += (u32)n;
	}
	p->used = 0;
}

static void finish(const struct virtio_net_hdr *todo, u8 *frame, u32 size)
{
	struct net_headers h;

	if (todo->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		(void)net_finish_sum(frame, size, todo);
	else if (net_find_headers(frame, size, &h) && h.payload &&
		 h.proto == IP_PROTO_TCP)
		net_write_tcp_sum(frame, &h);
}

void net_pcap_add(struct net_pcap *p, const struct virtio_net_hdr *todo, const u8 *frame,
		  u32 size)
{
	struct frame_header h = { .kept = size, .size = size };
	struct timespec now;

	_Static_assert(PCAP_BUFFER > sizeof h + NET_MAX_FRAME, "a frame fits");
	if (p->fd < 0 || size > NET_MAX_FRAME)
		return;
	if (PCAP_BUFFER - p->used < sizeof h + size)
		net_pcap_flush(p);
	clock_gettime(CLOCK_REALTIME, &now);
	h.seconds = (u32)now.tv_sec;
	h.nanoseconds = (u32)now.tv_nsec;
	memcpy(p->buffer + p->used, &h, sizeof h);
	memcpy(p->buffer + p->used + sizeof h, frame, size);
	finish(todo, p->buffer + p->used + sizeof h, size);
	p->used += (u32)sizeof h + size;
}
