/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own accesses to guest RAM; see guest_ram.h. */
#include "hv/guest_ram.h"

#include <errno.h>

#include "base/checked.h"
#include "hv/partition.h"

static bool find(struct partition *p, gpa_t gpa, struct x86_page *ret_page)
{
	if (gpa >> WALL_GPA_BITS)
		return false;
	memory_map_resolve(&p->memory, gpa & ~0xfffull, ret_page);
	return ret_page->host && ret_page->code && ret_page->writable;
}

static void wrote(struct partition *p, const struct x86_page *page)
{
	if (page->dirty)
		atomic_store_explicit(page->dirty, 1, memory_order_release);
	/* The decoder marks, then reads; we wrote, and look at the mark: one sees the other. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(page->code))
		p->config.engine->drop_code(p->engine_vm, page->ram_page, 1);
}

int guest_ram_read(struct partition *p, gpa_t gpa, void *to, size_t size)
{
	struct x86_page page;

	if (!range_inside(gpa & 0xfff, size, WALL_PAGE_SIZE) || !find(p, gpa, &page))
		return -EFAULT;
	memcpy(to, page.host + (gpa & 0xfff), size);
	return 0;
}

int guest_ram_write(struct partition *p, gpa_t gpa, const void *from, size_t size)
{
	struct x86_page page;

	if (!range_inside(gpa & 0xfff, size, WALL_PAGE_SIZE) || !find(p, gpa, &page))
		return -EFAULT;
	memcpy(page.host + (gpa & 0xfff), from, size);
	wrote(p, &page);
	return 0;
}

u8 *guest_ram_page(struct partition *p, gpa_t gpa)
{
	struct x86_page page;

	return find(p, gpa, &page) ? page.host : NULL;
}

void guest_ram_wrote(struct partition *p, gpa_t gpa)
{
	struct x86_page page;

	if (find(p, gpa, &page))
		wrote(p, &page);
}
