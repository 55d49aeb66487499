/* SPDX-License-Identifier: Apache-2.0 */
/* engine/kvm/state.c: what a VP on KVM was given it gives back, so that it can run on elsewhere. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "hv/engine.h"
#include "x86/cpuid.h"

struct rig {
	int kvm;
	struct x86_model model;
	struct engine_vm *vm;
	struct engine_vp *vp;
};

static void rig_cpuid(void *owner, u32 leaf, u32 subleaf, u32 ret_regs[4])
{
	struct rig *rig = owner;

	x86_cpuid(&rig->model, 0, leaf, subleaf, ret_regs);
}

static const struct x86_bus_ops bus = { .cpuid = rig_cpuid };

/* 0, or why there is no VP on KVM here. */
static const char *rig_start(struct rig *rig)
{
	static char why[ERR_TEXT_SIZE];
	struct engine_vm_config config = { .vp_count = 1 };
	struct err err = { 0 };

	*rig = (struct rig){ .kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC) };
	if (rig->kvm < 0)
		return "/dev/kvm does not open";
	x86_model_init(&rig->model, 1, 0);
	config.kvm_fd = rig->kvm;
	if (engine_kvm_ops.vm_new(&config, &rig->vm, &err) < 0 ||
	    engine_kvm_ops.vp_new(rig->vm, 0, &bus, rig, &rig->vp, &err) < 0) {
		snprintf(why, sizeof why, "%s", err.text);
		return why;
	}
	return NULL;
}

static void rig_stop(struct rig *rig)
{
	engine_kvm_ops.vp_free(rig->vp);
	engine_kvm_ops.vm_free(rig->vm);
	close(rig->kvm);
}

static void segment(struct vp_segment *s, u16 selector, u16 attr, u64 base)
{
	*s = (struct vp_segment){ base, 0xffffffff, selector, attr };
}

/* Long mode in ring 0, every register of its own value. */
static void long_mode_state(struct vp_state *s)
{
	vp_state_reset(s, true);
	for (unsigned k = 0; k < GPR_COUNT; k++)
		s->gpr[k] = 0x1111111111111111ull * k + k;
	s->rip = 0xffffffff81000000ull;
	s->rflags = 0x246;
	for (unsigned k = 0; k < SEG_COUNT; k++)
		segment(&s->seg[k], 0x18, 0xc093, 0);
	segment(&s->seg[SEG_CS], 0x10, 0xa09b, 0);
	s->seg[SEG_FS].base = 0x7f1234567000;
	s->seg[SEG_GS].base = 0xffff888000001000ull;
	s->tr = (struct vp_segment){ 0xffff888000002000ull, 0x206f, 0x40, 0x8b };
	s->ldtr = (struct vp_segment){ 0 };
	s->gdtr = (struct vp_table){ .base = 0xffff888000003000ull, .limit = 0x7f };
	s->idtr = (struct vp_table){ .base = 0xffff888000004000ull, .limit = 0xfff };
	s->cr0 = 0x80050033;
	s->cr2 = 0xdeadbeef000;
	s->cr3 = 0x1000;
	s->cr4 = 0x6b0;
	s->efer = 0xd01;
	s->dr[0] = 0x1234;
	s->star = 0x23001000000000;
	s->lstar = 0xffffffff81800000ull;
	s->sfmask = 0x257fd5;
	s->kernel_gs_base = 0x1000;
	s->sysenter_cs = 0x10;
	s->sysenter_eip = 0x81801000; /* on AMD it has 32 bits */
	s->mtrr_def_type = 0xc06;
	s->xcr0 = 1;
	s->xsave[512] = 3;
	for (unsigned k = 0; k < 16; k++)
		s->xsave[160 + 16 * k] = (u8)(k + 1);
}

TEST(vp_on_kvm_gives_back_the_state_that_it_was_given)
{
	struct rig rig;
	const char *why = rig_start(&rig);
	struct vp_state given, back;
	struct err err = { 0 };

	if (why)
		SKIP("%s", why);
	long_mode_state(&given);
	ASSERT_EQ(engine_kvm_ops.vp_set_state(rig.vp, &given, &err), 0);
	ASSERT_EQ(engine_kvm_ops.vp_get_state(rig.vp, &back), 0);
	ASSERT_MEM(back.gpr, given.gpr, sizeof given.gpr);
	ASSERT_EQ(back.rip, given.rip);
	ASSERT_EQ(back.rflags, given.rflags);
	ASSERT_MEM(back.seg, given.seg, sizeof given.seg);
	ASSERT_MEM(&back.tr, &given.tr, sizeof given.tr);
	ASSERT_MEM(&back.gdtr, &given.gdtr, sizeof given.gdtr);
	ASSERT_MEM(&back.idtr, &given.idtr, sizeof given.idtr);
	ASSERT_EQ(back.cr0, given.cr0);
	ASSERT_EQ(back.cr2, given.cr2);
	ASSERT_EQ(back.cr3, given.cr3);
	ASSERT_EQ(back.cr4, given.cr4);
	ASSERT_EQ(back.efer, given.efer);
	ASSERT_EQ(back.apic_base, given.apic_base);
	ASSERT_EQ(back.dr[0], given.dr[0]);
	ASSERT_EQ(back.star, given.star);
	ASSERT_EQ(back.lstar, given.lstar);
	ASSERT_EQ(back.sfmask, given.sfmask);
	ASSERT_EQ(back.kernel_gs_base, given.kernel_gs_base);
	ASSERT_EQ(back.sysenter_cs, given.sysenter_cs);
	ASSERT_EQ(back.sysenter_eip, given.sysenter_eip);
	ASSERT_EQ(back.pat, given.pat);
	ASSERT_EQ(back.mtrr_def_type, given.mtrr_def_type);
	ASSERT_EQ(back.activity, given.activity);
	ASSERT_MEM(back.xsave + 160, given.xsave + 160, 256);
	ASSERT_EQ(vp_state_check(&back, 7, &err), 0);
	rig_stop(&rig);
}

TEST(halted_vp_on_kvm_is_halted_when_it_comes_back)
{
	struct rig rig;
	const char *why = rig_start(&rig);
	struct vp_state given, back;
	struct err err = { 0 };

	if (why)
		SKIP("%s", why);
	long_mode_state(&given);
	given.activity = VP_HALTED;
	given.interruptibility = VP_NMI_BLOCKED;
	ASSERT_EQ(engine_kvm_ops.vp_set_state(rig.vp, &given, &err), 0);
	ASSERT_EQ(engine_kvm_ops.vp_get_state(rig.vp, &back), 0);
	ASSERT_EQ(back.activity, VP_HALTED);
	ASSERT_EQ(back.interruptibility, VP_NMI_BLOCKED);
	rig_stop(&rig);
}

/* The LAPIC's page came after the deadline, which was lost: the timer was not in its mode yet. */
TEST(vp_on_kvm_keeps_its_deadline_when_its_counter_is_moved)
{
	struct rig rig;
	const char *why = rig_start(&rig);
	struct vp_state given, back;
	struct err err = { 0 };
	u8 page[ENGINE_LAPIC_PAGE];
	const u32 svr = 0x1ff, deadline_mode = 0x400ef;
	s64 offset;

	if (why)
		SKIP("%s", why);
	long_mode_state(&given);
	given.tsc = 5000000000000;
	given.tsc_deadline = 5000000000000 + 900000000000;
	ASSERT_EQ(engine_kvm_ops.vp_set_state(rig.vp, &given, &err), 0);
	ASSERT_EQ(engine_kvm_ops.lapic_get(rig.vp, page), 0);
	memcpy(page + 0xf0, &svr, 4);
	memcpy(page + 0x320, &deadline_mode, 4);
	ASSERT_EQ(engine_kvm_ops.lapic_set(rig.vp, page), 0);
	ASSERT_EQ(engine_kvm_ops.vp_set_state(rig.vp, &given, &err), 0);
	offset = engine_kvm_ops.vp_tsc_offset(rig.vp);
	if (offset == 0)
		SKIP("this host's KVM shows its guests the host's own counter");
	engine_kvm_ops.vp_set_tsc_offset(rig.vp, offset - 1000000000);
	ASSERT_EQ(engine_kvm_ops.vp_tsc_offset(rig.vp), offset - 1000000000);
	ASSERT_EQ(engine_kvm_ops.vp_get_state(rig.vp, &back), 0);
	ASSERT_EQ(back.tsc_deadline, given.tsc_deadline);
	rig_stop(&rig);
}
