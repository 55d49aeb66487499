/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between our processes; see ipc.h. */
#include "base/ipc.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

int ipc_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return -errno;
	return 0;
}

bool ipc_is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

int ipc_send(int socket, const void *message, size_t size, const int *fds,
	     unsigned fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fd_count > IPC_MAX_FDS)
		return -E2BIG;
	if (fd_count > 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	do {
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* Take the descriptors of every SCM_RIGHTS record; more than max_fds are closed and counted. */
static unsigned collect_fds(struct msghdr *msg, int *ret_fds, unsigned max_fds)
{
	unsigned count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned k = 0; k < n; k++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + k * sizeof(int), sizeof fd);
			if (count < max_fds)
				ret_fds[count] = fd;
			else
				close(fd);
			count++;
		}
	}
	return count;
}

int ipc_receive(int socket, void *message, size_t max_size, size_t *ret_size,
		int *ret_fds, unsigned max_fds, unsigned *ret_fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(IPC_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = message, .iov_len = max_size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	unsigned count;
	ssize_t n;

	do {
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	count = collect_fds(&msg, ret_fds, max_fds);
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || count > max_fds) {
		for (unsigned k = 0; k < count && k < max_fds; k++)
			close(ret_fds[k]);
		return -EMSGSIZE;
	}
	/* We send no empty packets, so nothing at all means that the peer closed. */
	if (n == 0) {
		for (unsigned k = 0; k < count; k++)
			close(ret_fds[k]);
		return -EPIPE;
	}
	*ret_size = (size_t)n;
	*ret_fd_count = count;
	return 0;
}

int ipc_event_new(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

void ipc_event_ring(int event)
{
	u64 one = 1;
	ssize_t n;

	/* EAGAIN: the counter is full, so the reader has been told 2^64 - 2 times already. */
	do {
		n = write(event, &one, sizeof one);
	} while (n < 0 && errno == EINTR);
}

bool ipc_event_clear(int event)
{
	u64 count;
	ssize_t n;

	do {
		n = read(event, &count, sizeof count);
	} while (n < 0 && errno == EINTR);
	return n == sizeof count;
}
