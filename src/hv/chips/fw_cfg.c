/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware configuration device: fw_cfg.h. Under the chipset lock. */
#include "hv/chips/fw_cfg.h"

#include <errno.h>

#include "abi/board.h"
#include "wall/wall.h"

/* Bit 14 of the selector meant writing, which is gone. */
#define KEY_WRITE 0x4000u

static const struct fw_cfg_item signature = {
	.key = FW_CFG_SIGNATURE,
	.size = 4,
	.bytes = (const u8 *)"QEMU",
};

static const struct fw_cfg_item *find(const struct fw_cfg *cfg, u16 key)
{
	if (key == FW_CFG_SIGNATURE)
		return &signature;
	for (unsigned i = 0; i < cfg->count; i++)
		if (cfg->item[i].key == key)
			return &cfg->item[i];
	return NULL;
}

void fw_cfg_init(struct fw_cfg *cfg)
{
	memset(cfg, 0, sizeof *cfg);
}

void fw_cfg_reset(struct fw_cfg *cfg)
{
	cfg->selected = FW_CFG_SIGNATURE;
	cfg->offset = 0;
}

int fw_cfg_add(struct fw_cfg *cfg, u16 key, const void *bytes, u32 size)
{
	unsigned n = 0;

	if (key == FW_CFG_SIGNATURE || (key & KEY_WRITE))
		return -EINVAL;
	while (n < cfg->count && cfg->item[n].key != key)
		n++;
	if (n == FW_CFG_ITEMS)
		return -ENOSPC;
	cfg->item[n] = (struct fw_cfg_item){ .key = key, .size = size, .bytes = bytes };
	if (n == cfg->count)
		cfg->count++;
	return 0;
}

void fw_cfg_read_bytes(struct fw_cfg *cfg, u8 *ret_bytes, size_t count)
{
	const struct fw_cfg_item *item = find(cfg, cfg->selected);
	size_t left = item && cfg->offset < item->size ? item->size - cfg->offset : 0;
	size_t n = min_u64(count, left);

	if (n)
		memcpy(ret_bytes, item->bytes + cfg->offset, n);
	memset(ret_bytes + n, 0, count - n);
	cfg->offset += (u32)n;
	cfg->bytes_read += n;
}

u32 fw_cfg_read(struct fw_cfg *cfg, u16 port, unsigned size)
{
	u8 byte;

	if (port == BOARD_PORT_FW_CFG)
		return 0; /* the selector does not read back */
	if (port != BOARD_PORT_FW_CFG + 1)
		return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
	fw_cfg_read_bytes(cfg, &byte, 1);
	return byte;
}

void fw_cfg_write(struct fw_cfg *cfg, u16 port, unsigned size, u32 value)
{
	if (port != BOARD_PORT_FW_CFG || size < 2)
		return;
	cfg->selected = (u16)(value & ~KEY_WRITE);
	cfg->offset = 0;
	cfg->selections++;
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct fw_cfg_state {
	struct chip_state_head head;
	le16 selected;
	le32 offset;
} PACKED;
_Static_assert(sizeof(struct fw_cfg_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void fw_cfg_save(const struct fw_cfg *cfg, void *block)
{
	struct fw_cfg_state s = {
		.selected = le16_of(cfg->selected),
		.offset = le32_of(cfg->offset),
	};

	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

int fw_cfg_restore(struct fw_cfg *cfg, const void *block)
{
	struct fw_cfg_state s;

	/* Any offset will do: reading looks at the item's size each time. */
	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) ||
	    (le16_get(s.selected) & KEY_WRITE))
		return -EINVAL;
	cfg->selected = le16_get(s.selected);
	cfg->offset = le32_get(s.offset);
	return 0;
}

void fw_cfg_inspect(const struct fw_cfg *cfg, struct inspect *out)
{
	inspect_line(out, "items", "%u", cfg->count);
	inspect_line(out, "selected", "0x%04x offset %u", cfg->selected, cfg->offset);
	inspect_line(out, "read", "%llu bytes in %llu selections",
		     (unsigned long long)cfg->bytes_read,
		     (unsigned long long)cfg->selections);
}
