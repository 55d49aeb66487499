/* SPDX-License-Identifier: Apache-2.0 */
/* Who lies where in guest memory while a guest is loaded; see space.h. Any thread. */
#include "boot/space.h"

#include <errno.h>
#include <stdio.h>

#include "base/checked.h"
#include "wall/guest_memory.h"

unsigned boot_memory_map(u64 ram_size, struct boot_region ret_region[BOOT_REGIONS])
{
	u64 low = min_u64(ram_size, GM_LOW_MAX);
	unsigned n = 0;

	ret_region[n++] = (struct boot_region){ 0, min_u64(low, BOOT_EBDA), BOOT_RAM };
	ret_region[n++] =
		(struct boot_region){ BOOT_EBDA, BOOT_HOLE - BOOT_EBDA, BOOT_RESERVED };
	ret_region[n++] =
		(struct boot_region){ BOOT_ACPI, BOOT_ACPI_SIZE, BOOT_RESERVED };
	if (low > BOOT_HIGH)
		ret_region[n++] =
			(struct boot_region){ BOOT_HIGH, low - BOOT_HIGH, BOOT_RAM };
	if (ram_size > low)
		ret_region[n++] =
			(struct boot_region){ GM_HIGH_BASE, ram_size - low, BOOT_RAM };
	return n;
}

static void take(struct boot_space *space, gpa_t base, u64 size, const char *what)
{
	space->claim[space->count++] =
		(struct boot_claim){ .base = base, .size = size, .what = what };
}

void boot_space_init(struct boot_space *space, u64 ram_size)
{
	space->ram_size = ram_size;
	space->low_size = min_u64(ram_size, GM_LOW_MAX);
	space->count = 0;
	take(space, 0, BOOT_LOW_FREE, "the interrupt vectors");
	take(space, BOOT_EBDA, BOOT_HIGH - BOOT_EBDA, "the BIOS area");
}

const char *boot_size_words(u64 size, char buffer[32])
{
	u64 unit = size >= 1 << 20 ? 1 << 20 : 1 << 10;

	snprintf(buffer, 32, "%llu %s",
		 (unsigned long long)(size / unit + (size % unit != 0)),
		 unit == 1 << 20 ? "MiB" : "KiB");
	return buffer;
}

/* The claim that shares a byte with the range, or NULL. */
static const struct boot_claim *find_claim(const struct boot_space *space, gpa_t base,
					   u64 size)
{
	for (unsigned i = 0; i < space->count; i++)
		if (ranges_overlap(space->claim[i].base, space->claim[i].size, base,
				   size))
			return &space->claim[i];
	return NULL;
}

static int no_memory(const struct boot_space *space, const char *what, u64 needed,
		     struct err *err)
{
	char want[32], have[32];

	boot_size_words(needed, want);
	err_set(err, -ENOMEM, "%s needs %s of memory, the machine has %s", what, want,
		boot_size_words(space->ram_size, have));
	if (needed > GM_LOW_MAX)
		return err_fix(err, "give a kernel that loads below 3 GiB");
	return err_fix(err, "give the machine more memory (--memory)");
}

int boot_space_claim(struct boot_space *space, gpa_t base, u64 size, const char *what,
		     struct err *err)
{
	const struct boot_claim *other;
	u64 end = UINT64_MAX;

	if (size == 0)
		return 0;
	if (!add_u64(base, size, &end) || end > space->low_size)
		return no_memory(space, what, end, err);
	other = find_claim(space, base, size);
	/* Segments of one kernel may share bytes: its linker knows why. */
	if (other && other->what != what)
		return err_set(err, -EEXIST, "%s wants to lie at %#llx, where %s is",
			       what, (unsigned long long)base, other->what);
	if (space->count == BOOT_CLAIMS)
		return err_set(err, -E2BIG, "%s has too many pieces", what);
	take(space, base, size, what);
	return 0;
}

/* Step over claim after claim; each step passes at least one for good, so count bounds it. */
static bool search(const struct boot_space *space, enum boot_place place, u64 size,
		   u64 align, gpa_t min, gpa_t max, gpa_t *ret_base)
{
	gpa_t base;

	if (max < min || size > max - min)
		return false;
	base = place == BOOT_LOWEST ? min : (max - size) & ~(align - 1);
	for (unsigned step = 0; step <= space->count; step++) {
		if (place == BOOT_LOWEST)
			base = (base + align - 1) & ~(align - 1);
		if (base < min || base > max || size > max - base)
			return false;
		const struct boot_claim *c = find_claim(space, base, size);
		if (!c) {
			*ret_base = base;
			return true;
		}
		if (place == BOOT_LOWEST)
			base = c->base + c->size;
		else if (c->base < size)
			return false;
		else
			base = (c->base - size) & ~(align - 1);
	}
	return false;
}

int boot_space_find(struct boot_space *space, enum boot_place place, u64 size, u64 align,
		    gpa_t min, gpa_t max, const char *what, gpa_t *ret_base,
		    struct err *err)
{
	char want[32], have[32];

	max = min_u64(max, space->low_size);
	if (space->count == BOOT_CLAIMS)
		return err_set(err, -E2BIG, "%s: too many pieces", what);
	if (!search(space, place, size, align, min, max, ret_base)) {
		boot_size_words(size, want);
		err_set(err, -ENOMEM,
			"%s (%s) does not fit beside the kernel into %s of memory", what,
			want, boot_size_words(space->ram_size, have));
		return err_fix(err, "give the machine more memory (--memory)");
	}
	take(space, *ret_base, size, what);
	return 0;
}
