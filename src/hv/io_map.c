/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers at a port or an address; see io_map.h. */
#include "hv/io_map.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/ipc.h"
#include "hv/hypercall.h"
#include "hv/hyperv_testdev.h"
#include "hv/partition.h"
#include "hv/vp.h"

enum port_class {
	PORT_NOBODY,
	PORT_PIC,
	PORT_PIT,
	PORT_I8042,
	PORT_RTC,
	PORT_UART0,
	PORT_UART1,
	PORT_PM,
	PORT_PCI_ADDRESS,
	PORT_PCI_DATA,
	PORT_FW_CFG,
	PORT_DEBUG,
	PORT_TEST,
	PORT_HYPERV_TEST,
	PORT_HYPERCALL,
	PORT_WORKER,
	PORT_WORKER_POSTED,
};

/* Chips of ours; test devices and the debug ports are there only where asked for. */
static const struct {
	u16 first, count;
	u8 class;
} chip_port[] = {
	{ BOARD_PORT_PIC_MASTER, 2, PORT_PIC },
	{ BOARD_PORT_PIC_SLAVE, 2, PORT_PIC },
	{ BOARD_PORT_ELCR, 2, PORT_PIC },
	{ BOARD_PORT_PIT, 4, PORT_PIT },
	{ BOARD_PORT_SPEAKER, 1, PORT_PIT },
	{ BOARD_PORT_I8042_DATA, 1, PORT_I8042 },
	{ BOARD_PORT_I8042, 1, PORT_I8042 },
	{ BOARD_PORT_92, 1, PORT_I8042 },
	{ BOARD_PORT_RTC, 2, PORT_RTC },
	{ BOARD_PORT_COM1, 8, PORT_UART0 },
	{ BOARD_PORT_COM2, 8, PORT_UART1 },
	{ BOARD_PORT_SMI_CMD, 2, PORT_PM },
	{ BOARD_PORT_PM1_EVENT, 12, PORT_PM },
	{ BOARD_PORT_PCI_ADDRESS, 4, PORT_PCI_ADDRESS },
	{ BOARD_PORT_RESET, 1, PORT_PM },
	{ BOARD_PORT_PCI_DATA, 4, PORT_PCI_DATA },
	{ BOARD_PORT_FW_CFG, 2, PORT_FW_CFG },
	{ BOARD_PORT_DEBUG_TEXT, 1, PORT_DEBUG },
	{ HYPERCALL_PORT_SIGNAL, 4, PORT_HYPERCALL },
	{ HYPERCALL_PORT, 1, PORT_HYPERCALL },
};

static const struct {
	u16 first, count;
} test_port[] = {
	{ BOARD_PORT_TEST_LATCH, 4 },
	{ BOARD_PORT_TEST_FLUSH, 1 },
	{ BOARD_PORT_TEST_BYTES, 4 },
	{ BOARD_PORT_TEST_LINES, PC_TESTDEV_LINES },
};

/* ---- the table ------------------------------------------------------------------------------ */

static void put_ports(struct io_map *map, u32 first, u32 count, u8 class)
{
	memset(map->port + first, class, count);
}

static void put_chips(struct io_map *map)
{
	const struct partition_config *config = &map->partition->config;

	for (unsigned k = 0; k < ARRAY_COUNT(chip_port); k++)
		put_ports(map, chip_port[k].first, chip_port[k].count,
			  chip_port[k].class);
	if (config->debug_exit)
		put_ports(map, BOARD_PORT_DEBUG_EXIT, 1, PORT_DEBUG);
	for (unsigned k = 0; config->test_devices && k < ARRAY_COUNT(test_port); k++)
		put_ports(map, test_port[k].first, test_port[k].count, PORT_TEST);
	if (config->test_devices)
		put_ports(map, BOARD_PORT_TEST_HYPERV, 4, PORT_HYPERV_TEST);
}

/* May the worker answer at this port? */
static bool worker_may_have(const struct io_map *map, u32 port)
{
	for (unsigned k = 0; k < ARRAY_COUNT(chip_port); k++) {
		if (port - chip_port[k].first >= chip_port[k].count)
			continue;
		return (chip_port[k].class == PORT_I8042 && port != BOARD_PORT_92) ||
		       chip_port[k].class == PORT_DEBUG ||
		       chip_port[k].class == PORT_PCI_DATA;
	}
	return map->port[port] != PORT_TEST && map->port[port] != PORT_HYPERV_TEST &&
	       map->port[port] != PORT_DEBUG;
}

static void rebuild(struct io_map *map)
{
	memset(map->port, PORT_NOBODY, 65536);
	put_chips(map);
	for (unsigned k = 0; k < map->range_count; k++) {
		const struct io_range *r = &map->range[k];

		/* PCI data stays ours: absent functions are answered here. */
		if (!r->mmio && r->base != BOARD_PORT_PCI_DATA)
			put_ports(map, (u32)r->base, (u32)r->size,
				  r->posted ? PORT_WORKER_POSTED : PORT_WORKER);
	}
	map->mmio_doorbells = 0;
	for (unsigned k = 0; k < map->doorbell_count; k++) {
		const struct doorbell *d = &map->doorbell[k];

		if (d->kind == WALL_DOORBELL_PIO)
			map->port[d->address] |= IO_PORT_DOORBELL;
		map->mmio_doorbells += d->kind == WALL_DOORBELL_MMIO;
	}
}

int io_map_init(struct io_map *map, struct partition *partition)
{
	map->partition = partition;
	map->port = calloc(1, 65536);
	if (!map->port)
		return -ENOMEM;
	rebuild(map);
	return 0;
}

static void close_retired(struct io_map *map)
{
	if (atomic_load(&map->ringing) > 0)
		return;
	while (map->retired_count > 0)
		close(map->retired[--map->retired_count]);
}

void io_map_done(struct io_map *map)
{
	for (unsigned k = 0; k < map->doorbell_count; k++)
		close(map->doorbell[k].event);
	close_retired(map);
	free(map->port);
}

/* ---- verbs ---------------------------------------------------------------------------------- */

static int find_range(const struct io_map *map, const struct io_range *r)
{
	for (unsigned k = 0; k < map->range_count; k++) {
		const struct io_range *o = &map->range[k];

		if (o->mmio == r->mmio && o->base == r->base && o->size == r->size)
			return (int)k;
	}
	return -ENOENT;
}

static int range_allowed(const struct io_map *map, const struct io_range *r)
{
	for (unsigned k = 0; k < map->range_count; k++) {
		const struct io_range *o = &map->range[k];

		if (o->mmio == r->mmio &&
		    ranges_overlap(o->base, o->size, r->base, r->size))
			return -EEXIST;
	}
	if (r->mmio)
		return 0; /* memory and our own chips hide it */
	/* Where the data port begins, the whole of it. */
	if (ranges_overlap(r->base, r->size, BOARD_PORT_PCI_DATA, 4) &&
	    (r->base != BOARD_PORT_PCI_DATA || r->size != 4 || r->posted))
		return -EINVAL;
	for (u64 port = r->base; port < r->base + r->size; port++) {
		if (!worker_may_have(map, (u32)port))
			return -EEXIST;
	}
	return 0;
}

int io_map_set_range(struct io_map *map, const struct wall_request *request)
{
	struct io_range r = { .base = request->u.io_range.base,
			      .size = request->u.io_range.size,
			      .mmio = request->u.io_range.mmio == 1,
			      .posted = request->u.io_range.posted == 1 };
	int at, error;

	if (request->u.io_range.mmio > 1 || request->u.io_range.posted > 1 ||
	    request->u.io_range.remove > 1 || r.size == 0 ||
	    !range_inside(r.base, r.size, r.mmio ? BIT64(WALL_GPA_BITS) : 65536))
		return -EINVAL;
	if (request->u.io_range.remove) {
		at = find_range(map, &r);
		if (at < 0)
			return at;
		map->range[at] = map->range[--map->range_count];
		rebuild(map);
		return 0;
	}
	error = range_allowed(map, &r);
	if (error < 0)
		return error;
	if (map->range_count == WALL_MAX_IO_RANGES)
		return -ENOSPC;
	map->range[map->range_count++] = r;
	rebuild(map);
	return 0;
}

static int find_doorbell(const struct io_map *map, const struct doorbell *d)
{
	for (unsigned k = 0; k < map->doorbell_count; k++) {
		const struct doorbell *o = &map->doorbell[k];

		if (o->kind == d->kind && o->address == d->address &&
		    o->size == d->size && o->any_value == d->any_value &&
		    (o->any_value || o->match == d->match))
			return (int)k;
	}
	return -ENOENT;
}

/*
 * What the engine is to watch: of a connection the port that the hypercall page's short way writes
 * the connection's number to.
 */
static struct engine_doorbell for_engine(const struct doorbell *d)
{
	if (d->kind == WALL_DOORBELL_CONNECTION)
		return (struct engine_doorbell){ .address = HYPERCALL_PORT_SIGNAL,
						 .size = 4,
						 .match = d->address };
	return (struct engine_doorbell){ .mmio = d->kind == WALL_DOORBELL_MMIO,
					 .size = d->size,
					 .address = d->address,
					 .any_value = d->any_value,
					 .match = d->match };
}

static void tell_engine(const struct io_map *map, struct doorbell *d, bool add)
{
	struct partition *p = map->partition;
	struct engine_doorbell bell = for_engine(d);

	if (!p->config.engine->doorbell_add)
		return;
	if (add)
		d->by_engine = p->config.engine->doorbell_add(p->engine_vm, &bell,
							      d->event) == 0;
	else if (d->by_engine)
		p->config.engine->doorbell_remove(p->engine_vm, &bell, d->event);
}

int io_map_set_doorbell(struct io_map *map, const struct wall_request *request,
			int *io_fd)
{
	struct doorbell d = { .kind = request->u.doorbell.kind,
			      .size = request->u.doorbell.size,
			      .address = request->u.doorbell.address,
			      .match = request->u.doorbell.match,
			      .any_value = request->u.doorbell.any_value == 1 };
	int at;

	if (d.kind > WALL_DOORBELL_CONNECTION || request->u.doorbell.any_value > 1 ||
	    request->u.doorbell.remove > 1 || d.size > 8 || (d.size & (d.size - 1)) ||
	    d.address >= (d.kind == WALL_DOORBELL_PIO	 ? 65536
			  : d.kind == WALL_DOORBELL_MMIO ? BIT64(WALL_GPA_BITS)
							 : BIT64(32)))
		return -EINVAL;
	close_retired(map);
	at = find_doorbell(map, &d);
	if (request->u.doorbell.remove) {
		if (at < 0)
			return at;
		if (map->retired_count == WALL_MAX_DOORBELLS)
			return -EBUSY;
		tell_engine(map, &map->doorbell[at], false);
		map->retired[map->retired_count++] = map->doorbell[at].event;
		map->doorbell[at] = map->doorbell[--map->doorbell_count];
		rebuild(map);
		close_retired(map);
		return 0;
	}
	if (at >= 0)
		return -EEXIST;
	if (*io_fd < 0)
		return -EINVAL;
	if (map->doorbell_count == WALL_MAX_DOORBELLS)
		return -ENOSPC;
	d.event = take_fd(io_fd);
	tell_engine(map, &d, true);
	map->doorbell[map->doorbell_count++] = d;
	rebuild(map);
	return 0;
}

/* ---- doorbells ------------------------------------------------------------------------------ */

/*
 * The descriptor is the worker's choice, and a full eventfd (or what it passed instead of one)
 * blocks its writer: so the VP counts as outside meanwhile.
 */
static void ring(struct vp *vp, int event)
{
	struct partition *p = vp->partition;

	atomic_fetch_add(&p->io.ringing, 1);
	atomic_store(&vp->in_access, true);
	partition_step_out(p);
	ipc_event_ring(event);
	atomic_fetch_sub(&p->io.ringing, 1);
	partition_step_back(vp);
	atomic_store(&vp->in_access, false);
}

static bool ring_doorbell(struct vp *vp, u32 kind, u64 address, unsigned size, u64 value)
{
	struct io_map *map = &vp->partition->io;

	for (unsigned k = 0; k < map->doorbell_count; k++) {
		const struct doorbell *d = &map->doorbell[k];

		if (d->kind == kind && d->address == address &&
		    (d->size == 0 || d->size == size) &&
		    (d->any_value || d->match == value)) {
			ring(vp, d->event);
			return true;
		}
	}
	return false;
}

bool io_map_ring_connection(struct vp *vp, u64 connection)
{
	return ring_doorbell(vp, WALL_DOORBELL_CONNECTION, connection, 0, 0);
}

/* ---- the worker ----------------------------------------------------------------------------- */

static void on_slow(void *owner, bool slow)
{
	struct partition *p = owner;

	if (slow)
		atomic_fetch_add(&p->slow_accesses, 1);
	atomic_fetch_add(&p->slow_now, slow ? 1 : -1u);
}

/* The VP is outside while the worker has its question, and then sees the lines that moved. */
static void access_begins(struct vp *vp)
{
	atomic_fetch_add_explicit(&vp->exits_worker, 1, memory_order_relaxed);
	atomic_store(&vp->access_since_ns, host_clock.monotonic_ns(&host_clock));
	atomic_store(&vp->in_access, true);
	partition_step_out(vp->partition);
}

static void access_ends(struct vp *vp)
{
	partition_step_back(vp);
	atomic_store(&vp->in_access, false);
	wall_hv_drain_lines(&vp->partition->wall);
}

static void ask_worker(struct vp *vp, enum wall_access_kind kind, u64 address,
		       unsigned size, unsigned count, void *data)
{
	struct partition *p = vp->partition;

	access_begins(vp);
	(void)wall_hv_access(&p->wall, vp->index, kind, address, size, count, data,
			     on_slow, p);
	access_ends(vp);
}

enum hv_status io_map_post_message(struct vp *vp, u32 connection, u32 type,
				   const void *payload, u32 size)
{
	struct partition *p = vp->partition;
	struct wall_message m = { .connection = connection, .type = type, .size = size };
	u16 status = HV_INVALID_CONNECTION;

	memcpy(m.payload, payload, size);
	access_begins(vp);
	(void)wall_hv_post_message(&p->wall, vp->index, &m, on_slow, p, &status);
	access_ends(vp);
	return (enum hv_status)status;
}

void io_map_ask_events_back(struct vp *vp)
{
	u8 nothing = 0;

	ask_worker(vp, WALL_EVENTS_BACK, 0, 1, 1, &nothing);
}

static u64 ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << (8 * size)) - 1;
}

static u64 ask_read(struct vp *vp, enum wall_access_kind kind, u64 address, unsigned size)
{
	u64 value = 0;

	ask_worker(vp, kind, address, size, 1, &value);
	return value & ones(size);
}

static void ask_write(struct vp *vp, enum wall_access_kind kind, u64 address,
		      unsigned size, u64 value, bool posted)
{
	if (posted && wall_hv_post(&vp->partition->wall, kind, address, size, value))
		return;
	ask_worker(vp, kind, address, size, 1, &value);
}

/*
 * Configuration data: an absent function is all ones without a crossing. The worker gets the
 * address latch in the upper half of the access' address.
 */
static bool pci_target(struct vp *vp, u16 port, u64 *ret_address)
{
	struct chipset *c = &vp->partition->chipset;
	struct io_map *map = &vp->partition->io;
	struct io_range r = { .base = BOARD_PORT_PCI_DATA, .size = 4 };
	u8 function, reg;
	bool there;

	pthread_mutex_lock(&c->lock);
	there = pci_address_target(&c->pci, port, &function, &reg);
	*ret_address = (u64)c->pci.address << 32 | port;
	pthread_mutex_unlock(&c->lock);
	return there && find_range(map, &r) >= 0;
}

/* ---- ports ---------------------------------------------------------------------------------- */

static bool bytewise(u8 class)
{
	return class <= PORT_UART1;
}

/* A chip's registers; chipset lock held. */
static u32 chip_read(struct chipset *c, u8 class, u16 port, unsigned size)
{
	switch ((enum port_class) class) {
	case PORT_PIC:
		return i8259_read(&c->pic, port);
	case PORT_PIT:
		return i8254_read(&c->pit, port);
	case PORT_I8042:
		return i8042_read(&c->kbc, port);
	case PORT_RTC:
		return mc146818_read(&c->rtc, port);
	case PORT_UART0:
		return uart16550_read(&c->serial[0].uart, port & 7);
	case PORT_UART1:
		return uart16550_read(&c->serial[1].uart, port & 7);
	case PORT_PM:
		return pm_read(&c->pm, port, size);
	case PORT_PCI_ADDRESS:
		return pci_address_read(&c->pci, port, size);
	case PORT_FW_CFG:
		return fw_cfg_read(&c->fw_cfg, port, size);
	case PORT_DEBUG:
		return debug_port_read(&c->debug, port, size);
	case PORT_TEST:
		return pc_testdev_read(c->testdev, port, size);
	case PORT_NOBODY:
	case PORT_PCI_DATA:
	case PORT_HYPERV_TEST:
	case PORT_HYPERCALL:
	case PORT_WORKER:
	case PORT_WORKER_POSTED:
		break;
	}
	return (u32)ones(size);
}

static void chip_write(struct chipset *c, u8 class, u16 port, unsigned size, u32 value)
{
	switch ((enum port_class) class) {
	case PORT_PIC:
		i8259_write(&c->pic, port, (u8)value);
		return;
	case PORT_PIT:
		i8254_write(&c->pit, port, (u8)value);
		return;
	case PORT_I8042:
		i8042_write(&c->kbc, port, (u8)value);
		return;
	case PORT_RTC:
		mc146818_write(&c->rtc, port, (u8)value);
		return;
	case PORT_UART0:
		uart16550_write(&c->serial[0].uart, port & 7, (u8)value);
		return;
	case PORT_UART1:
		uart16550_write(&c->serial[1].uart, port & 7, (u8)value);
		return;
	case PORT_PM:
		pm_write(&c->pm, port, size, value);
		return;
	case PORT_PCI_ADDRESS:
		pci_address_write(&c->pci, port, size, value);
		return;
	case PORT_FW_CFG:
		fw_cfg_write(&c->fw_cfg, port, size, value);
		return;
	case PORT_DEBUG:
		debug_port_write(&c->debug, port, size, value);
		return;
	case PORT_TEST:
		pc_testdev_write(c->testdev, port, size, value);
		return;
	case PORT_NOBODY:
	case PORT_PCI_DATA:
	case PORT_HYPERV_TEST:
	case PORT_HYPERCALL:
	case PORT_WORKER:
	case PORT_WORKER_POSTED:
		return;
	}
}

static u8 class_of(const struct vp *vp, u16 port)
{
	return vp->partition->io.port[port] & (u8)~IO_PORT_DOORBELL;
}

u32 io_map_pio_read(struct vp *vp, u16 port, unsigned size)
{
	struct chipset *c = &vp->partition->chipset;
	u8 class = class_of(vp, port);
	u64 address = port;
	u32 value = 0;

	switch (class) {
	case PORT_PCI_DATA:
		if (!pci_target(vp, port, &address))
			return (u32)ones(size);
		return (u32)ask_read(vp, WALL_PIO_READ, address, size);
	case PORT_WORKER:
	case PORT_WORKER_POSTED:
		return (u32)ask_read(vp, WALL_PIO_READ, address, size);
	}
	if (size > 1 && bytewise(class)) {
		for (unsigned k = 0; k < size; k++)
			value |= io_map_pio_read(vp, (u16)(port + k), 1) << (8 * k);
		return value;
	}
	if (class == PORT_NOBODY)
		return (u32)ones(size);
	pthread_mutex_lock(&c->lock);
	value = chip_read(c, class, port, size);
	pthread_mutex_unlock(&c->lock);
	return value & (u32)ones(size);
}

void io_map_pio_write(struct vp *vp, u16 port, unsigned size, u32 value)
{
	struct chipset *c = &vp->partition->chipset;
	u8 class = class_of(vp, port);
	u64 address = port;

	value &= (u32)ones(size);
	if (vp->partition->io.port[port] & IO_PORT_DOORBELL &&
	    ring_doorbell(vp, WALL_DOORBELL_PIO, port, size, value))
		return;
	switch (class) {
	case PORT_PCI_DATA:
		if (pci_target(vp, port, &address))
			ask_write(vp, WALL_PIO_WRITE, address, size, value, false);
		return;
	case PORT_WORKER:
	case PORT_WORKER_POSTED:
		ask_write(vp, WALL_PIO_WRITE, address, size, value,
			  class == PORT_WORKER_POSTED);
		return;
	case PORT_HYPERCALL:
		(void)hypercall_by_port(vp, port, size, value);
		return;
	case PORT_HYPERV_TEST:
		if (size == 4)
			hyperv_testdev_write(vp->partition, value);
		return;
	}
	if (size > 1 && bytewise(class)) {
		for (unsigned k = 0; k < size; k++)
			io_map_pio_write(vp, (u16)(port + k), 1, (u8)(value >> (8 * k)));
		return;
	}
	if (class == PORT_NOBODY)
		return;
	pthread_mutex_lock(&c->lock);
	chip_write(c, class, port, size, value);
	pthread_mutex_unlock(&c->lock);
	if (class == PORT_TEST && port == BOARD_PORT_TEST_FLUSH)
		partition_wait_remap(vp);
}

/* ---- strings: one crossing for as much as a slot holds --------------------------------------- */

static bool is_worker(u8 class)
{
	return class == PORT_WORKER || class == PORT_WORKER_POSTED;
}

void io_map_pio_read_string(struct vp *vp, u16 port, unsigned size, void *data,
			    unsigned count)
{
	struct chipset *c = &vp->partition->chipset;
	u8 class = class_of(vp, port);
	u64 address = port;
	u8 *to = data;

	if (class == PORT_FW_CFG && port == BOARD_PORT_FW_CFG + 1 && size == 1) {
		pthread_mutex_lock(&c->lock);
		fw_cfg_read_bytes(&c->fw_cfg, data, count);
		pthread_mutex_unlock(&c->lock);
		return;
	}
	if (is_worker(class) ||
	    (class == PORT_PCI_DATA && pci_target(vp, port, &address))) {
		while (count > 0) {
			unsigned n = (unsigned)min_u64(count, WALL_ACCESS_DATA / size);

			ask_worker(vp, WALL_PIO_READ, address, size, n, to);
			to += (size_t)n * size;
			count -= n;
		}
		return;
	}
	for (; count > 0; count--, to += size) {
		u32 value = io_map_pio_read(vp, port, size);

		memcpy(to, &value, size);
	}
}

void io_map_pio_write_string(struct vp *vp, u16 port, unsigned size, const void *data,
			     unsigned count)
{
	u8 copy[WALL_ACCESS_DATA];
	const u8 *from = data;
	u8 class = class_of(vp, port);

	if (class == PORT_WORKER && !(vp->partition->io.port[port] & IO_PORT_DOORBELL)) {
		while (count > 0) {
			unsigned n = (unsigned)min_u64(count, WALL_ACCESS_DATA / size);

			memcpy(copy, from, (size_t)n * size);
			ask_worker(vp, WALL_PIO_WRITE, port, size, n, copy);
			from += (size_t)n * size;
			count -= n;
		}
		return;
	}
	for (; count > 0; count--, from += size) {
		u32 value = 0;

		memcpy(&value, from, size);
		io_map_pio_write(vp, port, size, value);
	}
}

/* ---- MMIO ----------------------------------------------------------------------------------- */

static const struct io_range *find_mmio(const struct io_map *map, gpa_t gpa)
{
	for (unsigned k = 0; k < map->range_count; k++) {
		const struct io_range *r = &map->range[k];

		if (r->mmio && gpa - r->base < r->size)
			return r;
	}
	return NULL;
}

static bool in_page(gpa_t gpa, gpa_t page)
{
	return (gpa & ~0xfffull) == page;
}

static bool at_lapic(const struct vp *vp, gpa_t gpa)
{
	return in_page(gpa, lapic_base_gpa(&vp->lapic)) && lapic_is_enabled(&vp->lapic) &&
	       !lapic_is_x2apic(&vp->lapic);
}

u64 io_map_mmio_read(struct vp *vp, gpa_t gpa, unsigned size)
{
	struct chipset *c = &vp->partition->chipset;
	u64 value;

	if (at_lapic(vp, gpa))
		return lapic_mmio_read(&vp->lapic, gpa & 0xfff, size);
	if (in_page(gpa, BOARD_GPA_IOAPIC)) {
		pthread_mutex_lock(&c->lock);
		value = ioapic_read(&c->ioapic, gpa & 0xfff, size);
		pthread_mutex_unlock(&c->lock);
		return value & ones(size);
	}
	if (c->testdev && gpa - BOARD_GPA_TEST_LATCH < PC_TESTDEV_MEMORY) {
		pthread_mutex_lock(&c->lock);
		value = pc_testdev_mmio_read(c->testdev, gpa - BOARD_GPA_TEST_LATCH,
					     size);
		pthread_mutex_unlock(&c->lock);
		return value;
	}
	if (find_mmio(&vp->partition->io, gpa))
		return ask_read(vp, WALL_MMIO_READ, gpa, size);
	return ones(size);
}

void io_map_mmio_write(struct vp *vp, gpa_t gpa, unsigned size, u64 value)
{
	struct chipset *c = &vp->partition->chipset;
	const struct io_range *r;

	value &= ones(size);
	if (at_lapic(vp, gpa)) {
		lapic_mmio_write(&vp->lapic, gpa & 0xfff, size, value);
		return;
	}
	if (in_page(gpa, BOARD_GPA_IOAPIC)) {
		pthread_mutex_lock(&c->lock);
		ioapic_write(&c->ioapic, gpa & 0xfff, size, (u32)value);
		chipset_ioapic_changed(c);
		pthread_mutex_unlock(&c->lock);
		return;
	}
	if (c->testdev && gpa - BOARD_GPA_TEST_LATCH < PC_TESTDEV_MEMORY) {
		pthread_mutex_lock(&c->lock);
		pc_testdev_mmio_write(c->testdev, gpa - BOARD_GPA_TEST_LATCH, size,
				      value);
		pthread_mutex_unlock(&c->lock);
		return;
	}
	if (vp->partition->io.mmio_doorbells > 0 &&
	    ring_doorbell(vp, WALL_DOORBELL_MMIO, gpa, size, value))
		return;
	r = find_mmio(&vp->partition->io, gpa);
	if (r)
		ask_write(vp, WALL_MMIO_WRITE, gpa, size, value, r->posted);
}
