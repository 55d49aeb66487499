/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the translator must keep and random blocks (x86_blocks.c) do not show: where the run loop comes
 * in between.
 */
#include "x86_machine.h"

#include "engine/soft/soft.h"
#include "x86/jit/jit.h"
#include "x86/run.h"
#include "x86/vector.h"

/*
 * STI was the last instruction of a region that went on elsewhere by the run loop, and an interrupt
 * could come before the next one: a guest's "sti; hlt" over the end of a page might sleep for good.
 */
TEST(x86_translated_sti_at_a_pages_end_still_holds_off_interrupts)
{
	struct machine *m AUTO_MACHINE = machine_new(64);
	const u64 next_page = MACHINE_CODE + 4096;
	enum x86_exit result;
	unsigned seen = 0;
	struct err err;

	ASSERT(m);
	x86_jit_threshold = 2;
	machine_code(
		m, CODE("0: mov $100, %ecx\n"
			"1: cli\n"
			".skip 4095 - (. - 0b), 0x90\n"
			"sti\n"
			"out %al, $0x80\n" /* the next page: nothing for the translator */
			"dec %ecx\n"
			"jnz 1b\n"
			"cli\n"));
	ASSERT_OK(engine_soft_ops.vp_set_state(m->vp, &m->s, &err) == 0);
	soft_vp_enters(m->vp);
	while (!x86_run_round(&m->vp->cpu, &result)) {
		if (m->vp->cpu.rip != next_page)
			continue;
		seen++;
		ASSERT_EQ(m->vp->cpu.interrupt_shadow, VP_SHADOW_STI);
	}
	x86_vector_leave(&m->vp->cpu);
	ASSERT_EQ(result, X86_EXIT_HALTED);
	ASSERT(seen > 50);
	ASSERT(m->vp->cpu.jit.made > 0);
}
