/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded code and how it stays true to memory.
 *
 * Each VP has a cache of its own (struct x86_cache, no locks). What the VPs share is struct
 * x86_vm: which pages of RAM hold decoded code (the code map, a byte a page, which the worker
 * and the store path look at), and inside such a page which 64-byte lines.
 *
 * Who may write what
 *	Decoding:	lock; lines |= those to be read, code[page] = 1; unlock; full barrier against all
 *			that store; only now the bytes are read.
 *	A store:	the data; then code[page] is read. Not 0: x86_code_written(): lock; if the lines
 *			touched hold no code, done; else post "drop this page" to every other VP, drop
 *			own blocks, lines = 0, code[page] = 0; unlock.
 *	So of a store and a decoding at the same time, either the store sees the mark or the decoding sees the
 *	data. The barrier of the side that is rare (decoding) is membarrier(2), so that the store
 *	needs none.
 *	A page starts with all lines marked: no barrier for further blocks in it. After its first hit it
 *	is `mixed`: only lines that are decoded get marked, each with a barrier of its own, so that data
 *	beside code costs little.
 *
 * Dropping a block turns all its records into exits and takes it out of the tables. Its memory stays
 * until the cache is flushed whole, between blocks, so that a VP may drop the very block that it
 * executes: the next record then leaves, with RIP right, and what follows is decoded anew.
 */
#pragma once

#include <pthread.h>

#include "x86/cpu.h"

#define X86_VPS_MAX 64
#define X86_DROP_QUEUE 32
#define X86_DROP_PAGES 32

/* What others ask a VP to drop; lock of the VM. */
struct x86_drop {
	u64 page[X86_DROP_QUEUE];
	unsigned count;
	bool all_code;	   /* queue overflow */
	bool write_rights; /* all write tags */
	bool translations; /* all of them */
	gva_t gva[X86_DROP_PAGES];
	unsigned gva_count; /* translations of these pages */
	_Atomic u64 asked;  /* requests posted so far */
	_Atomic u64 done;   /* the value of asked that was handled last */
};

struct x86_vm {
	_Atomic u8 *code_map; /* a byte a RAM page */
	u64 ram_pages;
	_Atomic u64 *lines; /* a word a RAM page: 64-byte lines that hold code */
	_Atomic u8 *mixed;  /* a byte a RAM page: had a hit before */
	/* A byte for 512 RAM pages: code was decoded from one of them since the VM began. */
	_Atomic u8 *any_code;
	pthread_mutex_t code_lock;
	pthread_mutex_t split_lock; /* LOCK on what no host instruction can do at once */
	unsigned cpu_count;	    /* those made so far */
	struct x86_cpu *cpu[X86_VPS_MAX];
	struct x86_drop drop[X86_VPS_MAX];
	_Atomic u32
		acknowledged; /* futex: counts up when a VP handled requests or went away */
	_Atomic u32 waiters; /* threads that wait for that */
};

/* code_map stays the caller's. 0 or negative errno. */
int x86_vm_init(struct x86_vm *vm, _Atomic u8 *code_map, u64 ram_pages) MUST_CHECK;
void x86_vm_done(struct x86_vm *vm);

/* On the loop thread, before the VP runs. 0 or -ENOMEM. */
int x86_cache_new(struct x86_cpu *c) MUST_CHECK;
void x86_cache_free(struct x86_cpu *c);

/*
 * The block at c->rip in the present mode, decoded if need be. Raises (i = NULL) what fetching
 * raises. Only between blocks: may flush the cache. *ret_kept: it is tracked, and holds for this RIP as
 * long as the translations of its pages do: the jump cache may have it.
 */
struct x86_block *x86_block_find(struct x86_cpu *c, bool *ret_kept);

/* A block that is decoded already, tracked, and lies in one page; else NULL. */
struct x86_block *x86_block_lookup(struct x86_cpu *c, gpa_t gpa, u32 mode);

/* A record of bytes that are no instruction: it raises #UD or #GP. */
bool x86_record_refused(const struct x86_insn *i);

/* Everything this VP has decoded; between blocks only. */
void x86_cache_flush(struct x86_cpu *c);

/* The same, and the memory goes back to the host. */
void x86_cache_give_back(struct x86_cpu *c);

/* Handle what others posted (X86_ATTN_DROP); the VP's thread, anywhere outside of x86_block_find. */
void x86_drop_handle(struct x86_cpu *c);

/* Post to one VP. REQUIRES(vm->code_lock). */
void x86_drop_post_page(struct x86_vm *vm, unsigned cpu, u64 ram_page);
void x86_drop_post_write_rights(struct x86_vm *vm, unsigned cpu);

/* Translations of these pages in every address space; count 0 = of all. */
void x86_drop_post_translations(struct x86_vm *vm, unsigned cpu, const gva_t *pages,
				unsigned count);

/* Something that a waiter for drops looks at has changed. */
void x86_drop_wake(struct x86_vm *vm);

/*
 * For the store paths: `code` is the page's byte in the code map (it was seen not to be 0), offset
 * where in the page was written.
 */
void x86_code_hit(struct x86_cpu *c, const _Atomic u8 *code, unsigned offset,
		  unsigned size);

/* The same for a store that looked at any_code alone: where in the 2 MiB is not known. */
bool x86_is_any_code(const struct x86_vm *vm, const _Atomic u8 *byte);
void x86_large_written(struct x86_cpu *c, const _Atomic u8 *any_code);

/* What dropped records do: leave, to be looked up again. */
void x86_dead_record(struct x86_cpu *c, const struct x86_insn *i);
