/* SPDX-License-Identifier: Apache-2.0 */
/* Random instructions on vector and x87 state; see code.c. */
#include "emit.h"

void vector(void)
{
	static const u32 sse[] = { 0x280f, 0x290f, 0x100f, 0x110f, 0x580f, 0x2b0f,
				   0x120f, 0x130f, 0x540f, 0x5e0f, 0x510f };
	static const u32 sse66[] = { 0x6f0f, 0x7f0f, 0xfe0f, 0xd60f, 0x7e0f,
				     0x6e0f, 0xe70f, 0x580f, 0x5e0f };

	if (avoids(AVOID_VECTOR_AC) && (w_cr0 & 1 << 18))
		return;
	switch (below(13)) {
	case 0:
	case 1:
		memory(0, false, PICK(sse), 2, below(8));
		break;
	case 2:
		memory(0x66, false, PICK(sse66), 2, below(8));
		break;
	case 3:
		memory(0xf3, false, one_in(2) ? 0x6f0f : 0x7f0f, 2, below(8));
		break;
	case 4: /* ldmxcsr, stmxcsr */
		if (one_in(2)) {
			memory(0, false, 0xae0f, 2, 3);
		} else {
			push_number(random64() & (one_in(3) ? 0xffffffff : 0xffbf), 4);
			if (bits == 64)
				bytes(0x2414ae0f, 4); /* (%rsp) */
			else
				memory(0, false, 0xae0f, 2, 2);
		}
		break;
	case 5: /* mmx */
		memory(0, false, one_in(2) ? 0x6f0f : 0x7f0f, 2, below(8));
		break;
	case 6:
		bytes(0x770f, 2); /* emms */
		break;
	case 7:
	case 8: { /* AVX: vmovups, vmovaps, vmovdqu, vaddps, vpaddd; 128 or 256 bits */
		static const u16 ops[] = { 0x1000, 0x1100, 0x2800, 0x2900, 0x5800,
					   0x6f01, 0x7f01, 0xfe01, 0x6f02, 0x7f02 };
		u16 op = PICK(ops);
		bool three = op >> 8 == 0x58 || op >> 8 == 0xfe;

		if (one_in(12))
			byte(0x66);
		memory(0xc5, false,
		       (0x80u | (three ? (15 - below(8)) << 3 : 0x78) | below(2) << 2 |
			(op & 3)) |
			       op,
		       2, below(8));
		break;
	}
	case 9: /* vzeroupper, vzeroall */
		byte(0xc5);
		byte(0xf8 | below(2) << 2);
		byte(0x77);
		break;
	case 10: /* vmaskmovps */
		if (bits == 16 && avoids(AVOID_MASKED))
			break;
		memory(0xc4, false,
		       0xe2 | (0x01u | (15 - below(8)) << 3 | below(2) << 2) << 8 |
			       (0x2c + 2 * below(2)) << 16,
		       3, below(8));
		break;
	case 11: /* xgetbv, xsetbv */
		set_register(CX, one_in(6) ? 2 : 0);
		set_register(AX, below(8));
		set_register(DX, 0);
		bytes(0xd0010f | below(2) << 16, 3);
		break;
	default: /* registers: addps, divps, sqrtpd, cvtps2dq */
		if (one_in(2))
			byte(0x66);
		byte(0x0f);
		byte(one_in(2) ? 0x58 : one_in(2) ? 0x5e : 0x5b);
		byte(0xc0 | below(64));
	}
}

/* op (%rsi), or with a displacement; an immediate may follow. */
static void at_si(u32 opcode, unsigned opcode_size, unsigned reg, u32 displacement)
{
	bytes(opcode, opcode_size);
	byte((displacement ? 0x80 : 0) | reg << 3 | (bits == 16 ? 4 : SI));
	if (displacement)
		bytes(displacement, bits == 16 ? 2 : 4);
}

/* An instruction with an operand of which the first and the last byte have been touched. */
void touched(bool written, bool aligned, u32 last, u32 opcode, unsigned reg)
{
	memory(0, bits == 64, 0x8d, 1, SI); /* lea */
	if (bits == 16 && avoids(AVOID_WRAPPED_PARTS))
		bytes(0x7fffe681, 4); /* and $0x7fff, %si */
	if (aligned) {
		if (bits == 64)
			byte(0x48);
		bytes(0xc0e683, 3); /* and $-64, %rsi */
	}
	at_si(0x80, 1, written ? 1 : 7, 0); /* orb or cmpb */
	byte(0);
	at_si(0x80, 1, written ? 1 : 7, last);
	byte(0);
	at_si(opcode, 2, reg, 0);
}

/* FXSAVE, FXRSTOR, XSAVE, XRSTOR. */
static void area(void)
{
	bool save = one_in(2);

	if (avoids(AVOID_VECTOR_AC) && (w_cr0 & 1 << 18))
		return;
	set_register(AX, save && avoids(AVOID_FX_AREA) ? below(2) : below(8));
	set_register(DX, 0);
	if (one_in(2) && !avoids(AVOID_FX_AREA))
		memory(0, false, 0xae0f, 2, save ? 0 : 1);
	else if (avoids(AVOID_XSAVE_FAULT))
		touched(save, one_in(2), 831, 0xae0f, save ? 4 : 5);
	else
		memory(0, false, 0xae0f, 2, save ? 4 : 5);
}

/* An operation on a number in memory: FADD, FLD, FILD ... FSTP, FISTP. */
static void x87_memory(void)
{
	unsigned op = 0xd8 + below(8), reg = below(4) == 3 ? 7 : 0;

	if (avoids(AVOID_X87_STORE) && reg == 7 && (op == 0xdb || op == 0xdf))
		touched(true, false, op == 0xdb ? 9 : 7, 0x9b | op << 8, reg);
	else
		memory(0, false, op, 1, reg);
}

void x87(void)
{
	if (!x87_case) {
		/* Behind x87 instructions their pointers would differ with the vendor. */
		area();
		return;
	}
	switch (below(8)) {
	case 0:
	case 1:
		x87_memory();
		break;
	case 2:
		byte(0xd9); /* fld st, fxch */
		byte((avoids(AVOID_X87_BOTH) ? 0xc8 : 0xc0 + 8 * below(2)) | below(8));
		break;
	case 3:
		byte(0xd8);
		byte(0xc0 | below(64));
		break;
	case 4:
		byte(0x9b); /* fwait */
		break;
	case 5:
		bytes(0xe0df, 2); /* fnstsw %ax */
		break;
	case 6: /* fldcw, fnstcw */
		memory(0, false, 0xd9, 1, one_in(2) ? 5 : 7);
		break;
	default:
		bytes(one_in(2) ? 0xe2db : 0xe3db, 2); /* fnclex, fninit */
	}
}
