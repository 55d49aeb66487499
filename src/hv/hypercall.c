/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls; see hypercall.h. */
#include "hv/hypercall.h"

#include <sched.h>

#include "base/checked.h"
#include "hv/engine.h"
#include "hv/guest_ram.h"
#include "hv/io_map.h"
#include "hv/partition.h"
#include "hv/vp.h"
#include "hv/vp_registers.h"

#define VP_WORDS ((WALL_MAX_VPS + 63) / 64)
#define PAGE 4096u

/* One call, its parameters copied. */
struct call {
	struct vp *vp;
	bool fast;
	unsigned varhead, reps,
		start; /* qwords; elements; the first that is to be done */
	gpa_t output;
	u8 *input;     /* aligned; filled as far as the kind and the counts say */
	unsigned done; /* repetitions, from the first of all */
};

/* FAST: the input is two registers at most; whatever else fits may come in XMM registers. */
enum { FAST = 1, SLOW = 2, REPS = 4, VARHEAD = 8, FLUSH = 16 /* engine.flush_tlb */ };

struct kind {
	u16 code;
	u8 flags;
	u16 input; /* bytes of the fixed part */
	u8 element;
	u8 output; /* bytes in all, or of each element */
	enum hv_status (*serve)(struct call *c);
};

/* ---- sets of processors ------------------------------------------------------------------------ */

static void add_bank(struct partition *p, unsigned bank, u64 mask, u64 *io_vps)
{
	u32 count = p->config.vp_count;

	if (bank >= VP_WORDS || bank * 64 >= count)
		return;
	if (count - bank * 64 < 64)
		mask &= BIT64(count - bank * 64) - 1;
	io_vps[bank] |= mask;
}

static void all_processors(struct partition *p, u64 *ret_vps)
{
	for (unsigned bank = 0; bank < VP_WORDS; bank++)
		add_bank(p, bank, UINT64_MAX, ret_vps);
}

/* The set whose banks are the call's variable header. */
static enum hv_status read_set(struct call *c, const struct hv_vp_set *set,
			       const le64 *banks, u64 *ret_vps)
{
	u64 valid = le64_get(set->banks);
	unsigned at = 0;

	if (le64_get(set->format) == HV_VP_SET_ALL) {
		all_processors(c->vp->partition, ret_vps);
		return HV_SUCCESS;
	}
	if (le64_get(set->format) != HV_VP_SET_SPARSE)
		return HV_INVALID_PARAMETER;
	if ((unsigned)__builtin_popcountll(valid) != c->varhead)
		return HV_INVALID_INPUT;
	for (unsigned bank = 0; bank < HV_VP_SET_BANKS; bank++) {
		if (valid & BIT64(bank))
			add_bank(c->vp->partition, bank, le64_get(banks[at++]), ret_vps);
	}
	return HV_SUCCESS;
}

/* ---- translations ------------------------------------------------------------------------------ */

/* list: elements of page number << 12 | further pages, c->reps of them; NULL = everything. */
static enum hv_status flush(struct call *c, const u64 *vps, const le64 *list)
{
	struct engine_flush f = { .vps = vps };

	for (unsigned k = c->start; list && k < c->reps; k++) {
		u64 gva = le64_get(list[k]);
		u64 pages = (gva & 0xfff) + 1;

		if (f.count + pages > ENGINE_FLUSH_PAGES) {
			f.count = 0;
			list = NULL;
			break;
		}
		for (u64 n = 0; n < pages; n++)
			f.page[f.count++] = (gva & ~0xfffull) + n * PAGE;
	}
	f.all = !list;
	c->vp->partition->config.engine->flush_tlb(c->vp->partition->engine_vm, &f);
	c->done = c->reps;
	return HV_SUCCESS;
}

static enum hv_status flush_mask(struct call *c, const le64 *list)
{
	const struct hv_flush *in = (const void *)c->input;
	u64 flags = le64_get(in->flags), vps[VP_WORDS] = { 0 };

	if (flags & ~HV_FLUSH_FLAGS)
		return HV_INVALID_PARAMETER;
	if (flags & HV_FLUSH_ALL_PROCESSORS)
		all_processors(c->vp->partition, vps);
	else
		add_bank(c->vp->partition, 0, le64_get(in->processors), vps);
	return flush(c, vps, list);
}

static enum hv_status flush_set(struct call *c, bool list)
{
	const struct hv_flush_ex *in = (const void *)c->input;
	const le64 *banks = (const void *)(in + 1);
	u64 flags = le64_get(in->flags), vps[VP_WORDS] = { 0 };
	enum hv_status status = HV_SUCCESS;

	if (flags & ~HV_FLUSH_FLAGS)
		return HV_INVALID_PARAMETER;
	if (flags & HV_FLUSH_ALL_PROCESSORS)
		all_processors(c->vp->partition, vps);
	else
		status = read_set(c, &in->set, banks, vps);
	return status == HV_SUCCESS ? flush(c, vps, list ? banks + c->varhead : NULL)
				    : status;
}

static enum hv_status serve_flush_space(struct call *c)
{
	return flush_mask(c, NULL);
}

static enum hv_status serve_flush_list(struct call *c)
{
	return flush_mask(c, (const void *)(c->input + sizeof(struct hv_flush)));
}

static enum hv_status serve_flush_space_ex(struct call *c)
{
	return flush_set(c, false);
}

static enum hv_status serve_flush_list_ex(struct call *c)
{
	return flush_set(c, true);
}

/* ---- interrupts -------------------------------------------------------------------------------- */

static enum hv_status send_ipi(struct call *c, u32 vector, const u64 *vps)
{
	struct partition *p = c->vp->partition;

	if (vector < 16 || vector > 255)
		return HV_INVALID_PARAMETER;
	for (u32 k = 0; k < p->config.vp_count; k++) {
		if (vps[k / 64] & BIT64(k % 64))
			vp_interrupt(p->vp[k], (u8)vector);
	}
	return HV_SUCCESS;
}

static enum hv_status serve_send_ipi(struct call *c)
{
	const struct hv_send_ipi *in = (const void *)c->input;
	u64 vps[VP_WORDS] = { 0 };

	if (le32_get(in->reserved))
		return HV_INVALID_PARAMETER;
	add_bank(c->vp->partition, 0, le64_get(in->processors), vps);
	return send_ipi(c, le32_get(in->vector), vps);
}

static enum hv_status serve_send_ipi_ex(struct call *c)
{
	const struct hv_send_ipi_ex *in = (const void *)c->input;
	u64 vps[VP_WORDS] = { 0 };
	enum hv_status status;

	if (le32_get(in->reserved))
		return HV_INVALID_PARAMETER;
	status = read_set(c, &in->set, (const void *)(in + 1), vps);
	return status == HV_SUCCESS ? send_ipi(c, le32_get(in->vector), vps) : status;
}

static enum hv_status serve_spin_wait(struct call *c)
{
	(void)c;
	sched_yield(); /* the holder of the lock may want this processor */
	return HV_SUCCESS;
}

/* ---- messages and events ----------------------------------------------------------------------- */

static enum hv_status serve_post_message(struct call *c)
{
	const struct hv_post_message *in = (const void *)c->input;
	u32 size = le32_get(in->size), type = le32_get(in->type);

	/* Types with the top bit are the hypervisor's own. */
	if (size > HV_MESSAGE_PAYLOAD || type == HV_MESSAGE_NONE || type >> 31)
		return HV_INVALID_PARAMETER;
	return vp_post_message(c->vp, le32_get(in->connection), type, in->payload, size);
}

static enum hv_status signal_event(struct vp *vp, u32 connection, u16 flag)
{
	/* A connection of ours leads to one flag. */
	if (flag != 0)
		return HV_INVALID_PARAMETER;
	return vp_signal_event(vp, connection);
}

static enum hv_status serve_signal_event(struct call *c)
{
	u64 in = le64_get(*(const le64 *)(const void *)c->input);

	if (in >> 48)
		return HV_INVALID_PARAMETER;
	return signal_event(c->vp, (u32)in, (u16)(in >> 32));
}

/* ---- registers --------------------------------------------------------------------------------- */

/* A guest names its own processor alone. */
static enum hv_status own_registers(const struct call *c)
{
	const struct hv_vp_registers *in = (const void *)c->input;
	u32 vp = le32_get(in->vp);

	if (le64_get(in->partition) != HV_PARTITION_SELF)
		return HV_INVALID_PARTITION;
	if (in->level & ~HV_LEVEL_USE ||
	    in->reserved[0] | in->reserved[1] | in->reserved[2])
		return HV_INVALID_PARAMETER;
	if (vp == HV_VP_SELF || vp == c->vp->index)
		return HV_SUCCESS;
	return vp < c->vp->partition->config.vp_count ? HV_ACCESS_DENIED : HV_INVALID_VP;
}

static enum hv_status serve_get_registers(struct call *c)
{
	const le32 *name = (const void *)(c->input + sizeof(struct hv_vp_registers));
	enum hv_status status = own_registers(c);

	for (unsigned k = c->start; status == HV_SUCCESS && k < c->reps; k++) {
		struct hv_register_value out;
		u64 value[2];

		if (!vp_register_read(c->vp, le32_get(name[k]), value))
			return HV_INVALID_PARAMETER;
		out = (struct hv_register_value){ { le64_of(value[0]),
						    le64_of(value[1]) } };
		if (guest_ram_write(c->vp->partition, c->output + k * sizeof out, &out,
				    sizeof out) < 0)
			return HV_INVALID_PARAMETER;
		c->done = k + 1;
	}
	return status;
}

static enum hv_status serve_set_registers(struct call *c)
{
	const struct hv_register_setting *in =
		(const void *)(c->input + sizeof(struct hv_vp_registers));
	enum hv_status status = own_registers(c);

	for (unsigned k = c->start; status == HV_SUCCESS && k < c->reps; k++) {
		const u64 value[2] = { le64_get(in[k].value.word[0]),
				       le64_get(in[k].value.word[1]) };

		if (!vp_register_write(c->vp, le32_get(in[k].name), value))
			return HV_INVALID_PARAMETER;
		c->done = k + 1;
	}
	return status;
}

/* ---- the rest ---------------------------------------------------------------------------------- */

/* What may be asked by extended calls: nothing yet. */
static enum hv_status serve_query_extended(struct call *c)
{
	le64 none = le64_of(0);

	return guest_ram_write(c->vp->partition, c->output, &none, sizeof none) < 0
		       ? HV_INVALID_PARAMETER
		       : HV_SUCCESS;
}

/* clang-format off */
static const struct kind kinds[] = {
	{ HV_FLUSH_SPACE, SLOW | FLUSH, sizeof(struct hv_flush), 0, 0, serve_flush_space },
	{ HV_FLUSH_LIST, SLOW | REPS | FLUSH, sizeof(struct hv_flush), 8, 0, serve_flush_list },
	{ HV_NOTIFY_LONG_SPIN_WAIT, FAST | SLOW, 8, 0, 0, serve_spin_wait },
	{ HV_SEND_IPI, FAST | SLOW, sizeof(struct hv_send_ipi), 0, 0, serve_send_ipi },
	{ HV_FLUSH_SPACE_EX, SLOW | VARHEAD | FLUSH, sizeof(struct hv_flush_ex), 0, 0,
	  serve_flush_space_ex },
	{ HV_FLUSH_LIST_EX, SLOW | VARHEAD | REPS | FLUSH, sizeof(struct hv_flush_ex), 8, 0,
	  serve_flush_list_ex },
	{ HV_SEND_IPI_EX, SLOW | VARHEAD, sizeof(struct hv_send_ipi_ex), 0, 0, serve_send_ipi_ex },
	{ HV_GET_VP_REGISTERS, SLOW | REPS, sizeof(struct hv_vp_registers), 4,
	  sizeof(struct hv_register_value), serve_get_registers },
	{ HV_SET_VP_REGISTERS, SLOW | REPS, sizeof(struct hv_vp_registers),
	  sizeof(struct hv_register_setting), 0, serve_set_registers },
	{ HV_POST_MESSAGE, SLOW, sizeof(struct hv_post_message), 0, 0, serve_post_message },
	{ HV_SIGNAL_EVENT, FAST | SLOW, 8, 0, 0, serve_signal_event },
	{ HV_QUERY_EXTENDED, SLOW, 0, 0, 8, serve_query_extended },
};
/* clang-format on */

/* ---- the input word ----------------------------------------------------------------------------- */

static const struct kind *find_kind(const struct vp *vp, u16 code)
{
	for (unsigned k = 0; k < ARRAY_COUNT(kinds); k++) {
		if (kinds[k].code != code)
			continue;
		if (kinds[k].flags & FLUSH && !vp->partition->config.engine->flush_tlb)
			return NULL;
		return &kinds[k];
	}
	return NULL;
}

static size_t input_size(const struct kind *kind, const struct call *c)
{
	return kind->input + 8u * c->varhead + (size_t)kind->element * c->reps;
}

/* Everything that has no output may come in registers, if it is not too much for them. */
static bool fits_registers(const struct kind *kind, const struct call *c)
{
	return kind->flags & FAST ||
	       (guest_interface_xmm(c->vp->partition) && kind->output == 0 &&
		input_size(kind, c) <= HV_CALL_XMM_INPUT);
}

static enum hv_status check_word(const struct kind *kind, u64 word, const struct call *c)
{
	if (word & HV_CALL_RESERVED)
		return HV_INVALID_INPUT;
	if (c->fast ? !fits_registers(kind, c) : !(kind->flags & SLOW))
		return HV_INVALID_INPUT;
	if (c->varhead && !(kind->flags & VARHEAD))
		return HV_INVALID_INPUT;
	if (kind->flags & REPS ? c->reps == 0 || c->start >= c->reps
			       : c->reps || c->start)
		return HV_INVALID_INPUT;
	return HV_SUCCESS;
}

/* A block of parameters: aligned, in one page, of RAM. */
static enum hv_status read_input(struct call *c, const struct kind *kind, gpa_t gpa)
{
	size_t size = input_size(kind, c);

	if (size == 0)
		return HV_SUCCESS;
	if (gpa & 7)
		return HV_INVALID_ALIGNMENT;
	if (size > PAGE)
		return HV_INVALID_INPUT;
	return guest_ram_read(c->vp->partition, gpa, c->input, size) < 0
		       ? HV_INVALID_PARAMETER
		       : HV_SUCCESS;
}

/* Where the results go: the same. */
static enum hv_status check_output(const struct call *c, const struct kind *kind)
{
	size_t size = kind->flags & REPS ? (size_t)kind->output * c->reps : kind->output;

	if (size == 0)
		return HV_SUCCESS;
	if (c->output & 7)
		return HV_INVALID_ALIGNMENT;
	return range_inside(c->output & (PAGE - 1), size, PAGE) ? HV_SUCCESS
								: HV_INVALID_PARAMETER;
}

static enum hv_status read_parameters(struct call *c, const struct kind *kind, u64 input,
				      u64 output)
{
	enum hv_status status;

	if (c->fast) {
		memcpy(c->input, &input, 8);
		memcpy(c->input + 8, &output, 8);
		if (input_size(kind, c) > 16)
			c->vp->partition->config.engine->vp_call_xmm(
				c->vp->engine_vp, (u8(*)[16])(c->input + 16));
		return HV_SUCCESS;
	}
	status = check_output(c, kind);
	return status == HV_SUCCESS ? read_input(c, kind, input) : status;
}

static u64 serve(struct vp *vp, u64 word, u64 input, u64 output)
{
	u8 copy[PAGE] __attribute__((aligned(8)));
	struct call c = {
		.vp = vp,
		.input = copy,
		.fast = word & HV_CALL_FAST,
		.varhead = word >> HV_CALL_VARHEAD_SHIFT & HV_CALL_VARHEAD,
		.reps = word >> HV_CALL_REPS_SHIFT & HV_CALL_REPS,
		.start = word >> HV_CALL_START_SHIFT & HV_CALL_REPS,
		.output = output,
	};
	const struct kind *kind = find_kind(vp, (u16)(word & HV_CALL_CODE));
	enum hv_status status = HV_INVALID_CODE;

	if (kind)
		status = check_word(kind, word, &c);
	c.done = c.start;
	if (status == HV_SUCCESS)
		status = read_parameters(&c, kind, input, output);
	if (status == HV_SUCCESS)
		status = kind->serve(&c);
	return status |
	       (kind && kind->flags & REPS ? (u64)c.done << HV_CALL_REPS_SHIFT : 0);
}

static u64 pair(u64 high, u64 low)
{
	return high << 32 | (u32)low;
}

static void serve_registers(struct vp *vp, struct engine_call *call)
{
	u64 *r = call->gpr;
	u64 result;

	if (call->wide) {
		r[R_AX] = serve(vp, r[R_CX], r[R_DX], r[R_8]);
		return;
	}
	result = serve(vp, pair(r[R_DX], r[R_AX]), pair(r[R_BX], r[R_CX]),
		       pair(r[R_DI], r[R_SI]));
	r[R_DX] = result >> 32;
	r[R_AX] = (u32)result;
}

/* ---- the ways in --------------------------------------------------------------------------------- */

bool hypercall_by_instruction(struct vp *vp)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	struct engine_call call;

	if (!guest_interface_calls(vp->partition))
		return false;
	engine->vp_call_get(vp->engine_vp, &call);
	if (!call.privileged)
		return false;
	serve_registers(vp, &call);
	engine->vp_call_set(vp->engine_vp, &call);
	return true;
}

bool hypercall_by_port(struct vp *vp, u16 port, unsigned size, u32 value)
{
	const struct engine_ops *engine = vp->partition->config.engine;
	struct engine_call call;

	if (!guest_interface_calls(vp->partition) ||
	    !(port == HYPERCALL_PORT ? size == 1
				     : port == HYPERCALL_PORT_SIGNAL && size == 4))
		return false;
	engine->vp_call_get(vp->engine_vp, &call);
	if (!call.privileged)
		return true; /* a process that has the ports: nothing happens */
	if (port == HYPERCALL_PORT_SIGNAL)
		call.gpr[R_9] = signal_event(vp, value, 0);
	else
		serve_registers(vp, &call);
	engine->vp_call_set(vp->engine_vp, &call);
	atomic_fetch_add_explicit(&vp->port_calls, 1, memory_order_relaxed);
	return true;
}

/* clang-format off */
/*
 * SignalEvent as a fast call, no flag: the connection goes out by a port that a host may watch; the
 * result is 0 unless we are asked, who change r9. r8 to r11 are the page's.
 */
static const u8 page_fast[] = {
	0x48, 0x81, 0xf9, 0x5d, 0x00, 0x01, 0x00, /* cmp $0x1005d, %rcx */
	0x75, 0x10,				  /* jne slow */
	0x89, 0xd0,				  /* mov %edx, %eax */
	0x48, 0x39, 0xd0,			  /* cmp %rdx, %rax */
	0x75, 0x09,				  /* jne slow */
	0x45, 0x31, 0xc9,			  /* xor %r9d, %r9d */
	0xe7, HYPERCALL_PORT_SIGNAL,		  /* out %eax, $P1 */
	0x4c, 0x89, 0xc8,			  /* mov %r9, %rax */
	0xc3,					  /* ret */
	0xe6, HYPERCALL_PORT,			  /* slow: out %al, $P2 */
	0xc3,					  /* ret */
};
static const u8 page_port[] = { 0xe6, HYPERCALL_PORT, 0xc3 };
static const u8 page_vmcall[] = { 0x0f, 0x01, 0xc1, 0xc3 };
static const u8 page_vmmcall[] = { 0x0f, 0x01, 0xd9, 0xc3 };
/* clang-format on */

void hypercall_page_fill(const struct partition *p, bool wide, u8 ret_page[4096])
{
	memset(ret_page, 0xcc, PAGE);
	if (p->config.portable || p->config.engine->own_lapic) {
		if (wide)
			memcpy(ret_page, page_fast, sizeof page_fast);
		else
			memcpy(ret_page, page_port, sizeof page_port);
	} else if (p->model.amd) {
		memcpy(ret_page, page_vmmcall, sizeof page_vmmcall);
	} else {
		memcpy(ret_page, page_vmcall, sizeof page_vmcall);
	}
}
