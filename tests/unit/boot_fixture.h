/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory without a guest, and files without a disk, for the tests of loaders. */
#pragma once

#include <stdlib.h>
#include <sys/mman.h>

#include "boot/load.h"
#include "harness.h"
#include "wall/fake_hv.h"
#include "wall/guest_memory.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

struct boot_fixture {
	struct fake_hv *hv;
	struct loader loader;
	struct vp_state state;
	enum loader_kind kind;
	struct err err;
	int fds[LOADER_MODULES + 1];
	unsigned fd_count;
};

static inline void boot_fixture_done(struct boot_fixture *f)
{
	gm_close(f->loader.gm);
	fake_hv_free(f->hv);
	for (unsigned i = 0; i < f->fd_count; i++)
		close(f->fds[i]);
}
#define BOOT_FIXTURE __attribute__((cleanup(boot_fixture_done))) struct boot_fixture

static inline bool boot_fixture_init(struct boot_fixture *f, u64 ram_size)
{
	CHECK_EQ(fake_hv_new(ram_size, 65536, 1, &f->hv), 0);
	CHECK_EQ(gm_open(f->hv->ram_fd, ram_size, f->hv->dirty_fd, f->hv->code_fd,
			 f->hv->control, f->hv->hv_event, &f->loader.gm),
		 0);
	f->loader.cmdline = "";
	f->loader.rsdp = BOOT_ACPI;
	vp_state_reset(&f->state, true);
	return true;
}

static inline bool boot_file(struct boot_fixture *f, const void *bytes, size_t size,
			     const char *name, struct boot_image *ret_image)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	CHECK(fd >= 0);
	f->fds[f->fd_count++] = fd;
	CHECK_EQ(write(fd, bytes, size), size);
	CHECK_EQ(boot_image_init(ret_image, fd, name, "kernel", &f->err), 0);
	return true;
}

static inline bool boot_kernel(struct boot_fixture *f, const void *bytes, size_t size)
{
	return boot_file(f, bytes, size, "vm.elf", &f->loader.kernel);
}

static inline bool boot_module(struct boot_fixture *f, const void *bytes, size_t size,
			       const char *name, const char *args)
{
	unsigned n = f->loader.module_count++;

	f->loader.module_args[n] = args;
	return boot_file(f, bytes, size, name, &f->loader.module[n]);
}

static inline int boot_load(struct boot_fixture *f)
{
	return loader_load(&f->loader, &f->state, &f->kind, &f->err);
}

/* What every loader must leave: a state that can be run. */
static inline bool boot_state_is_good(struct boot_fixture *f)
{
	CHECK_EQ(vp_state_check(&f->state, 7, &f->err), 0);
	CHECK_EQ(f->state.rflags & 0x200, 0);
	return true;
}

#define PUT16(p, v) memcpy(p, &(u16){ (u16)(v) }, 2)
#define PUT32(p, v) memcpy(p, &(u32){ (u32)(v) }, 4)
#define PUT64(p, v) memcpy(p, &(u64){ (u64)(v) }, 8)

static inline u32 ram32(const struct boot_fixture *f, u64 at)
{
	u32 v;

	memcpy(&v, f->hv->ram + at, 4);
	return v;
}

static inline u64 ram64(const struct boot_fixture *f, u64 at)
{
	u64 v;

	memcpy(&v, f->hv->ram + at, 8);
	return v;
}
