/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets of the loaders have in common: 32 MiB of guest memory, the input as the
 * kernel file, a module beside it. What loads must leave a state that a VP can run.
 */
#pragma once

#include <sys/mman.h>

#include "boot/load.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"

#define FUZZ_RAM (32ull << 20)

static inline void fuzz_require(bool ok)
{
	if (!ok)
		abort();
}

static inline int fuzz_load(const u8 *data, size_t size)
{
	static struct fake_hv *hv;
	static struct guest_memory *gm;
	static int kernel_fd, module_fd;
	struct loader loader = { .cmdline = "console=ttyS0", .rsdp = BOOT_ACPI };
	struct vp_state state;
	enum loader_kind kind;
	struct err err = { 0 };
	u64 ticket = 0;

	if (!gm) {
		fuzz_require(fake_hv_new(FUZZ_RAM, 65536, 1, &hv) == 0);
		fuzz_require(gm_open(hv->ram_fd, FUZZ_RAM, hv->dirty_fd, hv->code_fd,
				     hv->control, hv->hv_event, &gm) == 0);
		kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
		module_fd = memfd_create("module", MFD_CLOEXEC);
		fuzz_require(kernel_fd >= 0 && module_fd >= 0);
		fuzz_require(ftruncate(module_fd, 10000) == 0);
	}
	fuzz_require(ftruncate(kernel_fd, 0) == 0);
	fuzz_require(pwrite(kernel_fd, data, size, 0) == (ssize_t)size);
	loader.gm = gm;
	if (boot_image_init(&loader.kernel, kernel_fd, "kernel", "kernel", &err) < 0)
		return 0;
	fuzz_require(boot_image_init(&loader.module[0], module_fd, "m", "module", &err) ==
		     0);
	loader.module_args[0] = "a=b";
	loader.module_count = 1;
	vp_state_reset(&state, true);
	int r = loader_load(&loader, &state, &kind, &err);
	/* A failure has a sentence, and only a failure. */
	fuzz_require((r < 0) == (err.text[0] != 0));
	if (r == 0)
		fuzz_require(vp_state_check(&state, 7, &err) == 0);
	fuzz_require(gm_clear(gm, &ticket) == 0);
	return 0;
}
