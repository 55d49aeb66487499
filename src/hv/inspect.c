/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `inspect` and `--stats` show of the hypervisor. Registers are taken while the VPs stand for
 * a moment; one that waits for the worker cannot give them and says since when it waits.
 *
 *	vm		state, engine, counters of the wall
 *	vp, vp/N	registers, local APIC
 *	memory		the map
 *	chips		every chip
 *
 * Thread: the loop's.
 */
#include <stdio.h>

#include "hv/partition.h"
#include "hv/vp.h"

static const char *state_word(struct partition *p)
{
	if (atomic_load(&p->ended))
		return "ended";
	if (atomic_load(&p->slow_now) > 0)
		return "critical-paused: the worker does not answer";
	return p->running ? "running" : "stopped";
}

static void inspect_vm(struct partition *p, struct inspect *out)
{
	inspect_line(out, "vm.state", "%s", state_word(p));
	if (atomic_load(&p->ended))
		inspect_line(out, "vm.end", "%s", p->end_text);
	inspect_line(out, "vm.engine", "%s", p->config.engine->name);
	inspect_line(out, "vm.vps", "%u", p->config.vp_count);
	guest_interface_inspect(p, out);
	inspect_line(out, "wall.verbs", "%llu", (unsigned long long)p->wall.verbs);
	inspect_line(out, "wall.accesses", "%llu", (unsigned long long)p->wall.accesses);
	inspect_line(out, "wall.posted", "%llu", (unsigned long long)p->wall.posted);
	inspect_line(out, "wall.slow_accesses", "%llu",
		     (unsigned long long)p->slow_accesses);
	inspect_line(out, "wall.lines", "%llu", (unsigned long long)p->wall.lines_tail);
	inspect_line(out, "wall.flushes", "%llu",
		     (unsigned long long)p->wall.flushes_done);
}

static const char *mode_word(const struct vp_state *s)
{
	if (!(s->cr0 & 1))
		return "real";
	if (s->efer & 0x400)
		return s->seg[SEG_CS].attr & SEG_ATTR_L ? "64-bit" : "compatibility";
	if (s->rflags & 0x20000)
		return "virtual 8086";
	return s->seg[SEG_CS].attr & SEG_ATTR_DB ? "32-bit" : "16-bit";
}

static const char *activity_word(u32 activity)
{
	switch ((enum vp_activity)activity) {
	case VP_RUNNING:
		return "running";
	case VP_HALTED:
		return "halted";
	case VP_WAIT_SIPI:
		return "waits for startup";
	case VP_SHUTDOWN:
		return "shut down";
	}
	return "unknown";
}

static void inspect_registers(const struct vp_state *s, const char *prefix,
			      struct inspect *out)
{
	static const char names[GPR_COUNT][4] = { "rax", "rcx", "rdx", "rbx",
						  "rsp", "rbp", "rsi", "rdi",
						  "r8",	 "r9",	"r10", "r11",
						  "r12", "r13", "r14", "r15" };

	inspect_words(out, prefix, "activity", "%s", activity_word(s->activity));
	inspect_words(out, prefix, "mode", "%s", mode_word(s));
	inspect_words(out, prefix, "rip", "%04x:%016llx", s->seg[SEG_CS].selector,
		      (unsigned long long)s->rip);
	inspect_words(out, prefix, "rflags", "%08llx", (unsigned long long)s->rflags);
	inspect_words(out, prefix, "cr", "0 %llx 2 %llx 3 %llx 4 %llx efer %llx",
		      (unsigned long long)s->cr0, (unsigned long long)s->cr2,
		      (unsigned long long)s->cr3, (unsigned long long)s->cr4,
		      (unsigned long long)s->efer);
	for (unsigned k = 0; k < GPR_COUNT; k++) {
		inspect_words(out, prefix, names[k], "%016llx",
			      (unsigned long long)s->gpr[k]);
	}
}

static void inspect_vp(struct partition *p, u32 index, struct inspect *out)
{
	struct vp *vp = p->vp[index];
	struct vp_state state;
	char prefix[16];

	snprintf(prefix, sizeof prefix, "vp.%u", index);
	if (vp_get_state(vp, &state) == 0) {
		inspect_registers(&state, prefix, out);
	} else {
		u64 ns = host_clock.monotonic_ns(&host_clock) -
			 atomic_load(&vp->access_since_ns);

		inspect_words(out, prefix, "activity",
			      "waits for the worker since %llu ms",
			      (unsigned long long)(ns / 1000000));
	}
	inspect_words(out, prefix, "exits", "pio %llu mmio %llu worker %llu",
		      (unsigned long long)vp->exits_pio,
		      (unsigned long long)vp->exits_mmio,
		      (unsigned long long)vp->exits_worker);
	lapic_inspect(&vp->lapic, out);
	vp_inspect_synthetic(vp, out);
}

static void inspect_memory(struct partition *p, struct inspect *out)
{
	for (unsigned k = 0; k < p->memory.flat_count; k++) {
		const struct engine_slot *f = &p->memory.flat[k];

		inspect_line(out, "memory", "%010llx-%010llx %s %s%s",
			     (unsigned long long)f->gpa,
			     (unsigned long long)(f->gpa + f->size - 1),
			     f->is_ram ? "RAM" : "device", f->writable ? "rw" : "ro",
			     f->log ? " logged" : "");
	}
}

static bool wants(const char *path, const char *part)
{
	size_t size = strlen(part);

	return path[0] == '\0' || (strncmp(path, part, size) == 0 &&
				   (path[size] == '\0' || path[size] == '/'));
}

void partition_inspect(struct partition *p, const char *path, char *ret_text, size_t size)
{
	struct inspect out = { .text = ret_text, .size = size };
	u32 only = UINT32_MAX;

	ret_text[0] = '\0';
	if (strncmp(path, "vp/", 3) == 0)
		only = (u32)strtoul(path + 3, NULL, 10);
	partition_pause(p);
	if (wants(path, "vm"))
		inspect_vm(p, &out);
	for (u32 k = 0; wants(path, "vp") && k < p->config.vp_count; k++) {
		if (only == UINT32_MAX || only == k)
			inspect_vp(p, k, &out);
	}
	if (wants(path, "memory"))
		inspect_memory(p, &out);
	if (wants(path, "chips"))
		chipset_inspect(&p->chipset, &out);
	partition_unpause(p);
}

void partition_stats(struct partition *p, struct hv_stats *ret_stats)
{
	struct hv_stats sum = { 0 };

	for (u32 k = 0; k < p->config.vp_count; k++) {
		struct vp *vp = p->vp[k];

		p->config.engine->vp_count(vp->engine_vp, &sum);
	}
	/* What crosses the bus is counted here, whatever the engine counts. */
	sum.exits_pio = sum.exits_mmio = sum.exits_worker = 0;
	for (u32 k = 0; k < p->config.vp_count; k++) {
		sum.exits_pio += p->vp[k]->exits_pio;
		sum.exits_mmio += p->vp[k]->exits_mmio;
		sum.exits_worker += p->vp[k]->exits_worker;
		sum.hypercalls += p->vp[k]->port_calls; /* the others are the engine's */
	}
	sum.first_entry_ns = atomic_load(&p->first_entry_ns);
	*ret_stats = sum;
}
