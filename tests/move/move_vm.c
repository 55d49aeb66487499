/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move-vm - boot a Linux guest on one engine and let it go on under others, in the middle of what
 * it does.
 *
 *	move-vm --hv PROGRAM --engines E,E... --at TEXT [--every N] --kernel FILE --initrd FILE
 *		[--append LINE] [--memory MIB [--room MIB --hold MIB,MIB...]] [--cpus N] [--disk FILE]... [--cdrom FILE [--insert FILE]]
 *
 * The first engine boots. Each time the console has shown N more lines with TEXT in them, the VM is
 * stopped where it is and all is taken of it; that tabique-hv ends, the worker's parts are freed and
 * its images closed; a tabique-hv with the next engine is started on the same memory, a worker's parts are made
 * anew, they get what was taken, and it runs. In place of an engine "=" has the VM go on where it was, after
 * all was taken. --insert: just before the first move the drive gets that disc; which one a worker's parts made
 * anew have to open, they learn from what was taken. --room: memory is added up to that; --hold: with each line
 * with TEXT the guest is held at the next of these sizes, round and round. Standard input and output are the
 * guest's console. Exit: 0 when the guest powered off after all moves, 1 else; the last line on
 * standard error counts the moves.
 *
 * It plays the owner and the worker, with the product's own parts of the worker. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "base/ipc.h"
#include "base/loop.h"
#include "machine/blocks.h"
#include "machine/direct.h"
#include "move/hv_process.h"
#include "vsp/balloon/balloon.h"
#include "wall/guest_memory.h"
#include "wall/worker_config.h"
#include "wall/worker_end.h"

#define ENGINES_MAX 64

struct vm {
	struct hv_order order;
	enum hv_engine engine[ENGINES_MAX];
	bool stays[ENGINES_MAX];   /* it goes on where it was */
	unsigned engine_count, at; /* at = which of them runs */
	const char *text;
	unsigned every, seen;

	struct worker_config config;
	int kernel, initrd;
	int image[WORKER_MAX_IMAGES]; /* a worker gets copies */
	const char *insert;	      /* into the last drive; NULL: done, or nothing */
	u64 hold[ENGINES_MAX];	      /* sizes of memory, one after the other */
	unsigned hold_count, holds;
	struct hv_memory memory;
	struct loop *loop;
	struct loop_watch *input;

	/* of the hv that runs */
	struct hv_process hv;
	struct loop_watch *serial, *owner, *access;
	struct guest_memory *gm;
	struct worker_end *end;
	struct direct *machine;

	char line[1024]; /* of the console, so far */
	size_t line_size;

	/* the move that is under way: the loop stops when everything is taken */
	struct machine_blocks blocks;
	bool moving, saved;
	double since;

	/* how it ended: the loop stops too */
	bool ended, quiet;
	int result;
	struct err err;
};

static const char *const engine_names[] = {
	[HV_ENGINE_SOFT] = "soft",
	[HV_ENGINE_INTERP] = "interp",
	[HV_ENGINE_KVM] = "kvm",
};

/* ---- the end ------------------------------------------------------------------------------------ */

static void end(struct vm *vm, int r)
{
	vm->ended = true;
	vm->result = r;
	loop_stop(vm->loop);
}

static int open_file(const char *path, int how)
{
	int fd = open(path, how | O_CLOEXEC);

	if (fd < 0) {
		fprintf(stderr, "move-vm: '%s': %s\n", path, err_words(-errno));
		exit(2);
	}
	return fd;
}

/* ---- the worker's parts, for one hv ------------------------------------------------------------ */

static int worker_start(struct vm *vm, struct err *err)
{
	const struct worker_end_config config = {
		.control = vm->hv.control,
		.vp_count = vm->order.vp_count,
		.verbs = vm->hv.verbs,
		.access_event = vm->hv.access_event,
		.hv_event = vm->hv.hv_event,
	};
	int image[WORKER_MAX_IMAGES];
	int r = gm_open(vm->memory.ram, vm->memory.ram_size, vm->memory.dirty,
			vm->hv.code, vm->hv.control, vm->hv.hv_event, &vm->gm);

	if (r == 0 && vm->config.ram_start > 0)
		r = gm_start_with(vm->gm, vm->config.ram_start);
	if (r == 0)
		r = worker_end_open(&config, &vm->end);
	if (r < 0)
		return err_set(err, r, "worker: %s", err_words(r));
	for (u32 k = 0; k < vm->config.image_count; k++)
		image[k] = fcntl(vm->image[k], F_DUPFD_CLOEXEC, 0);
	const struct direct_parts parts = {
		.config = &vm->config,
		.gm = vm->gm,
		.end = vm->end,
		.loop = vm->loop,
		.rom = vm->memory.rom_bytes,
		.vram = vm->memory.vram_bytes,
		.kernel_fd = vm->kernel,
		.module_fd = &vm->initrd,
		.image_fd = image,
	};
	r = direct_new(&parts, &vm->machine, err);
	return r < 0 ? r : direct_start(vm->machine, err);
}

static void worker_done(struct vm *vm)
{
	loop_watch_remove(vm->serial);
	loop_watch_remove(vm->owner);
	loop_watch_remove(vm->access);
	direct_free(vm->machine);
	worker_end_close(vm->end);
	gm_close(vm->gm);
}

static void on_serial(void *owner, unsigned events);
static void on_owner(void *owner, unsigned events);
static void on_access(void *owner, unsigned events);

static int start_hv(struct vm *vm, struct err *err)
{
	int r;

	vm->order.engine = vm->engine[vm->at];
	r = hv_process_start(&vm->order, &vm->memory, &vm->hv, err);
	if (r == 0)
		r = loop_watch_add(vm->loop, vm->hv.serial, LOOP_READ, on_serial, vm,
				   &vm->serial);
	if (r == 0)
		r = loop_watch_add(vm->loop, vm->hv.owner, LOOP_READ, on_owner, vm,
				   &vm->owner);
	if (r == 0)
		r = loop_watch_add(vm->loop, vm->hv.access_event, LOOP_READ, on_access,
				   vm, &vm->access);
	return r < 0 ? r : worker_start(vm, err);
}

static int boot(struct vm *vm, struct err *err)
{
	int r = hv_memory_new(vm->config.ram_size, &vm->memory, err);

	if (r < 0)
		return r;
	vm->memory.ram_start = vm->config.ram_start;
	vm->config.rom_size = vm->memory.rom_size;
	vm->config.vram_size = vm->memory.vram_size;
	r = start_hv(vm, err);
	if (r == 0)
		r = direct_load(vm->machine, err);
	if (r == 0)
		r = direct_power_on(vm->machine, err);
	return r;
}

/* ---- moving ------------------------------------------------------------------------------------ */

static double ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Perhaps called from inside the machine, which is to be freed: so the loop is left first. */
static void on_saved(void *owner, int r, const struct err *err)
{
	struct vm *vm = owner;

	if (r < 0) {
		vm->err = *err;
		end(vm, r);
		return;
	}
	vm->saved = true;
	loop_stop(vm->loop);
}

static void save(struct vm *vm)
{
	vm->since = ms_now();
	direct_save(vm->machine, &vm->blocks, on_saved, vm);
}

static void on_inserted(void *owner, u32 id, int r, bool there, u64 size,
			const struct err *err)
{
	struct vm *vm = owner;

	if (r < 0) {
		vm->err = *err;
		end(vm, r);
		return;
	}
	save(vm);
}

static void insert(struct vm *vm)
{
	static struct worker_disk_order order = { .op = WORKER_DISK_MEDIUM, .force = 1 };
	int fd = open_file(vm->insert, O_RDONLY);

	order.disk = vm->config.disk[vm->config.disk_count - 1];
	order.image[0].format = DISK_ISO;
	snprintf(order.image[0].name, sizeof order.image[0].name, "%s", vm->insert);
	vm->insert = NULL;
	direct_change_disk(vm->machine, &order, &fd, on_inserted, vm);
}

static void start_move(struct vm *vm)
{
	vm->moving = true;
	if (vm->insert)
		insert(vm);
	else
		save(vm);
}

/* The discs that lay in the drives when all was taken. */
static int take_media(struct vm *vm, struct err *err)
{
	const struct state_writer *taken = &vm->blocks.devices;
	char name[WORKER_NAME_SIZE];

	for (u32 n = 0; n < vm->config.disk_count; n++) {
		int r;

		if (!vm->config.disk[n].dvd)
			continue;
		r = disks_saved_medium(taken->bytes, taken->used, 0, n, name);
		if (r < 0)
			return err_set(err, r, "the disc is not told: %s", err_words(r));
		/* An empty drive gives up what it is started with. */
		if (!name[0])
			continue;
		close(vm->image[n]);
		vm->image[n] = open_file(name, O_RDONLY);
		snprintf(vm->config.image[n].name, sizeof vm->config.image[n].name, "%s",
			 name);
	}
	return 0;
}

static bool read_console(struct vm *vm);

/* It was all for nothing. */
static int finish_stay(struct vm *vm, struct err *err)
{
	vm->at++;
	vm->moving = vm->saved = false;
	machine_blocks_done(&vm->blocks);
	fprintf(stderr, "move-vm: stays, stood %.1f ms\n", ms_now() - vm->since);
	return direct_resume(vm->machine, err);
}

static int finish_move(struct vm *vm, struct err *err)
{
	int r;

	if (vm->stays[vm->at + 1])
		return finish_stay(vm, err);

	while (read_console(vm))
		;
	worker_done(vm);
	hv_process_end(&vm->hv);

	vm->at++;
	r = take_media(vm, err);
	if (r == 0)
		r = start_hv(vm, err);
	if (r == 0)
		r = direct_restore(vm->machine, &vm->blocks, err);
	if (r == 0)
		r = direct_resume(vm->machine, err);
	machine_blocks_done(&vm->blocks);
	vm->moving = vm->saved = false;
	if (r < 0)
		return r;
	fprintf(stderr, "move-vm: %s to %s, stood %.1f ms\n",
		engine_names[vm->engine[vm->at - 1]], engine_names[vm->engine[vm->at]],
		ms_now() - vm->since);
	return 0;
}

/* ---- the console ------------------------------------------------------------------------------- */

static void hold_next(struct vm *vm)
{
	struct balloon_change change = { .mask = BALLOON_SIZE };
	struct err err = { 0 };

	if (vm->hold_count == 0)
		return;
	change.size = vm->hold[vm->holds++ % vm->hold_count];
	if (balloon_change(direct_balloon(vm->machine), &change, &err) < 0)
		fprintf(stderr, "move-vm: %s\n", err.text);
}

static void on_line(struct vm *vm)
{
	vm->line[vm->line_size] = '\0';
	vm->line_size = 0;
	if (!strstr(vm->line, vm->text) || vm->moving)
		return;
	hold_next(vm);
	if (vm->at + 1 == vm->engine_count)
		return;
	if (++vm->seen == vm->every) {
		vm->seen = 0;
		start_move(vm);
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

static void on_serial(void *owner, unsigned events)
{
	struct vm *vm = owner;

	/* Its other end is gone when hv is: the owner's socket says how. */
	if (!read_console(vm)) {
		loop_watch_remove(vm->serial);
		vm->serial = NULL;
	}
}

static void on_input(void *owner, unsigned events)
{
	struct vm *vm = owner;
	char bytes[256];
	ssize_t n;

	/* Nobody would read it from the hv that is about to end. */
	if (vm->moving)
		return;
	n = read(STDIN_FILENO, bytes, sizeof bytes);
	if (n <= 0) {
		loop_watch_remove(vm->input);
		vm->input = NULL;
	} else if (send(vm->hv.serial, bytes, (size_t)n, MSG_NOSIGNAL) != n) {
		fprintf(stderr, "move-vm: typed too fast\n");
	}
}

/* ---- until it ends ------------------------------------------------------------------------------ */

static void on_access(void *owner, unsigned events)
{
	struct vm *vm = owner;

	worker_serve(vm->end);
	direct_flush(vm->machine);
}

/* 0: go on; 1: the guest powered off. */
static int take_word(struct vm *vm, struct err *err)
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

static void on_owner(void *owner, unsigned events)
{
	struct vm *vm = owner;
	int r = take_word(vm, &vm->err);

	if (r != 0)
		end(vm, r);
}

static int serve(struct vm *vm)
{
	int r = 0;

	while (r == 0 && !vm->ended) {
		r = loop_run(vm->loop);
		if (r == 0 && vm->saved && !vm->ended)
			r = finish_move(vm, &vm->err);
	}
	return r < 0 ? r : vm->result;
}

static void on_quiet(void *owner)
{
	struct vm *vm = owner;

	vm->quiet = true;
	loop_stop(vm->loop);
}

/* The guest is off; its disks may still be busy. */
static int finish(struct vm *vm)
{
	int r = 0;

	direct_quiet(vm->machine, on_quiet, vm);
	while (r == 0 && !vm->quiet)
		r = loop_run(vm->loop);
	worker_done(vm);
	hv_process_end(&vm->hv);
	return r;
}

/* ---- starting ----------------------------------------------------------------------------------- */

static bool parse_engines(struct vm *vm, char *list)
{
	char *rest = NULL;

	for (char *word = strtok_r(list, ",", &rest); word;
	     word = strtok_r(NULL, ",", &rest)) {
		unsigned k = 0;

		if (vm->engine_count == ENGINES_MAX)
			return false;
		while (k < ARRAY_COUNT(engine_names) && strcmp(word, engine_names[k]))
			k++;
		if (vm->engine_count > 0 && strcmp(word, "=") == 0) {
			vm->stays[vm->engine_count] = true;
			k = vm->engine[vm->engine_count - 1];
		}
		if (k == ARRAY_COUNT(engine_names))
			return false;
		vm->engine[vm->engine_count++] = (enum hv_engine)k;
	}
	return vm->engine_count > 0;
}

/* One image each, all on the first controller. */
static bool add_disk(struct vm *vm, const char *path, bool dvd)
{
	u32 n = vm->config.disk_count;

	if (n == WORKER_MAX_IMAGES || n == WORKER_MAX_DISKS)
		return false;
	vm->image[n] = open_file(path, dvd ? O_RDONLY : O_RDWR);
	vm->config.image[n].format = dvd ? DISK_ISO : disk_format_of_name(path);
	snprintf(vm->config.image[n].name, sizeof vm->config.image[n].name, "%s", path);
	vm->config.disk[n] = (struct worker_disk){
		.lun = n, .dvd = dvd, .read_only = dvd, .first_image = n, .level_count = 1
	};
	vm->config.disk_count = vm->config.image_count = n + 1;
	return true;
}

static void parse_sizes(struct vm *vm, const char *sizes)
{
	char *rest;

	while (*sizes && vm->hold_count < ENGINES_MAX) {
		vm->hold[vm->hold_count++] = strtoull(sizes, &rest, 10) << 20;
		sizes = *rest == ',' ? rest + 1 : "";
	}
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
		{ "room", required_argument, NULL, 'R' },
		{ "hold", required_argument, NULL, 'H' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "disk", required_argument, NULL, 'd' },
		{ "cdrom", required_argument, NULL, 'o' },
		{ "insert", required_argument, NULL, 'r' },
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
			vm->kernel = open_file(optarg, O_RDONLY);
			break;
		case 'i':
			vm->initrd = open_file(optarg, O_RDONLY);
			break;
		case 'a':
			snprintf(vm->config.cmdline, sizeof vm->config.cmdline, "%s",
				 optarg);
			break;
		case 'm':
			vm->config.ram_size = strtoull(optarg, NULL, 10) << 20;
			break;
		case 'R':
			vm->config.ram_start = vm->config.ram_size;
			vm->config.ram_size = strtoull(optarg, NULL, 10) << 20;
			break;
		case 'H':
			parse_sizes(vm, optarg);
			break;
		case 'c':
			vm->order.vp_count = (u32)strtoul(optarg, NULL, 10);
			break;
		case 'd':
		case 'o':
			if (!add_disk(vm, optarg, o == 'o'))
				return false;
			break;
		case 'r':
			vm->insert = optarg;
			vm->config.hot_disks = 1;
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
	r = loop_new(&vm.loop);
	if (r == 0)
		r = loop_watch_add(vm.loop, STDIN_FILENO, LOOP_READ, on_input, &vm,
				   &vm.input);
	if (r == 0)
		r = boot(&vm, &vm.err);
	if (r == 0)
		r = serve(&vm);
	if (r >= 0)
		r = finish(&vm);
	if (r < 0) {
		fprintf(stderr, "move-vm: %s: %s\n", engine_names[vm.engine[vm.at]],
			vm.err.code ? vm.err.text : err_words(r));
		return 1;
	}
	loop_watch_remove(vm.input);
	loop_free(vm.loop);
	fprintf(stderr, "move-vm: moved %u times\n", vm.at);
	return vm.at + 1 == vm.engine_count ? 0 : 1;
}
