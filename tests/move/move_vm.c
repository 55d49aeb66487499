/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move-vm - boot a Linux guest on one engine and let it go on under others, in the middle of what
 * it does.
 *
 *	move-vm --hv PROGRAM --engines E,E... --at TEXT [--every N] --kernel FILE --initrd FILE
 *		[--append LINE] [--memory MIB] [--cpus N]
 *
 * The first engine boots. Each time the console has shown N more lines with TEXT in them, the VM is
 * stopped where it is, all of hv's blocks are taken, that tabique-hv ends, one with the next
 * engine is started on the same memory, gets the blocks and runs. Standard input and output are the
 * guest's console. Exit: 0 when the guest powered off after all moves, 1 else; the last line on
 * standard error counts the moves.
 *
 * It plays the owner and the worker, with the product's own parts of the worker. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/ipc.h"
#include "base/loop.h"
#include "machine/blocks.h"
#include "machine/direct.h"
#include "move/hv_process.h"
#include "wall/guest_memory.h"
#include "wall/worker_config.h"
#include "wall/worker_end.h"

#define ENGINES_MAX 64

struct vm {
	struct hv_order order;
	enum hv_engine engine[ENGINES_MAX];
	unsigned engine_count, at; /* at = which of them runs */
	const char *text;
	unsigned every, seen;

	struct worker_config config;
	int kernel, initrd;
	struct hv_memory memory;

	/* of the hv that runs */
	struct hv_process hv;
	struct guest_memory *gm;
	struct worker_end *end;
	struct loop *loop; /* of the worker's parts: has nothing to do here */
	struct direct *machine;

	char line[1024]; /* of the console, so far */
	size_t line_size;
	bool move_now, input_ended;
};

static const char *const engine_names[] = {
	[HV_ENGINE_SOFT] = "soft",
	[HV_ENGINE_INTERP] = "interp",
	[HV_ENGINE_KVM] = "kvm",
};

/* ---- the worker's parts, for one hv ------------------------------------------------------------ */

static int worker_start(struct vm *vm, struct err *err)
{
	const struct worker_end_config end = {
		.control = vm->hv.control,
		.vp_count = vm->order.vp_count,
		.verbs = vm->hv.verbs,
		.access_event = vm->hv.access_event,
		.hv_event = vm->hv.hv_event,
	};
	int r = gm_open(vm->memory.ram, vm->memory.ram_size, vm->memory.dirty,
			vm->hv.code, vm->hv.control, vm->hv.hv_event, &vm->gm);

	if (r == 0)
		r = worker_end_open(&end, &vm->end);
	if (r == 0)
		r = loop_new(&vm->loop);
	if (r < 0)
		return err_set(err, r, "worker: %s", err_words(r));
	const struct direct_parts parts = {
		.config = &vm->config,
		.gm = vm->gm,
		.end = vm->end,
		.loop = vm->loop,
		.rom = vm->memory.rom_bytes,
		.kernel_fd = vm->kernel,
		.module_fd = &vm->initrd,
	};
	return direct_new(&parts, &vm->machine, err);
}

static void worker_done(struct vm *vm)
{
	direct_free(vm->machine);
	loop_free(vm->loop);
	worker_end_close(vm->end);
	gm_close(vm->gm);
}

static int start_hv(struct vm *vm, struct err *err)
{
	int r;

	vm->order.engine = vm->engine[vm->at];
	r = hv_process_start(&vm->order, &vm->memory, &vm->hv, err);
	return r < 0 ? r : worker_start(vm, err);
}

static int boot(struct vm *vm, struct err *err)
{
	int r = hv_memory_new(vm->config.ram_size, &vm->memory, err);

	if (r < 0)
		return r;
	vm->config.rom_size = vm->memory.rom_size;
	vm->config.vram_size = vm->memory.vram_size;
	r = start_hv(vm, err);
	if (r == 0)
		r = direct_load(vm->machine, err);
	if (r == 0)
		r = direct_power_on(vm->machine, err);
	return r;
}

/* ---- the console ------------------------------------------------------------------------------- */

static void on_line(struct vm *vm)
{
	vm->line[vm->line_size] = '\0';
	vm->line_size = 0;
	if (!strstr(vm->line, vm->text) || vm->at + 1 == vm->engine_count)
		return;
	if (++vm->seen == vm->every) {
		vm->seen = 0;
		vm->move_now = true;
	}
}

/* What is there now; false: nothing. */
static bool read_console(struct vm *vm)
{
	char bytes[4096];
	ssize_t n = recv(vm->hv.serial, bytes, sizeof bytes, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	fwrite(bytes, 1, (size_t)n, stdout);
	fflush(stdout);
	for (ssize_t k = 0; k < n; k++) {
		if (bytes[k] == '\n')
			on_line(vm);
		else if (vm->line_size < sizeof vm->line - 1)
			vm->line[vm->line_size++] = bytes[k];
	}
	return true;
}

static void read_input(struct vm *vm)
{
	char bytes[256];
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

	if (n <= 0)
		vm->input_ended = true;
	else if (send(vm->hv.serial, bytes, (size_t)n, MSG_NOSIGNAL) != n)
		fprintf(stderr, "move-vm: typed too fast\n");
}

/* ---- moving ------------------------------------------------------------------------------------ */

static double ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int move(struct vm *vm, struct err *err)
{
	struct machine_blocks blocks = { 0 };
	double since = ms_now();
	int r = worker_stop(vm->end, err);

	if (r == 0)
		r = machine_blocks_take(vm->end, vm->order.vp_count, &blocks, err);
	if (r < 0) {
		machine_blocks_done(&blocks);
		return r;
	}
	while (read_console(vm))
		;
	worker_done(vm);
	hv_process_end(&vm->hv);

	vm->at++;
	r = start_hv(vm, err);
	if (r == 0)
		r = direct_connect(vm->machine, err);
	if (r == 0)
		r = machine_blocks_give(vm->end, &blocks, err);
	if (r == 0)
		r = worker_run(vm->end, err);
	machine_blocks_done(&blocks);
	if (r < 0)
		return r;
	fprintf(stderr, "move-vm: %s to %s, stood %.1f ms\n",
		engine_names[vm->engine[vm->at - 1]], engine_names[vm->engine[vm->at]],
		ms_now() - since);
	vm->move_now = false;
	return 0;
}

/* ---- until it ends ------------------------------------------------------------------------------ */

/* 0: go on; 1: the guest powered off. */
static int on_owner(struct vm *vm, struct err *err)
{
	struct owner_message m;
	unsigned fd_count;
	size_t size;
	int r = ipc_receive(vm->hv.owner, &m, sizeof m, &size, NULL, 0, &fd_count);

	if (r < 0)
		return err_set(err, r, "tabique-hv is gone: %s", err_words(r));
	switch (m.kind) {
	case OWNER_FAILED:
		return err_set(err, -EIO, "tabique-hv: %s", m.u.failed.text);
	case OWNER_GUEST_RESET:
		return err_set(err, -EIO, "the guest reset itself");
	case OWNER_ENDED:
		if (m.u.ended.end != VM_END_POWER_OFF)
			return err_set(err, -EIO, "the guest ended: %s", m.u.ended.text);
		while (read_console(vm))
			;
		return 1;
	default:
		return 0;
	}
}

static int serve(struct vm *vm, struct err *err)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = vm->hv.serial, .events = POLLIN },
			{ .fd = vm->hv.owner, .events = POLLIN },
			{ .fd = vm->hv.access_event, .events = POLLIN },
			{ .fd = vm->input_ended ? -1 : STDIN_FILENO, .events = POLLIN },
		};
		int r = 0;

		if (poll(p, ARRAY_COUNT(p), -1) < 0)
			return err_set(err, -errno, "poll: %s", err_words(-errno));
		if (p[0].revents)
			read_console(vm);
		if (p[1].revents)
			r = on_owner(vm, err);
		if (r != 0)
			return r < 0 ? r : 0;
		if (p[2].revents)
			worker_serve(vm->end);
		if (p[3].revents)
			read_input(vm);
		if (vm->move_now)
			r = move(vm, err);
		if (r < 0)
			return r;
	}
}

/* ---- starting ----------------------------------------------------------------------------------- */

static bool parse_engines(struct vm *vm, char *list)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest)) {
		unsigned k = 0;

		while (k < ARRAY_COUNT(engine_names) && strcmp(word, engine_names[k]))
			k++;
		if (k == ARRAY_COUNT(engine_names) || vm->engine_count == ENGINES_MAX)
			return false;
		vm->engine[vm->engine_count++] = (enum hv_engine)k;
	}
	return vm->engine_count > 0;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "move-vm: '%s': %s\n", path, err_words(-errno));
		exit(2);
	}
	return fd;
}

static bool parse(struct vm *vm, int argc, char **argv)
{
	static const struct option options[] = {
		{ "hv", required_argument, NULL, 'h' },
		{ "engines", required_argument, NULL, 'e' },
		{ "at", required_argument, NULL, 't' },
		{ "every", required_argument, NULL, 'n' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "append", required_argument, NULL, 'a' },
		{ "memory", required_argument, NULL, 'm' },
		{ "cpus", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'h':
			vm->order.program = optarg;
			break;
		case 'e':
			if (!parse_engines(vm, optarg))
				return false;
			break;
		case 't':
			vm->text = optarg;
			break;
		case 'n':
			vm->every = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			vm->kernel = open_file(optarg);
			break;
		case 'i':
			vm->initrd = open_file(optarg);
			break;
		case 'a':
			snprintf(vm->config.cmdline, sizeof vm->config.cmdline, "%s",
				 optarg);
			break;
		case 'm':
			vm->config.ram_size = strtoull(optarg, NULL, 10) << 20;
			break;
		case 'c':
			vm->order.vp_count = (u32)strtoul(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	}
	return vm->order.program && vm->engine_count > 0 && vm->text && vm->every > 0 &&
	       vm->kernel >= 0 && vm->initrd >= 0;
}

int main(int argc, char **argv)
{
	static struct vm vm = {
		.order = { .vp_count = 1, .kvm = -1 },
		.every = 1,
		.kernel = -1,
		.initrd = -1,
		.config = { .kind = OWNER_WORKER_CONFIG,
			    .version = WALL_VERSION,
			    .module_count = 1,
			    .ram_size = 256u << 20,
			    .kernel_name = "kernel",
			    .module = { { .name = "initrd" } } },
	};
	struct err err = { 0 };
	int r;

	if (!parse(&vm, argc, argv)) {
		fprintf(stderr, "move-vm: see the head of move_vm.c\n");
		return 2;
	}
	vm.config.vp_count = vm.order.vp_count;
	for (unsigned k = 0; k < vm.engine_count && vm.order.kvm < 0; k++)
		if (vm.engine[k] == HV_ENGINE_KVM)
			vm.order.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	r = boot(&vm, &err);
	if (r == 0)
		r = serve(&vm, &err);
	if (r < 0) {
		fprintf(stderr, "move-vm: %s: %s\n", engine_names[vm.engine[vm.at]],
			err.text);
		return 1;
	}
	worker_done(&vm);
	hv_process_end(&vm.hv);
	fprintf(stderr, "move-vm: moved %u times\n", vm.at);
	return vm.at + 1 == vm.engine_count ? 0 : 1;
}
