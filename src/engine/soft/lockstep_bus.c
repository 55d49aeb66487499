/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two processors of lock-step learn from outside: the first one from the real bus, which is
 * noted; the second one from the notes. See lockstep.c. Thread: the VP's.
 */
#include "engine/soft/lockstep_parts.h"

#include <inttypes.h>
#include <stdio.h>

enum event_kind {
	PIO_READ,
	PIO_WRITE,
	MMIO_READ,
	MMIO_WRITE,
	MSR_READ,
	MSR_WRITE,
	TPR_GET,
	TPR_SET,
	INTERRUPT,
	TIME,
	STRING_READ,
	STRING_WRITE
};

static const char *const kind_names[] = {
	[PIO_READ] = "a port read",	 [PIO_WRITE] = "a port write",
	[MMIO_READ] = "an MMIO read",	 [MMIO_WRITE] = "an MMIO write",
	[MSR_READ] = "an MSR read",	 [MSR_WRITE] = "an MSR write",
	[TPR_GET] = "a TPR read",	 [TPR_SET] = "a TPR write",
	[INTERRUPT] = "an interrupt",	 [TIME] = "a time stamp",
	[STRING_READ] = "a string read", [STRING_WRITE] = "a string write",
};

/* ---- the first one's bus: as it is, but noted ----------------------------------------------------- */

static void note(struct engine_vp *vp, u8 kind, unsigned size, u64 where, u64 value,
		 unsigned count)
{
	struct lockstep *l = vp->lockstep;

	if (l->last == LOCKSTEP_EVENTS) {
		if (!l->words[0])
			snprintf(l->words, sizeof(l->words), "too much to note");
		return;
	}
	l->event[l->last++] = (struct lockstep_event){
		.kind = kind, .size = size, .where = where, .value = value, .count = count
	};
	/* To the loop soon: the more often they meet, the nearer is the cause. */
	atomic_fetch_or(&vp->cpu.attention, X86_ATTN_INTERRUPT);
}

/* Where the bytes are kept; NULL: no room. */
static void note_string(struct engine_vp *vp, u8 kind, u16 port, unsigned size,
			const void *data, unsigned count)
{
	struct lockstep *l = vp->lockstep;

	if (size * count > LOCKSTEP_STRING_BYTES - l->bytes_used) {
		snprintf(l->words, sizeof(l->words), "too many bytes to note");
		return;
	}
	memcpy(l->bytes + l->bytes_used, data, size * count);
	note(vp, kind, size, port, l->bytes_used, count);
	l->bytes_used += size * count;
}

static void first_resolve(void *arg, gpa_t gpa, struct x86_page *ret_page)
{
	soft_bus_ops.resolve(arg, gpa, ret_page);
}

static u32 first_pio_read(void *arg, u16 port, unsigned size)
{
	const u32 v = soft_bus_ops.pio_read(arg, port, size);

	note(arg, PIO_READ, size, port, v, 1);
	return v;
}

static void first_pio_write(void *arg, u16 port, unsigned size, u32 value)
{
	note(arg, PIO_WRITE, size, port, value, 1);
	soft_bus_ops.pio_write(arg, port, size, value);
}

static void first_pio_read_string(void *arg, u16 port, unsigned size, void *data,
				  unsigned count)
{
	soft_bus_ops.pio_read_string(arg, port, size, data, count);
	note_string(arg, STRING_READ, port, size, data, count);
}

static void first_pio_write_string(void *arg, u16 port, unsigned size, const void *data,
				   unsigned count)
{
	note_string(arg, STRING_WRITE, port, size, data, count);
	soft_bus_ops.pio_write_string(arg, port, size, data, count);
}

static u64 first_mmio_read(void *arg, gpa_t gpa, unsigned size)
{
	const u64 v = soft_bus_ops.mmio_read(arg, gpa, size);

	note(arg, MMIO_READ, size, gpa, v, 1);
	return v;
}

static void first_mmio_write(void *arg, gpa_t gpa, unsigned size, u64 value)
{
	note(arg, MMIO_WRITE, size, gpa, value, 1);
	soft_bus_ops.mmio_write(arg, gpa, size, value);
}

static bool first_msr_read(void *arg, u32 index, u64 *ret_value)
{
	const bool ok = soft_bus_ops.msr_read(arg, index, ret_value);

	note(arg, MSR_READ, 8, index, ok ? *ret_value : 0, ok);
	return ok;
}

static bool first_msr_write(void *arg, u32 index, u64 value)
{
	const bool ok = soft_bus_ops.msr_write(arg, index, value);

	note(arg, MSR_WRITE, 8, index, value, ok);
	return ok;
}

static u8 first_tpr_get(void *arg)
{
	const u8 v = soft_bus_ops.tpr_get(arg);

	note(arg, TPR_GET, 1, 0, v, 1);
	return v;
}

static void first_tpr_set(void *arg, u8 value)
{
	note(arg, TPR_SET, 1, 0, value, 1);
	soft_bus_ops.tpr_set(arg, value);
}

static int first_interrupt_take(void *arg)
{
	const int vector = soft_bus_ops.interrupt_take(arg);

	if (vector >= 0)
		note(arg, INTERRUPT, 0, 0, (u64)vector, 1);
	return vector;
}

static bool no_hypercall(void *arg)
{
	return false;
}

/* The same for both: nothing random, no hypervisor whose pages only one of them sees. */
static void shown_cpuid(struct engine_vp *vp, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	if (leaf >> 8 == 0x400000) {
		memset(ret_regs, 0, 16);
		return;
	}
	soft_bus_ops.cpuid(vp, leaf, subleaf, ret_regs);
	if (leaf == 1)
		ret_regs[2] &= ~(BIT(30) | BIT(31)); /* RDRAND, hypervisor */
	if (leaf == 7 && subleaf == 0)
		ret_regs[1] &= ~BIT(18); /* RDSEED */
}

static void first_cpuid(void *arg, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	shown_cpuid(arg, leaf, subleaf, ret_regs);
}

static u64 first_tsc_hz(void *arg)
{
	return soft_bus_ops.tsc_hz(arg);
}

static u64 first_tsc(void *arg, u64 now)
{
	note(arg, TIME, 8, 0, now, 1);
	return now;
}

const struct x86_bus_ops lockstep_first_bus = {
	.resolve = first_resolve,
	.pio_read = first_pio_read,
	.pio_write = first_pio_write,
	.pio_read_string = first_pio_read_string,
	.pio_write_string = first_pio_write_string,
	.mmio_read = first_mmio_read,
	.mmio_write = first_mmio_write,
	.msr_read = first_msr_read,
	.msr_write = first_msr_write,
	.tpr_get = first_tpr_get,
	.tpr_set = first_tpr_set,
	.interrupt_take = first_interrupt_take,
	.hypercall = no_hypercall,
	.cpuid = first_cpuid,
	.tsc_hz = first_tsc_hz,
	.tsc = first_tsc,
};

/* ---- the second one's: what was noted ------------------------------------------------------------ */

/* The next event, which must be this one; NULL: they have parted. */
static const struct lockstep_event *expect(struct lockstep *l, u8 kind, unsigned size,
					   u64 where)
{
	const struct lockstep_event *e = l->first < l->last ? &l->event[l->first] : NULL;

	if (e && e->kind == kind && e->size == size && e->where == where) {
		l->first++;
		return e;
	}
	if (l->words[0])
		return NULL;
	if (e)
		snprintf(l->words, sizeof(l->words),
			 "the interpreter wants %s of %u bytes at %#" PRIx64 ", the VP "
			 "had %s of "
			 "%u at "
			 "%#" PRIx64,
			 kind_names[kind], size, where, kind_names[e->kind], e->size,
			 e->where);
	else
		snprintf(l->words, sizeof(l->words),
			 "the interpreter wants %s of %u bytes at %#" PRIx64 ", the VP "
			 "had "
			 "nothing "
			 "more",
			 kind_names[kind], size, where);
	return NULL;
}

static void expect_write(struct lockstep *l, u8 kind, unsigned size, u64 where, u64 value)
{
	const struct lockstep_event *e = expect(l, kind, size, where);

	if (e && e->value != value)
		snprintf(l->words, sizeof(l->words),
			 "%s at %#" PRIx64 ": the VP's is %#" PRIx64 ", the "
			 "interpreter's "
			 "%#" PRIx64,
			 kind_names[kind], where, e->value, value);
}

static void string_differs(struct lockstep *l, u16 port)
{
	if (!l->words[0])
		snprintf(l->words, sizeof(l->words), "strings of other bytes at port %#x",
			 port);
}

static void second_resolve(void *arg, gpa_t gpa, struct x86_page *ret_page)
{
	struct lockstep *l = arg;

	soft_bus_ops.resolve(l->vp, gpa, ret_page);
	if (!ret_page->host || !ret_page->code)
		return;
	ret_page->host = l->ram + (ret_page->ram_page << 12);
	ret_page->code = &l->code_map[ret_page->ram_page];
	ret_page->dirty = NULL;
}

static u32 second_pio_read(void *arg, u16 port, unsigned size)
{
	const struct lockstep_event *e = expect(arg, PIO_READ, size, port);

	return e ? (u32)e->value : UINT32_MAX;
}

static void second_pio_write(void *arg, u16 port, unsigned size, u32 value)
{
	expect_write(arg, PIO_WRITE, size, port, value);
}

static void second_pio_read_string(void *arg, u16 port, unsigned size, void *data,
				   unsigned count)
{
	struct lockstep *l = arg;
	const struct lockstep_event *e = expect(l, STRING_READ, size, port);

	if (e && e->count == count)
		memcpy(data, l->bytes + e->value, size * count);
	else
		string_differs(l, port);
}

static void second_pio_write_string(void *arg, u16 port, unsigned size, const void *data,
				    unsigned count)
{
	struct lockstep *l = arg;
	const struct lockstep_event *e = expect(l, STRING_WRITE, size, port);

	if (!e || e->count != count || memcmp(data, l->bytes + e->value, size * count))
		string_differs(l, port);
}

static u64 second_mmio_read(void *arg, gpa_t gpa, unsigned size)
{
	const struct lockstep_event *e = expect(arg, MMIO_READ, size, gpa);

	return e ? e->value : ~0ull;
}

static void second_mmio_write(void *arg, gpa_t gpa, unsigned size, u64 value)
{
	expect_write(arg, MMIO_WRITE, size, gpa, value);
}

static bool second_msr_read(void *arg, u32 index, u64 *ret_value)
{
	const struct lockstep_event *e = expect(arg, MSR_READ, 8, index);

	if (!e || !e->count)
		return false;
	*ret_value = e->value;
	return true;
}

static bool second_msr_write(void *arg, u32 index, u64 value)
{
	struct lockstep *l = arg;

	expect_write(l, MSR_WRITE, 8, index, value);
	return l->first && l->event[l->first - 1].count;
}

bool lockstep_interrupt_is_next(const struct lockstep *l)
{
	return l->first < l->last && l->event[l->first].kind == INTERRUPT;
}

static u8 second_tpr_get(void *arg)
{
	const struct lockstep_event *e = expect(arg, TPR_GET, 1, 0);

	return e ? (u8)e->value : 0;
}

static void second_tpr_set(void *arg, u8 value)
{
	expect_write(arg, TPR_SET, 1, 0, value);
}

static int second_interrupt_take(void *arg)
{
	struct lockstep *l = arg;

	if (!lockstep_interrupt_is_next(l))
		return -1;
	return (int)l->event[l->first++].value;
}

static void second_cpuid(void *arg, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	struct lockstep *l = arg;

	shown_cpuid(l->vp, leaf, subleaf, ret_regs);
}

static u64 second_tsc_hz(void *arg)
{
	struct lockstep *l = arg;

	return soft_bus_ops.tsc_hz(l->vp);
}

static u64 second_tsc(void *arg, u64 now)
{
	const struct lockstep_event *e = expect(arg, TIME, 8, 0);

	return e ? e->value : now;
}

const struct x86_bus_ops lockstep_second_bus = {
	.resolve = second_resolve,
	.pio_read = second_pio_read,
	.pio_write = second_pio_write,
	.pio_read_string = second_pio_read_string,
	.pio_write_string = second_pio_write_string,
	.mmio_read = second_mmio_read,
	.mmio_write = second_mmio_write,
	.msr_read = second_msr_read,
	.msr_write = second_msr_write,
	.tpr_get = second_tpr_get,
	.tpr_set = second_tpr_set,
	.interrupt_take = second_interrupt_take,
	.hypercall = no_hypercall,
	.cpuid = second_cpuid,
	.tsc_hz = second_tsc_hz,
	.tsc = second_tsc,
};
