/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The asynchronous face of a chain of images: requests go to the threads of the pool, which do
 * them by the blocking calls of image.h, and come back to the loop. See disk.h.
 *
 * The pool has one queue for all disks. Finished requests are collected on a list; the eventfd is
 * rung when the list was empty, so a burst of completions costs one wake-up.
 */
#include "disk/disk.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "disk/image.h"
#include "disk/nbd.h"
#include "disk/ring.h"

#define POOL_THREADS 4
#define RING_ENTRIES 256
#define POOL_MAX_THREADS 64

/* Work of disk_pool_run: lives on the stack of who waits for it. */
struct task {
	void (*fn)(void *owner);
	void *owner;
	unsigned to_start, to_end;
	struct task *next;
};

struct disk_pool {
	struct loop *loop;
	struct loop_watch *watch;
	/* NULL: the host has none, or it was not asked for */
	struct ring *ring;
	struct loop_watch *ring_watch;
	int ring_event;
	struct nbd_thread *nbd; /* NULL: none */
	int event;
	int (*enter)(void *owner);
	void *owner;

	pthread_mutex_t lock; /* what follows */
	pthread_cond_t work;
	struct queue waiting, finished;
	struct task *tasks;
	pthread_cond_t task_ended;
	unsigned entered;
	int enter_error;
	bool stop;

	unsigned thread_count;
	pthread_t thread[POOL_MAX_THREADS];
};

struct disk {
	struct disk_pool *pool;
	struct image *leaf;
	struct disk_info info;
	struct disk_counters counters; /* loop's thread */
	unsigned in_flight;	       /* loop's thread */
	/* An opening or a closing that nobody waits for. */
	struct {
		struct disk_request request;
		const struct disk_open *open;
		disk_opened_fn opened;
		void (*closed)(void *owner, int r);
		void *owner;
		struct err err;
	} life;
	struct {
		bool written; /* the first write of all may have to say so in the file */
		unsigned shutting; /* requests under way that need an image for themselves */
		unsigned flushing;    /* then the host may keep writers waiting */
		u64 no_writes_till;   /* ns, CLOCK_MONOTONIC: the host did so lately */
		unsigned slow, quick; /* see note_duration */
	} now;			      /* for disk_do_now; loop's thread */
};

static struct disk_request *take(struct queue *q)
{
	struct queue_link *link = queue_take(q);

	return link ? CONTAINER_OF(link, struct disk_request, link) : NULL;
}

/* ---- threads --------------------------------------------------------------------------------- */

static int resize(struct image *leaf, u64 size, struct err *err)
{
	struct err ignored = { 0 };

	return image_resize(leaf, size, err ? err : &ignored);
}

static int perform(struct disk_request *rq)
{
	struct image *leaf = rq->disk->leaf;
	int r = -EOPNOTSUPP;

	switch (rq->op) {
	case DISK_READ:
		return image_read(leaf, rq->iov, rq->iov_count, rq->offset);
	case DISK_WRITE:
		r = image_write(leaf, rq->iov, rq->iov_count, rq->offset);
		break;
	case DISK_FLUSH:
		return image_flush(leaf);
	case DISK_ZERO:
		r = image_zero(leaf, rq->offset, rq->size);
		break;
	case DISK_TRIM:
		return image_trim(leaf, rq->offset, rq->size);
	case DISK_RESIZE:
		return resize(leaf, rq->size, rq->err);
	}
	if (r == 0 && rq->flags & DISK_FUA)
		r = image_flush(leaf);
	return r;
}

static void work_on_task(struct disk_pool *pool)
{
	struct task *task = pool->tasks;

	if (--task->to_start == 0)
		pool->tasks = task->next;
	pthread_mutex_unlock(&pool->lock);
	task->fn(task->owner);
	pthread_mutex_lock(&pool->lock);
	if (--task->to_end == 0)
		pthread_cond_broadcast(&pool->task_ended);
}

/* It is done. Pool's lock held. */
static void give_to_loop(struct disk_pool *pool, struct disk_request *request)
{
	bool first = pool->finished.first == NULL;

	queue_add(&pool->finished, &request->link);
	if (first)
		ipc_event_ring(pool->event);
}

static void work(struct disk_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct disk_request *request = take(&pool->waiting);

		if (!request && pool->tasks) {
			work_on_task(pool);
			continue;
		}
		if (!request && pool->stop)
			break;
		if (!request) {
			pthread_cond_wait(&pool->work, &pool->lock);
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		request->result = request->perform(request);
		pthread_mutex_lock(&pool->lock);
		give_to_loop(pool, request);
	}
	pthread_mutex_unlock(&pool->lock);
}

static void *pool_thread(void *arg)
{
	struct disk_pool *pool = arg;
	int r = pool->enter ? pool->enter(pool->owner) : 0;

	pthread_mutex_lock(&pool->lock);
	pool->entered++;
	if (r < 0)
		pool->enter_error = r;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	if (r == 0)
		work(pool);
	return NULL;
}

void disk_pool_run(struct disk_pool *pool, void (*fn)(void *owner), void *owner,
		   unsigned count)
{
	struct task task = {
		.fn = fn, .owner = owner, .to_start = count, .to_end = count
	};

	pthread_mutex_lock(&pool->lock);
	task.next = pool->tasks;
	pool->tasks = &task;
	pthread_cond_broadcast(&pool->work);
	while (task.to_end > 0)
		pthread_cond_wait(&pool->task_ended, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

static bool flushes(const struct disk_request *request)
{
	return request->op == DISK_FLUSH || request->flags & DISK_FUA;
}

static bool shuts(const struct disk_request *request)
{
	return request->op == DISK_ZERO || request->op == DISK_TRIM ||
	       request->op == DISK_RESIZE;
}

/* On the loop's thread; the request and the disk may be gone afterwards. */
static void finish(struct disk_request *request)
{
	struct disk *disk = request->disk;

	disk->in_flight--;
	disk->now.flushing -= flushes(request);
	disk->now.shutting -= shuts(request);
	if (request->op == DISK_WRITE)
		disk->now.written = true;
	if (request->result < 0)
		disk->counters.errors++;
	if (request->op == DISK_RESIZE && request->result == 0)
		disk->info.size = disk->leaf->size;
	request->done(request, request->result);
}

static void on_finished(void *owner, unsigned events)
{
	struct disk_pool *pool = owner;
	struct queue_link *link, *next;

	ipc_event_clear(pool->event);
	pthread_mutex_lock(&pool->lock);
	link = queue_take_all(&pool->finished);
	pthread_mutex_unlock(&pool->lock);
	for (; link; link = next) {
		next = link->next;
		finish(CONTAINER_OF(link, struct disk_request, link));
	}
}

static int start_threads(struct disk_pool *pool, unsigned count)
{
	int r = 0;

	while (pool->thread_count < count && r == 0) {
		r = -pthread_create(&pool->thread[pool->thread_count], NULL, pool_thread,
				    pool);
		if (r == 0)
			pool->thread_count++;
	}
	pthread_mutex_lock(&pool->lock);
	while (pool->entered < pool->thread_count)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (r == 0)
		r = pool->enter_error;
	pthread_mutex_unlock(&pool->lock);
	return r;
}

static void give_to_threads(struct disk_pool *pool, struct disk_request *request);

/* What went wrong, or only in part, the threads do again and say why. */
static void on_ring(void *owner, unsigned events)
{
	struct disk_pool *pool = owner;
	struct disk_request *request;
	int result;

	ipc_event_clear(pool->ring_event);
	while ((request = ring_ended(pool->ring, &result))) {
		image_end_read(request->disk->leaf);
		request->result = 0;
		if (result >= 0 && (u64)result == request->size)
			finish(request);
		else
			give_to_threads(pool, request);
	}
}

/* Without one, threads do it all. */
static void make_ring(struct disk_pool *pool)
{
	pool->ring_event = ipc_event_new();
	if (pool->ring_event < 0 ||
	    ring_new(RING_ENTRIES, pool->ring_event, &pool->ring) < 0)
		return;
	if (loop_watch_add(pool->loop, pool->ring_event, LOOP_READ, on_ring, pool,
			   &pool->ring_watch) < 0) {
		ring_free(pool->ring);
		pool->ring = NULL;
	}
}

int disk_pool_new(struct loop *loop, const struct disk_pool_config *config,
		  struct disk_pool **ret_pool, struct err *err)
{
	unsigned count = config->threads ? config->threads : POOL_THREADS;
	struct disk_pool *pool = calloc(1, sizeof *pool);
	int r = 0;

	if (!pool)
		return err_set(err, -ENOMEM, "disk threads: no memory");
	pool->loop = loop;
	pool->enter = config->enter;
	pool->owner = config->owner;
	queue_init(&pool->waiting);
	queue_init(&pool->finished);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->task_ended, NULL);
	pool->ring_event = -1;
	pool->event = ipc_event_new();
	if (pool->event < 0)
		r = pool->event;
	if (r == 0 && config->ring)
		make_ring(pool);
	if (r == 0)
		r = loop_watch_add(loop, pool->event, LOOP_READ, on_finished, pool,
				   &pool->watch);
	if (r == 0)
		r = start_threads(pool,
				  count < POOL_MAX_THREADS ? count : POOL_MAX_THREADS);
	if (r == 0 && config->enter_nbd)
		r = nbd_thread_new(config->enter_nbd, config->owner, config->nbd_patience,
				   &pool->nbd);
	if (r < 0) {
		disk_pool_free(pool);
		return err_set(err, r, "disk threads: %s", err_words(r));
	}
	*ret_pool = pool;
	return 0;
}

void disk_pool_free(struct disk_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->thread_count; i++)
		pthread_join(pool->thread[i], NULL);
	nbd_thread_free(pool->nbd);
	loop_watch_remove(pool->ring_watch);
	ring_free(pool->ring);
	if (pool->ring_event >= 0)
		close(pool->ring_event);
	loop_watch_remove(pool->watch);
	if (pool->event >= 0)
		close(pool->event);
	pthread_cond_destroy(&pool->task_ended);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* ---- a disk ---------------------------------------------------------------------------------- */

static int open_server(struct disk_pool *pool, const struct disk_level *level,
		       bool read_only, struct storage **ret_storage, struct err *err)
{
	if (level->format == DISK_RAW || level->format == DISK_ISO)
		return nbd_open(pool->nbd, level->fd, level->nbd_export, read_only,
				ret_storage, err);
	close(level->fd);
	err_set(err, -EINVAL, "what an NBD server gives is raw, or an ISO image");
	return err_fix(err, "let the server read the format, as qemu-nbd does");
}

int disk_open_storage(struct disk_pool *pool, const struct disk_level *level,
		      bool read_only, struct storage **ret_storage, struct err *err)
{
	int r;

	if (level->nbd_export)
		return open_server(pool, level, read_only, ret_storage, err);
	r = storage_open_file(level->fd, read_only, level->device_block, ret_storage);
	if (r == 0) {
		storage_own_fd(*ret_storage);
		return 0;
	}
	close(level->fd);
	return r == -ENOTBLK ? err_set(err, r, "it is neither a file nor a block device")
			     : err_set(err, r, "it cannot be read: %s", err_words(r));
}

static int open_level(struct disk_pool *pool, const struct disk_level *level,
		      bool read_only, struct image **ret_image, struct err *err)
{
	struct storage *storage;
	int r = disk_open_storage(pool, level, read_only, &storage, err);

	return r < 0 ? r : image_open(level->format, storage, read_only, ret_image, err);
}

/* From the root down to the leaf, so that a child always gets a whole parent. */
static int open_chain_now(struct disk_pool *pool, const struct disk_open *open,
			  struct image **ret_leaf, struct err *err)
{
	struct image *im = NULL, *parent = NULL;
	unsigned i = open->level_count;
	int r = 0;

	while (i-- > 0) {
		const struct disk_level *level = &open->level[i];

		if (r < 0) {
			close(level->fd);
			continue;
		}
		r = open_level(pool, level, i > 0 || open->read_only, &im, err);
		if (r == 0 && parent) {
			r = image_set_parent(im, parent, err);
			if (r < 0)
				image_abandon(im);
			parent = NULL;
		} else if (r == 0 && im->differencing) {
			image_abandon(im);
			r = err_set(err, -ENOENT, "its parent is missing");
		}
		if (r == 0)
			parent = im;
		else
			err_wrap(err, i > 0 ? "parent '%s'" : "disk '%s'", level->name);
		if (r < 0 && parent)
			image_abandon(take_ptr(parent));
	}
	if (r == 0)
		*ret_leaf = parent;
	return r;
}

/* What a thread of the pool does for the one that waits. */
struct opening {
	struct disk_pool *pool;
	const struct disk_open *open;
	struct image *leaf;
	struct err *err;
	int r;
};

static void open_on_thread(void *owner)
{
	struct opening *o = owner;

	o->r = open_chain_now(o->pool, o->open, &o->leaf, o->err);
}

static int open_chain(struct disk_pool *pool, const struct disk_open *open,
		      struct image **ret_leaf, struct err *err)
{
	struct opening o = { .pool = pool, .open = open, .err = err };

	disk_pool_run(pool, open_on_thread, &o, 1);
	if (o.r == 0)
		*ret_leaf = o.leaf;
	return o.r;
}

static void close_levels(const struct disk_open *open)
{
	for (unsigned i = 0; i < open->level_count; i++)
		close(open->level[i].fd);
}

/* A disk that is not open yet. On failure the descriptors are closed. */
static int disk_new(struct disk_pool *pool, const struct disk_open *open,
		    struct disk **ret_disk, struct err *err)
{
	struct disk *disk;

	if (open->level_count == 0 || open->level_count > DISK_MAX_DEPTH) {
		close_levels(open);
		return err_set(err, -EINVAL, "a chain of %u images: 1 to %d are possible",
			       open->level_count, DISK_MAX_DEPTH);
	}
	disk = calloc(1, sizeof *disk);
	if (!disk) {
		close_levels(open);
		return err_set(err, -ENOMEM, "disk '%s': no memory", open->level[0].name);
	}
	disk->pool = pool;
	*ret_disk = disk;
	return 0;
}

/* Its leaf is there. */
static void tell_info(struct disk *disk, const struct disk_open *open)
{
	disk->info = (struct disk_info){
		.size = disk->leaf->size,
		.logical_block = disk->leaf->logical_block,
		.physical_block = disk->leaf->physical_block,
		.format = disk->leaf->ops->format,
		.depth = open->level_count,
		.read_only = open->read_only,
		.thin = disk->leaf->ops->zero != NULL,
		.trim_granularity = disk->leaf->block_size ? disk->leaf->block_size
							   : 4096,
	};
	memcpy(disk->info.id, disk->leaf->disk_id, sizeof disk->info.id);
}

int disk_open(struct disk_pool *pool, const struct disk_open *open,
	      struct disk **ret_disk, struct err *err)
{
	struct disk *disk;
	int r = disk_new(pool, open, &disk, err);

	if (r < 0)
		return r;
	r = open_chain(pool, open, &disk->leaf, err);
	if (r < 0) {
		free(disk);
		return r;
	}
	tell_info(disk, open);
	*ret_disk = disk;
	return 0;
}

static void close_on_thread(void *owner)
{
	struct opening *o = owner;

	o->r = image_close(o->leaf);
}

int disk_close(struct disk *disk)
{
	struct opening o = { 0 };

	if (!disk)
		return 0;
	o.leaf = disk->leaf;
	disk_pool_run(disk->pool, close_on_thread, &o, 1);
	free(disk);
	return o.r;
}

const struct disk_info *disk_info(const struct disk *disk)
{
	return &disk->info;
}

unsigned disk_in_flight(const struct disk *disk)
{
	return disk->in_flight;
}

void disk_count(const struct disk *disk, struct disk_counters *ret_counters)
{
	*ret_counters = disk->counters;
}

static void count(struct disk_counters *counters, const struct disk_request *request)
{
	switch (request->op) {
	case DISK_READ:
		counters->reads++;
		counters->read_bytes += request->size;
		break;
	case DISK_WRITE:
	case DISK_ZERO:
		counters->writes++;
		counters->written_bytes += request->size;
		break;
	case DISK_FLUSH:
		counters->flushes++;
		break;
	case DISK_TRIM:
		counters->trims++;
		break;
	case DISK_RESIZE:
		break;
	}
}

static void give_to_threads(struct disk_pool *pool, struct disk_request *request)
{
	pthread_mutex_lock(&pool->lock);
	queue_add(&pool->waiting, &request->link);
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

static void enqueue(struct disk *disk, struct disk_request *request,
		    int (*fn)(struct disk_request *request))
{
	request->disk = disk;
	request->perform = fn;
	disk->in_flight++;
	give_to_threads(disk->pool, request);
}

/*
 * A ring's read keeps the image open for others like it until it ends; one that needs it for itself
 * would wait for ever while such reads come, so they go by the threads while there is one.
 */
static bool read_by_ring(struct disk *disk, struct disk_request *request)
{
	struct ring *ring = disk->pool->ring;
	u64 offset;
	int fd;

	if (!ring || request->op != DISK_READ || disk->now.shutting > 0 ||
	    request->size == 0 || request->size > INT_MAX ||
	    request->iov_count > IOV_MAX ||
	    iov_size(request->iov, request->iov_count) != request->size ||
	    image_begin_read(disk->leaf, request->offset, request->size, &fd, &offset) <
		    0)
		return false;
	request->disk = disk;
	request->perform = perform;
	if (ring_read(ring, fd, request->iov, request->iov_count, offset, request) < 0) {
		image_end_read(disk->leaf);
		return false;
	}
	disk->in_flight++;
	disk->counters.by_ring++;
	return true;
}

/* On a thread of the storage's. */
static void on_straight_end(struct storage_request *straight, int r)
{
	struct disk_request *request =
		CONTAINER_OF(straight, struct disk_request, straight);
	struct disk_pool *pool = request->disk->pool;

	if (r < 0 && request->op == DISK_FLUSH)
		image_has_failed(request->disk->leaf);
	request->result = r;
	pthread_mutex_lock(&pool->lock);
	give_to_loop(pool, request);
	pthread_mutex_unlock(&pool->lock);
}

/* To a storage that makes nobody wait. */
static bool start_straight(struct disk *disk, struct disk_request *request)
{
	static const enum storage_op op[] = {
		[DISK_READ] = STORAGE_READ,   [DISK_WRITE] = STORAGE_WRITE,
		[DISK_FLUSH] = STORAGE_FLUSH, [DISK_ZERO] = STORAGE_ZERO,
		[DISK_TRIM] = STORAGE_TRIM,
	};
	struct storage *s = disk->leaf->storage;

	if (image_goes_straight(disk->leaf, request->op, request->offset, request->size) <
	    0)
		return false;
	request->disk = disk;
	request->straight = (struct storage_request){
		.op = op[request->op],
		.durable = request->flags & DISK_FUA,
		.offset = request->offset,
		.size = request->size,
		.iov = request->iov,
		.iov_count = request->iov_count,
		.ended = on_straight_end,
	};
	if (s->ops->start(s, &request->straight) < 0)
		return false;
	disk->in_flight++;
	disk->counters.by_server++;
	return true;
}

void disk_submit(struct disk *disk, struct disk_request *request)
{
	disk->now.flushing += flushes(request);
	disk->now.shutting += shuts(request);
	count(&disk->counters, request);
	if (!start_straight(disk, request) && !read_by_ring(disk, request))
		enqueue(disk, request, perform);
}

/* ---- opening and closing that nobody waits for ----------------------------------------------- */

static int open_leaf(struct disk_request *request)
{
	struct disk *disk = request->disk;

	return open_chain_now(disk->pool, disk->life.open, &disk->leaf, &disk->life.err);
}

static void on_opened(struct disk_request *request, int r)
{
	struct disk *disk = request->disk;

	if (r == 0)
		tell_info(disk, disk->life.open);
	disk->life.opened(disk->life.owner, r, r == 0 ? disk : NULL, &disk->life.err);
	if (r < 0)
		free(disk);
}

int disk_open_start(struct disk_pool *pool, const struct disk_open *open,
		    disk_opened_fn done, void *owner, struct err *err)
{
	struct disk *disk;
	int r = disk_new(pool, open, &disk, err);

	if (r < 0)
		return r;
	disk->life.open = open;
	disk->life.opened = done;
	disk->life.owner = owner;
	disk->life.request.done = on_opened;
	enqueue(disk, &disk->life.request, open_leaf);
	return 0;
}

static int close_leaf(struct disk_request *request)
{
	return image_close(request->disk->leaf);
}

static void on_closed(struct disk_request *request, int r)
{
	struct disk *disk = request->disk;

	disk->life.closed(disk->life.owner, r);
	free(disk);
}

void disk_close_start(struct disk *disk, void (*done)(void *owner, int r), void *owner)
{
	disk->life.closed = done;
	disk->life.owner = owner;
	disk->life.request = (struct disk_request){ .done = on_closed };
	enqueue(disk, &disk->life.request, close_leaf);
}

/* ---- at once --------------------------------------------------------------------------------- */

/*
 * While others are under way on the threads, long copies would only hold up the loop. A write into
 * the host's cache has no way to say that it would wait (ext4 knows none): so they are taken here
 * as long as they are quick, and after a slow one the threads have them for a while: as long as it
 * took, twice that after the next, and so on; it may only have been the host's scheduler.
 */
#define NOW_SMALL (64u << 10)
#define NOW_LARGE (1u << 20)
#define SLOW_WRITE_NS 1000000u
#define AFTER_SLOW_WRITE 32 /* times as long as it took, at most */
#define QUICK_WRITES 64	    /* without a slow one between: all is forgotten */

static u64 now_ns(void)
{
	return host_clock.monotonic_ns(&host_clock);
}

static void note_duration(struct disk *disk, u64 now, u64 took)
{
	if (took <= SLOW_WRITE_NS) {
		if (++disk->now.quick == QUICK_WRITES)
			disk->now.slow = 0;
		return;
	}
	disk->now.quick = 0;
	disk->now.slow = disk->now.slow ? disk->now.slow * 2 : 1;
	if (disk->now.slow > AFTER_SLOW_WRITE)
		disk->now.slow = AFTER_SLOW_WRITE;
	disk->now.no_writes_till = now + took * disk->now.slow;
}

static int write_now(struct disk *disk, const struct disk_request *rq)
{
	u64 before, after;
	int r;

	if (!disk->now.written || disk->now.flushing > 0 || rq->flags & DISK_FUA)
		return -EAGAIN;
	before = now_ns();
	if (before < disk->now.no_writes_till)
		return -EAGAIN;
	r = image_write_now(disk->leaf, rq->iov, rq->iov_count, rq->offset);
	after = now_ns();
	note_duration(disk, after, after - before);
	return r;
}

bool disk_do_now(struct disk *disk, struct disk_request *request)
{
	int r = -EAGAIN;

	if (disk->leaf->storage->ops->start ||
	    request->size > (disk->in_flight > 0 ? NOW_SMALL : NOW_LARGE))
		return false;
	if (request->op == DISK_READ)
		r = image_read_now(disk->leaf, request->iov, request->iov_count,
				   request->offset);
	else if (request->op == DISK_WRITE)
		r = write_now(disk, request);
	/* Whatever is wrong, the threads will find it too, and say so in the ordinary way. */
	if (r < 0)
		return false;
	count(&disk->counters, request);
	disk->counters.at_once++;
	return true;
}
