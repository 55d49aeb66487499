/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC and the bus between several: hv/chips/lapic.h, apic_bus.h. */
#include "chips_lapic.h"

TEST(lapic_after_power_on_is_as_the_manual_says_but_for_virtual_wire)
{
	struct board b;
	struct lapic *l = &b.p[1].lapic;

	board_init(&b);
	ASSERT_EQ(msr(&b.p[0].lapic, MSR_APIC_BASE), 0xfee00900);
	ASSERT_EQ(msr(l, MSR_APIC_BASE), 0xfee00800);
	ASSERT_EQ(rd(l, 0x20), 1u << 24);
	ASSERT_EQ(rd(l, 0x30), 0x00050014);
	ASSERT_EQ(rd(l, 0xf0), 0xff);
	ASSERT_EQ(rd(l, 0xd0), 0);
	ASSERT_EQ(rd(l, 0xe0), 0xffffffff);
	for (unsigned n = 0x320; n <= 0x370; n += 0x10)
		ASSERT_EQ(rd(l, n), 0x10000);
	ASSERT_EQ(rd(&b.p[0].lapic, 0x350), 0x700);
	ASSERT_EQ(rd(l, 0x380), 0);
	ASSERT_EQ(rd(l, 0x390), 0);
}

TEST(lapic_takes_the_highest_vector_above_the_processor_priority)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	give(l, 0x31, false);
	give(l, 0x52, false);
	give(l, 0x51, false);
	ASSERT_EQ(b.p[0].notified, 3);
	ASSERT_EQ(lapic_take(l), 0x52);
	ASSERT_EQ(rd(l, 0xa0), 0x50);
	ASSERT(!lapic_pending(l));
	ASSERT_EQ(lapic_take(l), -1); /* 0x51 is of the same class */
	give(l, 0x60, false);
	ASSERT_EQ(lapic_take(l), 0x60);
	ASSERT_EQ(rd(l, 0xa0), 0x60);
	wr(l, 0xb0, 0);
	ASSERT_EQ(rd(l, 0xa0), 0x50);
	b.p[0].notified = 0;
	wr(l, 0xb0, 0);
	ASSERT_EQ(b.p[0].notified, 1);
	ASSERT_EQ(lapic_take(l), 0x51);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), 0x31);
	wr(l, 0xb0, 0);
	ASSERT_EQ(rd(l, 0xa0), 0);
	ASSERT_EQ(lapic_take(l), -1);
}

TEST(lapic_task_priority_holds_back_and_lowering_it_notifies)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	lapic_set_cr8(l, 4);
	ASSERT_EQ(rd(l, 0x80), 0x40);
	ASSERT_EQ(rd(l, 0xa0), 0x40);
	give(l, 0x4f, false);
	ASSERT(!lapic_pending(l));
	give(l, 0x50, false);
	ASSERT_EQ(lapic_take(l), 0x50);
	wr(l, 0xb0, 0);
	/* The sub-class bits of the TPR show in the PPR but decide nothing. */
	wr(l, 0x80, 0x3f);
	ASSERT_EQ(rd(l, 0xa0), 0x3f);
	ASSERT_EQ(lapic_cr8(l), 3);
	b.p[0].notified = 0;
	lapic_set_cr8(l, 3);
	ASSERT_EQ(b.p[0].notified, 1);
	ASSERT_EQ(lapic_take(l), 0x4f);
	/* In service class 4 against TPR class 3: PPR is the class alone. */
	wr(l, 0x80, 0x3f);
	ASSERT_EQ(rd(l, 0xa0), 0x40);
	wr(l, 0x80, 0x45);
	ASSERT_EQ(rd(l, 0xa0), 0x45);
}

TEST(lapic_eoi_broadcasts_level_vectors_only_and_nothing_without_service)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0xb0, 0);
	ASSERT_EQ(b.p[0].ended, 0);
	give(l, 0x79, true);
	ASSERT_EQ(lapic_take(l), 0x79);
	ASSERT_EQ(rd(l, 0x180 + 0x30), BIT(0x79 & 31));
	wr(l, 0xb0, 0x1234);
	ASSERT_EQ(b.p[0].ended, 1);
	ASSERT_EQ(b.p[0].ended_vector, 0x79);
	/* The trigger mode bit stays until the vector comes as an edge. */
	ASSERT_EQ(rd(l, 0x180 + 0x30), BIT(0x79 & 31));
	give(l, 0x79, false);
	ASSERT_EQ(lapic_take(l), 0x79);
	ASSERT_EQ(rd(l, 0x180 + 0x30), 0);
	wr(l, 0xb0, 0);
	ASSERT_EQ(b.p[0].ended, 1);
}

TEST(lapic_eoi_ends_the_highest_in_service_whatever_came_meanwhile)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	give(l, 0x40, true);
	ASSERT_EQ(lapic_take(l), 0x40);
	give(l, 0x90, false);
	wr(l, 0xb0, 0);
	ASSERT_EQ(b.p[0].ended_vector, 0x40);
	ASSERT_EQ(lapic_take(l), 0x90);
}

TEST(lapic_same_vector_may_wait_once_while_in_service)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	give(l, 0x44, false);
	ASSERT_EQ(lapic_take(l), 0x44);
	give(l, 0x44, false);
	give(l, 0x44, false);
	ASSERT_EQ(b.p[0].notified, 2);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), 0x44);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), -1);
}

TEST(lapic_auto_eoi_vector_never_comes_into_service)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	lapic_set_auto_eoi(l, 0x55, true);
	give(l, 0x55, false);
	ASSERT_EQ(lapic_take(l), 0x55);
	ASSERT_EQ(rd(l, 0xa0), 0);
	give(l, 0x55, false);
	ASSERT_EQ(lapic_take(l), 0x55);
}

TEST(lapic_disabled_by_software_takes_no_vectors_but_nmi_init_and_startup)
{
	struct board b;
	struct lapic *l = &b.p[2].lapic;
	struct apic_message m = { .destination = 2, .vector = 0x40 };
	u8 vector = 0;

	board_init(&b);
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 0);
	m.delivery = APIC_NMI;
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	ASSERT_EQ(b.p[2].nmis, 1);
	m.delivery = APIC_STARTUP;
	m.vector = 0x9a;
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	m.delivery = APIC_INIT;
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	/* INIT wiped out the startup that had come before it. */
	ASSERT_EQ(lapic_take_signals(l, &vector), LAPIC_SIGNAL_INIT);
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	m.delivery = APIC_STARTUP;
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	ASSERT_EQ(lapic_take_signals(l, &vector),
		  LAPIC_SIGNAL_INIT | LAPIC_SIGNAL_STARTUP);
	ASSERT_EQ(vector, 0x9a);
	ASSERT_EQ(lapic_take_signals(l, &vector), 0);
}

TEST(lapic_software_disable_masks_all_local_vectors_for_good)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x320, 0xef);
	wr(l, 0x360, 0x400);
	wr(l, 0xf0, 0xff);
	ASSERT_EQ(rd(l, 0x320), 0x100ef);
	ASSERT_EQ(rd(l, 0x360), 0x10400);
	wr(l, 0x320, 0xee); /* unmasking does not take */
	ASSERT_EQ(rd(l, 0x320), 0x100ee);
	enable(l);
	ASSERT_EQ(rd(l, 0x320), 0x100ee);
	wr(l, 0x320, 0xee);
	ASSERT_EQ(rd(l, 0x320), 0xee);
}

TEST(lapic_ipi_reaches_physical_destination_broadcast_and_shorthands)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	for (unsigned i = 0; i < COUNT; i++)
		enable(&b.p[i].lapic);
	wr(l, 0x310, 3u << 24);
	wr(l, 0x300, 0x4041);
	ASSERT_EQ(receivers(&b, 0x41), BIT(3));
	ASSERT_EQ(rd(l, 0x300), 0x4041); /* delivery status reads idle */
	wr(l, 0x310, 0xffu << 24);
	wr(l, 0x300, 0x4041);
	ASSERT_EQ(receivers(&b, 0x41), 0xff);
	wr(l, 0x310, 0x77u << 24); /* nobody */
	wr(l, 0x300, 0x4041);
	ASSERT_EQ(receivers(&b, 0x41), 0);
	wr(l, 0x300, 0x44041);
	ASSERT_EQ(receivers(&b, 0x41), BIT(0));
	wr(l, 0x300, 0x84041);
	ASSERT_EQ(receivers(&b, 0x41), 0xff);
	wr(l, 0x300, 0xc4041);
	ASSERT_EQ(receivers(&b, 0x41), 0xfe);
	wr(l, 0x310, 5u << 24);
	wr(l, 0x300, 0x4400);
	ASSERT_EQ(b.p[5].nmis, 1);
}

TEST(lapic_init_startup_startup_as_linux_sends_them)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;
	u8 vector = 0;

	board_init(&b);
	enable(l);
	wr(l, 0x310, 1u << 24);
	wr(l, 0x300, 0xc500); /* INIT, level, assert */
	ASSERT_EQ(b.p[1].signalled, 1);
	wr(l, 0x300, 0x8500); /* INIT, level, de-assert */
	ASSERT_EQ(b.p[1].signalled, 1);
	wr(l, 0x300, 0x0699);
	wr(l, 0x300, 0x0699);
	ASSERT_EQ(lapic_take_signals(&b.p[1].lapic, &vector),
		  LAPIC_SIGNAL_INIT | LAPIC_SIGNAL_STARTUP);
	ASSERT_EQ(vector, 0x99);
}

TEST(lapic_logical_flat_and_cluster_destinations)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	for (unsigned i = 0; i < COUNT; i++) {
		enable(&b.p[i].lapic);
		wr(&b.p[i].lapic, 0xd0, 1u << (24 + i));
	}
	wr(l, 0x310, 0x0du << 24);
	wr(l, 0x300, 0x48f1);
	ASSERT_EQ(receivers(&b, 0xf1), 0x0d);
	wr(l, 0x310, 0xffu << 24);
	wr(l, 0x300, 0x48f1);
	ASSERT_EQ(receivers(&b, 0xf1), 0xff);
	for (unsigned i = 0; i < COUNT; i++) {
		wr(&b.p[i].lapic, 0xe0, 0x0fffffff);
		wr(&b.p[i].lapic, 0xd0, (i / 4) << 28 | 1u << (24 + i % 4));
	}
	ASSERT_EQ(rd(l, 0xe0), 0x0fffffff);
	wr(l, 0x310, 0x16u << 24);
	wr(l, 0x300, 0x48f1);
	ASSERT_EQ(receivers(&b, 0xf1), 0x60);
	wr(l, 0x310, 0x26u << 24); /* no such cluster */
	wr(l, 0x300, 0x48f1);
	ASSERT_EQ(receivers(&b, 0xf1), 0);
	wr(l, 0x310, 0xffu << 24);
	wr(l, 0x300, 0x48f1);
	ASSERT_EQ(receivers(&b, 0xf1), 0xff);
}

TEST(lapic_lowest_priority_goes_to_one_and_to_whom_it_bothers_least)
{
	struct board b;
	struct apic_message m = {
		.destination = 0xff,
		.vector = 0x61,
		.delivery = APIC_LOWEST,
		.logical = true,
	};
	u32 seen = 0;

	board_init(&b);
	for (unsigned i = 0; i < COUNT - 1; i++) { /* the last one is not enabled */
		enable(&b.p[i].lapic);
		wr(&b.p[i].lapic, 0xd0, 1u << (24 + i));
		lapic_set_cr8(&b.p[i].lapic, i == 3 || i == 5 ? 2 : 9);
	}
	for (unsigned n = 0; n < 16; n++) {
		u32 who;

		ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
		who = receivers(&b, 0x61);
		ASSERT(who == BIT(3) || who == BIT(5));
		seen |= who;
	}
	ASSERT_EQ(seen, BIT(3) | BIT(5)); /* equals share */
}

TEST(lapic_x2apic_logical_ids_and_messages)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	for (unsigned i = 0; i < COUNT; i++) {
		enable(&b.p[i].lapic);
		ASSERT(x2apic(&b.p[i].lapic));
	}
	ASSERT_EQ(msr(&b.p[5].lapic, 0x802), 5);
	ASSERT_EQ(msr(&b.p[5].lapic, 0x80d), 0x20);
	ASSERT(lapic_msr_write(l, 0x830, 4ull << 32 | 0x41));
	ASSERT_EQ(receivers(&b, 0x41), BIT(4));
	ASSERT_EQ(msr(l, 0x830), 4ull << 32 | 0x41);
	ASSERT(lapic_msr_write(l, 0x830, 0xffffffffull << 32 | 0x41));
	ASSERT_EQ(receivers(&b, 0x41), 0xff);
	ASSERT(lapic_msr_write(l, 0x830, 0xffull << 32 | 0x41)); /* id 255: nobody */
	ASSERT_EQ(receivers(&b, 0x41), 0);
	ASSERT(lapic_msr_write(l, 0x830, 0x0000000dull << 32 | 0x841));
	ASSERT_EQ(receivers(&b, 0x41), 0x0d);
	ASSERT(lapic_msr_write(l, 0x830, 0x0001000dull << 32 | 0x841)); /* cluster 1 */
	ASSERT_EQ(receivers(&b, 0x41), 0);
	/* An IOAPIC's logical bits name the first eight of cluster 0. */
	ASSERT_EQ(apic_bus_send(&b.bus,
				&(struct apic_message){
					.destination = 0x81,
					.logical = true,
					.vector = 0x42,
				},
				NULL),
		  2);
	ASSERT_EQ(receivers(&b, 0x42), 0x81);
}

TEST(lapic_self_ipi_register_and_shorthand_in_x2apic)
{
	struct board b;
	struct lapic *l = &b.p[2].lapic;

	board_init(&b);
	enable(l);
	ASSERT(!lapic_msr_write(l, 0x83f, 0xf1)); /* not in xAPIC mode */
	ASSERT(x2apic(l));
	ASSERT(lapic_msr_write(l, 0x83f, 0xf1));
	ASSERT_EQ(receivers(&b, 0xf1), BIT(2));
	ASSERT(!lapic_msr_write(l, 0x83f, 0x100));
	ASSERT(!lapic_msr_write(l, 0x83f, 0xff000000));
	ASSERT(lapic_msr_write(l, 0x830, 0x400f1 | 7ull << 32));
	ASSERT_EQ(receivers(&b, 0xf1), BIT(2));
	ASSERT(lapic_msr_write(l, 0x83f, 0)); /* an error, not a fault */
	ASSERT(lapic_msr_write(l, 0x828, 0));
	ASSERT_EQ(msr(l, 0x828), 0x20);
}

TEST(lapic_x2apic_registers_fault_as_the_manual_says)
{
	static const u16 read_only[] = { 0x802, 0x803, 0x80a, 0x80d, 0x810, 0x817,
					 0x818, 0x81f, 0x820, 0x827, 0x839 };
	static const u16 read_write[] = { 0x808, 0x80f, 0x828, 0x830, 0x832, 0x833,
					  0x834, 0x835, 0x836, 0x837, 0x838, 0x83e };
	static const u16 write_only[] = { 0x80b, 0x83f };
	struct board b;
	struct lapic *l = &b.p[0].lapic;
	u8 known[256] = { 0 };
	u64 v;

	board_init(&b);
	enable(l);
	for (u32 i = 0x800; i <= 0x8ff; i++) {
		ASSERT(!lapic_msr_read(l, i, &v));
		ASSERT(!lapic_msr_write(l, i, 0));
	}
	ASSERT(x2apic(l));
	for (unsigned i = 0; i < ARRAY_COUNT(read_only); i++) {
		known[read_only[i] & 0xff] = 1;
		ASSERT(lapic_msr_read(l, read_only[i], &v));
		ASSERT(!lapic_msr_write(l, read_only[i], v));
	}
	for (unsigned i = 0; i < ARRAY_COUNT(read_write); i++) {
		known[read_write[i] & 0xff] = 1;
		ASSERT(lapic_msr_read(l, read_write[i], &v));
		ASSERT(lapic_msr_write(l, read_write[i], v));
		if (read_write[i] != 0x830)
			ASSERT(!lapic_msr_write(l, read_write[i], v | BIT64(32)));
	}
	for (unsigned i = 0; i < ARRAY_COUNT(write_only); i++) {
		known[write_only[i] & 0xff] = 1;
		ASSERT(!lapic_msr_read(l, write_only[i], &v));
		ASSERT(lapic_msr_write(l, write_only[i], 0));
		ASSERT(!lapic_msr_write(l, write_only[i], BIT64(32)));
	}
	for (u32 i = 0x800; i <= 0x8ff; i++) {
		if (known[i & 0xff] || (i > 0x810 && i < 0x828))
			continue;
		ASSERT(!lapic_msr_read(l, i, &v));
		ASSERT(!lapic_msr_write(l, i, 0));
	}
	ASSERT(!lapic_msr_write(l, 0x80b, 1));
	ASSERT(!lapic_msr_write(l, 0x828, 1));
	ASSERT(!lapic_msr_write(l, 0x808, 0x100));
	/* The page answers nobody in this mode. */
	ASSERT_EQ(lapic_mmio_read(l, 0x30, 4), 0xffffffff);
	ASSERT_EQ(lapic_mmio_read(l, 0x30, 1), 0xff);
	ASSERT_EQ(lapic_mmio_read(l, 0x30, 8), UINT64_MAX);
	wr(l, 0x80, 0x77);
	ASSERT_EQ(lapic_cr8(l), 0);
}

TEST(lapic_base_msr_allows_the_legal_transitions_only)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	/* xAPIC */
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00500)); /* x2APIC, not enabled */
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00901)); /* low bits */
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00900 | BIT64(40)));
	ASSERT(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00d00));
	/* x2APIC */
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00500));
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00900));
	ASSERT(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00100));
	/* disabled */
	ASSERT(!lapic_is_enabled(l));
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00500));
	ASSERT(!lapic_msr_write(l, MSR_APIC_BASE, 0xfee00d00));
	ASSERT_EQ(rd(l, 0x30), 0xffffffff);
	lapic_set_cr8(l, 7); /* CR8 lives without the LAPIC */
	ASSERT_EQ(lapic_cr8(l), 7);
	ASSERT(lapic_msr_write(l, MSR_APIC_BASE, 0xfed40900));
	ASSERT_EQ(lapic_base_gpa(l), 0xfed40000);
	ASSERT_EQ(rd(l, 0x30), 0x00050014);
	ASSERT_EQ(rd(l, 0x80), 0x70);
	ASSERT_EQ(rd(l, 0xd0), 0);
	/* x2APIC without passing through disabled keeps the id. */
	ASSERT_EQ(rd(l, 0x20), 0);
	wr(l, 0x20, 5u << 24);
	ASSERT_EQ(rd(l, 0x20), 0);
}

TEST(lapic_errors_are_shown_by_a_write_and_raise_their_vector)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x370, 0xfe);
	wr(l, 0x310, 0);
	wr(l, 0x300, 0x4005); /* vector 5 */
	ASSERT(requested(l, 0xfe));
	ASSERT_EQ(rd(l, 0x280), 0);
	wr(l, 0x280, 0);
	ASSERT_EQ(rd(l, 0x280), 0x20);
	wr(l, 0x280, 0);
	ASSERT_EQ(rd(l, 0x280), 0);
	ASSERT_EQ(rd(l, 0x40), 0); /* no such register */
	wr(l, 0x3d0, 1);
	wr(l, 0x280, 0);
	ASSERT_EQ(rd(l, 0x280), 0x80);
	ASSERT(!lapic_accept(l, &(struct apic_message){ .vector = 15 }));
	wr(l, 0x280, 0);
	ASSERT_EQ(rd(l, 0x280), 0x40);
	/* An error vector that is itself illegal only notes itself. */
	wr(l, 0x370, 3);
	wr(l, 0x300, 0x4005);
	wr(l, 0x280, 0);
	ASSERT_EQ(rd(l, 0x280), 0x60);
}

TEST(lapic_lint0_is_the_ear_of_the_8259_only_while_it_is_extint)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	lapic_lint(l, 0, true);
	ASSERT_EQ(b.p[0].notified, 1);
	ASSERT(lapic_extint_pending(l));
	enable(l);
	wr(l, 0x350, 0x10700);
	ASSERT(!lapic_extint_pending(l));
	b.p[0].notified = 0;
	wr(l, 0x350, 0x700); /* opened while the pin is up */
	ASSERT_EQ(b.p[0].notified, 1);
	ASSERT(lapic_extint_pending(l));
	lapic_lint(l, 0, false);
	ASSERT(!lapic_extint_pending(l));
	/* Virtual wire by a fixed vector: an edge is one interrupt. */
	wr(l, 0x350, 0x31);
	lapic_lint(l, 0, true);
	lapic_lint(l, 0, true);
	ASSERT_EQ(lapic_take(l), 0x31);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), -1);
	/* Without a LAPIC the pin is the processor's own. */
	ASSERT(lapic_msr_write(l, MSR_APIC_BASE, 0xfee00100));
	ASSERT(lapic_extint_pending(l));
}

TEST(lapic_level_triggered_lint_asks_again_at_eoi_while_it_is_up)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	wr(l, 0x350, 0x8031);
	lapic_lint(l, 0, true);
	ASSERT_EQ(rd(l, 0x350), 0xc031);
	ASSERT_EQ(lapic_take(l), 0x31);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), 0x31);
	lapic_lint(l, 0, false);
	wr(l, 0xb0, 0);
	ASSERT_EQ(lapic_take(l), -1);
	ASSERT_EQ(rd(l, 0x350), 0x8031);
}

TEST(lapic_lint1_is_nmi_by_edge)
{
	struct board b;
	struct lapic *l = &b.p[0].lapic;

	board_init(&b);
	enable(l);
	lapic_lint(l, 1, true);
	ASSERT_EQ(b.p[0].nmis, 0);
	lapic_lint(l, 1, false);
	wr(l, 0x360, 0x400);
	lapic_lint(l, 1, true);
	ASSERT_EQ(b.p[0].nmis, 1);
	lapic_lint(l, 1, true);
	ASSERT_EQ(b.p[0].nmis, 1);
}

TEST(lapic_extint_message_waits_for_its_acknowledge)
{
	struct board b;
	struct lapic *l = &b.p[1].lapic;
	struct apic_message m = { .destination = 1, .delivery = APIC_EXTINT };

	board_init(&b);
	ASSERT_EQ(apic_bus_send(&b.bus, &m, NULL), 1);
	ASSERT(lapic_extint_pending(l));
	lapic_extint_taken(l);
	ASSERT(!lapic_extint_pending(l));
}

TEST(lapic_msi_address_and_data_say_who_and_how)
{
	struct apic_message m;

	ASSERT(apic_message_of_msi(0xfee03000, 0x4041, &m));
	ASSERT_EQ(m.destination, 3);
	ASSERT_EQ(m.vector, 0x41);
	ASSERT(!m.logical && !m.level);
	ASSERT(apic_message_of_msi(0xfeeff00c, 0xc141, &m));
	ASSERT_EQ(m.destination, 0xff);
	ASSERT_EQ(m.delivery, APIC_LOWEST);
	ASSERT(m.logical && m.level);
	ASSERT(apic_message_of_msi(0xfeeff000, 0x41, &m));
	ASSERT_EQ(m.destination, APIC_EVERYBODY);
	ASSERT(!apic_message_of_msi(0xfec03000, 0x41, &m));
}

TEST(lapic_narrow_and_misaligned_accesses_do_nothing_odd)
{
	struct board b;
	struct lapic *l = &b.p[3].lapic;

	board_init(&b);
	ASSERT_EQ(lapic_mmio_read(l, 0x23, 1), 3);
	ASSERT_EQ(lapic_mmio_read(l, 0x32, 2), 5);
	ASSERT_EQ(lapic_mmio_read(l, 0x34, 4), 0);
	ASSERT_EQ(lapic_mmio_read(l, 0x30, 8), 0x00050014);
	lapic_mmio_write(l, 0x80, 1, 0x55);
	lapic_mmio_write(l, 0x84, 4, 0x55);
	ASSERT_EQ(rd(l, 0x80), 0);
}

TEST(lapic_reset_by_init_keeps_mode_base_and_id)
{
	struct board b;
	struct lapic *l = &b.p[5].lapic;

	board_init(&b);
	enable(l);
	ASSERT(x2apic(l));
	ASSERT(lapic_msr_write(l, 0x832, 0x200ef));
	give(l, 0x80, true);
	lapic_reset_by_init(l);
	ASSERT(lapic_is_x2apic(l));
	ASSERT_EQ(msr(l, 0x802), 5);
	ASSERT_EQ(msr(l, 0x80d), 0x20);
	ASSERT_EQ(msr(l, 0x832), 0x10000);
	ASSERT_EQ(msr(l, 0x80f), 0xff);
	ASSERT_EQ(lapic_take(l), -1);
	ASSERT_EQ(b.p[5].alarm, CHIP_NO_ALARM);
	lapic_reset(l);
	ASSERT_EQ(msr(l, MSR_APIC_BASE), 0xfee00800);
}

/* ---- state ----------------------------------------------------------------------------------- */

TEST(lapic_state_survives_a_round_trip)
{
	u8 block[WALL_CHIP_STATE_SIZE], again[WALL_CHIP_STATE_SIZE];
	struct board b, other;
	struct lapic *l = &b.p[3].lapic, *r = &other.p[3].lapic;

	board_init(&b);
	board_init(&other);
	manual_clock_advance(&other.clock, 123456789);
	enable(l);
	wr(l, 0x80, 0x21);
	wr(l, 0xd0, 0x08000000);
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, 0x200ee);
	wr(l, 0x380, 1000000);
	wr(l, 0x350, 0x8031);
	lapic_lint(l, 0, true);
	give(l, 0x91, true);
	ASSERT_EQ(lapic_take(l), 0x91);
	give(l, 0x44, false);
	ASSERT(lapic_accept(l, &(struct apic_message){ .delivery = APIC_INIT }));
	advance(&b, 250000);
	lapic_save(l, block);
	ASSERT_EQ(lapic_restore(r, block), 0);
	lapic_save(r, again);
	ASSERT_MEM(again, block, sizeof block);
	ASSERT_EQ(other.p[3].alarm, other.clock.monotonic + 750000);
	ASSERT_EQ(rd(r, 0xa0), 0x90);
	wr(r, 0xb0, 0);
	ASSERT_EQ(other.p[3].ended_vector, 0x91);
	ASSERT_EQ(lapic_take(r), 0x44);
}

TEST(lapic_restore_refuses_what_it_could_not_have_saved)
{
	u8 good[WALL_CHIP_STATE_SIZE], block[WALL_CHIP_STATE_SIZE];
	u8 before[WALL_CHIP_STATE_SIZE], after[WALL_CHIP_STATE_SIZE];
	static const struct {
		unsigned at;
		u8 value;
	} bad[] = {
		{ 0, 2 },     /* version */
		{ 2, 1 },     /* size */
		{ 4, 9 },     /* id of another */
		{ 8, 0x01 },  /* base: reserved */
		{ 9, 0x04 },  /* base: x2APIC, not enabled */
		{ 13, 0x02 }, /* base: beyond the address width */
		{ 17, 0x01 }, /* task priority over 255 */
		{ 20, 0x01 }, /* logical destination's low bits */
		{ 29, 0x10 }, /* spurious vector register */
		{ 41, 0x20 }, /* command: reserved bit */
		{ 50, 0x08 }, /* LVT timer: reserved bit */
		{ 72, 0x01 }, /* vector 0 in service */
	};

	struct board b;
	struct lapic *l = &b.p[3].lapic;

	board_init(&b);
	enable(l);
	lapic_save(l, good);
	ASSERT_EQ(lapic_restore(l, good), 0);
	lapic_save(l, before);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		memcpy(block, good, sizeof block);
		block[bad[i].at] = bad[i].value;
		ASSERT_ERR(lapic_restore(l, block), EINVAL);
	}
	memset(block, 0xff, sizeof block);
	ASSERT_ERR(lapic_restore(l, block), EINVAL);
	lapic_save(l, after);
	ASSERT_MEM(after, before, sizeof before);
}

TEST(lapic_inspect_names_mode_and_vectors)
{
	char text[4096] = "";
	struct inspect out = { .text = text, .size = sizeof text };
	struct board b;
	struct lapic *l = &b.p[1].lapic;

	board_init(&b);
	enable(l);
	give(l, 0x41, false);
	lapic_inspect(l, &out);
	ASSERT(strstr(text, "id: 1\n"));
	ASSERT(strstr(text, "mode: xapic at 0xfee00000\n"));
	ASSERT(strstr(text, "irr: "
			    "00000000_00000000_00000000_00000000_00000000_00000002_"));
	/* A small buffer is cut, not overrun. */
	memset(text, 'x', sizeof text);
	out = (struct inspect){ .text = text, .size = 20 };
	lapic_inspect(l, &out);
	ASSERT_EQ(text[19], 0);
	ASSERT_EQ(text[20], 'x');
	ASSERT_EQ(out.used, 19);
}
