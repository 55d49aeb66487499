/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tabique-hv started by a test that plays its owner and its worker. Guest memory is the test's and
 * outlives it, so that the next hv goes on with it. One thread.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/types.h"
#include "wall/wall.h"

/* Regions, and the dirty map, as both sides share them. */
struct hv_memory {
	int ram, vram, rom, dirty;
	u64 ram_size, vram_size, rom_size;
	u64 ram_start; /* of RAM; 0: all */
	u8 *rom_bytes;
	u8 *vram_bytes;
};
int hv_memory_new(u64 ram_size, struct hv_memory *ret_memory, struct err *err) MUST_CHECK;

struct hv_process {
	pid_t pid;
	int owner;  /* struct owner_message both ways */
	int serial; /* the guest's COM1 */
	int verbs, access_event, hv_event;
	int code, control_fd;
	struct wall_control *control;
	u64 control_size;
};

struct hv_order {
	const char *program;
	enum hv_engine engine;
	u32 vp_count;
	int kvm; /* /dev/kvm, or -1 */
};

/* Returns when hv says that it is ready. */
int hv_process_start(const struct hv_order *order, const struct hv_memory *memory,
		     struct hv_process *ret_hv, struct err *err) MUST_CHECK;
/* Close everything and wait until it has ended, of itself. */
void hv_process_end(struct hv_process *hv);
