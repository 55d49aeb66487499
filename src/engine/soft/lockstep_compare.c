/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the two processors of lock-step differ: registers, what they point to, memory. See lockstep.c.
 * Thread: the VP's.
 */
#include "engine/soft/lockstep_parts.h"

#include <inttypes.h>
#include <stdio.h>

/* Vector registers stay in c->v also after x86_vector_leave(). */
bool lockstep_same_registers(const struct x86_cpu *a, const struct x86_cpu *b)
{
	return a->rip == b->rip && memcmp(a->r, b->r, 16 * sizeof(a->r[0])) == 0 &&
	       !((x86_get_rflags(a) ^ x86_get_rflags(b)) & ~(u64)LOCKSTEP_ARITH) &&
	       memcmp(a->v, b->v, 16 * sizeof(a->v[0])) == 0 &&
	       a->interrupt_shadow == b->interrupt_shadow &&
	       a->s.activity == b->s.activity;
}

struct words {
	char *text; /* NULL: to be counted alone */
	size_t size, at;
	unsigned count;
};

static void differ(struct words *w, const char *name, u64 vp, u64 interpreter)
{
	if (vp == interpreter)
		return;
	w->count++;
	if (w->text && w->at < w->size)
		w->at += (size_t)snprintf(w->text + w->at, w->size - w->at,
					  " %s %" PRIx64 " %" PRIx64, name, vp,
					  interpreter);
}

unsigned lockstep_describe(const struct x86_cpu *a, const struct x86_cpu *b, char *text,
			   size_t size)
{
	static const char *const general[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						 "rsi", "rdi", "r8",  "r9",  "r10", "r11",
						 "r12", "r13", "r14", "r15" };
	static const char *const vector[16] = { "ymm0",	 "ymm1",  "ymm2",  "ymm3",
						"ymm4",	 "ymm5",  "ymm6",  "ymm7",
						"ymm8",	 "ymm9",  "ymm10", "ymm11",
						"ymm12", "ymm13", "ymm14", "ymm15" };
	struct words w = { .text = text, .size = size };

	if (text)
		text[0] = 0;
	differ(&w, "rip", a->rip, b->rip);
	differ(&w, "rflags", x86_get_rflags(a), x86_get_rflags(b));
	for (unsigned n = 0; n < 16; n++)
		differ(&w, general[n], a->r[n], b->r[n]);
	differ(&w, "shadow", a->interrupt_shadow, b->interrupt_shadow);
	differ(&w, "activity", a->s.activity, b->s.activity);
	for (unsigned n = 0; n < 16; n++) {
		u64 x[4], y[4];

		memcpy(x, a->v[n], 32);
		memcpy(y, b->v[n], 32);
		for (unsigned k = 4; k-- > 0;)
			differ(&w, vector[n], x[k], y[k]);
	}
	return w.count;
}

const char *lockstep_system_difference(const struct x86_cpu *a, const struct x86_cpu *b)
{
	const struct vp_state *s = &a->s, *t = &b->s;
	const u8 *x = s->xsave, *y = t->xsave;

	if (s->cr0 != t->cr0 || s->cr2 != t->cr2 || s->cr3 != t->cr3 ||
	    s->cr4 != t->cr4 || s->xcr0 != t->xcr0)
		return "control registers";
	if (s->efer != t->efer || s->star != t->star || s->lstar != t->lstar ||
	    s->cstar != t->cstar || s->sfmask != t->sfmask ||
	    s->kernel_gs_base != t->kernel_gs_base || s->sysenter_cs != t->sysenter_cs ||
	    s->sysenter_esp != t->sysenter_esp || s->sysenter_eip != t->sysenter_eip)
		return "MSRs";
	if (memcmp(s->seg, t->seg, sizeof(s->seg)) ||
	    memcmp(&s->ldtr, &t->ldtr, sizeof(s->ldtr)) ||
	    memcmp(&s->tr, &t->tr, sizeof(s->tr)) ||
	    memcmp(&s->gdtr, &t->gdtr, sizeof(s->gdtr)) ||
	    memcmp(&s->idtr, &t->idtr, sizeof(s->idtr)))
		return "segments";
	if (memcmp(s->dr, t->dr, sizeof(s->dr)) || s->dr6 != t->dr6 || s->dr7 != t->dr7)
		return "debug registers";
	if (memcmp(x, y, 5) || memcmp(x + 24, y + 24, 4))
		return "x87 control, status or tag word, or MXCSR";
	for (unsigned n = 0; n < 8; n++)
		if (memcmp(x + 32 + 16 * n, y + 32 + 16 * n, 10))
			return "x87 registers";
	return NULL;
}

void lockstep_compare_memory(struct lockstep *l)
{
	for (unsigned n = 0; n < l->slots; n++) {
		const u8 *a = l->slot[n].host;
		const u8 *b = l->ram + (l->slot[n].ram_page << 12);
		u64 at = 0;

		if (memcmp(a, b, l->slot[n].size) == 0)
			continue;
		while (a[at] == b[at])
			at++;
		snprintf(l->words, sizeof(l->words),
			 "memory at %#" PRIx64 ": the VP's is %02x, the interpreter's "
			 "%02x",
			 l->slot[n].gpa + at, a[at], b[at]);
		return;
	}
}

/* The byte at that address, if the processor has lately been in its page. */
static u8 *touched(const struct x86_cpu *c, gva_t a)
{
	const struct x86_tlb_entry *e = x86_tlb_at(c, a);

	return e->read_tag == x86_tlb_tag(c, a, 1) ? (u8 *)(a + e->addend) : NULL;
}

bool lockstep_same_surroundings(const struct x86_cpu *a, const struct x86_cpu *b)
{
	for (unsigned n = 0; n < 16; n++) {
		const u64 offset = a->r[n] & 0xfff;
		const u64 before = offset < 128 ? offset : 128;
		const u64 wanted = n == R_SP ? 1024 : 256;
		const u64 left = 4096 - (offset - before);
		const u8 *x = touched(a, a->r[n]), *y = touched(b, b->r[n]);

		if (x && y &&
		    memcmp(x - before, y - before, left < wanted ? left : wanted))
			return false;
	}
	return true;
}

/* The words that may be the flags of a frame: the first four. */
static void adopt_frame(struct lockstep *l)
{
	struct x86_cpu *c = &l->cpu, *first = &l->vp->cpu;
	const unsigned size = c->mode & X86_MODE_LONG ? 8 : 4;
	const gva_t base = c->mode & X86_MODE_LONG ? 0 : c->s.seg[SEG_SS].base;

	for (unsigned n = 0; n < 4; n++) {
		const gva_t a = base + c->r[R_SP] + n * size;
		const u8 *from = touched(first, a);
		u8 *to = touched(c, a);
		u64 x = 0, y = 0;

		if (!from || !to || (a & 0xfff) + size > 4096)
			continue;
		memcpy(&x, from, size);
		memcpy(&y, to, size);
		if (!((x ^ y) & ~(u64)LOCKSTEP_ARITH))
			memcpy(to, from, size);
	}
}

bool lockstep_adopt_flags(struct lockstep *l, bool frame)
{
	struct x86_cpu *c = &l->cpu;
	const u64 ours = x86_get_rflags(&l->vp->cpu), theirs = x86_get_rflags(c);

	x86_set_rflags(c, (theirs & ~(u64)LOCKSTEP_ARITH) | (ours & LOCKSTEP_ARITH));
	if (frame)
		adopt_frame(l);
	return (ours ^ theirs) & LOCKSTEP_ARITH;
}
