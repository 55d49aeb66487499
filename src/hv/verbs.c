/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worker may ask of the partition: one function a verb, in the order of enum wall_verb.
 * Framing and descriptors were checked by wall/hv_end.c; the numbers inside were not. A number
 * that is out of range is refused (-EINVAL), it is no lie: the worker passes on what a guest or a
 * saved state chose.
 *
 * Thread: the loop's. Whatever changes what VPs read happens while all of them are outside.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/log.h"
#include "hv/partition.h"
#include "hv/vp.h"

/* No clock is further from the host's than this: sums stay in range. */
#define MAX_CLOCK_OFFSET_NS 4000000000000000000ll

struct verb {
	const struct wall_request *request;
	const void *block;
	int *io_fd;
	struct wall_reply *reply;
	void *ret_block;
};

static int map_changed(struct partition *p)
{
	struct err err = { 0 };
	int r = p->config.engine->map_changed(p->engine_vm, p->memory.flat,
					      p->memory.flat_count, &err);

	if (r < 0)
		partition_end(p, VM_END_ENGINE, 0, "%s", err.text);
	return r;
}

static int verb_hello(struct partition *p, const struct verb *v)
{
	v->reply->u.hello.version = WALL_VERSION;
	v->reply->u.hello.vp_count = p->config.vp_count;
	v->reply->u.hello.ram_size = p->config.region[WALL_REGION_RAM].size;
	if (v->request->u.hello.version != WALL_VERSION ||
	    v->request->u.hello.vp_count != p->config.vp_count ||
	    v->request->u.hello.ram_size != p->config.region[WALL_REGION_RAM].size)
		return -EPROTO;
	return 0;
}

static int verb_map(struct partition *p, const struct verb *v)
{
	int r;

	partition_pause(p);
	r = memory_map_set(&p->memory, v->request);
	if (r == 0)
		r = map_changed(p);
	partition_unpause(p);
	return r;
}

static int verb_dirty_log(struct partition *p, const struct verb *v)
{
	int r;

	if (v->request->u.dirty_log.on > 1)
		return -EINVAL;
	partition_pause(p);
	memory_map_log_all(&p->memory, v->request->u.dirty_log.on);
	r = map_changed(p);
	partition_unpause(p);
	return r;
}

static int verb_dirty_sync(struct partition *p, const struct verb *v)
{
	(void)v;
	p->config.engine->drop_write_rights(p->engine_vm);
	return 0;
}

static int verb_set_vp(struct partition *p, const struct verb *v)
{
	struct err err = { 0 };
	u32 index = v->request->u.vp.index;
	int r;

	if (index >= p->config.vp_count)
		return -EINVAL;
	if (p->running)
		return -EBUSY;
	partition_pause(p);
	r = vp_state_check(v->block, p->model.xcr0, &err);
	if (r == 0)
		r = vp_set_state(p->vp[index], v->block, &err);
	partition_unpause(p);
	if (r < 0)
		log_guest("vp %u: %s", index, err.text);
	return r;
}

static int verb_get_vp(struct partition *p, const struct verb *v)
{
	u32 index = v->request->u.vp.index;
	int r;

	if (index >= p->config.vp_count)
		return -EINVAL;
	partition_pause(p);
	r = vp_get_state(p->vp[index], v->ret_block);
	partition_unpause(p);
	return r;
}

static int set_chip(struct partition *p, u32 chip, u32 index, const void *block)
{
	switch (chip) {
	case WALL_CHIP_GUEST_INTERFACE:
		return index == 0 ? guest_interface_restore(p, block) : -EINVAL;
	case WALL_CHIP_SYNIC:
		return index < p->config.vp_count
			       ? vp_restore_synthetic(p->vp[index], block)
			       : -EINVAL;
	case WALL_CHIP_SYNIC_QUEUE:
		return index / 2 < p->config.vp_count
			       ? synic_restore_queue(&p->vp[index / 2]->synic, index % 2,
						     block)
			       : -EINVAL;
	default:
		return chipset_set_state(&p->chipset, chip, index, block);
	}
}

static int get_chip(struct partition *p, u32 chip, u32 index, void *ret_block)
{
	switch (chip) {
	case WALL_CHIP_GUEST_INTERFACE:
		if (index > 0)
			return -EINVAL;
		guest_interface_save(p, ret_block);
		return 0;
	case WALL_CHIP_SYNIC:
		if (index >= p->config.vp_count)
			return -EINVAL;
		vp_save_synthetic(p->vp[index], ret_block);
		return 0;
	case WALL_CHIP_SYNIC_QUEUE:
		if (index / 2 >= p->config.vp_count)
			return -EINVAL;
		synic_save_queue(&p->vp[index / 2]->synic, index % 2, ret_block);
		return 0;
	default:
		return chipset_get_state(&p->chipset, chip, index, ret_block);
	}
}

static int verb_set_chip(struct partition *p, const struct verb *v)
{
	int r;

	if (p->running)
		return -EBUSY;
	partition_pause(p);
	r = set_chip(p, v->request->u.chip.chip, v->request->u.chip.index, v->block);
	partition_unpause(p);
	return r;
}

static int verb_get_chip(struct partition *p, const struct verb *v)
{
	int r;

	partition_pause(p);
	r = get_chip(p, v->request->u.chip.chip, v->request->u.chip.index, v->ret_block);
	partition_unpause(p);
	return r;
}

static int verb_set_clock(struct partition *p, const struct verb *v)
{
	s64 offset = v->request->u.clock.realtime_offset_ns;
	int r;

	if (offset < -MAX_CLOCK_OFFSET_NS || offset > MAX_CLOCK_OFFSET_NS)
		return -EINVAL;
	if (p->running)
		return -EBUSY;
	r = guest_interface_set_tsc_hz(p, v->request->u.clock.tsc_hz);
	if (r < 0)
		return r;
	pthread_mutex_lock(&p->chipset.lock);
	mc146818_set_offset(&p->chipset.rtc, offset);
	pthread_mutex_unlock(&p->chipset.lock);
	reference_time_set(&p->guest.time, v->request->u.clock.reference_ns / 100);
	return 0;
}

static int verb_get_clock(struct partition *p, const struct verb *v)
{
	pthread_mutex_lock(&p->chipset.lock);
	v->reply->u.clock.realtime_offset_ns = mc146818_offset(&p->chipset.rtc);
	pthread_mutex_unlock(&p->chipset.lock);
	partition_pause(p);
	v->reply->u.clock.tsc_hz = p->model.tsc_hz;
	v->reply->u.clock.reference_ns = 100 * guest_interface_time(p->vp[0]);
	partition_unpause(p);
	return 0;
}

/* The bytes stay in the ROM region: hv hands them to the guest one by one and reads none itself. */
static int verb_fw_cfg(struct partition *p, const struct verb *v)
{
	const struct memory_region *rom = &p->config.region[WALL_REGION_ROM];
	u64 offset = v->request->u.fwcfg.offset;
	u32 size = v->request->u.fwcfg.size;
	int r;

	if (!range_inside(offset, size, rom->size))
		return -EINVAL;
	partition_pause(p);
	r = fw_cfg_add(&p->chipset.fw_cfg, v->request->u.fwcfg.key, rom->host + offset,
		       size);
	partition_unpause(p);
	return r;
}

static int verb_io_range(struct partition *p, const struct verb *v)
{
	int r;

	partition_pause(p);
	r = io_map_set_range(&p->io, v->request);
	partition_unpause(p);
	return r;
}

static int verb_pci_present(struct partition *p, const struct verb *v)
{
	u64 present[4];

	memcpy(present, v->request->u.pci.present, sizeof present);
	pthread_mutex_lock(&p->chipset.lock);
	pci_address_set_present(&p->chipset.pci, present);
	pthread_mutex_unlock(&p->chipset.lock);
	return 0;
}

static int verb_doorbell(struct partition *p, const struct verb *v)
{
	int r;

	partition_pause(p);
	r = io_map_set_doorbell(&p->io, v->request, v->io_fd);
	partition_unpause(p);
	return r;
}

static int verb_msi_event(struct partition *p, const struct verb *v)
{
	int r;

	partition_pause(p);
	r = msi_event_set(p, v->request, v->io_fd);
	partition_unpause(p);
	return r;
}

static int verb_lend_events(struct partition *p, const struct verb *v)
{
	u32 index = v->request->u.vp.index;
	int r;

	if (index >= p->config.vp_count)
		return -EINVAL;
	partition_pause(p);
	r = event_lease_ask(p->vp[index], v->io_fd);
	partition_unpause(p);
	return r;
}

static int verb_post(struct partition *p, const struct verb *v)
{
	u32 vp = v->request->u.post.vp, sint = v->request->u.post.sint;
	u32 type = v->request->u.post.type, size = v->request->u.post.size;

	if (vp >= p->config.vp_count || sint >= HV_SINTS || size > HV_MESSAGE_PAYLOAD ||
	    type == HV_MESSAGE_NONE || type >> 31)
		return -EINVAL;
	return synic_post(&p->vp[vp]->synic, sint, type, 0, v->request->u.post.payload,
			  size, p->running);
}

static int verb_run(struct partition *p, const struct verb *v)
{
	(void)v;
	if (atomic_load(&p->ended))
		return -ESHUTDOWN;
	partition_run(p);
	return 0;
}

static int verb_stop(struct partition *p, const struct verb *v)
{
	v->reply->u.stop.unfinished = partition_stop(p);
	return 0;
}

static int verb_reset(struct partition *p, const struct verb *v)
{
	(void)v;
	return partition_reset(p);
}

static int verb_power_button(struct partition *p, const struct verb *v)
{
	(void)v;
	chipset_power_button(&p->chipset);
	return 0;
}

static int verb_nmi(struct partition *p, const struct verb *v)
{
	if (v->request->u.vp.index >= p->config.vp_count)
		return -EINVAL;
	vp_nmi(p->vp[v->request->u.vp.index]);
	return 0;
}

static int (*const verbs[WALL_VERB_COUNT])(struct partition *p, const struct verb *v) = {
	[WALL_VERB_HELLO] = verb_hello,
	[WALL_VERB_MAP] = verb_map,
	[WALL_VERB_DIRTY_LOG] = verb_dirty_log,
	[WALL_VERB_DIRTY_SYNC] = verb_dirty_sync,
	[WALL_VERB_SET_VP] = verb_set_vp,
	[WALL_VERB_GET_VP] = verb_get_vp,
	[WALL_VERB_SET_CHIP] = verb_set_chip,
	[WALL_VERB_GET_CHIP] = verb_get_chip,
	[WALL_VERB_SET_CLOCK] = verb_set_clock,
	[WALL_VERB_GET_CLOCK] = verb_get_clock,
	[WALL_VERB_FWCFG] = verb_fw_cfg,
	[WALL_VERB_IO_RANGE] = verb_io_range,
	[WALL_VERB_PCI_PRESENT] = verb_pci_present,
	[WALL_VERB_DOORBELL] = verb_doorbell,
	[WALL_VERB_POST] = verb_post,
	[WALL_VERB_RUN] = verb_run,
	[WALL_VERB_STOP] = verb_stop,
	[WALL_VERB_RESET] = verb_reset,
	[WALL_VERB_POWER_BUTTON] = verb_power_button,
	[WALL_VERB_NMI] = verb_nmi,
	[WALL_VERB_MSI_EVENT] = verb_msi_event,
	[WALL_VERB_LEND_EVENTS] = verb_lend_events,
};

/* ---- the wall's callbacks -------------------------------------------------------------------- */

static int on_serve(void *owner, const struct wall_request *request, const void *block,
		    int *io_fd, struct wall_reply *reply, void *ret_block)
{
	struct verb v = { .request = request,
			  .block = block,
			  .io_fd = io_fd,
			  .reply = reply,
			  .ret_block = ret_block };

	return verbs[request->verb](owner, &v);
}

static void on_line(void *owner, unsigned line, bool level)
{
	struct partition *p = owner;

	chipset_set_line(&p->chipset, LINE_WORKER, line, level);
}

static void on_msi(void *owner, u64 address, u32 data)
{
	struct partition *p = owner;

	chipset_send_msi(&p->chipset, address, data);
}

static void on_drop_code(void *owner, u64 first_page, u64 count)
{
	struct partition *p = owner;

	p->config.engine->drop_code(p->engine_vm, first_page, count);
}

static void on_events(void *owner)
{
	partition_take_events(owner);
}

static void on_lied(void *owner, const char *how)
{
	partition_end(owner, VM_END_WORKER_LIED, 0, "the worker broke the contract: %s",
		      how);
}

static void on_gone(void *owner)
{
	partition_worker_gone(owner);
}

const struct wall_hv_ops partition_wall_ops = {
	.serve = on_serve,
	.line = on_line,
	.msi = on_msi,
	.drop_code = on_drop_code,
	.events = on_events,
	.lied = on_lied,
	.gone = on_gone,
};
