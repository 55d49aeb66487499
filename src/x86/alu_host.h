/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's own arithmetic as functions: the guest's instruction is executed by the same
 * instruction of the host, which also says what the flags are (undefined ones included). Flags
 * travel as LAHF and SETO %al leave them in AX: struct x86_cpu's `flags`.
 *
 *	host_OPn(a, b, &flags)		result returned, flags in and out
 *	host_OPn_at(p, b, &flags)	on memory, one read-modify-write
 *	host_lock_OPn_at(p, b, &flags)	the same with LOCK
 *
 * ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT, shifts and rotates. Used by the integer
 * handlers of src/x86.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "x86/cpu.h"

#define HOST_FLAGS_OUT "\n\tlahf\n\tseto %%al"
/* All six flags from AX: adding 127 to 1 overflows, SAHF leaves OF alone. */
#define HOST_FLAGS_IN "addb $127, %%al\n\tsahf\n\t"
#define HOST_CARRY_IN "btw $8, %%ax\n\t"

/* ---- two operands ---------------------------------------------------------------------------- */

#define HOST_BINARY(op, bits, s)                                                                   \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits a, u##bits b, u16 *flags)             \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__(#op s " %2, %0" HOST_FLAGS_OUT : "+r"(a), "=a"(f) : "r"(b) : "cc");        \
		*flags = f;                                                                        \
		return a;                                                                          \
	}                                                                                          \
	static ALWAYS_INLINE void host_##op##bits##_at(x86_u##bits *p, u##bits b, u16 *flags)      \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__ volatile(#op s " %2, %0" HOST_FLAGS_OUT                                    \
				 : "+m"(*p), "=a"(f) : "r"(b) : "cc", "memory");                   \
		*flags = f;                                                                        \
	}                                                                                          \
	static ALWAYS_INLINE void host_lock_##op##bits##_at(x86_u##bits *p, u##bits b, u16 *flags) \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__ volatile("lock " #op s " %2, %0" HOST_FLAGS_OUT                            \
				 : "+m"(*p), "=a"(f) : "r"(b) : "cc", "memory");                   \
		*flags = f;                                                                        \
	}

#define HOST_BINARY_CARRY(op, bits, s)                                                             \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits a, u##bits b, u16 *flags)             \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__(HOST_CARRY_IN #op s " %2, %0" HOST_FLAGS_OUT                               \
			: "+r"(a), "+a"(f) : "r"(b) : "cc");                                       \
		*flags = f;                                                                        \
		return a;                                                                          \
	}                                                                                          \
	static ALWAYS_INLINE void host_##op##bits##_at(x86_u##bits *p, u##bits b, u16 *flags)      \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__ volatile(HOST_CARRY_IN #op s " %2, %0" HOST_FLAGS_OUT                      \
				 : "+m"(*p), "+a"(f) : "r"(b) : "cc", "memory");                   \
		*flags = f;                                                                        \
	}                                                                                          \
	static ALWAYS_INLINE void host_lock_##op##bits##_at(x86_u##bits *p, u##bits b, u16 *flags) \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__ volatile(HOST_CARRY_IN "lock " #op s " %2, %0" HOST_FLAGS_OUT              \
				 : "+m"(*p), "+a"(f) : "r"(b) : "cc", "memory");                   \
		*flags = f;                                                                        \
	}

/* No result but the flags. */
#define HOST_COMPARE(op, bits, s)                                                                  \
	static ALWAYS_INLINE void host_##op##bits(u##bits a, u##bits b, u16 *flags)                \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__(#op s " %2, %1" HOST_FLAGS_OUT : "=a"(f) : "r"(a), "r"(b) : "cc");         \
		*flags = f;                                                                        \
	}

/* INC and DEC leave CF as it was; NEG does not, but loses nothing by it. */
#define HOST_UNARY(op, bits, s)                                                                    \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits a, u16 *flags)                        \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__(HOST_CARRY_IN #op s " %0" HOST_FLAGS_OUT : "+r"(a), "+a"(f) : : "cc");     \
		*flags = f;                                                                        \
		return a;                                                                          \
	}                                                                                          \
	static ALWAYS_INLINE void host_##op##bits##_at(x86_u##bits *p, u16 *flags)                 \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__ volatile(HOST_CARRY_IN #op s " %0" HOST_FLAGS_OUT                          \
				 : "+m"(*p), "+a"(f) : : "cc", "memory");                          \
		*flags = f;                                                                        \
	}                                                                                          \
	static ALWAYS_INLINE void host_lock_##op##bits##_at(x86_u##bits *p, u16 *flags)            \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__ volatile(HOST_CARRY_IN "lock " #op s " %0" HOST_FLAGS_OUT                  \
				 : "+m"(*p), "+a"(f) : : "cc", "memory");                          \
		*flags = f;                                                                        \
	}

#define HOST_NOT(bits, s)                                                                          \
	static ALWAYS_INLINE u##bits host_not##bits(u##bits a, u16 *flags)                         \
	{                                                                                          \
		return (u##bits)~a;                                                                \
	}                                                                                          \
	static ALWAYS_INLINE void host_not##bits##_at(x86_u##bits *p, u16 *flags)                  \
	{                                                                                          \
		__asm__ volatile("not" s " %0" : "+m"(*p) : : "memory");                           \
	}                                                                                          \
	static ALWAYS_INLINE void host_lock_not##bits##_at(x86_u##bits *p, u16 *flags)             \
	{                                                                                          \
		__asm__ volatile("lock not" s " %0" : "+m"(*p) : : "memory");                      \
	}

/* ---- shifts and rotates: by CL, flags that the count leaves alone stay ----------------------- */

#define HOST_SHIFT(op, bits, s)                                                                    \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits a, u8 count, u16 *flags)              \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__(HOST_FLAGS_IN #op s " %%cl, %0" HOST_FLAGS_OUT                             \
			: "+r"(a), "+a"(f) : "c"(count) : "cc");                                   \
		*flags = f;                                                                        \
		return a;                                                                          \
	}                                                                                          \
	static ALWAYS_INLINE void host_##op##bits##_at(x86_u##bits *p, u8 count, u16 *flags)       \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__ volatile(HOST_FLAGS_IN #op s " %%cl, %0" HOST_FLAGS_OUT                    \
				 : "+m"(*p), "+a"(f) : "c"(count) : "cc", "memory");               \
		*flags = f;                                                                        \
	}

#define HOST_DOUBLE_SHIFT(op, bits, s)                                                             \
	static ALWAYS_INLINE u##bits host_##op##bits(u##bits a, u##bits b, u8 count, u16 *flags)   \
	{                                                                                          \
		u16 f = *flags;                                                                    \
		__asm__(HOST_FLAGS_IN #op s " %%cl, %3, %0" HOST_FLAGS_OUT                         \
			: "+r"(a), "+a"(f) : "c"(count), "r"(b) : "cc");                           \
		*flags = f;                                                                        \
		return a;                                                                          \
	}

/* Counts that are not 0 after masking: every flag is new, none goes in. */
#define HOST_SHIFT_SOME(op, bits, s)                                                               \
	static ALWAYS_INLINE u##bits host_##op##bits##_some(u##bits a, u8 count, u16 *flags)       \
	{                                                                                          \
		u16 f;                                                                             \
		__asm__(#op s " %%cl, %0" HOST_FLAGS_OUT : "+r"(a), "=a"(f) : "c"(count) : "cc");  \
		*flags = f;                                                                        \
		return a;                                                                          \
	}

#define HOST_ALL(bits, s)                                                                          \
	HOST_BINARY(add, bits, s)                                                                  \
	HOST_BINARY(or, bits, s)                                                                   \
	HOST_BINARY_CARRY(adc, bits, s)                                                            \
	HOST_BINARY_CARRY(sbb, bits, s)                                                            \
	HOST_BINARY(and, bits, s)                                                                  \
	HOST_BINARY(sub, bits, s)                                                                  \
	HOST_BINARY(xor, bits, s)                                                                  \
	HOST_COMPARE(cmp, bits, s)                                                                 \
	HOST_COMPARE(test, bits, s)                                                                \
	HOST_UNARY(inc, bits, s)                                                                   \
	HOST_UNARY(dec, bits, s)                                                                   \
	HOST_UNARY(neg, bits, s)                                                                   \
	HOST_NOT(bits, s)                                                                          \
	HOST_SHIFT(rol, bits, s)                                                                   \
	HOST_SHIFT(ror, bits, s)                                                                   \
	HOST_SHIFT(rcl, bits, s)                                                                   \
	HOST_SHIFT(rcr, bits, s)                                                                   \
	HOST_SHIFT(shl, bits, s)                                                                   \
	HOST_SHIFT(shr, bits, s)                                                                   \
	HOST_SHIFT(sar, bits, s)                                                                   \
	HOST_SHIFT_SOME(shl, bits, s)                                                              \
	HOST_SHIFT_SOME(shr, bits, s)                                                              \
	HOST_SHIFT_SOME(sar, bits, s)

HOST_ALL(8, "b")
HOST_ALL(16, "w")
HOST_ALL(32, "l")
HOST_ALL(64, "q")
HOST_DOUBLE_SHIFT(shld, 16, "w")
HOST_DOUBLE_SHIFT(shld, 32, "l")
HOST_DOUBLE_SHIFT(shld, 64, "q")
HOST_DOUBLE_SHIFT(shrd, 16, "w")
HOST_DOUBLE_SHIFT(shrd, 32, "l")
HOST_DOUBLE_SHIFT(shrd, 64, "q")
