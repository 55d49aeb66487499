/* SPDX-License-Identifier: Apache-2.0 */
/* hv's blocks of a guest, taken and given back in their order; see blocks.h. */
#include "machine/blocks.h"

#include <errno.h>

/*
 * The order of giving back. A chip that is restored drives its pins again, so whoever drives a line
 * goes before the interrupt controllers that it ends in: their own blocks, which follow, say what
 * had come of it. The local APICs, where everything ends, are last; before them the processors, since
 * a deadline means something only with the counter that it is compared with. The clock's offset
 * is rounded where a guest lives in another century: the RTC's block, after it, is exact.
 */
static const struct {
	enum wall_chip chip;
	u32 index;
} order[] = {
	{ WALL_CHIP_PIT, 0 },	 { WALL_CHIP_RTC, 0 }, { WALL_CHIP_UART, 0 },
	{ WALL_CHIP_UART, 1 },	 { WALL_CHIP_PM, 0 },  { WALL_CHIP_I8042, 0 },
	{ WALL_CHIP_FW_CFG, 0 }, { WALL_CHIP_PCI, 0 }, { WALL_CHIP_PIC, 0 },
	{ WALL_CHIP_IOAPIC, 0 },
};
_Static_assert(ARRAY_COUNT(order) == MACHINE_CHIPS, "one block a row");

int machine_blocks_take(struct worker_end *end, u32 vp_count,
			struct machine_blocks *ret_blocks, struct err *err)
{
	struct machine_blocks *b = ret_blocks;
	int r;

	*b = (struct machine_blocks){ .vp_count = vp_count };
	b->vp = calloc(vp_count, sizeof *b->vp);
	b->lapic = calloc(vp_count, sizeof *b->lapic);
	if (!b->vp || !b->lapic)
		return err_set(err, -ENOMEM, "blocks: %s", err_words(-ENOMEM));
	r = worker_get_clock(end, &b->clock, err);
	for (u32 k = 0; r == 0 && k < vp_count; k++)
		r = worker_get_vp(end, k, &b->vp[k], err);
	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(order); k++)
		r = worker_get_chip(end, order[k].chip, order[k].index, b->chip[k], err);
	for (u32 k = 0; r == 0 && k < vp_count; k++)
		r = worker_get_chip(end, WALL_CHIP_LAPIC, k, b->lapic[k], err);
	return r;
}

int machine_blocks_give(struct worker_end *end, const struct machine_blocks *blocks,
			struct err *err)
{
	const struct machine_blocks *b = blocks;
	int r = worker_set_clock(end, &b->clock, err);

	for (u32 k = 0; r == 0 && k < b->vp_count; k++)
		r = worker_set_vp(end, k, &b->vp[k], err);
	for (unsigned k = 0; r == 0 && k < ARRAY_COUNT(order); k++)
		r = worker_set_chip(end, order[k].chip, order[k].index, b->chip[k], err);
	for (u32 k = 0; r == 0 && k < b->vp_count; k++)
		r = worker_set_chip(end, WALL_CHIP_LAPIC, k, b->lapic[k], err);
	return r;
}

void machine_blocks_done(struct machine_blocks *blocks)
{
	free(blocks->vp);
	free(blocks->lapic);
	*blocks = (struct machine_blocks){ 0 };
}
