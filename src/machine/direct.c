/* SPDX-License-Identifier: Apache-2.0 */
/* The whole machine, in power-on order; see direct.h. The board of a BIOS is gen1.c. */
#include "machine/direct.h"

#include <errno.h>

#include "base/log.h"
#include "board/pci.h"
#include "boot/acpi.h"
#include "boot/entry.h"
#include "boot/fw_cfg.h"
#include "boot/load.h"
#include "machine/blocks.h"
#include "machine/gen1.h"
#include "machine/synthetic.h"
#include "machine/test_devices.h"
#include "wall/guest_memory.h"
#include "wall/worker_config.h"
#include "wall/worker_end.h"

_Static_assert(LOADER_MODULES == WORKER_MAX_MODULES, "every module that can be given is "
						     "loaded");

enum { SLOT_LOW, SLOT_ABOVE_HOLE, SLOT_HIGH, SLOT_VIDEO, SLOT_WINDOW, SLOT_GEN1 = 8 };

struct direct {
	struct direct_parts parts;
	struct loader loader;
	enum loader_kind kind;
	struct vp_state first; /* as the loader left it */
	struct test_devices *test_devices;
	bool opened; /* the images */
	bool stands; /* as direct_save or direct_pause left it */
	struct pci_bus pci;
	struct pci_function host_bridge; /* without a BIOS */
	struct synthetic *synthetic;
	struct gen1 *gen1; /* NULL: no BIOS */
	/* a reset that waits for the devices */
	void (*reset_done)(void *owner, int r, const struct err *err);
	void *reset_owner;
	/* a save that waits for them */
	struct machine_blocks *blocks;
	void (*save_done)(void *owner, int r, const struct err *err);
	void *save_owner;
	/* the end */
	void (*quiet)(void *owner);
	void *quiet_owner;
};

static int open_images(struct direct *m, struct err *err);
static int load(struct direct *m, struct err *err);
static int map_ram(struct direct *m, struct err *err);
static bool map_high(void *machine, u64 high);
static int set_processors(struct direct *m, struct err *err);
static int connect_firmware(struct direct *m, struct fw_cfg_builder *fw_cfg,
			    struct err *err);
static void pause_board(struct direct *m, void (*done)(void *owner));

/* What hv is told of the machine; neither RAM nor a processor is touched. */
static int connect_parts(struct direct *m, struct err *err)
{
	const struct worker_config *config = m->parts.config;
	struct worker_end *end = m->parts.end;
	struct fw_cfg_builder fw_cfg = {
		.rom = m->parts.rom,
		.rom_size = config->rom_size,
		.end = end,
	};
	int r = m->opened ? 0 : open_images(m, err);

	if (r == 0)
		r = worker_hello(end, config->ram_size, err);
	/* hv's chips are there from its start: PIC, PIT, RTC, UARTs, PM, IOAPIC, LAPICs. */
	if (r == 0)
		r = map_ram(m, err);
	if (r == 0)
		r = pci_bus_connect(&m->pci, end, err);
	if (r == 0)
		r = connect_firmware(m, &fw_cfg, err);
	if (r == 0 && config->test_devices)
		r = test_devices_connect(m->test_devices, err);
	if (r == 0)
		r = synthetic_connect(m->synthetic, err);
	return r;
}

int direct_power_on(struct direct *m, struct err *err)
{
	int r = connect_parts(m, err);

	if (r == 0)
		r = set_processors(m, err);
	if (r == 0)
		r = worker_run(m->parts.end, err);
	return r;
}

/* The guest stands, and so do the devices. */
static int restart(struct direct *m, struct err *err)
{
	u64 ticket = 0;
	int r = worker_reset(m->parts.end, err);

	if (r < 0)
		return r;
	synthetic_reset(m->synthetic);
	pci_bus_reset(&m->pci);
	if (m->gen1)
		gen1_reset(m->gen1);
	if (m->test_devices)
		test_devices_reset(m->test_devices);
	r = gm_clear(m->parts.gm, &ticket);
	if (r < 0)
		return err_set(err, r, "clear memory: %s", err_words(r));
	r = load(m, err);
	if (r == 0)
		r = set_processors(m, err);
	if (r == 0)
		r = worker_run(m->parts.end, err);
	return r;
}

static void on_board_quiet(void *owner)
{
	struct direct *m = owner;
	void (*done)(void *owner, int r, const struct err *err) = m->reset_done;
	struct err err = { 0 };
	int r = restart(m, &err);

	m->reset_done = NULL;
	done(m->reset_owner, r, &err);
}

static void on_quiet(void *owner)
{
	pause_board(owner, on_board_quiet);
}

void direct_reset(struct direct *m,
		  void (*done)(void *owner, int r, const struct err *err), void *owner)
{
	struct err err = { 0 };
	int r;

	if (m->reset_done)
		return;
	if (m->save_done) {
		err_set(&err, -EBUSY, "the machine is being saved");
		done(owner, err.code, &err);
		return;
	}
	r = worker_stop(m->parts.end, &err);
	if (r < 0) {
		done(owner, r, &err);
		return;
	}
	m->reset_done = done;
	m->reset_owner = owner;
	if (m->stands) {
		m->stands = false;
		synthetic_resume(m->synthetic);
	}
	synthetic_stop(m->synthetic, on_quiet, m);
}

static void on_board_at_end(void *owner)
{
	struct direct *m = owner;

	m->quiet(m->quiet_owner);
}

static void on_end(void *owner)
{
	pause_board(owner, on_board_at_end);
}

void direct_quiet(struct direct *m, void (*done)(void *owner), void *owner)
{
	m->quiet = done;
	m->quiet_owner = owner;
	synthetic_quiet(m->synthetic, on_end, m);
}

static int save_devices(struct direct *m, struct state_writer *w, struct err *err)
{
	int r = synthetic_save(m->synthetic, w, err);

	if (r == 0 && m->gen1)
		gen1_save(m->gen1, w);
	return r == 0 && w->failed ? err_set(err, -ENOMEM, "%s", err_words(-ENOMEM)) : r;
}

static void on_board_at_rest(void *owner)
{
	struct direct *m = owner;
	void (*done)(void *owner, int r, const struct err *err) = m->save_done;
	struct state_writer devices = { 0 };
	struct err err = { 0 };
	int r = m->blocks ? save_devices(m, &devices, &err) : 0;

	/* What the devices said last is in hv's blocks. */
	if (r == 0 && m->blocks)
		r = machine_blocks_take(m->parts.end, m->parts.config->vp_count,
					m->blocks, &err);
	if (r == 0 && m->blocks)
		m->blocks->devices = devices;
	else
		free(devices.bytes);
	m->save_done = NULL;
	m->stands = true;
	done(m->save_owner, r, &err);
}

static void on_rest(void *owner)
{
	pause_board(owner, on_board_at_rest);
}

void direct_save(struct direct *m, struct machine_blocks *ret_blocks,
		 void (*done)(void *owner, int r, const struct err *err), void *owner)
{
	struct err err = { 0 };
	bool busy = m->save_done || m->reset_done || m->stands;
	int r = busy ? err_set(&err, -EBUSY,
			       "the machine stands already, or is being reset")
		     : worker_stop(m->parts.end, &err);

	if (busy)
		err_fix(&err, "let it go on first: tabique vm resume");
	if (r < 0) {
		done(owner, r, &err);
		return;
	}
	m->blocks = ret_blocks;
	m->save_done = done;
	m->save_owner = owner;
	synthetic_pause(m->synthetic, on_rest, m);
}

int direct_resume(struct direct *m, struct err *err)
{
	int r;

	if (!m->stands)
		return err_set(err, -EALREADY, "the machine does not stand");
	r = worker_run(m->parts.end, err);
	if (r == 0) {
		m->stands = false;
		synthetic_resume(m->synthetic);
		if (m->gen1)
			gen1_resume(m->gen1);
	}
	return r;
}

/* Now or soon: no device of the board works any more. */
static void pause_board(struct direct *m, void (*done)(void *owner))
{
	if (m->gen1)
		gen1_pause(m->gen1, done, m);
	else
		done(m);
}

int direct_restore(struct direct *m, const struct machine_blocks *blocks, struct err *err)
{
	int r = synthetic_open(m->synthetic, err);

	if (r == 0)
		r = connect_parts(m, err);
	if (r == 0)
		r = synthetic_restore_memory(m->synthetic, blocks->devices.bytes,
					     blocks->devices.used, err);
	if (r == 0)
		r = machine_blocks_give(m->parts.end, blocks, err);
	m->stands = true;
	if (r == 0)
		r = synthetic_restore(m->synthetic, blocks->devices.bytes,
				      blocks->devices.used, err);
	if (r == 0 && m->gen1)
		r = gen1_restore(m->gen1, blocks->devices.bytes, blocks->devices.used,
				 err);
	return r;
}

static int attach_ide(void *machine, unsigned channel, unsigned drive,
		      struct scsi_unit *unit, struct err *err)
{
	struct direct *m = machine;

	return gen1_attach(m->gen1, channel, drive, unit, err);
}

static int new_board(struct direct *m, struct err *err)
{
	const struct gen1_parts parts = {
		.gm = m->parts.gm,
		.end = m->parts.end,
		.pci = &m->pci,
		.vp_count = m->parts.config->vp_count,
		.first_slot = SLOT_GEN1,
	};

	int r;

	if (m->parts.config->bios)
		return gen1_new(&parts, &m->gen1, err);
	pci_host_bridge_init(&m->host_bridge);
	r = pci_bus_add(&m->pci, &m->host_bridge);
	return r < 0 ? err_set(err, r, "PCI bus: %s", err_words(r)) : 0;
}

int direct_new(const struct direct_parts *parts, struct direct **ret_machine,
	       struct err *err)
{
	struct direct *m = calloc(1, sizeof *m);
	int r;

	if (!m)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	m->parts = *parts;
	r = parts->config->test_devices
		    ? test_devices_new(parts->end, parts->gm, parts->loop,
				       &m->test_devices, err)
		    : 0;
	pci_bus_init(&m->pci);
	if (r == 0)
		r = new_board(m, err);
	if (r == 0)
		r = synthetic_new(
			&(struct synthetic_parts){
				.config = parts->config,
				.gm = parts->gm,
				.end = parts->end,
				.loop = parts->loop,
				.pci = &m->pci,
				.vram = parts->vram,
				.video_slot = SLOT_VIDEO,
				.window_slot = SLOT_WINDOW,
				.guest_reset = parts->guest_reset,
				.image_fd = parts->image_fd,
				.nic_fd = parts->nic_fd,
				.enter_thread = parts->enter_thread,
				.enter_nbd_thread = parts->enter_nbd_thread,
				.ejected = parts->ejected,
				.attach_ide = m->gen1 ? attach_ide : NULL,
				.memory_changed = parts->memory_changed,
				.owner = parts->owner,
				.map_high = map_high,
				.machine = m,
			},
			&m->synthetic, err);
	if (r < 0) {
		direct_free(m);
		return r;
	}
	*ret_machine = m;
	return 0;
}

int direct_start(struct direct *m, struct err *err)
{
	return synthetic_start(m->synthetic, err);
}

void direct_flush(struct direct *m)
{
	synthetic_flush(m->synthetic);
}

void direct_change_disk(struct direct *m, const struct worker_disk_order *order,
			int *image_fd, disks_done_fn done, void *owner)
{
	synthetic_change_disk(m->synthetic, order, image_fd, done, owner);
}

struct components *direct_components(struct direct *m)
{
	return synthetic_components(m->synthetic);
}

struct balloon *direct_balloon(struct direct *m)
{
	return synthetic_balloon(m->synthetic);
}

struct nics *direct_nics(struct direct *m)
{
	return synthetic_nics(m->synthetic);
}

struct desk *direct_desk(struct direct *m)
{
	return synthetic_desk(m->synthetic);
}

struct screen *direct_screen(struct direct *m)
{
	return synthetic_screen(m->synthetic);
}

void direct_inspect(const struct direct *m, struct inspect *out)
{
	pci_bus_inspect(&m->pci, out);
	synthetic_inspect(m->synthetic, out);
	if (m->gen1)
		gen1_inspect(m->gen1, out);
}

int direct_load(struct direct *m, struct err *err)
{
	int r = open_images(m, err);

	if (r == 0)
		r = synthetic_open(m->synthetic, err);
	return r < 0 ? r : load(m, err);
}

void direct_free(struct direct *m)
{
	if (!m)
		return;
	synthetic_free(m->synthetic);
	gen1_free(m->gen1);
	test_devices_free(m->test_devices);
	free(m);
}

const char *direct_kernel_kind(const struct direct *m)
{
	return m->gen1 ? "firmware" : loader_kind_name(m->kind);
}

/* ---- steps ---- */

static int open_images(struct direct *m, struct err *err)
{
	const struct worker_config *config = m->parts.config;
	struct loader *l = &m->loader;
	int r = boot_image_init(&l->kernel, m->parts.kernel_fd, config->kernel_name,
				config->bios ? "firmware" : "kernel", err);

	for (unsigned i = 0; r == 0 && i < config->module_count; i++) {
		l->module_args[i] = config->module[i].args;
		r = boot_image_init(&l->module[i], m->parts.module_fd[i],
				    config->module[i].name,
				    config->bios ? "option ROM" : "initrd", err);
	}
	l->module_count = config->module_count;
	l->cmdline = config->cmdline;
	l->gm = m->parts.gm;
	m->opened = r == 0;
	return r;
}

static int connect_firmware(struct direct *m, struct fw_cfg_builder *fw_cfg,
			    struct err *err)
{
	const struct loader *l = &m->loader;
	int r;

	if (m->gen1)
		return gen1_connect(m->gen1, &l->kernel, l->module, l->module_count,
				    fw_cfg, err);
	r = fw_cfg_add_machine(fw_cfg, gm_ram_size(m->parts.gm),
			       m->parts.config->vp_count, err);
	return r < 0 ? r : fw_cfg_add_kernel(fw_cfg, &l->kernel, err);
}

/* Everything that lies in RAM at the first instruction: with firmware nothing does. */
static int load(struct direct *m, struct err *err)
{
	int r;

	vp_state_reset(&m->first, true);
	if (m->gen1)
		return 0;
	r = acpi_install(m->parts.gm, m->parts.config->vp_count, &m->loader.rsdp, err);

	if (r < 0)
		return r;
	entry_set_memory_types(&m->first);
	return loader_load(&m->loader, &m->first, &m->kind, err);
}

static int map_piece(struct direct *m, u32 slot, gpa_t gpa, u64 size, u64 offset,
		     struct err *err)
{
	const struct worker_map map = {
		.slot = slot,
		.kind = size > 0 ? WALL_MAP_RW : WALL_MAP_NONE,
		.gpa = gpa,
		.size = size,
		.region = WALL_REGION_RAM,
		.offset = offset,
	};

	return worker_map(m->parts.end, &map, err);
}

/* RAM of the start but for the VGA window; what is above 3 GiB goes on at 4 GiB. */
static int map_ram(struct direct *m, struct err *err)
{
	u64 ram = gm_ram_size(m->parts.gm), low = min_u64(ram, GM_LOW_MAX);
	int r = map_piece(m, SLOT_LOW, 0, min_u64(low, BOOT_HOLE), 0, err);

	if (r == 0 && low > BOOT_HOLE_END)
		r = map_piece(m, SLOT_ABOVE_HOLE, BOOT_HOLE_END, low - BOOT_HOLE_END,
			      BOOT_HOLE_END, err);
	if (r == 0 && ram > low)
		r = map_piece(m, SLOT_HIGH, GM_HIGH_BASE, ram - low, low, err);
	return r;
}

/* The same slot for what the guest gets while it runs. */
static bool map_high(void *machine, u64 high)
{
	struct direct *m = machine;
	struct err err = { 0 };

	if (map_piece(m, SLOT_HIGH, GM_HIGH_BASE, high, gm_layout(m->parts.gm)->low,
		      &err) == 0)
		return true;
	log_warn("memory above 4 GiB stays as it is: %s", err.text);
	return false;
}

static int set_processors(struct direct *m, struct err *err)
{
	struct vp_state other;
	int r = worker_set_vp(m->parts.end, 0, &m->first, err);

	/* The others wait for the first one's start-up message, as after power-on. */
	vp_state_reset(&other, false);
	if (!m->gen1)
		entry_set_memory_types(&other);
	for (u32 vp = 1; r == 0 && vp < m->parts.config->vp_count; vp++)
		r = worker_set_vp(m->parts.end, vp, &other, err);
	return r;
}
