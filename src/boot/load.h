/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a guest: which kind of kernel is it, and put it where it wants to be. RAM is all zeros and
 * no VP runs. Each kind has a file: linux_boot.c (bzImage), multiboot.c, pvh.c (ELF with a
 * PVH entry).
 *
 *	loader_detect	looks at the first bytes: bzImage, multiboot, PVH, in this order
 *	loader_load	kernel, modules, command line, boot information; the first VP's state
 */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "boot/image.h"
#include "boot/space.h"
#include "wall/vp_state.h"

struct guest_memory;

#define LOADER_MODULES 16

struct loader {
	struct guest_memory *gm;
	struct boot_space space;
	struct boot_image kernel;
	const char *cmdline;
	unsigned module_count;
	struct boot_image module[LOADER_MODULES];
	const char *module_args[LOADER_MODULES]; /* "" when none */
	gpa_t rsdp;				 /* 0: no ACPI */
};

/* The kernel's first bytes decide; what lies behind the end of a short file is 0. */
#define LOADER_HEAD 8192

enum loader_kind { LOADER_LINUX, LOADER_MULTIBOOT, LOADER_PVH };
const char *loader_kind_name(enum loader_kind kind);

/*
 * loader: gm, kernel, cmdline, modules, rsdp filled by the caller; space is made here. state comes
 * from vp_state_reset and is changed to the kernel's entry.
 */
int loader_load(struct loader *loader, struct vp_state *state, enum loader_kind *ret_kind,
		struct err *err) MUST_CHECK;

/* The kinds. *ret_mine says whether it is one; with -errno it is, and is broken. */
int linux_boot_load(struct loader *loader, const u8 head[LOADER_HEAD],
		    struct vp_state *state, bool *ret_mine, struct err *err) MUST_CHECK;
int multiboot_load(struct loader *loader, const u8 head[LOADER_HEAD],
		   struct vp_state *state, bool *ret_mine, struct err *err) MUST_CHECK;
int pvh_load(struct loader *loader, const u8 head[LOADER_HEAD], struct vp_state *state,
	     bool *ret_mine, struct err *err) MUST_CHECK;
