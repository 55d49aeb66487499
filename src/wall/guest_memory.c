/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as the worker sees it; see guest_memory.h. One range check (gm_ram_offset), one copy
 * in, one copy out, one place that marks pages. WALL.md section 1.
 *
 * Threads: any. The flush ring has a single producer, so pushing takes the lock; everything else
 * is loads, stores and fences on shared bytes.
 */
#include "wall/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "base/ipc.h"

/* How long hv may take to drop decoded code before we call it gone. */
#define FLUSH_PATIENCE_NS (5 * NS_PER_SEC)

/* What a write gets that hv never took note of: no such ticket is ever given out or done. */
#define TICKET_LOST UINT64_MAX

struct guest_memory {
	u8 *ram;
	_Atomic u8 *dirty, *code; /* a byte a page of RAM */
	u64 ram_size, page_count; /* of the region */
	u64 start;		  /* bytes at the machine's start */
	struct gm_layout layout;
	int ram_fd;
	struct wall_control *control;
	int hv_event;
	pthread_mutex_t flush_lock; /* the producer's side of control->flushes */
};

static void *map_shared(int fd, u64 size, int protection)
{
	struct stat st;

	/* Shorter than promised: touching the rest would be SIGBUS. */
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (u64)st.st_size < size) {
		errno = EINVAL;
		return NULL;
	}
	void *p = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int gm_open(int ram_fd, u64 ram_size, int dirty_fd, int code_fd,
	    struct wall_control *control, int hv_event, struct guest_memory **ret_gm)
{
	struct guest_memory *gm;
	int r;

	if (ram_size == 0 || ram_size % WALL_PAGE_SIZE != 0 ||
	    ram_size > BIT64(WALL_GPA_BITS) - GM_HIGH_BASE)
		return -EINVAL;
	gm = calloc(1, sizeof *gm);
	if (!gm)
		return -ENOMEM;
	gm->ram_size = gm->start = ram_size;
	gm_layout_init(&gm->layout, ram_size, ram_size);
	gm->page_count = ram_size >> WALL_PAGE_SHIFT;
	gm->ram_fd = ram_fd;
	gm->control = control;
	gm->hv_event = hv_event;
	pthread_mutex_init(&gm->flush_lock, NULL);
	gm->ram = map_shared(ram_fd, ram_size, PROT_READ | PROT_WRITE);
	if (gm->ram)
		gm->dirty = map_shared(dirty_fd, gm->page_count, PROT_READ | PROT_WRITE);
	if (gm->dirty)
		gm->code = map_shared(code_fd, gm->page_count, PROT_READ);
	if (!gm->code) {
		r = -errno;
		gm_close(gm);
		return r;
	}
	/* A core dump of the worker has no business to carry the guest. */
	(void)madvise(gm->ram, ram_size, MADV_DONTDUMP);
	*ret_gm = gm;
	return 0;
}

void gm_close(struct guest_memory *gm)
{
	if (!gm)
		return;
	if (gm->ram)
		munmap(gm->ram, gm->ram_size);
	if (gm->dirty)
		munmap((void *)gm->dirty, gm->page_count);
	if (gm->code)
		munmap((void *)gm->code, gm->page_count);
	pthread_mutex_destroy(&gm->flush_lock);
	free(gm);
}

int gm_start_with(struct guest_memory *gm, u64 start)
{
	if (start == 0 || start % WALL_PAGE_SIZE != 0 || start > gm->ram_size)
		return -EINVAL;
	gm->start = start;
	gm_layout_init(&gm->layout, start, start);
	return 0;
}

int gm_set_high(struct guest_memory *gm, u64 high)
{
	if (high % WALL_PAGE_SIZE != 0 || high > gm->ram_size - gm->layout.low)
		return -EINVAL;
	atomic_store(&gm->layout.high, high);
	return 0;
}

u64 gm_ram_size(const struct guest_memory *gm)
{
	return gm->start;
}

u64 gm_region_size(const struct guest_memory *gm)
{
	return gm->ram_size;
}

const struct gm_layout *gm_layout(const struct guest_memory *gm)
{
	return &gm->layout;
}

static void note_written(struct guest_memory *gm, u64 offset, u64 size, u64 *io_ticket);

int gm_read(struct guest_memory *gm, gpa_t gpa, void *to, u64 size)
{
	u64 offset;

	if (!gm_ram_offset(&gm->layout, gpa, size, &offset))
		return -EFAULT;
	memcpy(to, gm->ram + offset, size);
	return 0;
}

int gm_write(struct guest_memory *gm, gpa_t gpa, const void *from, u64 size,
	     u64 *io_ticket)
{
	u64 offset;

	if (!gm_ram_offset(&gm->layout, gpa, size, &offset))
		return -EFAULT;
	memcpy(gm->ram + offset, from, size);
	note_written(gm, offset, size, io_ticket);
	return 0;
}

int gm_fill(struct guest_memory *gm, gpa_t gpa, u8 byte, u64 size, u64 *io_ticket)
{
	u64 offset;

	if (!gm_ram_offset(&gm->layout, gpa, size, &offset))
		return -EFAULT;
	memset(gm->ram + offset, byte, size);
	note_written(gm, offset, size, io_ticket);
	return 0;
}

/* The host's byte order is the guest's. */
static _Atomic u32 *word_at(struct guest_memory *gm, gpa_t gpa, u64 *ret_offset)
{
	if (gpa % sizeof(u32) != 0 ||
	    !gm_ram_offset(&gm->layout, gpa, sizeof(u32), ret_offset))
		return NULL;
	return (_Atomic u32 *)(void *)(gm->ram + *ret_offset);
}

int gm_load32(struct guest_memory *gm, gpa_t gpa, u32 *ret_value)
{
	u64 offset;
	_Atomic u32 *word = word_at(gm, gpa, &offset);

	if (!word)
		return -EFAULT;
	*ret_value = atomic_load_explicit(word, memory_order_acquire);
	return 0;
}

int gm_store32(struct guest_memory *gm, gpa_t gpa, u32 value, u64 *io_ticket)
{
	u64 offset;
	_Atomic u32 *word = word_at(gm, gpa, &offset);

	if (!word)
		return -EFAULT;
	atomic_store_explicit(word, value, memory_order_release);
	note_written(gm, offset, sizeof value, io_ticket);
	return 0;
}

int gm_or64(struct guest_memory *gm, gpa_t gpa, u64 bits, u64 *ret_old, u64 *io_ticket)
{
	u64 offset;

	if (gpa % sizeof(u64) != 0 ||
	    !gm_ram_offset(&gm->layout, gpa, sizeof(u64), &offset))
		return -EFAULT;
	*ret_old = atomic_fetch_or((_Atomic u64 *)(void *)(gm->ram + offset), bits);
	note_written(gm, offset, sizeof(u64), io_ticket);
	return 0;
}

/* Holes read as zeros, in every process that has them mapped. */
static int punch(struct guest_memory *gm, u64 offset, u64 size, u64 *io_ticket)
{
	if (fallocate(gm->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)offset, (off_t)size) < 0)
		return -errno;
	note_written(gm, offset, size, io_ticket);
	return 0;
}

int gm_clear(struct guest_memory *gm, u64 *io_ticket)
{
	return punch(gm, 0, gm->ram_size, io_ticket);
}

int gm_release(struct guest_memory *gm, gpa_t gpa, u64 size, u64 *io_ticket)
{
	u64 offset;

	if ((gpa | size) % WALL_PAGE_SIZE != 0 ||
	    !gm_ram_offset(&gm->layout, gpa, size, &offset))
		return -EFAULT;
	return size > 0 ? punch(gm, offset, size, io_ticket) : 0;
}

bool gm_published(const struct guest_memory *gm, u64 ticket)
{
	return atomic_load_explicit(&gm->control->flushes.done, memory_order_acquire) >=
	       ticket;
}

static u64 now_ns(void)
{
	return host_clock.monotonic_ns(&host_clock);
}

int gm_wait_published(struct guest_memory *gm, u64 ticket)
{
	struct wall_flushes *flushes = &gm->control->flushes;
	u64 end = 0;

	if (ticket == TICKET_LOST)
		return -ETIMEDOUT;
	while (!gm_published(gm, ticket)) {
		u64 now = now_ns();
		u32 seen = atomic_load(&flushes->done_futex);

		if (end == 0)
			end = now + FLUSH_PATIENCE_NS;
		if (now >= end)
			return -ETIMEDOUT;
		/*
		 * hv stores done, then done_futex, then looks at waiting. We store waiting, then
		 * look at done again: one of the two sees the other. Had done_futex moved since
		 * we read it, the futex refuses to sleep.
		 */
		atomic_store(&flushes->waiting, 1);
		if (gm_published(gm, ticket))
			break;
		struct timespec left = {
			.tv_sec = (time_t)((end - now) / NS_PER_SEC),
			.tv_nsec = (long)((end - now) % NS_PER_SEC),
		};
		syscall(SYS_futex, &flushes->done_futex, FUTEX_WAIT, seen, &left, NULL,
			0);
	}
	return 0;
}

u8 *gm_pin(struct guest_memory *gm, gpa_t gpa, u64 size)
{
	u64 offset;

	if (!gm_ram_offset(&gm->layout, gpa, size, &offset))
		return NULL;
	return gm->ram + offset;
}

void gm_written(struct guest_memory *gm, gpa_t gpa, u64 size, u64 *io_ticket)
{
	u64 offset;

	if (gm_ram_offset(&gm->layout, gpa, size, &offset))
		note_written(gm, offset, size, io_ticket);
}

/*
 * Queue one flush entry; its ticket. The ring has room again when the entry that lies a whole ring
 * back is done; an hv that does not get there within the time of gm_wait_published is gone, and
 * the write stays unpublished for ever.
 */
static u64 queue_flush(struct guest_memory *gm, u64 first_page, u64 count)
{
	struct wall_flushes *flushes = &gm->control->flushes;
	u64 ticket = TICKET_LOST;

	pthread_mutex_lock(&gm->flush_lock);
	u64 head = atomic_load_explicit(&flushes->head, memory_order_relaxed);
	if (head < WALL_FLUSHES || gm_wait_published(gm, head - WALL_FLUSHES + 1) == 0) {
		flushes->entry[head % WALL_FLUSHES] = (struct wall_flush){
			.first_page = first_page,
			.count = count,
		};
		ticket = head + 1;
		/* Release: whoever sees the new head sees the entry. */
		atomic_store_explicit(&flushes->head, ticket, memory_order_release);
	}
	pthread_mutex_unlock(&gm->flush_lock);
	ipc_event_ring(gm->hv_event);
	return ticket;
}

/*
 * The bytes of [offset, offset + size) of RAM are written: mark, then look for decoded code.
 *
 * The fence is the worker's half of a store-load race. hv sets code[page], fences, then reads the
 * bytes; we write the bytes, fence, then read code[page]. Whichever order the two take, either hv
 * decodes our bytes or we see its flag.
 */
static void note_written(struct guest_memory *gm, u64 offset, u64 size, u64 *io_ticket)
{
	u64 first_code = 0, last_code = 0;
	bool any_code = false;

	if (size == 0)
		return;
	u64 first = offset >> WALL_PAGE_SHIFT;
	u64 last = (offset + size - 1) >> WALL_PAGE_SHIFT;

	for (u64 page = first; page <= last; page++)
		atomic_store_explicit(&gm->dirty[page], 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	for (u64 page = first; page <= last; page++) {
		if (!atomic_load_explicit(&gm->code[page], memory_order_relaxed))
			continue;
		if (!any_code)
			first_code = page;
		last_code = page;
		any_code = true;
	}
	/* One entry from the first to the last: a range is one walk for hv, however long. */
	if (any_code)
		*io_ticket = queue_flush(gm, first_code, last_code - first_code + 1);
}
