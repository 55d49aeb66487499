/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate for processor states from outside: what must pass and what must not.
 */
#include "harness.h"

#include "wall/vp_state.h"

static bool refused(const struct vp_state *s, const char *field)
{
	struct err err = { 0 };

	CHECK_ERR(vp_state_check(s, 7, &err), EINVAL);
	CHECK(strstr(err.text, field));
	return true;
}

static void make_long(struct vp_state *s)
{
	vp_state_reset(s, true);
	s->cr0 = 0x80000011;
	s->cr4 = 0x20;
	s->efer = 0x500;
	s->seg[SEG_CS] =
		(struct vp_segment){ .limit = 0xffffffff, .selector = 8, .attr = 0xa09b };
	for (unsigned i = 0; i < SEG_COUNT; i++)
		if (i != SEG_CS)
			s->seg[i] = (struct vp_segment){ .limit = 0xffffffff,
							 .selector = 16,
							 .attr = 0xc093 };
	s->rip = 0x1000000;
}

TEST(states_after_reset_init_and_sipi_pass)
{
	struct vp_state s;
	struct err err;

	vp_state_reset(&s, true);
	ASSERT_EQ(vp_state_check(&s, 7, &err), 0);
	ASSERT_EQ(s.activity, VP_RUNNING);
	ASSERT_EQ(s.seg[SEG_CS].base + s.rip, 0xfffffff0);
	vp_state_reset(&s, false);
	ASSERT_EQ(s.activity, VP_WAIT_SIPI);
	ASSERT_EQ(vp_state_check(&s, 7, &err), 0);
	s.lstar = 0x1234;
	vp_state_init(&s);
	ASSERT_EQ(s.lstar, 0x1234);
	ASSERT_EQ(s.activity, VP_WAIT_SIPI);
	vp_state_sipi(&s, 0x9a);
	ASSERT_EQ(s.seg[SEG_CS].base + s.rip, 0x9a000);
	ASSERT_EQ(s.activity, VP_RUNNING);
	ASSERT_EQ(vp_state_check(&s, 7, &err), 0);
}

TEST(a_long_mode_state_passes)
{
	struct vp_state s;
	struct err err;

	make_long(&s);
	ASSERT_EQ(vp_state_check(&s, 7, &err), 0);
}

/* A host without XSAVE refused the registers that it had itself given: SSE's place is FXSAVE's. */
TEST(sse_registers_pass_on_a_host_without_xsave)
{
	struct vp_state s;
	struct err err;

	make_long(&s);
	s.xcr0 = 1;
	s.xsave[512] = 3;
	ASSERT_EQ(vp_state_check(&s, 1, &err), 0);
	s.xsave[512] = 7;
	ASSERT_ERR(vp_state_check(&s, 1, &err), EINVAL);
}

TEST(what_no_processor_can_be_in_is_refused_by_name)
{
	struct vp_state good, s;

	make_long(&good);
#define REFUSED(change, field)                 \
	do {                                   \
		s = good;                      \
		change;                        \
		ASSERT_OK(refused(&s, field)); \
	} while (0)
	REFUSED(s.version = 2, "version");
	REFUSED(s.size--, "version");
	REFUSED(s.reserved[511] = 1, "reserved");
	REFUSED(s.cr0 |= 1ull << 32, "cr0");
	REFUSED(s.cr0 &= ~1ull, "cr0");
	REFUSED(s.cr0 |= 1u << 29, "cr0");
	REFUSED(s.cr4 = 0, "cr4");
	REFUSED(s.cr4 |= 1u << 13, "cr4");
	REFUSED(s.cr3 = 1ull << 52, "cr3");
	REFUSED(s.efer |= 1u << 12, "efer");
	REFUSED(s.efer &= ~0x400ull, "efer.lma");
	REFUSED(s.xcr0 = 0, "xcr0");
	REFUSED(s.xcr0 = 5, "xcr0");
	REFUSED(s.xcr0 = 15, "xcr0");
	REFUSED(s.cr8 = 16, "cr8");
	REFUSED(s.rflags = 0, "rflags");
	REFUSED(s.rflags |= 1u << 17, "rflags.vm");
	REFUSED(s.tr.attr = 0x89, "tr");
	REFUSED(s.tr.base = 1ull << 47, "tr");
	REFUSED(s.ldtr.attr = 0x83, "ldtr");
	REFUSED(s.gdtr.limit = 0x10000, "gdtr");
	REFUSED(s.idtr.base = 1ull << 63, "idtr");
	REFUSED(s.seg[SEG_CS].attr |= SEG_ATTR_DB, "cs.l");
	REFUSED(s.seg[SEG_CS].attr &= (u16)~SEG_ATTR_P, "cs");
	REFUSED(s.seg[SEG_SS].attr |= 3 << 5, "cs.dpl");
	REFUSED(s.seg[SEG_DS].base = 1ull << 32, "ds");
	REFUSED(s.seg[SEG_GS].base = 1ull << 47, "gs");
	REFUSED(s.seg[SEG_FS].limit = 0xfffffffe, "fs");
	REFUSED(s.seg[SEG_ES].attr |= 0x100, "es");
	REFUSED(s.rip = 1ull << 47, "rip");
	REFUSED(s.lstar = 1ull << 47, "lstar");
	REFUSED(s.pat = 2, "pat");
	REFUSED(s.mtrr_def_type = 0x100, "mtrr_def_type");
	REFUSED(s.mtrr_fixed[10] = 2, "mtrr_fixed");
	REFUSED(s.xsave[27] = 1, "xsave.mxcsr");
	REFUSED(s.xsave[512] = 8, "xsave.xstate_bv");
	REFUSED(s.xsave[527] = 0x80, "xsave.header");
	REFUSED(s.activity = 4, "activity");
	REFUSED(s.interruptibility = 8, "interruptibility");
	REFUSED(s.event_valid = 2, "event_valid");
	REFUSED((s.event_valid = 1, s.event_vector = 256), "event_vector");
	REFUSED((s.event_valid = 1, s.event_type = 9), "event_type");
#undef REFUSED
}

TEST(virtual_8086_segments_must_be_what_their_selectors_say)
{
	struct vp_state s;
	struct err err;

	vp_state_reset(&s, true);
	s.cr0 |= 1;
	s.rflags |= 1u << 17;
	s.rip = 0;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		s.seg[i] = (struct vp_segment){
			.base = 0x12340, .limit = 0xffff, .selector = 0x1234, .attr = 0xf3
		};
	ASSERT_EQ(vp_state_check(&s, 7, &err), 0);
	s.seg[SEG_GS].base = 0x12350;
	ASSERT_OK(refused(&s, "gs"));
}
