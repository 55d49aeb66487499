/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits: BT BTS BTR BTC (LOCK too), BSF BSR LZCNT TZCNT POPCNT, BMI1 and BMI2 without the shifts,
 * ADCX ADOX, CRC32.
 *
 * A bit number in a register addresses a string of bits around the memory operand, in both
 * directions; one in an immediate stays within it. Intel SDM volume 2. VP's thread.
 */
#include "x86/integer.h"

/* Tables aligned by hand. */
/* clang-format off */

/* ---- BT, BTS, BTR, BTC ----------------------------------------------------------------------- */

static ALWAYS_INLINE void set_cf(struct x86_cpu *c, bool cf)
{
	c->ah = (u8)((c->ah & ~X86_CF) | cf);
}

enum { BT, BTS, BTR, BTC };

static ALWAYS_INLINE u64 change_bit(unsigned op, u64 v, u64 bit)
{
	return op == BTS ? v | bit : op == BTR ? v & ~bit : op == BTC ? v ^ bit : v;
}

/* The host's BTS and so on, atomic: on an operand of at least its width. */
#define LOCKED_BIT(op, bits, s)                                                                    \
	static ALWAYS_INLINE bool host_lock_##op##bits(x86_u##bits *p, u##bits n)                  \
	{                                                                                          \
		bool cf;                                                                           \
		__asm__ volatile("lock " #op s " %2, %0\n\tsetc %1"                                \
				 : "+m"(*p), "=q"(cf) : "r"(n) : "cc", "memory");                  \
		return cf;                                                                         \
	}

/* Where the bit is: the address of the unit of `bits` that holds it. */
#define BIT_ADDRESS(bits)                                                                          \
	static ALWAYS_INLINE s64 bit_unit##bits(const struct x86_cpu *c, const struct x86_insn *i) \
	{                                                                                          \
		return ((s##bits)c->r[i->reg] >> __builtin_ctz(bits)) * (bits / 8);                \
	}                                                                                          \
	static ALWAYS_INLINE gva_t bit_address##bits(struct x86_cpu *c, const struct x86_insn *i,  \
						     bool write)                                   \
	{                                                                                          \
		const s64 unit = bit_unit##bits(c, i);                                             \
                                                                                                   \
		if (UNLIKELY(i->flags & X86_INSN_SLOW_EA))                                         \
			return x86_ea_beside(c, i, unit, bits / 8, write);                         \
		return X86_EA_full(c, i) + (u64)unit;                                              \
	}
BIT_ADDRESS(16)
BIT_ADDRESS(32)
BIT_ADDRESS(64)

#define BIT_REGISTER(op, OP, bits)                                                                 \
	X86_HANDLER(op##bits##_rr)                                                                 \
	{                                                                                          \
		const u64 bit = 1ull << (c->r[i->reg] & (bits - 1));                               \
		const u##bits v = x86_get##bits(c, i->rm);                                         \
                                                                                                   \
		set_cf(c, v & bit);                                                                \
		if (OP != BT)                                                                      \
			x86_put##bits(c, i->rm, (u##bits)change_bit(OP, v, bit));                  \
		NEXT(c, i);                                                                        \
	}                                                                                          \
	X86_HANDLER(op##bits##_ri)                                                                 \
	{                                                                                          \
		const u##bits v = x86_get##bits(c, i->rm);                                         \
                                                                                                   \
		set_cf(c, v & i->imm);                                                             \
		if (OP != BT)                                                                      \
			x86_put##bits(c, i->rm, (u##bits)change_bit(OP, v, i->imm));               \
		NEXT(c, i);                                                                        \
	}

#define BIT_TEST(bits)                                                                             \
	BIT_REGISTER(bt, BT, bits)                                                                 \
	X86_LOAD_HANDLERS(bt##bits##_mi, bits, set_cf(c, v & i->imm))                              \
	X86_HANDLER(bt##bits##_mr)                                                                 \
	{                                                                                          \
		const u64 bit = 1ull << (c->r[i->reg] & (bits - 1));                               \
		const gva_t a = bit_address##bits(c, i, false);                                    \
                                                                                                   \
		set_cf(c, x86_load##bits(c, i, a) & bit);                                          \
		NEXT(c, i);                                                                        \
	}

#define BIT_CHANGE(op, OP, bits, s)                                                                \
	LOCKED_BIT(op, bits, s)                                                                    \
	BIT_REGISTER(op, OP, bits)                                                                 \
	X86_MODIFY_HANDLERS(op##bits##_mi, bits,                                                   \
			    set_cf(c, *p & i->imm);                                                \
			    *p = (u##bits)change_bit(OP, *p, i->imm))                              \
	X86_ATOMIC_HANDLERS(op##bits##_lock_mi, bits,                                              \
			    set_cf(c, host_lock_##op##bits(p, (u##bits)__builtin_ctzll(i->imm))))  \
	/* Any register form in memory; atomic or not. */                                          \
	X86_HANDLER(op##bits##_mr)                                                                 \
	{                                                                                          \
		const u##bits n = (u##bits)(c->r[i->reg] & (bits - 1));                            \
		const gva_t a = bit_address##bits(c, i, true);                                     \
		x86_u##bits *p = x86_pointer_for_write(c, i, a, bits / 8);                         \
                                                                                                   \
		if (p && (i->flags & X86_INSN_LOCK)) {                                             \
			set_cf(c, host_lock_##op##bits(p, n));                                     \
			x86_code_check(c, a, bits / 8);                                            \
		} else if (p) {                                                                    \
			set_cf(c, *p >> n & 1);                                                    \
			*p = (u##bits)change_bit(OP, *p, 1ull << n);                               \
			x86_code_check(c, a, bits / 8);                                            \
		} else {                                                                           \
			const u64 v = x86_split_begin(c, i, a, bits / 8, NULL);                    \
                                                                                                   \
			set_cf(c, v >> n & 1);                                                     \
			x86_split_end(c, i, a, bits / 8, change_bit(OP, v, 1ull << n), NULL);      \
		}                                                                                  \
		NEXT(c, i);                                                                        \
	}

BIT_TEST(16)
BIT_TEST(32)
BIT_TEST(64)
BIT_CHANGE(bts, BTS, 16, "w")
BIT_CHANGE(bts, BTS, 32, "l")
BIT_CHANGE(bts, BTS, 64, "q")
BIT_CHANGE(btr, BTR, 16, "w")
BIT_CHANGE(btr, BTR, 32, "l")
BIT_CHANGE(btr, BTR, 64, "q")
BIT_CHANGE(btc, BTC, 16, "w")
BIT_CHANGE(btc, BTC, 32, "l")
BIT_CHANGE(btc, BTC, 64, "q")

static const struct bit_forms {
	x86_fn rr, ri, mr;
	const x86_fn *mi, *lock_mi;
} bit_forms[4][4] = {
#define TEST_AT(bits) { bt##bits##_rr, bt##bits##_ri, bt##bits##_mr, bt##bits##_mi, NULL }
#define CHANGE_AT(op, bits) \
	{ op##bits##_rr, op##bits##_ri, op##bits##_mr, op##bits##_mi, op##bits##_lock_mi }
#define CHANGE_ROW(op) { { NULL }, CHANGE_AT(op, 16), CHANGE_AT(op, 32), CHANGE_AT(op, 64) }
	[BT] = { { NULL }, TEST_AT(16), TEST_AT(32), TEST_AT(64) },
	[BTS] = CHANGE_ROW(bts),
	[BTR] = CHANGE_ROW(btr),
	[BTC] = CHANGE_ROW(btc),
};

static bool choose_bit(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	const unsigned bits = d->op[0].size;
	const struct bit_forms *f = &bit_forms[op][x86_width_index(bits)];

	if (x86_decode_is_imm(d, 1)) {
		i->imm = 1ull << (d->op[1].imm.value.u & (bits - 1));
		if (x86_decode_is_memory(d, 0))
			return x86_choose_memory(d, 0, i, x86_is_locked(d) ? f->lock_mi : f->mi);
		i->rm = x86_choose_reg(&d->op[0]);
		return x86_choose_fn(i, f->ri);
	}
	i->reg = x86_choose_reg(&d->op[1]);
	if (x86_decode_is_memory(d, 0)) {
		x86_decode_memory(d, &d->op[0], i);
		return x86_choose_fn(i, f->mr);
	}
	i->rm = x86_choose_reg(&d->op[0]);
	return x86_choose_fn(i, f->rr);
}

/* ---- BSF BSR LZCNT TZCNT POPCNT, BLSI BLSMSK BLSR ---------------------------------------------
 * The host's instruction with the guest's flags and destination: BSF of 0 leaves the latter. 32-bit
 * forms work on whole registers, so that the upper half is what the host makes of it.
 */
#define SCAN(op, bits, s, k)                                                                       \
	static ALWAYS_INLINE u64 host_##op##bits(u64 to, u64 v, u16 *flags)                        \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__("addb $127, %%al\n\tsahf\n\t" #op s " %" k "2, %" k "0\n\tlahf\n\tseto %%al" \
			: "+r"(to), "+a"(f) : "r"(v) : "cc");                                      \
		*flags = f;                                                                        \
		return to;                                                                         \
	}                                                                                          \
	X86_SOURCE_HANDLERS(op##bits, bits,                                                        \
			    c->r[i->reg] = host_##op##bits(c->r[i->reg], v, &c->flags))
SCAN(bsf, 16, "w", "w")
SCAN(bsf, 32, "l", "k")
SCAN(bsf, 64, "q", "q")
SCAN(bsr, 16, "w", "w")
SCAN(bsr, 32, "l", "k")
SCAN(bsr, 64, "q", "q")
SCAN(lzcnt, 16, "w", "w")
SCAN(lzcnt, 32, "l", "k")
SCAN(lzcnt, 64, "q", "q")
SCAN(tzcnt, 16, "w", "w")
SCAN(tzcnt, 32, "l", "k")
SCAN(tzcnt, 64, "q", "q")
SCAN(popcnt, 16, "w", "w")
SCAN(popcnt, 32, "l", "k")
SCAN(popcnt, 64, "q", "q")
SCAN(blsi, 32, "l", "k")
SCAN(blsi, 64, "q", "q")
SCAN(blsmsk, 32, "l", "k")
SCAN(blsmsk, 64, "q", "q")
SCAN(blsr, 32, "l", "k")
SCAN(blsr, 64, "q", "q")

enum { BSF, BSR, LZCNT, TZCNT, POPCNT, BLSI, BLSMSK, BLSR };

#define SCAN_ROW(op) { { NULL }, X86_SOURCE(op##16), X86_SOURCE(op##32), X86_SOURCE(op##64) }
#define WIDE_ROW(op) { { NULL }, { NULL }, X86_SOURCE(op##32), X86_SOURCE(op##64) }
static const struct x86_source_fns scans[][4] = {
	[BSF] = SCAN_ROW(bsf),
	[BSR] = SCAN_ROW(bsr),
	[LZCNT] = SCAN_ROW(lzcnt),
	[TZCNT] = SCAN_ROW(tzcnt),
	[POPCNT] = SCAN_ROW(popcnt),
	[BLSI] = WIDE_ROW(blsi),
	[BLSMSK] = WIDE_ROW(blsmsk),
	[BLSR] = WIDE_ROW(blsr),
};

static bool choose_scan(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	if (op >= BLSI && (!x86_allows_vex(d) || !__builtin_cpu_supports("bmi")))
		return false;
	if (op == POPCNT && !__builtin_cpu_supports("popcnt"))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_source(d, 1, i, &scans[op][x86_width_index(d->op[0].size)]);
}

/* ---- BMI with three operands: reg = f(extra, v) or f(v, extra) -------------------------------- */

/* ANDN: ~extra & v. BEXTR, BZHI: v is what is cut, extra is the control. */
#define THREE(op, bits, s, first, second)                                                          \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits v, u##bits other, u16 *flags)         \
	{                                                                                          \
		u##bits to;                                                                        \
		u16 f = *flags;                                                                    \
		__asm__("addb $127, %%al\n\tsahf\n\t" #op s " %" first ", %" second                \
			", %0\n\tlahf\n\tseto %%al"                                                \
			: "=&r"(to), "+a"(f) : "r"(v), "r"(other) : "cc");                         \
		*flags = f;                                                                        \
		return to;                                                                         \
	}                                                                                          \
	X86_SOURCE_HANDLERS(op##bits, bits,                                                        \
			    x86_put##bits(c, i->reg,                                               \
					  host_##op##bits(v, x86_get##bits(c, i->extra), &c->flags)))
/* AT&T order: last source first. */
THREE(andn, 32, "l", "2", "3")
THREE(andn, 64, "q", "2", "3")
THREE(bextr, 32, "l", "3", "2")
THREE(bextr, 64, "q", "3", "2")
THREE(bzhi, 32, "l", "3", "2")
THREE(bzhi, 64, "q", "3", "2")
THREE(pdep, 32, "l", "2", "3")
THREE(pdep, 64, "q", "2", "3")
THREE(pext, 32, "l", "2", "3")
THREE(pext, 64, "q", "2", "3")

enum { ANDN, BEXTR, BZHI, PDEP, PEXT };

#define THREE_ROW(op) { X86_SOURCE(op##32), X86_SOURCE(op##64) }
static const struct x86_source_fns threes[][2] = {
	[ANDN] = THREE_ROW(andn),
	[BEXTR] = THREE_ROW(bextr),
	[BZHI] = THREE_ROW(bzhi),
	[PDEP] = THREE_ROW(pdep),
	[PEXT] = THREE_ROW(pext),
};

static bool choose_three(const struct x86_decoded *d, struct x86_insn *i, unsigned op)
{
	/* The operand that is always a register stands before or behind the one that may be memory. */
	const unsigned source = op == BEXTR || op == BZHI ? 1 : 2;

	if (!x86_allows_vex(d))
		return false;
	if (op <= BEXTR ? !__builtin_cpu_supports("bmi") : !__builtin_cpu_supports("bmi2"))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	i->extra = x86_choose_reg(&d->op[3 - source]);
	return x86_choose_source(d, source, i, &threes[op][d->op[0].size == 64]);
}

/* ---- ADCX, ADOX: each its own carry ---------------------------------------------------------- */

#define ADD_CARRY(bits)                                                                            \
	static ALWAYS_INLINE bool add_carry##bits(struct x86_cpu *c, const struct x86_insn *i,     \
						  u##bits v, bool carry)                           \
	{                                                                                          \
		u##bits sum;                                                                       \
		bool out = __builtin_add_overflow(x86_get##bits(c, i->reg), v, &sum);              \
                                                                                                   \
		out |= __builtin_add_overflow(sum, (u##bits)carry, &sum);                          \
		x86_put##bits(c, i->reg, sum);                                                     \
		return out;                                                                        \
	}                                                                                          \
	X86_SOURCE_HANDLERS(adcx##bits, bits, set_cf(c, add_carry##bits(c, i, v, c->ah & X86_CF))) \
	X86_SOURCE_HANDLERS(adox##bits, bits, c->of = add_carry##bits(c, i, v, c->of))
ADD_CARRY(32)
ADD_CARRY(64)

static bool choose_add_carry(const struct x86_decoded *d, struct x86_insn *i, bool overflow)
{
	static const struct x86_source_fns fns[2][2] = {
		{ X86_SOURCE(adcx32), X86_SOURCE(adcx64) },
		{ X86_SOURCE(adox32), X86_SOURCE(adox64) },
	};

	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_source(d, 1, i, &fns[overflow][d->op[0].size == 64]);
}

/* ---- CRC32: the result is 32 bits in either width of the destination -------------------------- */

#define CRC32(bits, s)                                                                             \
	static ALWAYS_INLINE u32 host_crc##bits(u32 crc, u##bits v)                                \
	{                                                                                          \
		u64 to = crc;                                                                      \
		if (bits == 64)                                                                    \
			__asm__("crc32" s " %1, %0" : "+r"(to) : "r"(v));                          \
		else                                                                               \
			__asm__("crc32" s " %1, %k0" : "+r"(to) : "r"(v));                         \
		return (u32)to;                                                                    \
	}                                                                                          \
	X86_SOURCE_HANDLERS(crc##bits, bits,                                                       \
			    x86_put32(c, i->reg, host_crc##bits(x86_get32(c, i->reg), v)))
CRC32(8, "b")
CRC32(16, "w")
CRC32(32, "l")
CRC32(64, "q")

static bool choose_crc(const struct x86_decoded *d, struct x86_insn *i)
{
	static const struct x86_source_fns fns[4] = {
		X86_SOURCE(crc8), X86_SOURCE(crc16), X86_SOURCE(crc32), X86_SOURCE(crc64)
	};

	if (!__builtin_cpu_supports("sse4.2"))
		return false;
	i->reg = x86_choose_reg(&d->op[0]);
	return x86_choose_source(d, 1, i, &fns[x86_width_index(d->op[1].size)]);
}

bool x86_choose_bits(const struct x86_decoded *d, struct x86_insn *i)
{
	switch (d->insn.mnemonic) {
	case ZYDIS_MNEMONIC_BT: return choose_bit(d, i, BT);
	case ZYDIS_MNEMONIC_BTS: return choose_bit(d, i, BTS);
	case ZYDIS_MNEMONIC_BTR: return choose_bit(d, i, BTR);
	case ZYDIS_MNEMONIC_BTC: return choose_bit(d, i, BTC);
	case ZYDIS_MNEMONIC_BSF: return choose_scan(d, i, BSF);
	case ZYDIS_MNEMONIC_BSR: return choose_scan(d, i, BSR);
	case ZYDIS_MNEMONIC_LZCNT: return choose_scan(d, i, LZCNT);
	case ZYDIS_MNEMONIC_TZCNT: return choose_scan(d, i, TZCNT);
	case ZYDIS_MNEMONIC_POPCNT: return choose_scan(d, i, POPCNT);
	case ZYDIS_MNEMONIC_BLSI: return choose_scan(d, i, BLSI);
	case ZYDIS_MNEMONIC_BLSMSK: return choose_scan(d, i, BLSMSK);
	case ZYDIS_MNEMONIC_BLSR: return choose_scan(d, i, BLSR);
	case ZYDIS_MNEMONIC_ANDN: return choose_three(d, i, ANDN);
	case ZYDIS_MNEMONIC_BEXTR: return choose_three(d, i, BEXTR);
	case ZYDIS_MNEMONIC_BZHI: return choose_three(d, i, BZHI);
	case ZYDIS_MNEMONIC_PDEP: return choose_three(d, i, PDEP);
	case ZYDIS_MNEMONIC_PEXT: return choose_three(d, i, PEXT);
	case ZYDIS_MNEMONIC_ADCX: return choose_add_carry(d, i, false);
	case ZYDIS_MNEMONIC_ADOX: return choose_add_carry(d, i, true);
	case ZYDIS_MNEMONIC_CRC32: return choose_crc(d, i);
	default: return false;
	}
}
