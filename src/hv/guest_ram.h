/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's own reads and writes of guest RAM: parameters of hypercalls, the pages of the
 * synthetic interrupt controller, the reference TSC page, the hypercall page. Neighbours:
 * memory_map.h (what lies where), engine.h (drop_code).
 *
 * The guest changes its memory while we look at it: read once, into a copy. A range is all inside one
 * page; what is not RAM that the guest may write is -EFAULT.
 *
 * Threads: a VP's, within a call of its bus; or the loop's.
 */
#pragma once

#include "base/types.h"

struct partition;

int guest_ram_read(struct partition *p, gpa_t gpa, void *to, size_t size) MUST_CHECK;
int guest_ram_write(struct partition *p, gpa_t gpa, const void *from, size_t size)
	MUST_CHECK;

/*
 * For pages whose words both sides change: the page's first byte, or NULL. After the last byte was
 * written, and before anybody is told: guest_ram_wrote.
 */
u8 *guest_ram_page(struct partition *p, gpa_t gpa);
void guest_ram_wrote(struct partition *p, gpa_t gpa);
