/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks on the host's processor. A child process has the memory of blocks.h and nothing else near
 * it. Registers are set and read through signal frames: each block ends in an exception, whose
 * handler notes how it ended, puts the next block's registers into the frame and returns. So a
 * block costs one signal. The handler's own stack is aside. See blocks.h.
 *
 * While blocks run, the child calls nothing of the C library but memcpy.
 */
#include "blocks.h"

#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"

struct native {
	struct batch *b;
	int fd;
	pid_t child;
	int to_child, from_child;
};

/* ---- the child --------------------------------------------------------------------------------------- */

static struct batch *batch;
static bool idle = true; /* the next signal is the main loop's */
static greg_t idle_registers[NGREG];
static u8 idle_state[16384] __attribute__((aligned(64)));
static u8 signal_stack[65536] __attribute__((aligned(64)));

static const int register_of[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,	REG_R9,	 REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15 };

static size_t state_size(const u8 *state)
{
	u32 size;

	memcpy(&size, state + 464 + 4, 4); /* sw_reserved.extended_size */
	return size < sizeof(idle_state) ? size : sizeof(idle_state);
}

static void note(const mcontext_t *m, struct outcome *o)
{
	const u8 *state = (const u8 *)m->fpregs;
	struct block_state *s = &o->out;
	u64 bv;

	for (unsigned n = 0; n < 16; n++)
		s->gpr[n] = (u64)m->gregs[register_of[n]];
	s->rip = (u64)m->gregs[REG_RIP];
	s->flags = (u64)m->gregs[REG_EFL];
	o->vector = (int)m->gregs[REG_TRAPNO];
	o->error_code = (u32)m->gregs[REG_ERR];
	o->address = (u64)m->gregs[REG_CR2];

	memcpy(&s->fcw, state, 2);
	memcpy(&s->fsw, state + 2, 2);
	s->ftw = state[4];
	memcpy(&s->fop, state + 6, 2);
	memcpy(&s->fip, state + 8, 8);
	memcpy(&s->fdp, state + 16, 8);
	memcpy(&s->mxcsr, state + 24, 4);
	memcpy(s->st, state + 32, 128);
	memcpy(&bv, state + 512, 8);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(s->ymm[n], state + 160 + 16 * n, 16);
		if (bv & 4)
			memcpy(s->ymm[n] + 16, state + 576 + 16 * n, 16);
		else
			memset(s->ymm[n] + 16, 0, 16);
	}
	memcpy(o->window, (const void *)WINDOW_BASE, WINDOW_SIZE);
}

static void load(mcontext_t *m, const struct block_state *s)
{
	u8 *state = (u8 *)m->fpregs;
	u64 bv;

	for (unsigned n = 0; n < 16; n++)
		m->gregs[register_of[n]] = (greg_t)s->gpr[n];
	m->gregs[REG_RIP] = (greg_t)s->rip;
	m->gregs[REG_EFL] = (greg_t)s->flags;
	memset(state, 0, 24);
	memcpy(state, &s->fcw, 2);
	memcpy(state + 2, &s->fsw, 2);
	state[4] = s->ftw;
	memcpy(state + 24, &s->mxcsr, 4);
	memcpy(state + 32, s->st, 128);
	memcpy(&bv, state + 512, 8);
	bv |= 7;
	memcpy(state + 512, &bv, 8);
	for (unsigned n = 0; n < 16; n++) {
		memcpy(state + 160 + 16 * n, s->ymm[n], 16);
		memcpy(state + 576 + 16 * n, s->ymm[n] + 16, 16);
	}
	memcpy((void *)WINDOW_BASE, batch->window, WINDOW_SIZE);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

	if (idle) {
		memcpy(idle_registers, m->gregs, sizeof(idle_registers));
		memcpy(idle_state, m->fpregs, state_size((const u8 *)m->fpregs));
		idle = false;
	} else {
		note(m, &batch->native[batch->current]);
		batch->current++;
	}
	if (batch->current < batch->count) {
		load(m, &batch->blocks[batch->current].in);
		return;
	}
	memcpy(m->gregs, idle_registers, sizeof(idle_registers));
	memcpy(m->fpregs, idle_state, state_size(idle_state));
	idle = true;
}

/* Nothing to do: that the kernel saved and restored the registers is what it is for. */
static void on_disturbance(int number) {}

static void disturb(unsigned microseconds)
{
	struct itimerval interval = { { 0, microseconds }, { 0, microseconds } };
	struct sigaction action = { .sa_handler = on_disturbance,
				    .sa_flags = SA_ONSTACK | SA_RESTART };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &interval, NULL);
}

static void map_at(u64 address, size_t size, int protection, int fd, off_t offset)
{
	int flags = MAP_FIXED_NOREPLACE | MAP_POPULATE |
		    (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	if (mmap((void *)address, size, protection, flags, fd, offset) != (void *)address)
		_exit(3);
}

static NORETURN void child_main(struct batch *b, int fd, int in, int out)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	const struct rlimit none = { 0, 0 };
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A child that replaces a lost one is forked when the translator has used GS. */
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
	setrlimit(RLIMIT_CORE, &none);
	batch = b;
	map_at(CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, fd,
	       offsetof(struct batch, code));
	map_at(WINDOW_BASE, WINDOW_SIZE, PROT_READ | PROT_WRITE, -1, 0);
	map_at(READ_ONLY_BASE, 4096, PROT_READ, fd, offsetof(struct batch, read_only));
	if (sigaltstack(&stack, NULL) < 0)
		_exit(3);
	for (unsigned k = 0; k < ARRAY_COUNT(signals); k++)
		sigaction(signals[k], &action, NULL);

	char byte;

	while (read(in, &byte, 1) == 1) {
		disturb(b->disturb);
		__asm__ volatile("int3" ::: "memory");
		if (write(out, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* ---- the parent --------------------------------------------------------------------------------------- */

static int start_child(struct native *n)
{
	int down[2], up[2];

	if (pipe2(down, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(up, O_CLOEXEC) < 0) {
		int r = -errno;

		close(down[0]);
		close(down[1]);
		return r;
	}
	n->child = fork();
	if (n->child == 0) {
		close(down[1]);
		close(up[0]);
		child_main(n->b, n->fd, down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	n->to_child = down[1];
	n->from_child = up[0];
	return n->child < 0 ? -errno : 0;
}

static void end_child(struct native *n)
{
	if (n->child > 0) {
		kill(n->child, SIGKILL);
		waitpid(n->child, NULL, 0);
	}
	n->child = 0;
	close(n->to_child);
	close(n->from_child);
}

int native_open(struct native **ret_native, struct batch **ret_batch)
{
	struct native *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->fd = memfd_create("blocks", MFD_CLOEXEC);
	if (n->fd < 0 || ftruncate(n->fd, sizeof(struct batch)) < 0)
		return -errno;
	n->b = mmap(NULL, sizeof(struct batch), PROT_READ | PROT_WRITE, MAP_SHARED, n->fd,
		    0);
	if (n->b == MAP_FAILED)
		return -errno;
	int r = start_child(n);

	if (r < 0)
		return r;
	*ret_native = n;
	*ret_batch = n->b;
	return 0;
}

void native_begin(struct native *n, unsigned first)
{
	char byte = 0;

	n->b->current = first;
	if (n->child == 0 && start_child(n) < 0)
		abort();
	if (write(n->to_child, &byte, 1) != 1)
		abort();
}

bool native_finish(struct native *n)
{
	struct pollfd p = { .fd = n->from_child, .events = POLLIN };
	const u64 limit = host_clock.monotonic_ns(&host_clock) + 10 * NS_PER_SEC;
	char byte;
	int ready;

	/*
	 * The interpreter's alarm comes all the time. A block that goes on for ever is none of the
	 * processor's: one that changes its own return address may never end.
	 */
	do
		ready = poll(&p, 1, 1000);
	while (ready <= 0 && host_clock.monotonic_ns(&host_clock) < limit);
	if (ready == 1 && read(n->from_child, &byte, 1) == 1)
		return true;
	end_child(n);
	n->b->native[n->b->current].vector = NATIVE_LOST;
	return false;
}

void native_close(struct native *n)
{
	end_child(n);
	munmap(n->b, sizeof(struct batch));
	close(n->fd);
	free(n);
}
