/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random instructions of the kinds that meet the system's state: memory operands of every shape,
 * stacks, far transfers, system registers, vector and x87 state. Results that the manuals leave undefined are
 * avoided or overwritten by the next instruction.
 *
 * Eight fragments of code: 0 is where the case starts, 1 where it may jump, 2 and 3 are behind gates, SYSCALL and
 * SYSENTER, 4 behind a gate of an exception, 5 another task's, 6 and 7 targets of returns. A
 * jump only goes to a fragment with a higher number, so that a case ends.
 */
#include "emit.h"

struct fragment fragment[FRAGMENTS];
struct repeated repeated[REPEATED];
unsigned repeated_count;

unsigned bits;
static u8 *at, *limit;
static unsigned number;
static bool wrapped; /* the address-size prefix stands before this instruction */

void byte(unsigned v)
{
	if (at < limit)
		*at++ = (u8)v;
}

void bytes(u64 v, unsigned count)
{
	while (count--) {
		byte(v & 0xff);
		v >>= 8;
	}
}

void place_fragments(void)
{
	bool edge = one_in(6);

	for (unsigned n = 0; n < FRAGMENTS; n++) {
		struct fragment *f = &fragment[n];
		bool inner = n >= 2 && n <= 5;

		f->bits = n < 2		? code_bits
			  : n == 7	? 16
			  : n == 6	? 32
			  : long_mode() ? 64
					: 32;
		f->offset = (inner ? P_KCODE : P_CODE) * 4096 + 0x100 + (n & 3) * 0x300 +
			    below(32);
		if (n == 0 && edge) /* over the edge of its page */
			f->offset = P_KCODE * 4096 - 1 - below(40);
	}
}

/* ---- operands -------------------------------------------------------------------------------- */

static void rex(bool w, unsigned reg, unsigned rm)
{
	unsigned r = 0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | rm >> 3;

	if (bits == 64 && r != 0x40)
		byte(r);
}

static unsigned address_register(void)
{
	static const u8 registers[] = { BX, BX, SI, DI, BP };

	if (bits == 64 && one_in(6))
		return 8 + (below(4) | 2); /* R10, R11 */
	return PICK(registers);
}

/* Prefixes, then what `opcode` bytes (from the lowest on) say, ModRM with a memory operand. */
void memory(unsigned prefix, bool w, u32 opcode, unsigned opcode_size, unsigned reg)
{
	unsigned base = address_register();
	bool short_address = (bits == 16) != wrapped;

	if (one_in(10)) {
		static const u8 segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
		unsigned segment;

		segment = PICK(segments);
		if (segment == 0x2e && bits == 32 && number > 0 &&
		    avoids(AVOID_CODE_WRITE))
			segment = 0x3e;
		byte(segment);
	}
	if (prefix)
		byte(prefix);
	if (bits != 64 && base > 7)
		base = BX;
	rex(w, reg, base);
	bytes(opcode, opcode_size);
	reg = (reg & 7) << 3;
	if (short_address && bits != 64) {
		static const u8 rm[] = { 7, 4, 5, 6, 0, 2 };

		byte(0x40 | reg | PICK(rm));
		byte(one_in(2) ? 0 : below(17) - 8);
	} else if (one_in(12)) {
		/* absolute, or relative to RIP */
		byte(reg | 5);
		bytes(bits == 64 ? below(0x1000) - 0x800 : (u32)any_address(), 4);
	} else if (one_in(10)) {
		byte(0x44 | reg);
		byte((unsigned)(below(4) << 6 | CX << 3 | (base & 7)));
		byte(0);
	} else {
		byte(0x40 | reg | (base & 7));
		byte(one_in(2) ? 0 : below(33) - 16);
	}
}

/* The registers that instructions change: not those that hold addresses. */
static unsigned plain(void)
{
	return below(3);
}

static void immediate(unsigned size)
{
	bytes(random64(), size);
}

static unsigned operand_size(void)
{
	return bits == 16 ? 2 : 4;
}

/* AX = v, for instructions that take a selector or a value there. */
void set_register(unsigned reg, u64 v)
{
	if (bits == 64 && v >> 32) {
		rex(true, 0, reg);
		byte(0xb8 | (reg & 7));
		bytes(v, 8);
	} else {
		if (bits == 16)
			byte(0x66);
		byte(0xb8 | reg);
		bytes(v, 4);
	}
}

static void settle_flags(void)
{
	byte(0x39); /* cmp %edx, %eax: every arithmetic flag is defined again */
	byte(0xd0);
}

/* ---- families -------------------------------------------------------------------------------- */

static void arithmetic(void)
{
	unsigned op = below(8) << 3;

	switch (below(9)) {
	case 0: /* op r, m */
		memory(0, bits == 64 && one_in(2), op | 3, 1, plain());
		break;
	case 1: /* op m, r */
		if (op != 0x38 && one_in(4))
			byte(0xf0);
		memory(0, bits == 64 && one_in(2), op | 1, 1, plain());
		break;
	case 2: /* bytes */
		memory(0, false, op | below(2) << 1, 1, plain());
		break;
	case 3: /* op m, imm8 */
		if (op != 0x38 && one_in(4))
			byte(0xf0);
		memory(0, bits == 64 && one_in(2), 0x83, 1, op >> 3);
		immediate(1);
		break;
	case 4: /* inc, dec, not, neg */
		if (one_in(2))
			memory(0, false, 0xff, 1, below(2));
		else
			memory(0, false, 0xf7, 1, 2 + below(2));
		break;
	case 5: /* mov and xchg */
		memory(one_in(4) ? 0x66 : 0, bits == 64 && one_in(3), 0x86 | below(6), 1,
		       plain());
		break;
	case 6: /* cmpxchg, xadd */
		if (one_in(2))
			byte(0xf0);
		memory(0, bits == 64 && one_in(2), one_in(2) ? 0xb10f : 0xc10f, 2,
		       plain());
		break;
	case 7: /* cmpxchg8b, 16b */
		if (one_in(2))
			byte(0xf0);
		memory(0, bits == 64 && one_in(2), 0xc70f, 2, 1);
		break;
	default: /* movzx, movsx */
		memory(0, bits == 64 && one_in(2),
		       0x0f | (0xb6 + below(2) + 8 * below(2)) << 8, 2, plain());
	}
}

static void bit_test(void)
{
	static const u16 ops[] = { 0xa30f, 0xab0f, 0xb30f, 0xbb0f };

	memory(0, bits == 64 && one_in(2), PICK(ops), 2, plain());
	settle_flags();
}

static void divide(void)
{
	if (one_in(2)) {
		byte(0x31); /* xor %edx, %edx */
		byte(0xd2);
	}
	memory(0, bits == 64 && one_in(2), 0xf7, 1, 6 + below(2));
	settle_flags();
}

/* What begins at `start` repeats and stores. */
static void note_repeated(const u8 *start)
{
	struct repeated *r = &repeated[repeated_count];

	if (repeated_count == REPEATED)
		return;
	r->offset = (u64)(start - (u8 *)ARENA);
	r->size = (u32)(at - start);
	repeated_count++;
}

static void string(void)
{
	static const u8 ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa,
				  0xab, 0xac, 0xad, 0xae, 0xaf };

	unsigned repeat = one_in(4) ? 0 : 0xf2 | below(2), op;
	const u8 *start;
	u32 count = below(24);

	set_register(CX, count || bits != 64 || !avoids(AVOID_SHORT_REP) ? count : 1);
	if (one_in(3))
		byte(0xfc | below(2)); /* cld, std */
	op = PICK(ops);
	start = at;
	if ((op & 0xfe) == 0xa6 && avoids(AVOID_CMPS_ORDER)) {
		if (bits == 64)
			byte(0x48);
		byte(0x89); /* mov %rsi, %rdi */
		byte(0xf7);
		if (bits != 64) {
			byte(0x1e); /* push %ds; pop %es */
			byte(0x07);
		}
	} else {
		if (one_in(10))
			byte(0x64);
		if (one_in(10) && kind != KIND_FLAT)
			byte(0x67);
	}
	if (repeat)
		byte(repeat);
	if (one_in(8))
		byte(0x66);
	if (bits == 64 && one_in(3))
		byte(0x48);
	byte(op);
	if (repeat && ((op | 1) == 0xa5 || (op | 1) == 0xab))
		note_repeated(start);
}

/* Registers that hold addresses are not to come out of memory. */
static bool stray_registers(void)
{
	return kind == KIND_FLAT && avoids(AVOID_STRAYS);
}

static void stack(void)
{
	switch (below(14)) {
	case 0:
		byte(0x50 | below(8));
		break;
	case 1:
		byte(0x58 | below(3));
		break;
	case 2:
		memory(one_in(4) ? 0x66 : 0, false, 0xff, 1, 6);
		break;
	case 3:
		memory(one_in(4) ? 0x66 : 0, false, 0x8f, 1, 0);
		break;
	case 4:
		byte(0x6a);
		immediate(1);
		break;
	case 5:
		byte(0x9c);
		break;
	case 6: { /* flags that were made here */
		u64 flags = random64() & (one_in(3) ? 0x257fd5 : 0xcd5);

		if (one_in(6))
			flags |= 0x100;
		if (bits == 64) {
			byte(0x68);
			bytes(flags, 4);
		} else {
			if (bits == 16)
				byte(0x66);
			byte(0x68);
			bytes(flags, 4);
			if (bits == 16)
				byte(0x66);
		}
		byte(0x9d);
		break;
	}
	case 7:
		byte(0x60 |
		     (below(2) &&
		      !stray_registers())); /* pusha, popa; undefined in 64-bit mode */
		break;
	case 8:
		byte(0xc8); /* enter */
		bytes(below(64), 2);
		byte(one_in(2) ? 0 : below(8));
		break;
	case 9:
		if (!stray_registers())
			byte(0xc9);
		break;
	case 10: { /* push and pop of segments */
		static const u16 ops[] = { 0x06, 0x0e,	 0x16,	 0x1e,	 0x07,	0x17,
					   0x1f, 0xa00f, 0xa10f, 0xa80f, 0xa90f };
		u16 op = PICK(ops);

		bytes(op, op > 255 ? 2 : 1);
		break;
	}
	case 11: /* call, jump through memory: not where any address has code */
		if (bits != 16 && kind != KIND_FLAT)
			memory(0, false, 0xff, 1,
			       one_in(2) && !avoids(AVOID_EARLY_PUSH) ? 2 : 4);
		break;
	case 12: /* call to what follows */
		byte(0xe8);
		bytes(0, bits == 16 ? 2 : 4);
		break;
	default:
		if (bits == 16 || kind == KIND_FLAT)
			break;
		if (one_in(3)) {
			byte(0xc2);
			bytes(below(4) * 4, 2);
		} else {
			byte(0xc3);
		}
	}
}

static unsigned forward(void)
{
	return number >= FRAGMENTS - 1 ? FRAGMENTS - 1
				       : number + 1 + below(FRAGMENTS - 1 - number);
}

void push_number(u64 v, unsigned size)
{
	if (bits == 64) {
		byte(0x68);
		bytes(v, 4);
	} else {
		if ((size == 4) != (bits == 32))
			byte(0x66);
		byte(0x68);
		bytes(v, size);
	}
}

static bool far_call_differs(u16 selector)
{
	return (avoids(AVOID_FAR_TO_64) && long_mode() &&
		(bits == 16 || (bits == 64 && !is_64_bit(selector)))) ||
	       (avoids(AVOID_CONFORMING) && is_conforming(selector));
}

/* AVOID_EARLY_PUSH: what a far CALL would push, where it would. Where the address that it returns to
 * has to be filled in. */
static u8 *push_beforehand(unsigned size)
{
	bool other = (size == 2) != (bits == 16);

	if (other)
		byte(0x66);
	bytes(0xc88c, 2); /* mov %cs, %eax */
	for (unsigned n = 0; n < 2; n++) {
		if (bits == 16)
			byte(0x67);
		if (other)
			byte(0x66);
		byte(n ? 0xc7
		       : 0x89); /* mov %eax, -size(%esp); mov $0, -2 * size(%esp) */
		bytes(0x2444, 2);
		byte(0x100 - size * (n + 1));
	}
	bytes(0, size);
	return at - size;
}

static void fill_in(u8 *p, unsigned size)
{
	u64 ip = (u64)(at - (u8 *)ARENA) + (bits == 16 ? 0 : window);

	for (unsigned n = 0; n < size && at < limit; n++)
		p[n] = (u8)(ip >> 8 * n);
}

static void far_through_memory(void)
{
	if (!avoids(AVOID_FAR_POINTER)) {
		memory(one_in(4) ? 0x66 : 0, bits == 64 && one_in(3), 0xff, 1,
		       one_in(2) ? 3 : 5);
		return;
	}
	/* The pointer on the stack, whole. */
	u16 selector = any_selector();

	push_number(selector, operand_size());
	push_number(bits == 16 ? fragment[forward()].offset
			       : window + fragment[forward()].offset,
		    operand_size());
	if (bits == 64) {
		/* pop it to memory as 4 + 2 bytes: mov 8(%rsp), %eax; mov %eax, 4(%rsp) */
		bytes(0x0824448b, 4);
		bytes(0x04244489, 4);
	}
	bool call = one_in(2) && !far_call_differs(selector);
	u8 *pushed = NULL;

	if (call && avoids(AVOID_EARLY_PUSH))
		pushed = push_beforehand(operand_size());
	if (bits == 16)
		byte(0x67);
	byte(0xff);
	byte(0x04 | (call ? 3 : 5) << 3);
	byte(0x24);
	if (pushed)
		fill_in(pushed, operand_size());
}

static void far_transfer(void)
{
	static const u16 codes[] = { S_CODE0,  S_CODE3, S_CODE1, S_CONFORM,
				     S_CODE16, S_GATE,	S_GATE,	 S_GATE2,
				     S_TSS2,   S_TASK,	S_TASK,	 S_RANDOM };
	u16 selector = one_in(4)
			       ? any_selector()
			       : (u16)(PICK(codes) | (one_in(2) ? start_cpl : below(4)));
	unsigned to = forward();
	u64 offset = (selector & ~7) == S_CODE16 ? fragment[to].offset
						 : window + fragment[to].offset;
	unsigned size = operand_size();

	switch (below(6)) {
	case 0:
	case 1:
		if (bits == 64) {
			far_through_memory();
			break;
		}
		if (bits == 16 && (selector & ~7) != S_CODE16)
			size = 4;
		bool call = one_in(2) && !far_call_differs(selector);
		u8 *pushed = NULL;

		if (call && avoids(AVOID_EARLY_PUSH))
			pushed = push_beforehand(size);
		if (bits == 16 && size == 4)
			byte(0x66);
		byte(call ? 0x9a : 0xea);
		bytes(offset, size);
		bytes(selector, 2);
		if (pushed)
			fill_in(pushed, size);
		break;
	case 2:
		far_through_memory();
		break;
	case 3: /* a return that was made here */
	case 4: {
		bool iret = one_in(2), outer = one_in(2) || bits == 64;

		/* Else the SS may be any word of the memory. */
		if (long_mode() && avoids(AVOID_NULL_STACK))
			outer = true;

		size = bits == 16 ? (one_in(2) ? 4 : 2) : bits == 32 ? 4 : 8;
		if (outer) {
			push_number(one_in(3) ? stack_selector(any_selector())
					      : (S_DATA0 + (selector & 3) * 0) |
							(selector & 3),
				    size);
			push_number(any_address(), size);
		}
		if (iret)
			push_number(2 | (random64() & (one_in(3) ? 0x47ed5 : 0x8d5)),
				    size);
		push_number(selector, size);
		if (size == 2 || (kind == KIND_V86 && avoids(AVOID_V86_IRET)))
			offset = fragment[to].offset;
		push_number(offset, size);
		if (bits == 16 && size == 4)
			byte(0x66);
		if (bits == 64 && (!one_in(8) || (iret && avoids(AVOID_IRET_SAME))))
			byte(0x48);
		byte(iret ? 0xcf : 0xcb);
		break;
	}
	default: {
		bool wide = one_in(2), discards = one_in(3),
		     iret = !discards && !one_in(2);

		if (bits == 64 && (wide || (iret && avoids(AVOID_IRET_SAME))))
			byte(0x48);
		byte(discards ? 0xca : iret ? 0xcf : 0xcb);
		if (discards)
			bytes(below(4) * 8, 2);
	}
	}
}

static void interrupts(void)
{
	switch (below(10)) {
	case 0:
		byte(0xcc);
		break;
	case 1:
		byte(0xce); /* into; undefined in 64-bit mode */
		break;
	case 2:
		byte(0xf1);
		break;
	case 3:
		if (bits != 64)
			memory(0, false, 0x62, 1, plain()); /* bound */
		else
			byte(0xcc);
		break;
	case 4:
		byte(0xcd);
		byte(one_in(2) ? below(64) : 0x30 + below(12));
		break;
	default:
		byte(0xcd);
		byte(number >= 2 && number <= 4 ? 0x3f : 0x30 + below(4));
	}
}

static void sysret(void)
{
	bool wide = bits == 64 && one_in(2);

	if (wide && avoids(AVOID_SYSRET_TARGET))
		bytes(0xc989, 2); /* mov %ecx, %ecx */
	if (bits == 64 && avoids(AVOID_SYSCALL_TF))
		bytes(0xffe7feffe38141, 7); /* and $~(VIF | VIP | TF), %r11d */
	if (bits == 64 && !wide && avoids(AVOID_FAR_TO_64))
		bytes(0xe489, 2); /* mov %esp, %esp */
	if (wide)
		byte(0x48);
	bytes(0x070f, 2);
}

static void fast_call(void)
{
	static const u16 ops[] = { 0x050f, 0x050f, 0x340f, 0x070f, 0x350f };
	u16 op = PICK(ops);

	if (avoids(AVOID_SYSENTER_LONG) && long_mode() && (op & 0xf0ff) == 0x300f)
		return;
	if (avoids(AVOID_SYSCALL_STACK) && op == 0x050f &&
	    (kind == KIND_V86 || kind == KIND_PAE16 || (w_cr4 & 1 << 21)))
		return;
	if (op == 0x070f || op == 0x350f) {
		u64 target = window + fragment[forward()].offset;

		if (one_in(8))
			target = any_address();
		set_register(CX, op == 0x070f ? target : any_address());
		set_register(DX, op == 0x070f ? 0 : target);
		if (op == 0x070f) {
			sysret();
			return;
		}
		if (bits == 64 && one_in(2))
			byte(0x48);
	} else if (number >= 2) { /* it would come back, and so on */
		return;
	}
	bytes(op, 2);
}

static void segments(void)
{
	static const u8 sregs[] = { 0, 2, 3, 4, 5, 3, 0 };
	unsigned sreg = PICK(sregs);

	switch (below(12)) {
	case 0:
	case 1:
	case 2:
	case 3:
		set_register(AX, any_selector());
		byte(0x8e);
		byte(0xc0 | sreg << 3);
		break;
	case 4:
		memory(0, false, 0x8e, 1, sreg);
		break;
	case 5:
		memory(0, false, 0x8c, 1, below(6));
		break;
	case 6: { /* lss lfs lgs; les lds */
		if (avoids(AVOID_FAR_POINTER))
			return;
		static const u16 ops[] = { 0xb20f, 0xb40f, 0xb50f, 0xc4, 0xc5 };
		u16 op = PICK(ops);

		if (bits == 64 && op < 256)
			op = 0xb20f;
		memory(0, bits == 64 && one_in(2), op, op > 255 ? 2 : 1, plain());
		break;
	}
	case 7:
	case 8: /* lar, lsl */
		set_register(AX, any_selector());
		if (one_in(2)) {
			if (bits != 16) /* bits 16 to 19 are undefined */
				byte(0x66);
			bytes(0xd0020f, 3);
		} else {
			bytes(0xd0030f, 3);
		}
		break;
	case 9: /* verr, verw */
		set_register(AX, any_selector());
		byte(0x0f);
		byte(0x00);
		byte(0xe0 | below(2) << 3);
		break;
	case 10:
		if (bits == 64) {
			byte(0x48); /* movsxd */
			byte(0x63);
			byte(0xc2);
		} else {
			set_register(AX, any_selector());
			byte(0x63);
			byte(0xd0 | below(2));
		}
		break;
	default: /* lldt, ltr */
		set_register(AX, one_in(2) ? S_LDT : any_selector());
		byte(0x0f);
		byte(0x00);
		byte(0xd0 | below(2) << 3);
	}
}

/* DR7 without lengths of breakpoints on code. */
static u32 with_lengths(u32 v)
{
	for (unsigned n = 16; n < 32; n += 4)
		if (!(v >> n & 3))
			v &= ~(12u << n);
	return v;
}

static void control(void)
{
	switch (below(9)) {
	case 0: /* CR0: the bits that leave paging and protection as they are */
		set_register(AX, w_cr0 ^ (1ull << (one_in(2) ? 16 : 1 + below(3))));
		bytes(0xc0220f, 3);
		break;
	case 1: {
		static const u8 toggles[] = { 2, 3, 7, 9, 10, 16, 18, 20, 21, 31 };

		set_register(AX, w_cr4 ^ 1ull << PICK(toggles));
		bytes(0xe0220f, 3);
		break;
	}
	case 2:
		set_register(AX, bits == 64 && one_in(6) ? w_cr3 | 1ull << 60 : w_cr3);
		bytes(0xd8220f, 3);
		break;
	case 3:
		bytes(0xc0200f | below(5) << 19, 3); /* mov from CRn to EAX */
		break;
	case 4: { /* debug registers */
		u32 v = 0x400 | below(256) | below(65536) << 16;
		unsigned n = below(4) + 4 * below(2);

		if (n > 4 && avoids(AVOID_DR7_LENGTH)) { /* DR5 may be DR7 */
			set_register(AX, with_lengths(v));
		} else {
			set_register(AX, one_in(3)   ? random64()
					 : one_in(2) ? any_address()
						     : v);
		}
		if (one_in(2) || !long_mode())
			bytes(0xc0210f | below(8) << 19, 3);
		else
			bytes(0xc0230f | n << 19, 3);
		break;
	}
	case 5:
		bytes(0x060f, 2); /* clts */
		break;
	case 6:
		memory(0, false, 0x010f, 2, 7); /* invlpg */
		break;
	case 7:
		if (one_in(2)) {
			set_register(AX, (w_cr0 & 0xf) ^ (2u << below(3)));
			bytes(0xf0010f, 3); /* lmsw */
		} else {
			bytes(0xe0010f, 3); /* smsw */
		}
		break;
	default:
		bytes(0xca010f | below(2) << 16, 3); /* clac, stac */
	}
}

static unsigned efer_bit(void)
{
	unsigned n = below(14);

	return n == 12 && avoids(AVOID_SVM) ? 13 : n;
}

static void machine_registers(void)
{
	static const u32 indexes[] = { 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083,
				       0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
				       0x174,	   0x175,      0x176,	   0xc0000103 };
	u32 index = PICK(indexes);

	set_register(CX, index);
	if (one_in(3)) {
		bytes(0x320f, 2);
		return;
	}
	if (index == 0xc0000080) {
		set_register(AX, w_efer | (one_in(2) ? 0x400 : 0) |
					 (one_in(4) ? 1u << efer_bit() : 0));
		set_register(DX, 0);
	} else if (index == 0xc0000081) {
		set_register(AX, (u32)(window + fragment[3].offset));
		set_register(DX, (u32)any_selector() | (u32)any_selector() << 16);
	} else {
		u64 v = one_in(3) ? random64() : any_address();

		set_register(AX, (u32)v);
		set_register(DX, index == 0xc0000084 ? 0 : (u32)(v >> 32));
	}
	bytes(0x300f, 2);
}

static void tables(void)
{
	switch (below(7)) {
	case 0: /* smsw */
		memory(0, false, 0x010f, 2, 4);
		break;
	case 1: { /* sgdt, sidt */
		unsigned reg = below(2);

		if (avoids(AVOID_TABLE_STORE) && (w_cr0 & 1 << 18))
			break;
		if (avoids(AVOID_TABLE_STORE))
			touched(true, false, bits == 64 ? 9 : 5, 0x010f, reg);
		else
			memory(0, false, 0x010f, 2, reg);
		break;
	}
	case 2: /* sldt, str */
		memory(0, false, 0x000f, 2, below(2));
		break;
	case 3: /* lldt, ltr, verr, verw */
		memory(0, false, 0x000f, 2, 2 + below(4));
		break;
	case 4:
		if (bits == 64)
			bytes(0xf8010f, 3); /* swapgs */
		else
			byte(0xfa);
		break;
	case 5:
		if (bits == 64) { /* rdfsbase .. wrgsbase */
			byte(0xf3);
			if (one_in(2))
				byte(0x48);
			bytes(0x0fae0f | 0, 2);
			byte(0xc0 | below(4) << 3 | (one_in(3) ? BX : AX));
		} else {
			byte(0xfb);
		}
		break;
	default:
		byte(0xfa | below(2));
	}
}

static void ports(void)
{
	const u8 *start;

	set_register(DX, 0x80 + below(0x20)); /* 0x92 and 0x8f below are left alone */
	switch (below(5)) {
	case 0:
		byte(0xe6);
		byte(0x80);
		break;
	case 1:
		set_register(DX, 0xed);
		byte(0xee);
		break;
	case 2:
		set_register(DX, 0x1234 + below(4));
		byte(0xec | below(2));
		break;
	case 3:
		set_register(DX, 0x1234);
		set_register(CX, below(12));
		start = at;
		if (one_in(2))
			byte(0xf3);
		byte(0x6c | below(2));
		if (*start == 0xf3)
			note_repeated(start);
		break;
	default:
		set_register(DX, 0xed);
		set_register(CX, below(12));
		if (one_in(2))
			byte(0xf3);
		byte(0x6e);
	}
}

static void privileged(void)
{
	static const u32 ops[] = { 0xf4,  0x010f | 0xf9 << 16, 0x310f, 0x080f, 0x330f,
				   0x090f };
	u32 op = ops[start_cpl == 3 && number < 2 ? below(6) : 3];

	/* Time stamps only where they fault. */
	if ((op == 0x310f || op >> 16) && !(start_cpl == 3 && number < 2 && (w_cr4 & 4)))
		op = 0x080f;
	if (op == 0x330f || (op == 0xf4 && number >= 2))
		op = 0x080f;
	bytes(op, op >> 16 ? 3 : op > 255 ? 2 : 1);
}

static void instruction(void)
{
	u8 *start = at;
	unsigned noted = repeated_count;

	wrapped = one_in(20) && kind != KIND_FLAT; /* low memory is the firmware's */
	if (wrapped)
		byte(0x67);
	switch (below(32)) {
	case 0 ... 7:
		arithmetic();
		break;
	case 8:
		bit_test();
		break;
	case 9:
		divide();
		break;
	case 10:
	case 11:
		string();
		break;
	case 12 ... 14:
		stack();
		break;
	case 15 ... 17:
		far_transfer();
		break;
	case 18:
	case 19:
		interrupts();
		break;
	case 20:
		fast_call();
		break;
	case 21 ... 23:
		segments();
		break;
	case 24:
		control();
		break;
	case 25:
		machine_registers();
		break;
	case 26:
		tables();
		break;
	case 27:
		ports();
		break;
	case 28:
	case 29:
		vector();
		break;
	case 30:
		x87();
		break;
	default:
		privileged();
	}
	wrapped = false;
	if (at >= limit) {
		at = start;
		repeated_count = noted;
	}
}

static void fill(unsigned n)
{
	struct fragment *f = &fragment[n];
	unsigned count = n == 0 ? 1 + below(8) : below(4);

	number = n;
	bits = f->bits;
	at = (u8 *)ARENA + f->offset;
	limit = at + 160;
	/* One that faults itself would only go round. */
	if (n == 4)
		count = 0;
	while (count--)
		instruction();
	limit += 32;
	/* A fragment of an inner ring goes back in one of the ways that there are. */
	if (n == 2 || n == 3) {
		switch (below(8)) {
		case 0:
			byte(0xcb);
			break;
		case 1:
			if (bits == 64)
				byte(0x48);
			byte(0xcb);
			break;
		case 2:
			sysret();
			break;
		case 3:
		case 4:
			if (bits == 64)
				byte(0x48);
			byte(0xcf);
			break;
		default:
			break;
		}
	}
	bytes(0x0b0f, 2); /* ud2 */
	f->size = (u32)(at - (u8 *)ARENA - f->offset);
}

void fill_fragments(void)
{
	repeated_count = 0;
	for (unsigned n = FRAGMENTS; n-- > 0;)
		fill(n);
}
