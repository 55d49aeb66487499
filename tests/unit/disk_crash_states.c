/* SPDX-License-Identifier: Apache-2.0 */
/* Making and trying the states after power cuts; see disk_crash.h. */
#include <stdio.h>

#include "disk/copy.h"
#include "disk/vhdx.h"
#include "unit/disk_crash.h"
#include "unit/harness.h"

/* One step of the work, as far as it matters for what may be read after a cut. */
struct step {
	u32 first_op; /* ops of the record before it began */
	u64 offset, size;
	u8 *data; /* what it made of the range */
};
/* A moment when the guest knew that all was durable. */
struct flushed {
	u32 op; /* ops of the record when it returned */
	u32 steps;
	u8 *expected;
	u64 size, disk_size;
};

struct work {
	struct crash_run *run;
	struct model m;
	unsigned recorded; /* the level of the chain that is written */
	struct step *step;
	u32 step_count;
	struct flushed *flushed;
	u32 flushed_count;
	u64 random;
};

static u64 draw(struct work *w, u64 limit)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return ((w->random * 0x2545f4914f6cdd1dull) >> 11) % limit;
}

static void *copy_of(const void *data, u64 size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return memcpy(p, data, size);
}

/* ---- the work -------------------------------------------------------------------------------- */

static struct power *record(struct work *w)
{
	return &w->m.power[w->recorded];
}

static void note_flush(struct work *w)
{
	w->flushed[w->flushed_count++] = (struct flushed){
		.op = record(w)->op_count,
		.steps = w->step_count,
		.expected = copy_of(w->m.expected, w->m.size),
		.size = w->m.size,
		.disk_size = w->m.disk_size,
	};
	power_note(record(w), w->flushed_count);
}

static bool one_step(struct work *w)
{
	u32 first_op = record(w)->op_count;

	CHECK_OK(model_step(&w->m));
	if (model_step_size == 0) {
		note_flush(w);
		return true;
	}
	w->step[w->step_count++] = (struct step){
		.first_op = first_op,
		.offset = model_step_offset,
		.size = model_step_size,
		.data = copy_of(w->m.expected + model_step_offset, model_step_size),
	};
	return true;
}

static u32 log_left(const struct work *w)
{
	const struct vhdx *v = vhdx_of(w->m.image);

	return le32_get(v->header.log_length) - v->log_head;
}

/* A log is longer than what a run writes into it, and begins anew with each opening. */
static bool come_to_end_of_log(struct work *w)
{
	for (unsigned i = 0; i < 5000 && log_left(w) > 5 * VHDX_PAGE; i++) {
		CHECK_OK(model_step(&w->m));
		CHECK_ERR(image_flush(w->m.image), 0);
	}
	CHECK(log_left(w) <= 5 * VHDX_PAGE);
	return true;
}

static bool work_on_leaf(struct work *w)
{
	u32 left = 0;

	CHECK_OK(model_open(&w->m, false));
	for (unsigned i = 0; i < w->run->steps / 4; i++)
		CHECK_OK(model_step(&w->m));
	CHECK_ERR(image_flush(w->m.image), 0);
	if (w->run->wrap) {
		CHECK_OK(come_to_end_of_log(w));
		left = log_left(w);
	}
	power_record(record(w));
	record(w)->lie = w->run->control == CRASH_LOST_FLUSH;
	note_flush(w);
	for (unsigned i = 0; i < w->run->steps; i++) {
		CHECK_OK(one_step(w));
		if (w->run->grow && i == w->run->steps / 2) {
			CHECK_OK(model_grow(&w->m));
			note_flush(w);
		}
	}
	w->run->wrapped = w->run->wrap && log_left(w) > left;
	CHECK_OK(model_close(&w->m));
	note_flush(w);
	return true;
}

/* As on one file system; on a host that ceases to copy; on two file systems. */
static u32 copies_of_host(struct work *w)
{
	switch (draw(w, 4)) {
	case 0:
		return 0;
	case 1:
		return (u32)draw(w, 20);
	default:
		return UINT32_MAX;
	}
}

/* The leaf goes into its parent, whose file is the one that may lose power. */
static bool merge_leaf(struct work *w)
{
	struct model_kind below = *w->m.kind;
	struct image *leaf, *parent;
	struct err err = { 0 };

	CHECK_OK(model_open(&w->m, false));
	for (unsigned i = 0; i < w->run->steps; i++)
		CHECK_OK(model_step(&w->m));
	CHECK_OK(model_close(&w->m));
	below.levels--;
	w->recorded = 1;
	power_record(record(w));
	record(w)->lie = w->run->control == CRASH_LOST_FLUSH;
	record(w)->copies = copies_of_host(w);
	note_flush(w);
	CHECK_ERR(model_open_files(&below, &w->m.power[1], false, &parent, &err), 0);
	CHECK_ERR(image_open(w->m.kind->format, &w->m.power[0].storage, true, &leaf,
			     &err),
		  0);
	CHECK_ERR(image_set_parent(leaf, parent, &err), 0);
	CHECK_ERR(image_merge(NULL, leaf, NULL, &err), 0);
	leaf->parent = NULL;
	image_abandon(leaf);
	CHECK_ERR(image_close(parent), 0);
	return true;
}

/* ---- states ---------------------------------------------------------------------------------- */

/* Only the last flush of those between two notes stays. */
static void drop_barriers(struct power *p)
{
	bool last = false;

	for (u32 i = p->op_count; i-- > 0;) {
		struct power_op *op = &p->op[i];

		if (op->kind == POWER_NOTE)
			last = true;
		if (op->kind != POWER_FLUSH)
			continue;
		if (!last)
			*op = (struct power_op){ .kind = POWER_NOTE };
		last = false;
	}
}

/* How much of one unflushed op is there: all, nothing, or up to a sector. */
static u64 part_of(struct work *w, const struct power_op *op, u64 mode)
{
	u64 unit = w->m.kind->logical_block, sectors = op->size / unit;

	if (mode == 0)
		return UINT64_MAX;
	switch (draw(w, 4)) {
	case 0:
		return 0;
	case 1:
		return op->kind == POWER_WRITE && sectors > 1 ? draw(w, sectors) * unit
							      : UINT64_MAX;
	default:
		return UINT64_MAX;
	}
}

/*
 * The file as a cut after `cut` ops leaves it. mode 0: all of them; 1: any part of what was not
 * flushed; 2: all, the last one torn.
 */
static void make_state(struct work *w, u32 from, const struct power_file *durable,
		       u32 cut, u64 mode, struct power_file *ret_file)
{
	const struct power *p = record(w);

	power_file_copy(durable, ret_file);
	for (u32 i = from; i < cut; i++) {
		const struct power_op *op = &p->op[i];
		u64 part = mode == 2 && i + 1 < cut ? UINT64_MAX : part_of(w, op, mode);

		if (part > 0)
			power_apply(ret_file, op, part);
		else if (op->kind == POWER_WRITE &&
			 op->offset + op->size > ret_file->size && draw(w, 2))
			/* The file is longer already, the bytes are not there. */
			power_file_set_size(ret_file, op->offset + op->size);
	}
}

/* A fixed image has no table that matters. Bit n of the block table: found as where the file differs when an entry is changed. */
static void flip_bit(struct work *w, struct power_file *f)
{
	u64 table = w->m.kind->format == DISK_VHD ? 1536 : 3u << 20;
	u64 block = w->m.kind->type == IMAGE_FIXED ? 0
		    : w->m.kind->island
			    ? draw(w, w->m.size / w->m.kind->island) *
				      (w->m.kind->stride / w->m.kind->block_size)
			    : draw(w, 16);
	u64 at = table + block * (w->m.kind->format == DISK_VHD ? 4 : 8) +
		 (w->m.kind->format == DISK_VHD ? 2 : 2);
	u8 byte = 0;

	if (w->m.kind->type == IMAGE_FIXED || !power_file_read(f, &byte, 1, at))
		return;
	byte ^= (u8)(1u << (4 + draw(w, 4)));
	power_file_write(f, &byte, 1, at);
}

static void note_failure(struct work *w, u32 cut, u64 mode, const char *what)
{
	if (w->run->failures++ == 0)
		snprintf(w->run->first, sizeof w->run->first,
			 "%s, seed %llu, cut after op %u, mode %llu: %s",
			 w->run->kind->name, (unsigned long long)w->run->seed, cut,
			 (unsigned long long)mode, what);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool sector_explained(const struct work *w, const struct flushed *f, u32 cut,
			     const u8 *now, u64 offset, u32 size)
{
	for (u32 i = f->steps; i < w->step_count && w->step[i].first_op < cut; i++) {
		const struct step *s = &w->step[i];

		/* Steps are whole sectors, so a sector is in one or not. */
		if (offset >= s->offset && offset < s->offset + s->size &&
		    memcmp(now, s->data + (offset - s->offset), size) == 0)
			return true;
	}
	return false;
}

static const char *compare(const struct work *w, const struct flushed *f, u32 cut,
			   struct image *im)
{
	u32 sector = im->logical_block;
	u64 size = f->size;
	AUTO_FREE u8 *now = malloc(size);

	if (im->size < f->disk_size)
		return "the disk is smaller than it was";
	if (model_read(&w->m, im, now, size, 0) < 0)
		return "it cannot be read";
	for (u64 o = 0; o < size; o += sector) {
		static __thread char text[80];

		if (memcmp(now + o, f->expected + o, sector) == 0 ||
		    sector_explained(w, f, cut, now + o, o, sector))
			continue;
		snprintf(text, sizeof text, "byte %llu of the model reads wrong",
			 (unsigned long long)o);
		return text;
	}
	return NULL;
}

static void on_finding(void *owner, bool error, const char *text) {}

/* The last flush that the guest saw done before the cut. */
static const struct flushed *known_at(const struct work *w, u32 cut)
{
	const struct flushed *f = &w->flushed[0];

	for (u32 i = 1; i < w->flushed_count && w->flushed[i].op <= cut; i++)
		f = &w->flushed[i];
	return f;
}

/* All files of the chain: the state, and the others as they are. */
static void open_files(const struct work *w, const struct power_file *state,
		       struct power *power)
{
	for (unsigned i = 0; i < w->m.kind->levels; i++) {
		struct power_file copy;

		power_file_copy(i == w->recorded ? state : &w->m.power[i].file, &copy);
		power_open(&power[i], &copy);
	}
}

static void close_files(const struct work *w, struct power *power)
{
	for (unsigned i = 0; i < w->m.kind->levels; i++)
		power_free(&power[i]);
}

static const char *open_state(const struct work *w, struct power *power, bool read_only,
			      struct image **ret_image)
{
	static __thread char text[160];
	struct model_kind kind = *w->m.kind;
	struct err err = { 0 };
	int r = model_open_files(&kind, power, read_only, ret_image, &err);

	/* The merge was done: the child is refused, the parent alone must be all. */
	if (r < 0 && w->run->merge && strstr(err.text, "the parent was changed")) {
		kind.levels--;
		r = model_open_files(&kind, power + 1, read_only, ret_image, &err);
	}
	if (r == 0)
		return NULL;
	snprintf(text, sizeof text, "open: %.140s", err.text);
	return text;
}

/* Open for writing, compare, check, close; then again for reading: in order and the same. */
static const char *try_state(struct work *w, const struct power_file *state, u32 cut,
			     bool twice)
{
	const struct flushed *f = known_at(w, cut);
	struct image_findings findings = { .say = on_finding };
	struct power power[MODEL_LEVELS];
	struct image *im;
	const char *wrong;

	open_files(w, state, power);
	wrong = open_state(w, power, w->run->merge, &im);
	if (!wrong) {
		wrong = compare(w, f, cut, im);
		if (im->ops->check)
			im->ops->check(im, &findings);
		if (!wrong && findings.errors)
			wrong = "the check finds errors";
		if (image_close(im) < 0 && !wrong)
			wrong = "it cannot be closed";
	}
	if (!wrong && twice) {
		wrong = open_state(w, power, true, &im);
		if (!wrong) {
			wrong = compare(w, f, cut, im);
			image_abandon(im);
		}
	}
	close_files(w, power);
	return wrong;
}

/* Power goes again while the state is being opened: any part of what that wrote is there. */
static const char *try_nested(struct work *w, const struct power_file *state, u32 cut,
			      unsigned depth)
{
	struct power power[MODEL_LEVELS];
	struct power_file again;
	const char *wrong;
	struct image *im;

	open_files(w, state, power);
	power_record(&power[w->recorded]);
	wrong = open_state(w, power, w->run->merge, &im);
	if (!wrong) {
		struct power *p = &power[w->recorded];
		u32 stop;

		image_abandon(im);
		stop = p->op_count ? (u32)draw(w, p->op_count + 1) : 0;
		power_file_copy(&p->base, &again);
		for (u32 i = 0, last = 0; i < stop; i++)
			if (p->op[i].kind == POWER_FLUSH)
				for (; last <= i; last++)
					power_apply(&again, &p->op[last], UINT64_MAX);
			else if (i + 1 == stop)
				for (; last <= i; last++)
					power_apply(&again, &p->op[last],
						    part_of(w, &p->op[last], 1));
		w->run->nested++;
		wrong = depth > 1 ? try_nested(w, &again, cut, depth - 1)
				  : try_state(w, &again, cut, true);
		power_file_free(&again);
	}
	close_files(w, power);
	return wrong;
}

static void cut_here(struct work *w, u32 from, const struct power_file *durable, u32 cut,
		     u64 mode)
{
	struct power_file state;
	const char *wrong;

	make_state(w, from, durable, cut, mode, &state);
	if (w->run->control == CRASH_BIT_FLIP)
		flip_bit(w, &state);
	w->run->states++;
	wrong = draw(w, 8) ? try_state(w, &state, cut, draw(w, 4) == 0)
			   : try_nested(w, &state, cut, 1 + (unsigned)draw(w, 3));
	if (wrong)
		note_failure(w, cut, mode, wrong);
	power_file_free(&state);
}

/* Every cut, several states each, or as many of the cuts as there are states for. */
static void cut_everywhere(struct work *w, u64 max_states)
{
	const struct power *p = record(w);
	u64 each = 5, wanted = (u64)p->op_count * each;
	struct power_file durable;
	u32 from = 0;

	power_file_copy(&p->base, &durable);
	for (u32 cut = 1; cut <= p->op_count && w->run->states < max_states; cut++) {
		if (p->op[cut - 1].kind == POWER_FLUSH) {
			for (; from < cut; from++)
				power_apply(&durable, &p->op[from], UINT64_MAX);
		}
		if (wanted > max_states && draw(w, wanted) >= max_states)
			continue;
		cut_here(w, from, &durable, cut, 0);
		if (from == cut)
			continue; /* all is durable: there is one state */
		cut_here(w, from, &durable, cut, 2);
		for (u64 n = 2; n < each; n++)
			cut_here(w, from, &durable, cut, 1);
	}
	power_file_free(&durable);
}

static void work_free(struct work *w)
{
	model_free(&w->m);
	for (u32 i = 0; i < w->step_count; i++)
		free(w->step[i].data);
	for (u32 i = 0; i < w->flushed_count; i++)
		free(w->flushed[i].expected);
	free(w->step);
	free(w->flushed);
}

bool crash_run(struct crash_run *run, u64 max_states)
{
	struct work w = { .run = run, .random = run->seed * 0x9e3779b97f4a7c15ull + 77 };

	run->states = run->failures = run->nested = 0;
	run->wrapped = false;
	w.step = calloc(run->steps + 1, sizeof *w.step);
	w.flushed = calloc(run->steps + 8, sizeof *w.flushed);
	CHECK(w.step && w.flushed);
	CHECK_OK(model_new(&w.m, run->kind, run->seed));
	if (run->merge)
		CHECK_OK(merge_leaf(&w));
	else
		CHECK_OK(work_on_leaf(&w));
	if (run->control == CRASH_NO_BARRIERS)
		drop_barriers(record(&w));
	cut_everywhere(&w, max_states);
	work_free(&w);
	return true;
}
