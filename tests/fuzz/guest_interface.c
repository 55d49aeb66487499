/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest that says anything to the hypervisor's interface of Hyper-V: synthetic MSRs with any value,
 * hypercalls with any input word and parameters in RAM, pages anywhere, events and messages of the
 * worker in between, state blocks with bytes changed. One thread plays the VPs and hv's loop; a worker
 * answers what is posted to it.
 *
 * What must hold: no crash, no sanitizer report, nothing written outside of RAM (it ends where
 * the address sanitizer, or the next mapping, says so), results that have no bits but the
 * specification's, and a state that comes back as it was given out.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "chip_input.h"

#include "base/log.h"
#include "hv/hypercall.h"
#include "hv/partition.h"
#include "hv/vp.h"
#include "wall/fake_worker.h"

#define RAM (1u << 20)
#define VPS 3

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* ---- an engine without instructions ------------------------------------------------------------ */

struct engine_vp {
	struct vp_state state;
	struct engine_call call;
};

#include "no_engine.h"

static u64 tsc;

static int map_changed(struct engine_vm *vm, const struct engine_slot *slots,
		       unsigned count, struct err *e)
{
	return 0;
}
static int engine_vp_new(struct engine_vm *vm, vp_index_t index,
			 const struct x86_bus_ops *bus, void *bus_vp,
			 struct engine_vp **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	if (!*ret)
		abort();
	return 0;
}
static void kick(struct engine_vp *vp) {}
static u64 get_tsc(struct engine_vp *vp)
{
	return tsc;
}

static const struct engine_ops ops = {
	.name = "fuzz",
	NO_ENGINE_OPS,
	.map_changed = map_changed,
	.vp_new = engine_vp_new,
	.vp_kick = kick,
	.vp_tsc = get_tsc,
};

/* ---- the partition: made once, reset for each input --------------------------------------------- */

static struct fake_worker *worker;
static struct partition *partition;

static void on_ended(void *owner, enum vm_end end, u32 code, const char *text)
{
	(void)owner;
	(void)end;
	(void)code;
	(void)text;
}
static const struct partition_events events = { no_first_entry, on_ended,
						no_guest_reset };

static void answer(void *owner, struct fake_worker *w, vp_index_t vp,
		   struct wall_access *slot)
{
	struct wall_message m;

	(void)owner;
	(void)w;
	(void)vp;
	memcpy(&m, slot->data, sizeof m);
	if (slot->kind != WALL_POST_MESSAGE || m.size > sizeof m.payload)
		abort();
	m.status = m.type * 0x10001;
	memcpy(slot->data, &m, sizeof m);
}

static void make(void)
{
	static struct loop *loop;
	struct err err = { 0 };
	struct partition_config config = { .engine = &ops,
					   .kvm_fd = -1,
					   .vp_count = VPS,
					   .test_devices = true,
					   .serial = { -1, -1 },
					   .tsc_hz = NS_PER_SEC,
					   .events = &events };

	log_start("fuzz", LOG_ERROR);
	if (fake_worker_new(RAM, VPS, &worker) < 0 || loop_new(&loop) < 0)
		abort();
	worker->on_access = answer;
	config.region[WALL_REGION_RAM] = (struct memory_region){ worker->ram, RAM };
	config.region[WALL_REGION_VRAM] =
		(struct memory_region){ worker->vram, worker->vram_size };
	config.region[WALL_REGION_ROM] =
		(struct memory_region){ worker->rom, worker->rom_size };
	config.code_map = worker->code;
	config.dirty_map = worker->dirty;
	config.control = worker->control;
	config.verbs = worker->verbs;
	config.access_event = worker->access_event;
	config.hv_event = worker->hv_event;
	config.loop = loop;
	if (partition_new(&config, &partition, &err) < 0 || fake_worker_start(worker) < 0)
		abort();
}

/* The VPs of this thread count as inside: hv lets them out and in around what the worker answers. */
static void begin(void)
{
	partition->inside = 0;
	partition->running = false;
	if (partition_reset(partition) < 0)
		abort();
	memset(worker->ram, 0, RAM);
	partition_run(partition);
	partition->inside = VPS;
}

/* ---- what an input does -------------------------------------------------------------------------- */

/* Mostly where something is. */
static u64 page_register(struct script *s)
{
	u64 value = script_u8(s);

	switch (value & 3) {
	case 0:
		return (value >> 2) << 12 | 1; /* RAM */
	case 1:
		return 0xa0000 + ((value >> 2) << 12) + 1; /* the hole, and ROM's place */
	case 2:
		return script_u64(s);
	default:
		return script_u64(s) | 1;
	}
}

static u32 msr_index(struct script *s)
{
	u8 n = script_u8(s);

	return n < 0xf0 ? HV_MSR_FIRST + n : HV_MSR_CRASH_P0 + (n & 15);
}

/* Resets and crashes end the machine: what comes after them would be wasted. */
static bool ends(u32 index)
{
	return index == HV_MSR_RESET || index == HV_MSR_CRASH_CTL;
}

static void do_msr(struct script *s, struct vp *vp, bool write)
{
	u32 index = msr_index(s);
	u64 value = 0;

	if (write && !ends(index))
		(void)guest_interface_msr_write(
			vp, index, script_u8(s) & 1 ? script_u16(s) : page_register(s));
	else
		(void)guest_interface_msr_read(vp, index, &value);
}

static void do_call(struct script *s, struct vp *vp)
{
	static const u16 codes[] = { 0x02, 0x03, 0x08, 0x0b, 0x13,   0x14,  0x15,
				     0x50, 0x51, 0x5c, 0x5d, 0x8001, 0x5000 };
	struct engine_call *c = &vp->engine_vp->call;
	u8 n = script_u8(s);
	u64 word = codes[(n & 15) % ARRAY_COUNT(codes)], input, result;

	word |= (u64)(n >> 4 & 1) << 16 | (u64)(script_u8(s) & 0x3f) << 17 |
		(u64)(script_u16(s) & 0x3ff) << 32 | (u64)(script_u8(s) & 3) << 48;
	if (n & 0x20)
		word = script_u64(s);
	input = n & 0x40 ? script_u64(s) : (script_u16(s) & 0xfff8);
	c->wide = n & 0x80;
	c->privileged = script_u8(s) != 0;
	c->gpr[R_CX] = c->wide ? word : input & 0xffffffff;
	c->gpr[R_DX] = c->wide ? input : word >> 32;
	c->gpr[R_AX] = (u32)word;
	c->gpr[R_BX] = input >> 32;
	c->gpr[R_8] = c->gpr[R_SI] = script_u16(s);
	c->gpr[R_DI] = 0;
	if (!hypercall_by_instruction(vp))
		return;
	result = c->wide ? c->gpr[R_AX] : c->gpr[R_DX] << 32 | c->gpr[R_AX];
	if (result & ~0xfff0000ffffull)
		abort();
}

static void do_worker(struct script *s)
{
	u8 n = script_u8(s);
	u32 vp = n % VPS;

	if (n & 0x80) {
		atomic_fetch_or(&worker->control->synic[vp].pending[n >> 2 & 31],
				script_u64(s));
		atomic_fetch_or(&worker->control->signalled[0], script_u8(s));
		partition_take_events(partition);
	} else {
		u8 payload[HV_MESSAGE_PAYLOAD] = { n };

		(void)!synic_post(&partition->vp[vp]->synic, n & 15, script_u8(s) | 1u, n,
				  payload, script_u8(s) % (sizeof payload + 1), n & 0x40);
	}
}

static void spoil_state(struct script *s, struct vp *vp)
{
	u8 block[WALL_CHIP_STATE_SIZE];

	switch (script_u8(s) % 3) {
	case 0:
		vp_save_synthetic(vp, block);
		script_spoil(s, block);
		(void)!vp_restore_synthetic(vp, block);
		break;
	case 1:
		synic_save_queue(&vp->synic, 0, block);
		script_spoil(s, block);
		(void)!synic_restore_queue(&vp->synic, 0, block);
		break;
	default:
		guest_interface_save(partition, block);
		script_spoil(s, block);
		block[28] = 0; /* crashed */
		(void)!guest_interface_restore(partition, block);
	}
}

static void fill_ram(struct script *s)
{
	u32 at = script_u16(s) & 0xfff8;

	for (unsigned n = script_u8(s) % 48; n > 0 && s->left > 0; n--)
		worker->ram[at++] = script_u8(s);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct script s;

	if (!partition)
		make();
	script_begin(&s, data, size);
	begin();
	/* What most inputs want first. */
	(void)guest_interface_msr_write(partition->vp[0], HV_MSR_GUEST_OS_ID, 1);
	(void)guest_interface_msr_write(partition->vp[0], HV_MSR_HYPERCALL, 0x10001);
	while (s.left) {
		u8 op = script_u8(&s);
		struct vp *vp = partition->vp[op >> 4 & 3 ? (op >> 4 & 3) - 1 : 0];

		switch (op & 15) {
		case 0 ... 3:
			do_msr(&s, vp, true);
			break;
		case 4:
			do_msr(&s, vp, false);
			break;
		case 5 ... 8:
			do_call(&s, vp);
			break;
		case 9:
			(void)hypercall_by_port(
				vp, op & 0x80 ? HYPERCALL_PORT : HYPERCALL_PORT_SIGNAL,
				op & 0x40 ? 1 : 4, script_u32(&s));
			break;
		case 10:
			hyperv_testdev_write(partition, script_u32(&s));
			break;
		case 11:
			do_worker(&s);
			break;
		case 12:
			tsc += script_time(&s);
			stimer_look(&vp->stimers);
			break;
		case 13:
			SCRIPT_ROUND_TRIP(vp_save_synthetic, vp_restore_synthetic, vp);
			SCRIPT_ROUND_TRIP(guest_interface_save, guest_interface_restore,
					  partition);
			SCRIPT_INSPECT(vp_inspect_synthetic, vp);
			SCRIPT_INSPECT(guest_interface_inspect, partition);
			break;
		case 14:
			spoil_state(&s, vp);
			break;
		case 15:
			fill_ram(&s);
			break;
		}
	}
	return 0;
}
