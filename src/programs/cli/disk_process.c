/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation with tabique-disk; see disk_process.h. */
#include "programs/cli/disk_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "base/ipc.h"
#include "programs/cli/vm_process.h"

struct process {
	pid_t pid;
	int pidfd, slot_lock;
	int socket[2];	       /* ours, its */
	char child_path[4096]; /* the image whose parent is asked for next */
	unsigned depth;
};

static void drop_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int send_order(struct process *p, struct disk_work *w, u32 uid, struct err *err)
{
	static struct disk_message m;
	int fds[2];
	unsigned count = 0;
	int r;

	m = (struct disk_message){ .kind = DISK_ORDER };
	m.u.order = w->order;
	m.u.order.version = DISK_ORDER_VERSION;
	m.u.order.uid = uid ? uid + ROLE_DISK : 0;
	m.u.order.has_source = w->source.fd >= 0;
	m.u.order.has_target = w->target.fd >= 0;
	if (w->source.fd >= 0)
		fds[count++] = w->source.fd;
	if (w->target.fd >= 0)
		fds[count++] = w->target.fd;
	r = ipc_send(p->socket[0], &m, sizeof m, fds, count);
	drop_fd(&w->source.fd);
	drop_fd(&w->target.fd);
	return r < 0 ? err_set(err, r, "tabique-disk takes no order: %s", err_words(r))
		     : 0;
}

static int answer_parent(struct process *p, struct disk_work *w,
			 const struct disk_need_parent *need, struct err *err)
{
	static struct disk_message m;
	char relative[DISK_ORDER_NAME], absolute[DISK_ORDER_NAME], path[4096];
	struct image_file file;
	int r;

	/* What the jailed process passes on is an image's: terminated here. */
	memcpy(relative, need->relative, sizeof relative);
	memcpy(absolute, need->absolute, sizeof absolute);
	relative[sizeof relative - 1] = absolute[sizeof absolute - 1] = '\0';
	r = image_file_open_parent(p->child_path, relative, absolute, w->folders,
				   w->parent_writable && p->depth == 0, path, sizeof path,
				   &file, err);
	if (r < 0)
		return r;
	m = (struct disk_message){ .kind = DISK_PARENT };
	snprintf(m.u.parent.name, sizeof m.u.parent.name, "%.1000s", path);
	m.u.parent.format = file.format;
	m.u.parent.device_block = file.device_block;
	r = ipc_send(p->socket[0], &m, sizeof m, &file.fd, 1);
	close(file.fd);
	if (p->depth++ == 0)
		memcpy(w->parent_path, path, sizeof path);
	memcpy(p->child_path, path, sizeof path);
	return r < 0 ? err_set(err, r, "tabique-disk takes no parent: %s", err_words(r))
		     : 0;
}

static int take_failure(const struct disk_message *m, struct err *err)
{
	err_set(err, m->u.failed.code < 0 ? m->u.failed.code : -EIO, "%.*s",
		ERR_TEXT_SIZE - 1, m->u.failed.text);
	if (m->u.failed.fix[0])
		err_fix(err, "%.*s", ERR_FIX_SIZE - 1, m->u.failed.fix);
	return err->code;
}

/* One message; 1: it is done. */
static int handle(struct process *p, struct disk_work *w, struct disk_message *m,
		  struct err *err)
{
	switch ((enum disk_message_kind)m->kind) {
	case DISK_NEED_PARENT:
		return answer_parent(p, w, &m->u.need, err);
	case DISK_PROGRESS:
		if (w->progress)
			w->progress(m->u.progress.done, m->u.progress.total);
		return 0;
	case DISK_FINDING:
		m->u.text[sizeof m->u.text - 1] = '\0';
		if (w->finding)
			w->finding(m->error, m->u.text);
		return 0;
	case DISK_FACTS:
		m->u.facts.relative[DISK_ORDER_NAME - 1] = '\0';
		m->u.facts.absolute[DISK_ORDER_NAME - 1] = '\0';
		if (w->facts)
			w->facts(&m->u.facts);
		return 0;
	case DISK_DONE:
		return 1;
	case DISK_FAILED:
		m->u.failed.text[ERR_TEXT_SIZE - 1] = '\0';
		m->u.failed.fix[ERR_FIX_SIZE - 1] = '\0';
		return take_failure(m, err);
	case DISK_ORDER:
	case DISK_PARENT:
		break;
	}
	return err_set(err, -EPROTO, "tabique-disk said something unknown");
}

static int converse(struct process *p, struct disk_work *w, struct err *err)
{
	static struct disk_message m;
	int r = 0;

	while (r == 0) {
		unsigned fd_count = 0;
		size_t size = 0;

		r = ipc_receive(p->socket[0], &m, sizeof m, &size, NULL, 0, &fd_count);
		if (r < 0)
			return err_set(err, r == -EPIPE ? -EIO : r,
				       "tabique-disk ended without an answer");
		r = size == sizeof m ? handle(p, w, &m, err)
				     : err_set(err, -EPROTO,
					       "tabique-disk said something unknown");
	}
	return r < 0 ? r : 0;
}

int disk_process_run(struct disk_work *w, struct err *err)
{
	struct process p = { .pidfd = -1, .slot_lock = -1, .socket = { -1, -1 } };
	u32 uid = 0;
	int r = take_slot(&uid, &p.slot_lock, err);

	snprintf(p.child_path, sizeof p.child_path, "%s",
		 w->source_path ? w->source_path : "");
	if (r == 0) {
		r = ipc_pair(p.socket);
		if (r < 0)
			err_set(err, r, "no socket: %s", err_words(r));
	}
	if (r == 0)
		r = start_program("tabique-disk", p.socket[1], &p.pid, &p.pidfd, err);
	drop_fd(&p.socket[1]);
	if (r == 0)
		r = send_order(&p, w, uid, err);
	if (r == 0)
		r = converse(&p, w, err);
	drop_fd(&p.socket[0]);
	if (p.pid > 0) {
		/* It has said all it had to say, or its owner gives up. */
		if (r < 0)
			kill(p.pid, SIGKILL);
		while (waitpid(p.pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	drop_fd(&p.pidfd);
	drop_fd(&p.slot_lock);
	drop_fd(&w->source.fd);
	drop_fd(&w->target.fd);
	return r;
}
