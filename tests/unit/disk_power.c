/* SPDX-License-Identifier: Apache-2.0 */
/* A storage in memory that can lose power; see disk_power.h. */
#include "unit/disk_power.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE 4096u

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- contents -------------------------------------------------------------------------------- */

static u8 *page_new(const u8 *content)
{
	u64 *p = must(malloc(sizeof(u64) + PAGE));

	*p = 1;
	if (content)
		memcpy(p + 1, content, PAGE);
	else
		memset(p + 1, 0, PAGE);
	return (u8 *)(p + 1);
}

static u64 *owners_of(u8 *page)
{
	return (u64 *)(void *)page - 1;
}

static void page_drop(u8 **page)
{
	if (*page && --*owners_of(*page) == 0)
		free(owners_of(*page));
	*page = NULL;
}

void power_file_copy(const struct power_file *from, struct power_file *ret_file)
{
	*ret_file = *from;
	ret_file->page = must(malloc((from->page_count + 1) * sizeof *from->page));
	for (u64 i = 0; i < from->page_count; i++) {
		ret_file->page[i] = from->page[i];
		if (from->page[i])
			++*owners_of(from->page[i]);
	}
}

void power_file_free(struct power_file *f)
{
	for (u64 i = 0; i < f->page_count; i++)
		page_drop(&f->page[i]);
	free(f->page);
	memset(f, 0, sizeof *f);
}

static void make_room(struct power_file *f, u64 size)
{
	u64 count = (size + PAGE - 1) / PAGE;

	if (count > f->page_count) {
		u64 room = max_u64(count, f->page_count + f->page_count / 4 + 64);

		f->page = must(realloc(f->page, (room + 1) * sizeof *f->page));
		memset(f->page + f->page_count, 0,
		       (room - f->page_count) * sizeof *f->page);
		f->page_count = room;
	}
	if (size > f->size)
		f->size = size;
}

static u8 *own_page(struct power_file *f, u64 n)
{
	u8 *page = f->page[n];

	if (page && *owners_of(page) == 1)
		return page;
	f->page[n] = page_new(page);
	page_drop(&page);
	return f->page[n];
}

void power_file_write(struct power_file *f, const void *data, u64 size, u64 offset)
{
	const u8 *p = data;

	make_room(f, offset + size);
	while (size > 0) {
		u64 in = offset % PAGE, n = min_u64(size, PAGE - in);

		memcpy(own_page(f, offset / PAGE) + in, p, n);
		p += n;
		offset += n;
		size -= n;
	}
}

bool power_file_read(const struct power_file *f, void *data, u64 size, u64 offset)
{
	u8 *p = data;

	if (offset > f->size || size > f->size - offset)
		return false;
	while (size > 0) {
		u64 in = offset % PAGE, n = min_u64(size, PAGE - in);
		const u8 *page = offset / PAGE < f->page_count ? f->page[offset / PAGE]
							       : NULL;

		if (page)
			memcpy(p, page + in, n);
		else
			memset(p, 0, n);
		p += n;
		offset += n;
		size -= n;
	}
	return true;
}

void power_file_zero(struct power_file *f, u64 offset, u64 size)
{
	if (offset >= f->size)
		return;
	size = min_u64(size, f->size - offset);
	while (size > 0 && offset / PAGE < f->page_count) {
		u64 in = offset % PAGE, n = min_u64(size, PAGE - in);

		if (n == PAGE)
			page_drop(&f->page[offset / PAGE]);
		else if (f->page[offset / PAGE])
			memset(own_page(f, offset / PAGE) + in, 0, n);
		offset += n;
		size -= n;
	}
}

void power_file_set_size(struct power_file *f, u64 size)
{
	if (size < f->size) {
		power_file_zero(f, size, f->size - size);
		f->size = size;
	} else {
		f->size = size;
	}
}

void power_apply(struct power_file *f, const struct power_op *op, u64 limit)
{
	switch (op->kind) {
	case POWER_WRITE:
		power_file_write(f, op->data, min_u64(op->size, limit), op->offset);
		break;
	case POWER_SIZE:
		power_file_set_size(f, op->offset);
		break;
	case POWER_ZERO:
		power_file_zero(f, op->offset, min_u64(op->size, limit));
		break;
	case POWER_FLUSH:
	case POWER_NOTE:
		break;
	}
}

/* ---- storage --------------------------------------------------------------------------------- */

static struct power *power_of(struct storage *s)
{
	return CONTAINER_OF(s, struct power, storage);
}

static struct power_op *add_op(struct power *p, enum power_kind kind, u64 offset,
			       u64 size)
{
	static struct power_op nowhere;

	if (!p->recording)
		return &nowhere;
	if (p->op_count == p->op_room) {
		p->op_room = p->op_room ? 2 * p->op_room : 256;
		p->op = must(realloc(p->op, p->op_room * sizeof *p->op));
	}
	p->op[p->op_count] =
		(struct power_op){ .kind = kind, .offset = offset, .size = size };
	return &p->op[p->op_count++];
}

static int failure(struct power *p)
{
	p->ops++;
	if (p->fail_at &&
	    (p->ops == p->fail_at || (p->fail_sticky && p->ops > p->fail_at)))
		return p->fail_with;
	return 0;
}

static int power_read(struct storage *s, const struct iovec *iov, unsigned count,
		      u64 offset)
{
	struct power *p = power_of(s);
	int r = failure(p);

	for (unsigned i = 0; i < count && r == 0; i++) {
		if (!power_file_read(&p->file, iov[i].iov_base, iov[i].iov_len, offset))
			r = -EIO;
		offset += iov[i].iov_len;
	}
	return r;
}

static int power_write(struct storage *s, const struct iovec *iov, unsigned count,
		       u64 offset)
{
	struct power *p = power_of(s);
	u64 size = iov_size(iov, count), at = offset;
	int r = failure(p);

	if (r < 0 || size == 0)
		return r;
	for (unsigned i = 0; i < count; i++) {
		power_file_write(&p->file, iov[i].iov_base, iov[i].iov_len, at);
		at += iov[i].iov_len;
	}
	s->size = p->file.size;
	if (p->recording) {
		struct power_op *op = add_op(p, POWER_WRITE, offset, size);

		op->data = must(malloc(size));
		(void)power_file_read(&p->file, op->data, size, offset);
	}
	return 0;
}

/* A copy is a write that nobody's memory sees: it can be lost and torn as any other. */
static int power_copy(struct storage *s, u64 offset, struct storage *from,
		      u64 from_offset, u64 size)
{
	struct power *p = power_of(s);
	bool last = p->copies == 1;
	struct iovec iov = { .iov_len = last ? size / 2 : size };
	AUTO_FREE u8 *data = must(malloc(size));
	int r;

	if (p->copies == 0 || from->ops != s->ops)
		return -EOPNOTSUPP;
	p->copies--;
	iov.iov_base = data;
	r = power_read(from, &iov, 1, from_offset);
	if (r == 0)
		r = power_write(s, &iov, 1, offset);
	return r == 0 && last ? -EOPNOTSUPP : r;
}

static int power_flush(struct storage *s)
{
	struct power *p = power_of(s);
	int r = failure(p);

	if (r == 0 && !p->lie)
		add_op(p, POWER_FLUSH, 0, 0);
	return r;
}

static int power_set_size(struct storage *s, u64 size)
{
	struct power *p = power_of(s);
	int r = failure(p);

	if (r < 0)
		return r;
	power_file_set_size(&p->file, size);
	s->size = size;
	add_op(p, POWER_SIZE, size, 0);
	return 0;
}

static int power_punch(struct storage *s, u64 offset, u64 size)
{
	struct power *p = power_of(s);
	int r = failure(p);

	if (r < 0)
		return r;
	power_file_zero(&p->file, offset, size);
	add_op(p, POWER_ZERO, offset, size);
	return 0;
}

static void power_close(struct storage *s) {}

static bool has_page(const struct power_file *f, u64 n)
{
	return n < f->page_count && f->page[n];
}

static int power_next_data(struct storage *s, u64 offset, u64 *ret_start, u64 *ret_end)
{
	const struct power_file *f = &CONTAINER_OF(s, struct power, storage)->file;
	u64 pages = (f->size + PAGE - 1) / PAGE, n = offset / PAGE;

	while (n < pages && !has_page(f, n))
		n = n < f->page_count ? n + 1 : pages;
	if (n >= pages || offset >= f->size)
		return -ENXIO;
	*ret_start = max_u64(offset, n * PAGE);
	while (n < pages && has_page(f, n))
		n++;
	*ret_end = min_u64(n * PAGE, f->size);
	return 0;
}

static const struct storage_ops power_ops = {
	.name = "power",
	.read = power_read,
	.write = power_write,
	.flush = power_flush,
	.set_size = power_set_size,
	.next_data = power_next_data,
	.punch = power_punch,
	.copy = power_copy,
	.close = power_close,
};

struct storage *power_open(struct power *p, struct power_file *file)
{
	memset(p, 0, sizeof *p);
	p->file = *file;
	p->storage = (struct storage){
		.ops = &power_ops, .size = file->size, .block = 512, .fd = -1
	};
	memset(file, 0, sizeof *file);
	return &p->storage;
}

static void drop_ops(struct power *p)
{
	for (u32 i = 0; i < p->op_count; i++)
		free(p->op[i].data);
	free(p->op);
	p->op = NULL;
	p->op_count = p->op_room = 0;
	power_file_free(&p->base);
}

void power_free(struct power *p)
{
	drop_ops(p);
	power_file_free(&p->file);
}

void power_record(struct power *p)
{
	drop_ops(p);
	power_file_copy(&p->file, &p->base);
	p->recording = true;
}

void power_note(struct power *p, u64 number)
{
	add_op(p, POWER_NOTE, number, 0);
}
