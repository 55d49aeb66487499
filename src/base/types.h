/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words that every file speaks: integer types, little-endian wire types, clean-up
 * attributes and a few compiler spellings. No behaviour that could fail lives here.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef u64 gpa_t;	/* guest-physical address, bytes */
typedef u64 gva_t;	/* guest-linear address, bytes */
typedef u32 vp_index_t; /* virtual processor, 0-based */

/* clang-format off */
/* Numbers in somebody else's memory or file: little-endian, never used as an integer. */
typedef struct { u16 raw; } __attribute__((packed)) le16;
typedef struct { u32 raw; } __attribute__((packed)) le32;
typedef struct { u64 raw; } __attribute__((packed)) le64;

static inline u16 le16_get(le16 v) { return le16toh(v.raw); }
static inline u32 le32_get(le32 v) { return le32toh(v.raw); }
static inline u64 le64_get(le64 v) { return le64toh(v.raw); }
static inline le16 le16_of(u16 v) { return (le16){ htole16(v) }; }
static inline le32 le32_of(u32 v) { return (le32){ htole32(v) }; }
static inline le64 le64_of(u64 v) { return (le64){ htole64(v) }; }
/* clang-format on */

#define PACKED __attribute__((packed))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define COLD __attribute__((cold))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1u << (n))
#define BIT64(n) (1ull << (n))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* The lock that a function needs held by its caller; documentation that grep finds. */
#define REQUIRES(lock)

/* Shared with the guest or with a peer: clang refuses to dereference such a pointer. */
#if defined(__clang__)
#define GUEST __attribute__((address_space(0), noderef))
#else
#define GUEST
#endif

/* Clean-up by scope: AUTO_FREE char *s = ...; AUTO_CLOSE int fd = -1; */
static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define AUTO_FREE __attribute__((cleanup(cleanup_free)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close)))

/* Ownership moves out of a variable that an AUTO_ attribute watches. */
static inline int take_fd(int *fd)
{
	int v = *fd;
	*fd = -1;
	return v;
}
#define take_ptr(p)                        \
	({                                 \
		__typeof__(p) *_pp = &(p); \
		__typeof__(p) _v = *_pp;   \
		*_pp = NULL;               \
		_v;                        \
	})

/* clang-format off */
static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 max_u64(u64 a, u64 b) { return a > b ? a : b; }
/* clang-format on */
