/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processor model, as bus->cpuid tells it, less what this host's KVM cannot give; see kvm.h.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

#define ENTRIES_MAX 128

struct table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[ENTRIES_MAX];
};

static const struct kvm_cpuid_entry2 *supported(const struct engine_vm *vm, u32 leaf,
						u32 subleaf)
{
	for (u32 k = 0; k < vm->supported->nent; k++) {
		const struct kvm_cpuid_entry2 *e = &vm->supported->entries[k];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		     e->index == subleaf))
			return e;
	}
	return NULL;
}

/* Feature words: a bit that KVM does not offer is taken away. */
static void mask_features(const struct engine_vm *vm, struct kvm_cpuid_entry2 *e)
{
	static const struct kvm_cpuid_entry2 none;
	const struct kvm_cpuid_entry2 *s = supported(vm, e->function, e->index) ?: &none;

	switch (e->function) {
	case 1:
		/* KVM says these by capability, not by its list; it fills OSXSAVE in itself. */
		e->ecx &= s->ecx | BIT(21) /* x2APIC */ | BIT(24) /* TSC deadline */ |
			  BIT(31) /* hypervisor */;
		e->edx &= s->edx;
		break;
	case 7:
		e->ebx &= s->ebx | BIT(1) /* TSC_ADJUST */;
		e->ecx &= s->ecx;
		e->edx &= s->edx;
		break;
	case 0x80000001:
		e->ecx &= s->ecx;
		e->edx &= s->edx;
		break;
	case 0x80000008:
		/* No wider addresses than this host's tables can hold. */
		if ((s->eax & 0xff) && (s->eax & 0xff) < (e->eax & 0xff))
			e->eax = (e->eax & ~0xffu) | (s->eax & 0xff);
		e->ebx &= s->ebx;
		break;
	case 0x80000021:
		e->eax &= s->eax;
		break;
	default:
		break;
	}
}

static void add(struct engine_vp *vp, struct table *t, u32 leaf, u32 subleaf,
		bool indexed)
{
	u32 regs[4];

	if (t->head.nent == ENTRIES_MAX)
		return;
	vp->bus->cpuid(vp->bus_vp, leaf, subleaf, regs);
	struct kvm_cpuid_entry2 *e = &t->entry[t->head.nent++];
	*e = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = regs[0],
		.ebx = regs[1],
		.ecx = regs[2],
		.edx = regs[3],
	};
	mask_features(vp->vm, e);
}

static unsigned subleaves(u32 leaf)
{
	switch (leaf) {
	case 4:
	case 0x8000001d:
		return 5;
	case 0xb:
	case 0x1f:
	case 0xd:
		return 3;
	case 7:
		return 2;
	default:
		return 0;
	}
}

static void add_range(struct engine_vp *vp, struct table *t, u32 first, u32 most)
{
	u32 regs[4];
	u32 last;

	vp->bus->cpuid(vp->bus_vp, first, 0, regs);
	last = regs[0] < first ? first : regs[0] < first + most ? regs[0] : first + most;
	for (u32 leaf = first; leaf <= last; leaf++) {
		unsigned count = subleaves(leaf);

		for (unsigned k = 0; k < count; k++)
			add(vp, t, leaf, k, true);
		if (count == 0)
			add(vp, t, leaf, 0, false);
	}
}

int kvm_cpuid_set(struct engine_vp *vp)
{
	AUTO_FREE struct table *t = NULL;

	/* Until the first entry: by then a guest that began elsewhere has its own frequency in it. */
	if (vp->has_run)
		return 0;
	t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	add_range(vp, t, 0, 0x20);
	add_range(vp, t, 0x40000000, 0x10);
	add_range(vp, t, 0x80000000, 0x21);
	return ioctl(vp->fd, KVM_SET_CPUID2, t) < 0 ? -errno : 0;
}
