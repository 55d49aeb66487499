/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring by its system calls; see ring.h and io_uring_setup(2). The kernel and we share two circles
 * of a power of two entries: we move the tail of the submissions and the head of the completions,
 * the kernel the others. An index is stored with release after what it publishes.
 */
#include "disk/ring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct ring {
	int fd;
	unsigned entries, under_way;
	void *shared;
	size_t shared_size;
	struct io_uring_sqe *sqe;
	u32 *submit_tail, *submit_array, submit_mask;
	u32 *end_head, *end_tail, end_mask;
	struct io_uring_cqe *end;
};

static int forbid_all_but_reads(int fd)
{
	struct io_uring_restriction rule = { .opcode = IORING_RESTRICTION_SQE_OP,
					     .sqe_op = IORING_OP_READV };

	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_RESTRICTIONS, &rule, 1) <
		    0 ||
	    syscall(SYS_io_uring_register, fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
		return -errno;
	return 0;
}

static int map_ring(struct ring *r, const struct io_uring_params *p)
{
	size_t submit = p->sq_off.array + p->sq_entries * sizeof(u32);
	size_t end = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	u8 *base;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -EOPNOTSUPP;
	r->shared_size = submit > end ? submit : end;
	r->shared = mmap(NULL, r->shared_size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQ_RING);
	r->sqe = mmap(NULL, r->entries * sizeof *r->sqe, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	if (r->shared == MAP_FAILED || r->sqe == MAP_FAILED)
		return -errno;
	base = r->shared;
	r->submit_tail = (u32 *)(base + p->sq_off.tail);
	r->submit_array = (u32 *)(base + p->sq_off.array);
	r->submit_mask = p->sq_entries - 1;
	r->end_head = (u32 *)(base + p->cq_off.head);
	r->end_tail = (u32 *)(base + p->cq_off.tail);
	r->end = (struct io_uring_cqe *)(base + p->cq_off.cqes);
	r->end_mask = p->cq_entries - 1;
	return 0;
}

int ring_new(unsigned entries, int event, struct ring **ret_ring)
{
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	struct ring *r = calloc(1, sizeof *r);
	int error = 0;

	if (!r)
		return -ENOMEM;
	r->shared = MAP_FAILED;
	r->sqe = MAP_FAILED;
	r->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	if (r->fd < 0)
		error = -errno;
	r->entries = p.sq_entries;
	if (error == 0)
		error = map_ring(r, &p);
	if (error == 0 &&
	    syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_EVENTFD, &event, 1) < 0)
		error = -errno;
	if (error == 0)
		error = forbid_all_but_reads(r->fd);
	if (error < 0) {
		ring_free(r);
		return error;
	}
	*ret_ring = r;
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->sqe != MAP_FAILED)
		munmap(r->sqe, r->entries * sizeof *r->sqe);
	if (r->shared != MAP_FAILED)
		munmap(r->shared, r->shared_size);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

int ring_read(struct ring *r, int fd, const struct iovec *iov, unsigned count, u64 offset,
	      void *owner)
{
	u32 tail = *r->submit_tail, at = tail & r->submit_mask;
	long n;

	if (r->under_way == r->entries)
		return -EBUSY;
	r->sqe[at] = (struct io_uring_sqe){ .opcode = IORING_OP_READV,
					    .fd = fd,
					    .off = offset,
					    .addr = (u64)(uintptr_t)iov,
					    .len = count,
					    .user_data = (u64)(uintptr_t)owner };
	r->submit_array[at] = at;
	__atomic_store_n(r->submit_tail, tail + 1, __ATOMIC_RELEASE);
	do
		n = syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		r->under_way++;
		return 0;
	}
	/* The kernel has not taken it, and looks at the tail in that call alone. */
	__atomic_store_n(r->submit_tail, tail, __ATOMIC_RELEASE);
	return n < 0 ? -errno : -EBUSY;
}

void *ring_ended(struct ring *r, int *ret_result)
{
	u32 head = *r->end_head;
	const struct io_uring_cqe *e = &r->end[head & r->end_mask];
	void *owner;

	if (head == __atomic_load_n(r->end_tail, __ATOMIC_ACQUIRE))
		return NULL;
	owner = (void *)(uintptr_t)e->user_data;
	*ret_result = e->res;
	__atomic_store_n(r->end_head, head + 1, __ATOMIC_RELEASE);
	r->under_way--;
	return owner;
}
