/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a VHDX: replaying what another left, writing our own entries; see vhdx.h. [MS-VHDX]
 * 2.3. The log is a ring of pages: entries go around its end, structures of 4096 bytes do not.
 *
 * Replay looks for the entry with the highest sequence number from which an unbroken chain goes
 * back to its tail. All of it is checked before the first byte is written, so that an image
 * which is refused is left as it was.
 */
#include <errno.h>

#include "base/checked.h"
#include "disk/create.h"
#include "disk/crc32c.h"
#include "disk/storage_overlay.h"
#include "disk/vhdx.h"

typedef unsigned long long ull;

#define DESCRIPTORS_FIRST_PAGE 126u

struct log {
	u8 *data;
	u32 length;
	u64 offset; /* in the file */
	vhdx_guid id;
	u64 budget; /* bytes that may still be summed: hostile entries overlap */
};

/* ---- looking at entries ---------------------------------------------------------------------- */

static const void *at(const struct log *log, u64 position)
{
	return log->data + position % log->length;
}

static u64 descriptors_size(u32 count)
{
	u64 size = sizeof(struct vhdx_log_entry) +
		   (u64)count * sizeof(struct vhdx_log_descriptor);

	return (size + VHDX_PAGE - 1) & ~(u64)(VHDX_PAGE - 1);
}

/* Could an entry begin here? Cheap. */
static const struct vhdx_log_entry *entry_at(const struct log *log, u32 position)
{
	const struct vhdx_log_entry *e = at(log, position);
	u32 length = le32_get(e->length), tail = le32_get(e->tail);

	if (memcmp(e->signature, "loge", 4) != 0 || !vhdx_same(&e->log, &log->id) ||
	    le64_get(e->sequence) == 0)
		return NULL;
	if (length == 0 || length % VHDX_PAGE || length > log->length ||
	    tail % VHDX_PAGE || tail >= log->length)
		return NULL;
	if (descriptors_size(le32_get(e->count)) > length)
		return NULL;
	return e;
}

static u32 entry_checksum(const struct log *log, u32 position, u32 length)
{
	const u8 *p = log->data + position;
	u32 first = length < log->length - position ? length : log->length - position;
	static const u8 zero[4];
	u32 crc = crc32c(0, p, 4);

	crc = crc32c(crc, zero, sizeof zero);
	crc = crc32c(crc, p + 8, first - 8);
	return crc32c(crc, log->data, length - first);
}

static const struct vhdx_log_descriptor *descriptor_at(const struct log *log,
						       u32 position, u32 n)
{
	return at(log, (u64)position + sizeof(struct vhdx_log_entry) +
			       (u64)n * sizeof(struct vhdx_log_descriptor));
}

static bool is_zero_descriptor(const struct vhdx_log_descriptor *d)
{
	return memcmp(d->signature, "zero", 4) == 0;
}

/* Whole: checksum, and every page is of this entry. */
static bool entry_whole(struct log *log, u32 position, const struct vhdx_log_entry *e)
{
	u32 length = le32_get(e->length), count = le32_get(e->count);
	u64 sequence = le64_get(e->sequence), data = descriptors_size(count);

	if (log->budget < length)
		return false;
	log->budget -= length;
	if (entry_checksum(log, position, length) != le32_get(e->checksum))
		return false;
	for (u32 n = 0; n < count; n++) {
		const struct vhdx_log_descriptor *d = descriptor_at(log, position, n);
		const struct vhdx_log_data *page;

		if (le64_get(d->sequence) != sequence)
			return false;
		if (is_zero_descriptor(d))
			continue;
		if (memcmp(d->signature, "desc", 4) != 0 || data + VHDX_PAGE > length)
			return false;
		page = at(log, position + data);
		if (memcmp(page->signature, "data", 4) != 0 ||
		    ((u64)le32_get(page->sequence_high) << 32 |
		     le32_get(page->sequence_low)) != sequence)
			return false;
		data += VHDX_PAGE;
	}
	return true;
}

/*
 * The chain that ends with the entry at head: entries from its tail on, each following the other
 * without a gap. *ret_count of them.
 */
static bool chain_whole(struct log *log, u32 head, u32 *ret_count)
{
	const struct vhdx_log_entry *last = entry_at(log, head);
	u32 position = le32_get(last->tail), count = 0;
	u64 sequence = 0, total = 0;

	for (;;) {
		const struct vhdx_log_entry *e = entry_at(log, position);

		if (!e || (count > 0 && le64_get(e->sequence) != sequence + 1))
			return false;
		sequence = le64_get(e->sequence);
		total += le32_get(e->length);
		if (total > log->length || sequence > le64_get(last->sequence) ||
		    !entry_whole(log, position, e))
			return false;
		count++;
		if (position == head)
			break;
		position = (u32)((position + (u64)le32_get(e->length)) % log->length);
	}
	*ret_count = count;
	return true;
}

struct candidate {
	u64 sequence;
	u32 position;
};

static int newest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->sequence > y->sequence ? -1 : x->sequence < y->sequence;
}

/*
 * *ret_count entries, the last at *ret_head; 0: none. An entry that another was to overwrite may be
 * torn, so that a broken one is no error while an older one is whole.
 */
static int find_chain(struct log *log, u32 *ret_head, u32 *ret_count, struct err *err)
{
	AUTO_FREE struct candidate *list =
		malloc(log->length / VHDX_PAGE * sizeof(struct candidate));
	u32 count = 0;

	*ret_count = 0;
	if (!list)
		return err_set(err, -ENOMEM, "no memory for the log");
	for (u32 p = 0; p < log->length; p += VHDX_PAGE) {
		const struct vhdx_log_entry *e = entry_at(log, p);

		if (e)
			list[count++] = (struct candidate){ le64_get(e->sequence), p };
	}
	qsort(list, count, sizeof *list, newest_first);
	for (u32 i = 0; i < count; i++) {
		if (!chain_whole(log, list[i].position, ret_count))
			continue;
		*ret_head = list[i].position;
		return 0;
	}
	/* The first entry of all may be torn: then nothing was changed by it yet. */
	if (count > 0 && list[0].sequence > 1)
		return err_set(err, -EUCLEAN,
			       "the log holds %u entries, none of which is whole", count);
	return 0;
}

/* ---- replay ---------------------------------------------------------------------------------- */

/* May the log write there? Not over headers or itself, nor beyond what the entry says is there. */
static int check_target(const struct log *log, u64 offset, u64 size, u64 last_size,
			struct err *err)
{
	if (offset % VHDX_PAGE || size % VHDX_PAGE)
		return err_set(err, -EUCLEAN,
			       "the log wants to write at %llu, between pages",
			       (ull)offset);
	if (offset < VHDX_REGIONS_1)
		return err_set(err, -EUCLEAN,
			       "the log wants to write at %llu, over the headers",
			       (ull)offset);
	if (!range_inside(offset, size, last_size))
		return err_set(err, -EUCLEAN,
			       "the log wants to write at %llu, beyond the end of the "
			       "file",
			       (ull)offset);
	if (size && ranges_overlap(offset, size, log->offset, log->length))
		return err_set(err, -EUCLEAN,
			       "the log wants to write at %llu, over itself",
			       (ull)offset);
	return 0;
}

static int check_entry(const struct log *log, u32 position, u64 file_size,
		       struct err *err)
{
	const struct vhdx_log_entry *e = at(log, position);
	u64 last_size = le64_get(e->last_size);
	int r = 0;

	if (file_size < le64_get(e->flushed_size))
		return err_set(err, -EUCLEAN,
			       "the file is cut short: the log knows of %llu bytes, it "
			       "has "
			       "%llu",
			       (ull)le64_get(e->flushed_size), (ull)file_size);
	if (last_size > VHDX_MAX_FILE || last_size < VHDX_MIB)
		return err_set(err, -EUCLEAN, "the log wants a file of %llu bytes",
			       (ull)last_size);
	for (u32 n = 0; n < le32_get(e->count) && r == 0; n++) {
		const struct vhdx_log_descriptor *d = descriptor_at(log, position, n);
		u64 size = is_zero_descriptor(d) ? le64_get(d->leading) : VHDX_PAGE;

		r = check_target(log, le64_get(d->offset), size, last_size, err);
	}
	return r;
}

static int apply_entry(const struct log *log, u32 position, struct storage *s)
{
	const struct vhdx_log_entry *e = at(log, position);
	u64 data = position + descriptors_size(le32_get(e->count));
	u64 last_size = le64_get(e->last_size);
	int r = 0;

	if (s->size < last_size)
		r = s->ops->set_size(s, last_size);
	for (u32 n = 0; n < le32_get(e->count) && r == 0; n++) {
		const struct vhdx_log_descriptor *d = descriptor_at(log, position, n);
		u64 offset = le64_get(d->offset);
		u8 page[VHDX_PAGE];

		if (is_zero_descriptor(d)) {
			r = storage_zero(s, offset, le64_get(d->leading));
			continue;
		}
		memcpy(page, &d->leading, 8);
		memcpy(page + 8, ((const struct vhdx_log_data *)at(log, data))->data,
		       4084);
		memcpy(page + 4092, &d->trailing, 4);
		r = storage_write(s, page, sizeof page, offset);
		data += VHDX_PAGE;
	}
	return r;
}

/* Twice over the chain: first only looking. */
static int replay_chain(const struct log *log, u32 head, u32 count, struct storage *s,
			struct err *err)
{
	u32 tail = le32_get(((const struct vhdx_log_entry *)at(log, head))->tail);
	u32 position = tail;
	int r = 0;

	for (u32 i = 0; i < count; i++) {
		const struct vhdx_log_entry *e = at(log, position);

		r = check_entry(log, position, s->size, err);
		if (r < 0)
			return r;
		position = (u32)((position + (u64)le32_get(e->length)) % log->length);
	}
	position = tail;
	for (u32 i = 0; i < count && r == 0; i++) {
		const struct vhdx_log_entry *e = at(log, position);

		r = apply_entry(log, position, s);
		position = (u32)((position + (u64)le32_get(e->length)) % log->length);
	}
	return r < 0 ? err_set(err, r, "the log cannot be replayed: %s", err_words(r))
		     : 0;
}

/* The pages are durable in their places; now the header says that there is no log. */
static int close_log(struct vhdx *v, struct storage *s, struct err *err)
{
	int r = storage_flush(s);

	memset(&v->header.log, 0, sizeof v->header.log);
	if (r == 0)
		r = vhdx_write_header(v);
	return r < 0 ? err_set(err, r, "the header cannot be written: %s", err_words(r))
		     : 0;
}

int vhdx_log_replay(struct vhdx *v, struct storage **storage, bool read_only,
		    struct err *err)
{
	static const vhdx_guid none;
	struct log log = { .length = le32_get(v->header.log_length),
			   .offset = le64_get(v->header.log_offset),
			   .id = v->header.log };
	u32 head = 0, count = 0;
	int r;

	if (vhdx_same(&log.id, &none))
		return 0;
	AUTO_FREE u8 *data = malloc(log.length);
	if (!data)
		return err_set(err, -ENOMEM, "no memory for the log");
	log.data = data;
	log.budget = 8ull * log.length;
	r = storage_read(*storage, data, log.length, log.offset);
	if (r < 0)
		return err_set(err, r, "the log cannot be read: %s", err_words(r));
	r = find_chain(&log, &head, &count, err);
	if (r == 0 && count > 0 && read_only) {
		r = storage_overlay_new(*storage, storage);
		if (r < 0)
			return err_set(err, r, "no memory for the log");
		v->image.storage = *storage;
	}
	if (r == 0)
		r = replay_chain(&log, head, count, *storage, err);
	if (r < 0)
		return r;
	v->replayed = count;
	return read_only ? 0 : close_log(v, *storage, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

unsigned vhdx_log_capacity(u32 log_length)
{
	u32 pages = log_length / 3 / VHDX_PAGE - 1;

	return pages < DESCRIPTORS_FIRST_PAGE ? pages : DESCRIPTORS_FIRST_PAGE;
}

static void fill_page(struct vhdx_log_descriptor *d, struct vhdx_log_data *data,
		      const u8 *page, u64 offset, u64 sequence)
{
	memcpy(d->signature, "desc", 4);
	memcpy(&d->leading, page, 8);
	memcpy(&d->trailing, page + 4092, 4);
	d->offset = le64_of(offset);
	d->sequence = le64_of(sequence);
	memcpy(data->signature, "data", 4);
	data->sequence_high = le32_of((u32)(sequence >> 32));
	data->sequence_low = le32_of((u32)sequence);
	memcpy(data->data, page + 8, sizeof data->data);
}

static u8 *make_entry(struct vhdx *v, const struct page_batch *batch, u64 file_size,
		      u32 *ret_length)
{
	u64 descriptors = descriptors_size(batch->count);
	u32 length = (u32)(descriptors + (u64)batch->count * VHDX_PAGE);
	u8 *entry = calloc(1, length);
	struct vhdx_log_entry *e = (void *)entry;
	struct vhdx_log_descriptor *d = (void *)(e + 1);
	struct vhdx_log_data *data = (void *)(entry + descriptors);

	if (!entry)
		return NULL;
	memcpy(e->signature, "loge", 4);
	e->length = le32_of(length);
	e->tail = le32_of(v->log_head);
	e->sequence = le64_of(v->log_sequence);
	e->count = le32_of(batch->count);
	e->log = v->header.log;
	e->flushed_size = le64_of(file_size);
	e->last_size = le64_of(file_size);
	for (unsigned i = 0; i < batch->count; i++)
		fill_page(&d[i], &data[i], batch->data + (size_t)i * VHDX_PAGE,
			  batch->offset[i], v->log_sequence);
	e->checksum = le32_of(crc32c(0, entry, length));
	*ret_length = length;
	return entry;
}

static int write_entry(struct vhdx *v, const u8 *entry, u32 length)
{
	struct storage *s = v->image.storage;
	u64 offset = le64_get(v->header.log_offset);
	u32 log = le32_get(v->header.log_length);
	u32 first = length < log - v->log_head ? length : log - v->log_head;
	int r = storage_write(s, entry, first, offset + v->log_head);

	if (r == 0 && first < length)
		r = storage_write(s, entry + first, length - first, offset);
	if (r == 0)
		r = storage_flush(s);
	if (r == 0) {
		v->log_head = (v->log_head + length) % log;
		v->log_sequence++;
	}
	return r;
}

/*
 * The first entry is there before the header says that there is a log: a log in use always has a
 * whole entry.
 */
int vhdx_log_write(struct vhdx *v, const struct page_batch *batch, u64 file_size)
{
	AUTO_FREE u8 *entry = NULL;
	u32 length;
	int r;

	if (!v->log_used) {
		image_new_id(v->header.log.b);
		v->log_sequence = 1;
		v->log_head = 0;
	}
	entry = make_entry(v, batch, file_size, &length);
	r = entry ? write_entry(v, entry, length) : -ENOMEM;
	if (r == 0 && !v->log_used)
		r = vhdx_write_header(v);
	if (r < 0) {
		if (!v->log_used)
			memset(&v->header.log, 0, sizeof v->header.log);
		return r;
	}
	v->log_used = true;
	return pages_write(v->pages, batch);
}
