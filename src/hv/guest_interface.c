/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID leaves and synthetic MSRs; see guest_interface.h. */
#include "hv/guest_interface.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "hv/guest_ram.h"
#include "hv/hypercall.h"
#include "hv/partition.h"
#include "hv/vp.h"

/* A guest may retry this often before it should say so (HV_NOTIFY_LONG_SPIN_WAIT): never. */
#define SPIN_RETRIES UINT32_MAX
/* Measured at another time or on another host of its kind: one part in so many may be between. */
#define TSC_HZ_SAME 2000

/* ---- CPUID ------------------------------------------------------------------------------------ */

/* What both engines can do; see the table in the header. */
static bool whole(const struct partition *p)
{
	return !p->config.portable && !p->config.engine->own_lapic;
}

/* An engine with local APICs of its own may answer their synthetic registers, too. */
static bool engine_has_apic_msrs(const struct partition *p)
{
	const struct engine_ops *engine = p->config.engine;

	return engine->own_lapic && engine->apic_msrs(p->engine_vm);
}

static u32 privileges(const struct partition *p)
{
	u32 bits = HV_ACCESS_VP_RUNTIME | HV_ACCESS_TIME_REF_COUNT | HV_ACCESS_SYNIC |
		   HV_ACCESS_HYPERCALL_MSRS | HV_ACCESS_VP_INDEX | HV_ACCESS_RESET |
		   HV_ACCESS_REFERENCE_TSC | HV_ACCESS_FREQUENCIES;

	if (engine_has_apic_msrs(p))
		bits |= HV_ACCESS_APIC_MSRS;
	return whole(p) ? bits | HV_ACCESS_STIMERS | HV_ACCESS_APIC_MSRS : bits;
}

static u32 features(const struct partition *p)
{
	u32 bits = HV_FREQUENCIES_AVAILABLE | HV_CRASH_MSRS_AVAILABLE;

	if (guest_interface_xmm(p))
		bits |= HV_XMM_INPUT_AVAILABLE;
	return whole(p) ? bits | HV_DIRECT_STIMERS_AVAILABLE : bits;
}

bool guest_interface_xmm(const struct partition *p)
{
	return whole(p) && p->config.engine->vp_call_xmm;
}

static u32 hints(const struct partition *p)
{
	u32 bits = HV_HINT_RELAXED_TIMING | HV_HINT_NO_AUTO_EOI;

	/* Where an EOI is an exit, of which the assist page saves most. */
	if (engine_has_apic_msrs(p) && !p->config.hardware_apics)
		bits |= HV_HINT_APIC_MSRS;
	if (whole(p))
		bits |= HV_HINT_CLUSTER_IPI | HV_HINT_EX_PROCESSOR_MASKS;
	if (whole(p) && p->config.engine->flush_tlb)
		bits |= HV_HINT_REMOTE_TLB_FLUSH;
	return bits;
}

void guest_interface_cpuid(const struct partition *p, u32 leaf, u32 r[4])
{
	memset(r, 0, 4 * sizeof r[0]);
	switch (leaf) {
	case HV_CPUID_BASE:
		r[0] = HV_CPUID_MAX;
		r[1] = HV_VENDOR_EBX;
		r[2] = HV_VENDOR_ECX;
		r[3] = HV_VENDOR_EDX;
		break;
	case HV_CPUID_INTERFACE:
		r[0] = HV_INTERFACE_EAX;
		break;
	case HV_CPUID_FEATURES:
		r[0] = privileges(p);
		r[1] = HV_POST_MESSAGES | HV_SIGNAL_EVENTS | HV_ACCESS_VP_REGISTERS |
		       HV_EXTENDED_HYPERCALLS;
		r[3] = features(p);
		break;
	case HV_CPUID_HINTS:
		r[0] = hints(p);
		r[1] = SPIN_RETRIES;
		r[2] = p->model.physical_bits;
		break;
	case HV_CPUID_LIMITS:
		r[0] = r[1] = WALL_MAX_VPS;
		break;
	}
}

/* ---- time -------------------------------------------------------------------------------------- */

u64 guest_interface_time(struct vp *vp)
{
	const struct partition *p = vp->partition;
	u64 tsc = vp_tsc(vp);

	if (!p->config.engine->own_lapic && p->guest.time.runs)
		tsc -= (u64)vp_tsc_offset(vp) - (u64)p->guest.tsc_offset;
	return reference_time_at(&p->guest.time, tsc);
}

/* The guest may read the page at any moment: it is void while it changes. */
REQUIRES(lock)
static void write_tsc_page(struct partition *p)
{
	struct guest_interface *g = &p->guest;
	gpa_t gpa = g->reference_tsc & HV_PAGE_GPA;
	struct hv_reference_tsc_page page;
	le32 none = le32_of(0);

	if (!(g->reference_tsc & HV_PAGE_ENABLED))
		return;
	g->sequence = reference_time_next(g->sequence);
	reference_time_page(&g->time, g->unsynced ? 0 : g->sequence, &page);
	if (guest_ram_write(p, gpa, &none, sizeof none) < 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	(void)!guest_ram_write(p, gpa + sizeof none, (u8 *)&page + sizeof none,
			       sizeof page - sizeof none);
	atomic_thread_fence(memory_order_seq_cst);
	(void)!guest_ram_write(p, gpa, &page, sizeof page.sequence);
}

void guest_interface_run(struct partition *p)
{
	struct guest_interface *g = &p->guest;

	if (g->time.runs)
		return;
	reference_time_run(&g->time, vp_tsc(p->vp[0]));
}

void guest_interface_synchronize(struct partition *p)
{
	struct guest_interface *g = &p->guest;

	g->tsc_offset = vp_tsc_offset(p->vp[0]);
	pthread_mutex_lock(&g->lock);
	g->unsynced = false;
	/* An engine that keeps the counters itself tells offsets to within some ticks. */
	for (u32 k = 1; k < p->config.vp_count && !p->config.engine->own_lapic; k++)
		g->unsynced |= vp_tsc_offset(p->vp[k]) != g->tsc_offset;
	write_tsc_page(p);
	pthread_mutex_unlock(&g->lock);
}

void guest_interface_tsc_moved(struct vp *vp)
{
	struct guest_interface *g = &vp->partition->guest;

	pthread_mutex_lock(&g->lock);
	if (!g->unsynced && vp_tsc_offset(vp) != g->tsc_offset) {
		g->unsynced = true;
		write_tsc_page(vp->partition);
	}
	pthread_mutex_unlock(&g->lock);
}

int guest_interface_set_tsc_hz(struct partition *p, u64 hz)
{
	u64 ours = p->config.tsc_hz;

	if (hz == 0)
		return 0;
	if (p->guest.time.runs)
		return -EBUSY;
	if (hz > ours + ours / TSC_HZ_SAME || hz < ours - ours / TSC_HZ_SAME)
		return -ERANGE;
	p->model.tsc_hz = hz;
	reference_time_set_rate(&p->guest.time, hz);
	return 0;
}

void guest_interface_stop(struct partition *p)
{
	reference_time_stop(&p->guest.time, vp_tsc(p->vp[0]));
}

/* ---- the partition's registers ------------------------------------------------------------------ */

static void write_os_id(struct partition *p, u64 value)
{
	struct guest_interface *g = &p->guest;

	pthread_mutex_lock(&g->lock);
	g->os_id = value;
	if (value == 0)
		g->hypercall &= ~HV_PAGE_ENABLED;
	pthread_mutex_unlock(&g->lock);
}

static void write_hypercall(struct vp *vp, u64 value)
{
	struct partition *p = vp->partition;
	struct guest_interface *g = &p->guest;
	struct engine_call call;
	u8 page[WALL_PAGE_SIZE];

	p->config.engine->vp_call_get(vp->engine_vp, &call);
	pthread_mutex_lock(&g->lock);
	if (!(g->hypercall & HV_HYPERCALL_LOCKED)) {
		if (g->os_id == 0)
			value &= ~HV_PAGE_ENABLED;
		if (value & HV_PAGE_ENABLED) {
			hypercall_page_fill(p, call.wide, page);
			if (guest_ram_write(p, value & HV_PAGE_GPA, page, sizeof page) <
			    0)
				value &= ~HV_PAGE_ENABLED;
		}
		g->hypercall = value;
	}
	pthread_mutex_unlock(&g->lock);
}

bool guest_interface_calls(struct partition *p)
{
	return atomic_load_explicit(&p->guest.hypercall, memory_order_relaxed) &
	       HV_PAGE_ENABLED;
}

static void write_reference_tsc(struct partition *p, u64 value)
{
	struct guest_interface *g = &p->guest;

	pthread_mutex_lock(&g->lock);
	g->reference_tsc = value;
	write_tsc_page(p);
	pthread_mutex_unlock(&g->lock);
}

/* ---- a crash that the guest reports ------------------------------------------------------------ */

/* The line that tells most: the last that says so, else the last. */
static void keep_words(struct guest_interface *g, const char *line)
{
	if (strstr(line, "panic") || !strstr(g->crash_words, "panic"))
		snprintf(g->crash_words, sizeof g->crash_words, "%s", line);
}

/*
 * The tail of its log: printable, in lines. Once: so it needs no limit of how often a guest may have
 * something logged, which would cut it off.
 */
static void log_crash_message(struct partition *p, gpa_t gpa, u64 size)
{
	struct guest_interface *g = &p->guest;
	char text[HV_CRASH_MESSAGE_MAX + 1], *rest = NULL;

	if (size == 0 || size > HV_CRASH_MESSAGE_MAX ||
	    guest_ram_read(p, gpa, text, size) < 0)
		return;
	text[size] = '\0';
	for (u64 k = 0; k < size; k++) {
		if (text[k] != '\n' && (text[k] < 0x20 || text[k] > 0x7e))
			text[k] = '.';
	}
	pthread_mutex_lock(&g->lock);
	for (char *line = strtok_r(text, "\n", &rest); line && !g->crash_logged;
	     line = strtok_r(NULL, "\n", &rest)) {
		log_warn("guest crash: %s", line);
		keep_words(g, line);
	}
	g->crash_logged = true;
	pthread_mutex_unlock(&g->lock);
}

void guest_interface_crash_words(struct partition *p, char *ret_text, size_t size)
{
	struct guest_interface *g = &p->guest;

	pthread_mutex_lock(&g->lock);
	if (g->crash_words[0])
		snprintf(ret_text, size, "%s", g->crash_words);
	else
		snprintf(ret_text, size, "parameters 0x%llx 0x%llx 0x%llx 0x%llx 0x%llx",
			 (unsigned long long)g->crash[0], (unsigned long long)g->crash[1],
			 (unsigned long long)g->crash[2], (unsigned long long)g->crash[3],
			 (unsigned long long)g->crash[4]);
	pthread_mutex_unlock(&g->lock);
}

static void write_crash(struct vp *vp, u64 value)
{
	struct partition *p = vp->partition;
	struct guest_interface *g = &p->guest;
	u64 parameter[HV_CRASH_PARAMETERS];

	if (!(value & HV_CRASH_NOTIFY))
		return;
	pthread_mutex_lock(&g->lock);
	memcpy(parameter, g->crash, sizeof parameter);
	pthread_mutex_unlock(&g->lock);
	if (value & HV_CRASH_MESSAGE)
		log_crash_message(p, parameter[3], parameter[4]);
	partition_guest_crashed(p);
}

/* ---- MSRs -------------------------------------------------------------------------------------- */

/* Time that the VP's thread was executed, guest and hypervisor. */
static u64 runtime(void)
{
	return clock_thread_ns() / (NS_PER_SEC / HV_TIME_UNITS_PER_SEC);
}

static bool read_apic(struct vp *vp, u32 index, u64 *ret_value)
{
	if (!whole(vp->partition) || index == HV_MSR_EOI)
		return false;
	*ret_value = index == HV_MSR_TPR ? lapic_tpr(&vp->lapic) : lapic_icr(&vp->lapic);
	return true;
}

static bool write_apic(struct vp *vp, u32 index, u64 value)
{
	if (!whole(vp->partition))
		return false;
	switch (index) {
	case HV_MSR_EOI:
		lapic_eoi(&vp->lapic);
		return true;
	case HV_MSR_ICR:
		lapic_set_icr(&vp->lapic, value);
		return true;
	default:
		if (value > 0xff)
			return false;
		lapic_set_tpr(&vp->lapic, (u32)value);
		return true;
	}
}

bool guest_interface_msr_read(struct vp *vp, u32 index, u64 *ret_value)
{
	struct partition *p = vp->partition;
	struct guest_interface *g = &p->guest;

	*ret_value = 0;
	switch (index) {
	case HV_MSR_GUEST_OS_ID:
		*ret_value = g->os_id;
		return true;
	case HV_MSR_HYPERCALL:
		*ret_value = g->hypercall;
		return true;
	case HV_MSR_VP_INDEX:
		*ret_value = vp->index;
		return true;
	case HV_MSR_RESET:
		return true;
	case HV_MSR_VP_RUNTIME:
		*ret_value = runtime();
		return true;
	case HV_MSR_TIME_REF_COUNT:
		*ret_value = guest_interface_time(vp);
		return true;
	case HV_MSR_REFERENCE_TSC:
		pthread_mutex_lock(&g->lock);
		*ret_value = g->reference_tsc;
		pthread_mutex_unlock(&g->lock);
		return true;
	case HV_MSR_TSC_FREQUENCY:
		*ret_value = p->model.tsc_hz;
		return true;
	case HV_MSR_APIC_FREQUENCY:
		*ret_value = LAPIC_TIMER_HZ;
		return true;
	case HV_MSR_EOI:
	case HV_MSR_ICR:
	case HV_MSR_TPR:
		return read_apic(vp, index, ret_value);
	case HV_MSR_VP_ASSIST_PAGE:
		*ret_value = vp->assist_page;
		return true;
	case HV_MSR_SCONTROL ... HV_MSR_SINT0 + HV_SINTS - 1:
		return synic_msr_read(&vp->synic, index, ret_value);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT:
		return whole(p) && stimer_msr_read(&vp->stimers, index, ret_value);
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P0 + HV_CRASH_PARAMETERS - 1:
		pthread_mutex_lock(&g->lock);
		*ret_value = g->crash[index - HV_MSR_CRASH_P0];
		pthread_mutex_unlock(&g->lock);
		return true;
	case HV_MSR_CRASH_CTL:
		*ret_value = HV_CRASH_NOTIFY | HV_CRASH_MESSAGE;
		return true;
	}
	return false;
}

bool guest_interface_msr_write(struct vp *vp, u32 index, u64 value)
{
	struct partition *p = vp->partition;
	struct guest_interface *g = &p->guest;

	switch (index) {
	case HV_MSR_GUEST_OS_ID:
		write_os_id(p, value);
		return true;
	case HV_MSR_HYPERCALL:
		write_hypercall(vp, value);
		return true;
	case HV_MSR_RESET:
		if (value & 1)
			partition_ask_reset(p);
		return true;
	case HV_MSR_REFERENCE_TSC:
		write_reference_tsc(p, value);
		return true;
	case HV_MSR_EOI:
	case HV_MSR_ICR:
	case HV_MSR_TPR:
		return write_apic(vp, index, value);
	case HV_MSR_VP_ASSIST_PAGE:
		vp_set_assist_page(vp, value);
		return true;
	case HV_MSR_SCONTROL ... HV_MSR_SINT0 + HV_SINTS - 1:
		return vp_write_synic(vp, index, value);
	case HV_MSR_STIMER0_CONFIG ... HV_MSR_STIMER3_COUNT:
		return whole(p) && stimer_msr_write(&vp->stimers, index, value);
	case HV_MSR_CRASH_P0 ... HV_MSR_CRASH_P0 + HV_CRASH_PARAMETERS - 1:
		pthread_mutex_lock(&g->lock);
		g->crash[index - HV_MSR_CRASH_P0] = value;
		pthread_mutex_unlock(&g->lock);
		return true;
	case HV_MSR_CRASH_CTL:
		write_crash(vp, value);
		return true;
	}
	return false;
}

/* ---- life -------------------------------------------------------------------------------------- */

void guest_interface_init(struct partition *p)
{
	pthread_mutex_init(&p->guest.lock, NULL);
	reference_time_init(&p->guest.time, p->config.tsc_hz);
}

void guest_interface_done(struct partition *p)
{
	pthread_mutex_destroy(&p->guest.lock);
}

/* Time goes on: it is the partition's, not the guest's. */
void guest_interface_reset(struct partition *p)
{
	struct guest_interface *g = &p->guest;

	pthread_mutex_lock(&g->lock);
	g->os_id = g->hypercall = g->reference_tsc = 0;
	memset(g->crash, 0, sizeof g->crash);
	pthread_mutex_unlock(&g->lock);
}

#define STATE_VERSION 1

struct guest_interface_state {
	struct chip_state_head head;
	le64 os_id, hypercall, reference_tsc;
	le32 sequence;
	le32 crashed;
	le64 crash[HV_CRASH_PARAMETERS];
} PACKED;
_Static_assert(sizeof(struct guest_interface_state) <= WALL_CHIP_STATE_SIZE, "fits its "
									     "block");

void guest_interface_save(struct partition *p, void *block)
{
	struct guest_interface *g = &p->guest;
	struct guest_interface_state state = { 0 };

	pthread_mutex_lock(&g->lock);
	state.os_id = le64_of(g->os_id);
	state.hypercall = le64_of(g->hypercall);
	state.reference_tsc = le64_of(g->reference_tsc);
	state.sequence = le32_of(g->sequence);
	state.crashed = le32_of(atomic_load(&g->crashed));
	for (unsigned k = 0; k < HV_CRASH_PARAMETERS; k++)
		state.crash[k] = le64_of(g->crash[k]);
	pthread_mutex_unlock(&g->lock);
	chip_state_finish(block, STATE_VERSION, &state, sizeof state);
}

/* The pages are RAM and came with it; the one of the time is written again when the VM runs. */
int guest_interface_restore(struct partition *p, const void *block)
{
	struct guest_interface *g = &p->guest;
	struct guest_interface_state state;

	if (!chip_state_take(block, STATE_VERSION, &state, sizeof state) ||
	    le32_get(state.crashed) > 1 ||
	    (le64_get(state.os_id) == 0 && le64_get(state.hypercall) & HV_PAGE_ENABLED))
		return -EINVAL;
	pthread_mutex_lock(&g->lock);
	g->os_id = le64_get(state.os_id);
	g->hypercall = le64_get(state.hypercall);
	g->reference_tsc = le64_get(state.reference_tsc);
	g->sequence = le32_get(state.sequence);
	for (unsigned k = 0; k < HV_CRASH_PARAMETERS; k++)
		g->crash[k] = le64_get(state.crash[k]);
	pthread_mutex_unlock(&g->lock);
	if (le32_get(state.crashed))
		partition_guest_crashed(p);
	return 0;
}

void guest_interface_inspect(struct partition *p, struct inspect *out)
{
	struct guest_interface *g = &p->guest;

	pthread_mutex_lock(&g->lock);
	inspect_line(out, "guest.os_id", "0x%016llx", (unsigned long long)g->os_id);
	inspect_line(out, "guest.hypercall", "0x%llx", (unsigned long long)g->hypercall);
	inspect_line(out, "guest.reference_tsc", "0x%llx sequence %u",
		     (unsigned long long)g->reference_tsc, g->sequence);
	inspect_line(out, "guest.crashed", "%s", atomic_load(&g->crashed) ? "yes" : "no");
	pthread_mutex_unlock(&g->lock);
}
