/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM on KVM: capabilities, memory slots, MSR filter, dirty log; see kvm.h. Loop's thread.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/log.h"
#include "engine/kvm/kvm.h"

/* MSRs of the hypervisor interface: never the host kernel's, always ours. */
#define SYNTHETIC_MSR_FIRST 0x40000000u
#define SYNTHETIC_MSR_COUNT 0x200u

#define SUPPORTED_CPUID_MAX 256

int kvm_enable(int fd, u32 capability, u64 argument)
{
	struct kvm_enable_cap cap = { .cap = capability, .args = { argument } };

	return ioctl(fd, KVM_ENABLE_CAP, &cap) < 0 ? -errno : 0;
}

static int check_host(int kvm_fd, struct err *err)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{ KVM_CAP_SPLIT_IRQCHIP, "split irqchip" },
		{ KVM_CAP_X86_USER_SPACE_MSR, "user-space MSRs" },
		{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
		{ KVM_CAP_SIGNAL_MSI, "MSI" },
	};
	int version;

	if (kvm_fd < 0) {
		err_set(err, -ENODEV, "KVM: /dev/kvm is not there or may not be opened");
		return err_fix(err, "load the kvm module, join group kvm, or use "
				    "--engine soft");
	}
	version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		err_set(err, -ENOTSUP, "KVM: /dev/kvm speaks version %d, not %d", version,
			KVM_API_VERSION);
		return err_fix(err, "use --engine soft");
	}
	for (size_t k = 0; k < ARRAY_COUNT(needed); k++) {
		if (ioctl(kvm_fd, KVM_CHECK_EXTENSION, needed[k].capability) > 0)
			continue;
		err_set(err, -ENOTSUP, "KVM: this host's KVM lacks %s", needed[k].name);
		return err_fix(err, "use a kernel from 5.10 on, or --engine soft");
	}
	return 0;
}

/*
 * Every access to a synthetic MSR comes to user space, reads and writes; every other is KVM's, and so
 * are the local APIC's where it has them.
 */
static int set_msr_filter(int vm_fd, bool has_vapic)
{
	u8 allowed[SYNTHETIC_MSR_COUNT / 8] = { 0 }; /* 0 exits */
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges[0] = {
			.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			.base = SYNTHETIC_MSR_FIRST,
			.nmsrs = SYNTHETIC_MSR_COUNT,
			.bitmap = allowed,
		},
	};
	int r = kvm_enable(vm_fd, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);

	for (u32 msr = HV_MSR_EOI; msr <= HV_MSR_TPR && has_vapic; msr++) {
		u32 bit = msr - SYNTHETIC_MSR_FIRST;

		allowed[bit / 8] |= (u8)BIT(bit % 8);
	}

	if (r == 0 && ioctl(vm_fd, KVM_X86_SET_MSR_FILTER, &filter) < 0)
		r = -errno;
	return r;
}

static void kvm_vm_free(struct engine_vm *vm)
{
	if (!vm)
		return;
	if (vm->fd >= 0)
		close(vm->fd);
	pthread_mutex_destroy(&vm->route_lock);
	free(vm->supported);
	free(vm->vp);
	free(vm);
}

static int kvm_vm_new(const struct engine_vm_config *config, struct engine_vm **ret_vm,
		      struct err *err)
{
	struct engine_vm *vm;
	int r = check_host(config->kvm_fd, err);

	if (r < 0)
		return r;
	vm = calloc(1, sizeof *vm);
	if (!vm)
		return err_set(err, -ENOMEM, "KVM: %s", err_words(-ENOMEM));
	vm->fd = -1;
	vm->config = *config;
	pthread_mutex_init(&vm->route_lock, NULL);
	vm->vp = calloc(config->vp_count, sizeof(struct engine_vp *));
	vm->supported =
		calloc(1, sizeof *vm->supported +
				  SUPPORTED_CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!vm->vp || !vm->supported) {
		kvm_vm_free(vm);
		return err_set(err, -ENOMEM, "KVM: %s", err_words(-ENOMEM));
	}
	vm->supported->nent = SUPPORTED_CPUID_MAX;
	/* A kernel without CONFIG_KVM_HYPERV has neither. */
	vm->has_synic =
		ioctl(config->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPERV_SYNIC2) > 0;
	vm->has_vapic = !config->portable && ioctl(config->kvm_fd, KVM_CHECK_EXTENSION,
						   KVM_CAP_HYPERV_VAPIC) > 0;
	vm->fd = ioctl(config->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->fd < 0)
		r = -errno;
	if (r == 0) {
		int size = ioctl(config->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

		if (size < (int)sizeof(struct kvm_run))
			r = -errno;
		vm->run_size = (size_t)size;
	}
	if (r == 0 && ioctl(config->kvm_fd, KVM_GET_SUPPORTED_CPUID, vm->supported) < 0)
		r = -errno;
	if (r == 0) /* the entries of the IOAPIC's pins are the partition's */
		r = kvm_enable(vm->fd, KVM_CAP_SPLIT_IRQCHIP, KVM_PINS);
	if (r == 0) /* 32-bit destinations, no broadcast by 0xff in x2APIC mode */
		r = kvm_enable(vm->fd, KVM_CAP_X2APIC_API,
			       KVM_X2APIC_API_USE_32BIT_IDS |
				       KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	if (r == 0)
		r = set_msr_filter(vm->fd, vm->has_vapic);
	if (r < 0) {
		kvm_vm_free(vm);
		err_set(err, r, "KVM: the VM cannot be made: %s", err_words(r));
		return err_fix(err, "use --engine soft");
	}
	vm->has_xsave2 = ioctl(config->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2) > 0;
	vm->has_xcrs = ioctl(config->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XCRS) > 0;
	*ret_vm = vm;
	return 0;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static bool same_slot(const struct engine_slot *a, const struct engine_slot *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->host == b->host &&
	       a->writable == b->writable && a->log == b->log;
}

static int set_slot(struct engine_vm *vm, unsigned number, const struct engine_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = number,
		.flags = (slot->writable ? 0 : KVM_MEM_READONLY) |
			 (slot->log ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (u64)(uintptr_t)slot->host,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/* The kernel's log of a slot goes into the dirty map, and begins anew. */
static void take_log(const struct engine_vm *vm, unsigned number)
{
	const struct engine_slot *slot = &vm->slot[number];
	_Atomic u8 *dirty = vm->config.dirty_map + slot->ram_page;
	u64 pages = slot->size >> WALL_PAGE_SHIFT;
	AUTO_FREE u64 *bits = NULL;
	struct kvm_dirty_log log = { .slot = number };
	bool known;

	if (!slot->log || !slot->is_ram || pages == 0)
		return;
	bits = calloc((pages + 63) / 64, sizeof *bits);
	log.dirty_bitmap = bits;
	known = bits && ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log) == 0;
	if (!known) /* unknown is dirty: nothing may be missed */
		log_warn("KVM: no dirty log of slot %u; all of it counts as dirty",
			 number);
	for (u64 page = 0; page < pages; page++)
		if (!known || (bits[page / 64] >> (page % 64) & 1))
			atomic_store_explicit(&dirty[page], 1, memory_order_release);
}

/* The changed ones are taken out first and put in afterwards, so that none overlap between. */
static int kvm_map_changed(struct engine_vm *vm, const struct engine_slot *slots,
			   unsigned count, struct err *err)
{
	static const struct engine_slot nothing = { .writable = true };
	unsigned most = count > vm->slot_count ? count : vm->slot_count;
	int r = 0;

	if (count > KVM_SLOT_MAX)
		return err_set(err, -E2BIG, "KVM: more than %d memory ranges",
			       KVM_SLOT_MAX);
	for (unsigned k = 0; k < vm->slot_count && r == 0; k++) {
		if (vm->slot[k].size == 0 ||
		    (k < count && same_slot(&vm->slot[k], &slots[k])))
			continue;
		take_log(vm, k); /* it dies with the slot */
		r = set_slot(vm, k, &nothing);
		vm->slot[k] = nothing;
	}
	for (unsigned k = 0; k < count && r == 0; k++) {
		if (slots[k].size == 0 ||
		    (k < vm->slot_count && same_slot(&vm->slot[k], &slots[k])))
			continue;
		/* Where the host allows it for shared memory: a fault for 2 MiB, not for 4 KiB. */
		if (slots[k].is_ram)
			(void)madvise(slots[k].host, slots[k].size, MADV_HUGEPAGE);
		r = set_slot(vm, k, &slots[k]);
		vm->slot[k] = slots[k];
	}
	vm->slot_count = most;
	return r < 0 ? err_set(err, r, "KVM: the memory map cannot be set: %s",
			       err_words(r))
		     : 0;
}

/* ---- local APICs ------------------------------------------------------------------------------ */

static int kvm_lapic_get(struct engine_vp *vp, u8 *ret_page)
{
	struct kvm_lapic_state state;

	if (ioctl(vp->fd, KVM_GET_LAPIC, &state) < 0)
		return -errno;
	memcpy(ret_page, state.regs, sizeof state.regs);
	return 0;
}

static int kvm_lapic_set(struct engine_vp *vp, const u8 *page)
{
	struct kvm_lapic_state state;

	memcpy(state.regs, page, sizeof state.regs);
	return ioctl(vp->fd, KVM_SET_LAPIC, &state) < 0 ? -errno : 0;
}

static bool kvm_apic_msrs(const struct engine_vm *vm)
{
	return vm->has_vapic;
}

/*
 * KVM writes 1 into the page's first word when it delivers an interrupt that needs no EOI, and takes it
 * back at the next exit. A page that is no memory it refuses: then every EOI is written.
 */
static void kvm_vp_assist_page(struct engine_vp *vp, u64 value)
{
	struct kvm_one_msr page = {
		.count = 1, .entry = { .index = HV_MSR_VP_ASSIST_PAGE, .data = value }
	};
	struct kvm_one_msr none = { .count = 1, .entry.index = HV_MSR_VP_ASSIST_PAGE };

	if (vp->vm->has_vapic && ioctl(vp->fd, KVM_SET_MSRS, &page) != 1)
		(void)ioctl(vp->fd, KVM_SET_MSRS, &none);
}

/* Of KVM's: the one with this vector, or a free one for 0; HV_SINTS: none. */
static unsigned sint_of(const struct engine_vp *vp, u8 vector)
{
	unsigned at = 0;

	while (at < HV_SINTS && vp->auto_eoi[at] != vector)
		at++;
	return at;
}

/*
 * Of KVM's SynIC nothing is used but what its SINTs say to the local APIC: that a vector, whoever sends
 * it, does not come into service. Which SINT is ours to choose: there are as many as the partition's.
 */
int kvm_vp_auto_eoi(struct engine_vp *vp, u8 vector, bool on)
{
	struct kvm_one_msr sint = { .count = 1 };
	unsigned at = sint_of(vp, vector);

	if (!vp->vm->has_synic)
		return -EOPNOTSUPP;
	if (on == (at < HV_SINTS))
		return 0;
	if (on)
		at = sint_of(vp, 0);
	if (at == HV_SINTS)
		return -ENOSPC;
	sint.entry.index = HV_MSR_SINT0 + at;
	sint.entry.data = on ? vector | HV_SINT_AUTO_EOI : HV_SINT_MASKED;
	if (ioctl(vp->fd, KVM_SET_MSRS, &sint) != 1)
		return -EOPNOTSUPP;
	vp->auto_eoi[at] = on ? vector : 0;
	return 0;
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* KVM executes what is in memory: it keeps no decoding of ours. */
static void kvm_drop_code(struct engine_vm *vm, u64 first_ram_page, u64 count) {}

/* Fetch and clear: KVM takes the write rights away itself. */
static void kvm_drop_write_rights(struct engine_vm *vm)
{
	for (unsigned k = 0; k < vm->slot_count; k++)
		take_log(vm, k);
}

const struct engine_ops engine_kvm_ops = {
	.name = "kvm",
	.own_lapic = true,
	.vm_new = kvm_vm_new,
	.vm_free = kvm_vm_free,
	.map_changed = kvm_map_changed,
	.vp_new = kvm_vp_new,
	.vp_free = kvm_vp_free,
	.vp_thread_start = kvm_vp_thread_start,
	.vp_run = kvm_vp_run,
	.vp_kick = kvm_vp_kick,
	.vp_interrupt = kvm_vp_interrupt,
	.vp_nmi = kvm_vp_nmi,
	.vp_can_wake = kvm_vp_can_wake,
	.vp_get_state = kvm_state_get,
	.vp_set_state = kvm_state_set,
	.drop_code = kvm_drop_code,
	.drop_write_rights = kvm_drop_write_rights,
	.vp_call_get = kvm_vp_call_get,
	.vp_call_set = kvm_vp_call_set,
	.vp_tsc = kvm_vp_tsc,
	.vp_tsc_offset = kvm_vp_tsc_offset,
	.vp_set_tsc_offset = kvm_vp_set_tsc_offset,
	.vp_count = kvm_vp_count,
	.deliver = kvm_deliver,
	.set_routes = kvm_set_routes,
	.doorbell_add = kvm_doorbell_add,
	.doorbell_remove = kvm_doorbell_remove,
	.msi_event_add = kvm_msi_event_add,
	.msi_event_remove = kvm_msi_event_remove,
	.msi_event_route = kvm_msi_event_route,
	.lapic_get = kvm_lapic_get,
	.lapic_set = kvm_lapic_set,
	.apic_msrs = kvm_apic_msrs,
	.vp_assist_page = kvm_vp_assist_page,
	.vp_auto_eoi = kvm_vp_auto_eoi,
};
