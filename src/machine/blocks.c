/* SPDX-License-Identifier: Apache-2.0 */
/* hv's blocks of a guest, taken and given back in their order; see blocks.h. */
#include "machine/blocks.h"

#include <errno.h>

/*
 * The order of giving back. A chip that is restored drives its pins again, so whoever drives a line
 * goes before the interrupt controllers that it ends in: their own blocks, which follow, say what
 * had come of it. The local APICs, where everything ends, are last. Before all of them the processors, since
 * a deadline means something only with the counter that it is compared with, and the clock, whose
 * offset is rounded where a guest lives in another century: the RTC's block, after it, is exact.
 */
static const struct {
	enum wall_chip chip;
	u32 index;
} order[] = {
	{ WALL_CHIP_GUEST_INTERFACE, 0 },
	{ WALL_CHIP_PIT, 0 },
	{ WALL_CHIP_RTC, 0 },
	{ WALL_CHIP_UART, 0 },
	{ WALL_CHIP_UART, 1 },
	{ WALL_CHIP_PM, 0 },
	{ WALL_CHIP_I8042, 0 },
	{ WALL_CHIP_FW_CFG, 0 },
	{ WALL_CHIP_PCI, 0 },
	{ WALL_CHIP_PIC, 0 },
	{ WALL_CHIP_IOAPIC, 0 },
};
_Static_assert(ARRAY_COUNT(order) == MACHINE_CHIPS, "one block a row");

/* Of each VP, after those. The index is that of the VP times `factor`, plus `plus`. */
static const struct {
	enum wall_chip chip;
	u32 factor, plus;
} vp_order[] = {
	{ WALL_CHIP_SYNIC, 1, 0 },
	{ WALL_CHIP_SYNIC_QUEUE, 2, 0 },
	{ WALL_CHIP_SYNIC_QUEUE, 2, 1 },
	{ WALL_CHIP_LAPIC, 1, 0 },
};
_Static_assert(ARRAY_COUNT(vp_order) == MACHINE_VP_CHIPS, "one block a row");

static u32 vp_index(unsigned row, u32 vp)
{
	return vp * vp_order[row].factor + vp_order[row].plus;
}

int machine_blocks_take(struct worker_end *end, u32 vp_count,
			struct machine_blocks *ret_blocks, struct err *err)
{
	struct machine_blocks *b = ret_blocks;
	int r;

	*b = (struct machine_blocks){ .vp_count = vp_count };
	b->vp = calloc(vp_count, sizeof *b->vp);
	if (!b->vp)
		return err_set(err, -ENOMEM, "blocks: %s", err_words(-ENOMEM));
	r = worker_get_clock(end, &b->clock, err);
	for (u32 vp = 0; r == 0 && vp < vp_count; vp++)
		r = worker_get_vp(end, vp, &b->vp[vp].state, err);
	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(order); k++)
		r = worker_get_chip(end, order[k].chip, order[k].index, b->chip[k], err);
	for (u32 vp = 0; r == 0 && vp < vp_count; vp++)
		for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(vp_order); k++)
			r = worker_get_chip(end, vp_order[k].chip, vp_index(k, vp),
					    b->vp[vp].chip[k], err);
	return r;
}

int machine_blocks_give(struct worker_end *end, const struct machine_blocks *blocks,
			struct err *err)
{
	const struct machine_blocks *b = blocks;
	int r = worker_set_clock(end, &b->clock, err);

	for (u32 vp = 0; r == 0 && vp < b->vp_count; vp++)
		r = worker_set_vp(end, vp, &b->vp[vp].state, err);
	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(order); k++)
		r = worker_set_chip(end, order[k].chip, order[k].index, b->chip[k], err);
	for (u32 vp = 0; r == 0 && vp < b->vp_count; vp++)
		for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(vp_order); k++)
			r = worker_set_chip(end, vp_order[k].chip, vp_index(k, vp),
					    b->vp[vp].chip[k], err);
	return r;
}

void machine_blocks_done(struct machine_blocks *blocks)
{
	free(blocks->vp);
	free(blocks->devices.bytes);
	*blocks = (struct machine_blocks){ 0 };
}
