/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks of NBD servers by libnbd; see nbd.h. Two kinds of work come to the thread: orders about a
 * connection (connect, close), whose givers wait, and requests. A connection's handle is touched by
 * the thread alone; what stands below "lock" in struct nbd_thread is shared.
 *
 * A request goes to the server in pieces, one after the other, NBD_DEPTH requests at once, so that
 * neither a guest nor a server decides how much memory is taken: a piece that lies in one piece of
 * memory goes from and to there, any other through a buffer of NBD_PIECE at most.
 */
#include "disk/nbd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "disk/nbd_calls.h"
#include "disk/nbd_library.h"

#define NBD_DEPTH 64
#define NBD_PIECE (512u << 10)
/* What carries no data can be larger; a multiple of every block. */
#define NBD_RANGE (1u << 30)
#define NBD_SERVERS 64
#define NBD_SPARES 8
/* What servers take that do not say. */
#define NBD_USUAL_MAXIMUM (32u << 20)

static const struct nbd_library *const nbd = &nbd_library;

enum order { ORDER_NONE, ORDER_CONNECT, ORDER_CLOSE };
enum state { STATE_OPENING, STATE_READY, STATE_DEAD };

struct connection {
	struct storage storage;
	struct nbd_thread *thread;
	const char *export_name; /* while it is opened */
	int socket;		 /* -1: libnbd's */

	/* The giver of the order waits for ORDER_NONE; lock. */
	enum order order;
	struct connection *next_order;
	int result;
	char why[ERR_TEXT_SIZE / 2];

	/* The thread's. */
	enum state state;
	struct nbd_handle *handle;
	struct connection *next;
	struct queue waiting, ended;
	unsigned under_way;
	u64 since; /* ms: when it was heard last, or began to owe an answer */
	bool server_read_only;
	u64 block, maximum;
	u8 *spare[NBD_SPARES]; /* buffers of NBD_PIECE */
	unsigned spare_count;

	/* Told by the server once, before any request. */
	bool can_flush, can_fua, can_trim, can_zero;
};

struct nbd_thread {
	pthread_t thread;
	int (*enter)(void *owner);
	void *owner;
	unsigned patience;
	int event;
	struct connection *connections;
	unsigned count;

	pthread_mutex_t lock; /* what follows */
	pthread_cond_t moved; /* an order or a request that somebody waits for is over */
	struct connection *orders;
	struct queue inbox;
	bool entered, stop;
	int enter_error;
};

static struct storage_request *take(struct queue *q)
{
	struct queue_link *link = queue_take(q);

	return link ? CONTAINER_OF(link, struct storage_request, link) : NULL;
}

static struct connection *connection_of(struct storage *s)
{
	return CONTAINER_OF(s, struct connection, storage);
}

static u64 now_ms(void)
{
	return host_clock.monotonic_ns(&host_clock) / 1000000;
}

static u64 patience_of(const struct connection *c)
{
	return c->thread->patience	   ? c->thread->patience
	       : c->state == STATE_OPENING ? NBD_PATIENCE_OPENING
					   : NBD_PATIENCE;
}

/* ---- requests: the thread ---------------------------------------------------------------------- */

/* NULL: no memory. */
static u8 *take_buffer(struct connection *c)
{
	return c->spare_count > 0 ? c->spare[--c->spare_count] : malloc(NBD_PIECE);
}

static void give_buffer(struct connection *c, u8 *buffer)
{
	if (buffer && c->spare_count < NBD_SPARES)
		c->spare[c->spare_count++] = buffer;
	else
		free(buffer);
}

static void end(struct connection *c, struct storage_request *rq, int r)
{
	give_buffer(c, take_ptr(rq->bounce));
	c->under_way--;
	rq->ended(rq, r);
}

static int our_error(const struct storage_request *rq, int error)
{
	switch (error) {
	case 0:
		return 0;
	case ENOSPC: /* of a flush: data that had been taken is lost */
		return rq->op == STORAGE_FLUSH ? -EIO : -ENOSPC;
	case EPERM:
	case EROFS:
		return -EROFS;
	case EOPNOTSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

/* By libnbd, which must not be called from here. */
static int on_piece(void *owner, int *error)
{
	struct storage_request *rq = owner;

	rq->result = our_error(rq, *error);
	queue_add(&connection_of(rq->storage)->ended, &rq->link);
	return 1; /* it need not be kept */
}

/* Where the piece's bytes are or come to; NULL: no memory. */
static void *place_piece(struct connection *c, struct storage_request *rq)
{
	const struct iovec *v = &rq->cursor.iov[rq->cursor.index];
	struct iovec piece;
	unsigned count;

	rq->bounced = v->iov_len - rq->cursor.skip < rq->piece;
	if (!rq->bounced) {
		iov_take(&rq->cursor, rq->piece, &piece, 1, &count);
		return piece.iov_base;
	}
	if (!rq->bounce)
		rq->bounce = take_buffer(c);
	if (rq->bounce && rq->op == STORAGE_WRITE)
		iov_copy_from(&rq->cursor, rq->bounce, rq->piece);
	return rq->bounce;
}

/* libnbd has taken it, or -1. */
static s64 send_piece(struct connection *c, struct storage_request *rq)
{
	const nbd_completion_callback ended = { .callback = on_piece, .user_data = rq };
	u32 fua = rq->durable && c->can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
	bool with_data = rq->op == STORAGE_READ || rq->op == STORAGE_WRITE;
	u64 at = rq->offset + rq->done;
	void *data = NULL;

	rq->piece = min_u64(rq->size - rq->done, with_data ? c->maximum : NBD_RANGE);
	if (with_data) {
		data = place_piece(c, rq);
		if (!data)
			return -1;
	}
	switch (rq->op) {
	case STORAGE_READ:
		return nbd->aio_pread(c->handle, data, rq->piece, at, ended, 0);
	case STORAGE_WRITE:
		return nbd->aio_pwrite(c->handle, data, rq->piece, at, ended, fua);
	case STORAGE_ZERO:
		return nbd->aio_zero(c->handle, rq->piece, at, ended, fua);
	case STORAGE_TRIM:
		return nbd->aio_trim(c->handle, rq->piece, at, ended, 0);
	case STORAGE_FLUSH:
		break;
	}
	return -1;
}

static s64 send_flush(struct connection *c, struct storage_request *rq)
{
	const nbd_completion_callback ended = { .callback = on_piece, .user_data = rq };

	rq->flushing = true;
	rq->piece = 0;
	return nbd->aio_flush(c->handle, ended, 0);
}

static bool flush_is_owed(const struct connection *c, const struct storage_request *rq)
{
	if (!c->can_flush || rq->flushing)
		return false;
	return rq->op == STORAGE_FLUSH || (rq->durable && !c->can_fua);
}

/* The next piece, or the flush behind the last, or the end. */
static void go_on(struct connection *c, struct storage_request *rq)
{
	s64 sent = 0;

	if (rq->done < rq->size)
		sent = send_piece(c, rq);
	else if (flush_is_owed(c, rq))
		sent = send_flush(c, rq);
	else
		end(c, rq, 0);
	if (sent < 0)
		end(c, rq, -EIO);
}

/* Whole blocks alone; none for a server that takes no trims. */
static void round_trim(const struct connection *c, struct storage_request *rq)
{
	u64 last = (rq->offset + rq->size) / c->block * c->block;

	rq->offset = (rq->offset + c->block - 1) / c->block * c->block;
	rq->size = c->can_trim && last > rq->offset ? last - rq->offset : 0;
}

static void begin(struct connection *c, struct storage_request *rq)
{
	if (c->under_way++ == 0)
		c->since = now_ms();
	if (rq->op == STORAGE_TRIM)
		round_trim(c, rq);
	if (c->state == STATE_READY)
		go_on(c, rq);
	else
		end(c, rq, -EIO);
}

static void piece_ended(struct connection *c, struct storage_request *rq)
{
	if (rq->result < 0) {
		end(c, rq, rq->result);
		return;
	}
	if (rq->bounced && rq->op == STORAGE_READ)
		iov_copy_to(&rq->cursor, rq->bounce, rq->piece);
	rq->done += rq->piece;
	go_on(c, rq);
}

static void work_on_requests(struct connection *c)
{
	struct storage_request *rq;

	do {
		while ((rq = take(&c->ended)))
			piece_ended(c, rq);
		while (c->under_way < NBD_DEPTH && (rq = take(&c->waiting)))
			begin(c, rq);
	} while (c->ended.first);
}

/* ---- connections: the thread ------------------------------------------------------------------- */

/* What libnbd says, without the name of its function; there are words of the server in it. */
static void note_why(struct connection *c)
{
	const char *words = nbd->get_error(), *colon = words ? strchr(words, ':') : NULL;

	if (colon && strncmp(words, "nbd_", 4) == 0)
		words = colon + 1 + (colon[1] == ' ');
	snprintf(c->why, sizeof c->why, "%s", words ? words : "it ended the connection");
	for (char *p = c->why; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static void answer(struct connection *c, int r)
{
	struct nbd_thread *t = c->thread;

	pthread_mutex_lock(&t->lock);
	c->result = r;
	c->order = ORDER_NONE;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

static bool can(int answer)
{
	return answer == 1;
}

/* The server has said all about its export. */
static int read_facts(struct connection *c)
{
	struct nbd_handle *h = c->handle;
	s64 size = nbd->get_size(h), block = nbd->get_block_size(h, LIBNBD_SIZE_MINIMUM),
	    maximum = nbd->get_block_size(h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0 || block < 0 || maximum < 0) {
		note_why(c);
		return -EIO;
	}
	c->block = block > 512 ? (u64)block : 512;
	if (c->block != 512 && c->block != 4096) {
		snprintf(c->why, sizeof c->why,
			 "its blocks are of %llu bytes, those of a disk of 512 or 4096",
			 (unsigned long long)c->block);
		return -EOPNOTSUPP;
	}
	c->maximum = min_u64(maximum ? (u64)maximum : NBD_USUAL_MAXIMUM, NBD_PIECE);
	c->maximum -= c->maximum % c->block;
	if (c->maximum == 0) {
		snprintf(c->why, sizeof c->why, "it takes less than a block at once");
		return -EOPNOTSUPP;
	}
	c->server_read_only = can(nbd->is_read_only(h));
	c->can_flush = can(nbd->can_flush(h));
	c->can_fua = can(nbd->can_fua(h));
	c->can_trim = can(nbd->can_trim(h));
	c->can_zero = can(nbd->can_zero(h));
	c->storage.size = (u64)size;
	c->storage.block = (u32)c->block;
	return 0;
}

/* Where the connection stands now, after libnbd has done something. */
static void look_at(struct connection *c)
{
	struct nbd_handle *h = c->handle;
	int r = 0;

	if (c->state == STATE_OPENING && nbd->aio_is_connecting(h) != 1) {
		r = nbd->aio_is_ready(h) == 1 ? read_facts(c) : -EIO;
		c->state = r < 0 ? STATE_DEAD : STATE_READY;
		if (r < 0 && !c->why[0])
			note_why(c);
		answer(c, r);
	} else if (c->state == STATE_READY && nbd->aio_is_ready(h) != 1 &&
		   nbd->aio_is_processing(h) != 1) {
		c->state = STATE_DEAD;
		note_why(c);
		log_warn("an NBD server is gone, its disk gives errors from now on: %s",
			 c->why);
	}
}

static void connect_to(struct nbd_thread *t, struct connection *c)
{
	c->state = STATE_DEAD;
	if (t->count == NBD_SERVERS) {
		snprintf(c->why, sizeof c->why, "more than %d disks of NBD servers",
			 NBD_SERVERS);
		answer(c, -ENOSPC);
		return;
	}
	c->handle = nbd->create();
	if (!c->handle || nbd->set_debug(c->handle, false) < 0 ||
	    nbd->set_export_name(c->handle, c->export_name) < 0 ||
	    nbd->aio_connect_socket(c->handle, take_fd(&c->socket)) < 0) {
		note_why(c);
		answer(c, -EIO);
		return;
	}
	c->state = STATE_OPENING;
	c->since = now_ms();
	c->next = t->connections;
	t->connections = c;
	t->count++;
	look_at(c); /* perhaps the server was quick */
}

static void close_it(struct nbd_thread *t, struct connection *c)
{
	struct connection **at = &t->connections;

	while (*at && *at != c)
		at = &(*at)->next;
	if (*at) {
		*at = c->next;
		t->count--;
	}
	if (c->state == STATE_READY)
		(void)nbd->aio_disconnect(c->handle, 0);
	nbd->close(take_ptr(c->handle));
	while (c->spare_count > 0)
		free(c->spare[--c->spare_count]);
	answer(c, 0);
}

/* ---- the thread ---------------------------------------------------------------------------------- */

/* False: it shall end. */
static bool take_orders(struct nbd_thread *t)
{
	struct connection *orders;
	struct queue_link *link, *next;
	bool stop;

	pthread_mutex_lock(&t->lock);
	orders = take_ptr(t->orders);
	link = queue_take_all(&t->inbox);
	stop = t->stop;
	pthread_mutex_unlock(&t->lock);
	for (; link; link = next) {
		struct storage_request *rq =
			CONTAINER_OF(link, struct storage_request, link);

		next = link->next;
		queue_add(&connection_of(rq->storage)->waiting, link);
	}
	for (struct connection *c = orders, *then; c; c = then) {
		then = c->next_order;
		if (c->order == ORDER_CONNECT)
			connect_to(t, c);
		else
			close_it(t, c);
	}
	return !stop;
}

static bool owes(const struct connection *c)
{
	return c->state == STATE_OPENING || (c->state == STATE_READY && c->under_way > 0);
}

/* Its socket ends, and libnbd will see to the rest. */
static void give_up_the_silent(struct connection *c, u64 now)
{
	if (!owes(c) || now - c->since < patience_of(c))
		return;
	if (!c->why[0])
		snprintf(c->why, sizeof c->why, "it does not answer");
	c->since = now;
	shutdown(nbd->aio_get_fd(c->handle), SHUT_RDWR);
}

/* Milliseconds to sleep, -1: for ever. */
static int fill_polls(struct nbd_thread *t, struct pollfd *poll_fd,
		      struct connection **ret_of, unsigned *ret_count)
{
	u64 now = now_ms(), wait = UINT64_MAX;
	unsigned n = 0;

	poll_fd[n++] = (struct pollfd){ .fd = t->event, .events = POLLIN };
	for (struct connection *c = t->connections; c; c = c->next) {
		unsigned direction;

		if (c->state == STATE_DEAD)
			continue;
		give_up_the_silent(c, now);
		if (owes(c))
			wait = min_u64(wait, c->since + patience_of(c) - now);
		direction = nbd->aio_get_direction(c->handle);
		ret_of[n] = c;
		poll_fd[n++] = (struct pollfd){
			.fd = nbd->aio_get_fd(c->handle),
			.events =
				(short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN
									       : 0) |
					(direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT
										: 0)),
		};
	}
	*ret_count = n;
	return wait == UINT64_MAX ? -1 : (int)wait + 1;
}

static void on_socket(struct connection *c, const struct pollfd *p)
{
	int r = 0;

	if (p->revents == 0)
		return;
	if (p->revents & POLLIN && c->state == STATE_READY)
		c->since = now_ms();
	if (p->revents & POLLOUT)
		r = nbd->aio_notify_write(c->handle);
	else
		r = nbd->aio_notify_read(c->handle);
	if (r < 0 && !c->why[0])
		note_why(c);
	look_at(c);
}

static void serve(struct nbd_thread *t)
{
	struct pollfd poll_fd[NBD_SERVERS + 1];
	struct connection *of[NBD_SERVERS + 1];
	unsigned count;

	while (take_orders(t)) {
		for (struct connection *c = t->connections; c; c = c->next) {
			work_on_requests(c);
			look_at(c);
			work_on_requests(c);
		}
		int wait = fill_polls(t, poll_fd, of, &count);
		if (poll(poll_fd, count, wait) <= 0)
			continue;
		if (poll_fd[0].revents)
			ipc_event_clear(t->event);
		for (unsigned n = 1; n < count; n++)
			on_socket(of[n], &poll_fd[n]);
	}
}

static void *thread_main(void *arg)
{
	struct nbd_thread *t = arg;
	int r = t->enter(t->owner);

	pthread_mutex_lock(&t->lock);
	t->entered = true;
	t->enter_error = r;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
	if (r == 0)
		serve(t);
	return NULL;
}

/* Without the thread itself. */
static void give_up(struct nbd_thread *t)
{
	if (t->event >= 0)
		close(t->event);
	pthread_cond_destroy(&t->moved);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int nbd_thread_new(int (*enter)(void *owner), void *owner, unsigned patience,
		   struct nbd_thread **ret_thread)
{
	struct nbd_thread *t;
	int r = 0;

	*ret_thread = NULL;
	if (!nbd_library_loaded())
		return 0;
	t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	t->enter = enter;
	t->owner = owner;
	t->patience = patience;
	queue_init(&t->inbox);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->moved, NULL);
	t->event = ipc_event_new();
	if (t->event < 0)
		r = t->event;
	if (r == 0)
		r = -pthread_create(&t->thread, NULL, thread_main, t);
	if (r < 0) {
		give_up(t);
		return r;
	}
	pthread_mutex_lock(&t->lock);
	while (!t->entered)
		pthread_cond_wait(&t->moved, &t->lock);
	r = t->enter_error;
	pthread_mutex_unlock(&t->lock);
	if (r < 0)
		nbd_thread_free(t);
	else
		*ret_thread = t;
	return r;
}

void nbd_thread_free(struct nbd_thread *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_mutex_unlock(&t->lock);
	ipc_event_ring(t->event);
	pthread_join(t->thread, NULL);
	give_up(t);
}

/* ---- the storage --------------------------------------------------------------------------------- */

static int export_start(struct storage *s, struct storage_request *rq)
{
	struct connection *c = connection_of(s);
	struct nbd_thread *t = c->thread;
	bool with_data = rq->op == STORAGE_READ || rq->op == STORAGE_WRITE, first;

	if (rq->op == STORAGE_ZERO && !c->can_zero)
		return -EOPNOTSUPP;
	if (rq->op == STORAGE_FLUSH)
		rq->offset = rq->size = 0;
	if (!range_inside(rq->offset, rq->size, s->size))
		return -EIO;
	if (with_data && iov_size(rq->iov, rq->iov_count) != rq->size)
		return -EINVAL;
	rq->storage = s;
	rq->cursor = (struct iov_cursor){ .iov = rq->iov, .count = rq->iov_count };
	rq->done = rq->piece = 0;
	rq->bounce = NULL;
	rq->bounced = rq->flushing = false;
	rq->result = 0;
	pthread_mutex_lock(&t->lock);
	first = t->inbox.first == NULL;
	queue_add(&t->inbox, &rq->link);
	pthread_mutex_unlock(&t->lock);
	if (first)
		ipc_event_ring(t->event);
	return 0;
}

/* A request that is waited for. */
struct waiting {
	struct storage_request request;
	bool over;
	int r;
};

static void on_over(struct storage_request *rq, int r)
{
	struct waiting *w = CONTAINER_OF(rq, struct waiting, request);
	struct nbd_thread *t = connection_of(rq->storage)->thread;

	pthread_mutex_lock(&t->lock);
	w->r = r;
	w->over = true;
	pthread_cond_broadcast(&t->moved);
	pthread_mutex_unlock(&t->lock);
}

static int wait_for(struct storage *s, struct storage_request request)
{
	struct nbd_thread *t = connection_of(s)->thread;
	struct waiting w = { .request = request };
	int r;

	w.request.ended = on_over;
	r = export_start(s, &w.request);
	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	while (!w.over)
		pthread_cond_wait(&t->moved, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return w.r;
}

static int transfer(struct storage *s, enum storage_op op, const struct iovec *iov,
		    unsigned count, u64 offset)
{
	return wait_for(s, (struct storage_request){ .op = op,
						     .iov = iov,
						     .iov_count = count,
						     .size = iov_size(iov, count),
						     .offset = offset });
}

static int export_read(struct storage *s, const struct iovec *iov, unsigned count,
		       u64 offset)
{
	return transfer(s, STORAGE_READ, iov, count, offset);
}

static int export_write(struct storage *s, const struct iovec *iov, unsigned count,
			u64 offset)
{
	return transfer(s, STORAGE_WRITE, iov, count, offset);
}

static int export_flush(struct storage *s)
{
	return wait_for(s, (struct storage_request){ .op = STORAGE_FLUSH });
}

static int export_punch(struct storage *s, u64 offset, u64 size)
{
	return wait_for(s, (struct storage_request){
				   .op = STORAGE_ZERO, .offset = offset, .size = size });
}

static int export_set_size(struct storage *s, u64 size)
{
	return -EOPNOTSUPP;
}

/* Give an order, and wait until it is carried out. */
static int order(struct connection *c, enum order what)
{
	struct nbd_thread *t = c->thread;

	pthread_mutex_lock(&t->lock);
	c->order = what;
	c->next_order = t->orders;
	t->orders = c;
	ipc_event_ring(t->event);
	while (c->order != ORDER_NONE)
		pthread_cond_wait(&t->moved, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return c->result;
}

static void export_close(struct storage *s)
{
	struct connection *c = connection_of(s);

	(void)order(c, ORDER_CLOSE);
	if (c->socket >= 0)
		close(c->socket);
	free(c);
}

static const struct storage_ops nbd_ops = {
	.name = "nbd",
	.read = export_read,
	.write = export_write,
	.flush = export_flush,
	.set_size = export_set_size,
	.punch = export_punch,
	.start = export_start,
	.close = export_close,
};

int nbd_open(struct nbd_thread *t, int socket, const char *export_name, bool read_only,
	     struct storage **ret_storage, struct err *err)
{
	struct connection *c = t ? calloc(1, sizeof *c) : NULL;
	int r;

	if (!c) {
		close(socket);
		return t ? err_set(err, -ENOMEM, "no memory") : nbd_library_missing(err);
	}
	*c = (struct connection){
		.storage = { .ops = &nbd_ops,
			     .fixed_size = true,
			     .read_only = read_only,
			     .fd = -1 },
		.thread = t,
		.export_name = export_name,
		.socket = socket,
	};
	queue_init(&c->waiting);
	queue_init(&c->ended);
	r = order(c, ORDER_CONNECT);
	if (r < 0) {
		err_set(err, r, "the NBD server cannot be used: %s", c->why);
	} else if (c->server_read_only && !read_only) {
		err_set(err, -EROFS, "the NBD server gives it for reading only");
		r = err_fix(err, "open it so: ,ro");
	}
	if (r < 0)
		export_close(&c->storage);
	else
		*ret_storage = &c->storage;
	return r;
}
