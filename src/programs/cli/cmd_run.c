/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique run: a VM in the foreground, no daemon. It is the VM's owner: it opens the files,
 * starts the two processes, relays the console, and says how the VM ended.
 *
 * States, all on the loop's thread:
 *
 *	starting --OWNER_LOADED--> running --OWNER_ENDED or GUEST_RESET--> ending --> over
 *	    any state --failure, signal, timeout, menu--> over
 *
 * What is over is decided once (finish): the first cause wins, later ones are consequences. When
 * a process ends unasked, the other one may speak first of what it lost ("the worker is gone");
 * so such news waits a moment for the status of the process that really ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/ipc.h"
#include "base/log.h"
#include "base/loop.h"
#include "control/socket.h"
#include "programs/cli/engine_choice.h"
#include "programs/cli/live_memory.h"
#include "programs/cli/live_serial.h"
#include "programs/cli/may_open.h"
#include "programs/cli/run_control.h"
#include "programs/cli/run_launched.h"
#include "programs/cli/run_options.h"
#include "programs/cli/run_screen.h"
#include "programs/cli/run_stats.h"
#include "programs/cli/terminal.h"
#include "programs/cli/verb.h"
#include "programs/cli/vm_process.h"

/* How long the other process's news may take when one has ended. */
#define NEWS_NS (NS_PER_SEC)

struct run {
	struct run_options options;
	struct loop *loop;
	struct vm_process vm;
	struct terminal *terminal; /* in the foreground, else */
	struct live_serial *serial;
	struct run_launched launched;
	struct control_place place; /* of --control */
	struct run_control *control;
	struct loop_watch *hv_watch, *worker_watch, *hv_exit, *worker_exit, *nat_exit,
		*signals;
	struct run_screen screen;
	struct loop_alarm timeout, news;
	struct loop_alarm host_memory; /* the worker is told what the host has left */
	int signal_fd;
	u64 start_ns;

	bool over;
	bool want_stats; /* over, but for the figures that hv is asked for */
	bool by_guest; /* nobody ended it from outside: who reads the console has time */
	int code;      /* exit code, valid when over */
	struct run_stats stats;
};

/* ---- the end --------------------------------------------------------------------------------- */

static int failure_code(const struct run *run)
{
	return run->options.debug_exit ? EXIT_FAILED_DEBUG_EXIT : EXIT_FAILED;
}

/*
 * The VM is over, with this code and this word for --stats; only the first call counts. With
 * --stats the loop goes on until hv has given its figures or is gone.
 */
static void finish(struct run *run, const char *end, int code)
{
	static const struct owner_message ask = { .kind = OWNER_STATS_ASK };

	if (run->over)
		return;
	run->over = true;
	run->code = code;
	run->stats.end = end;
	run->stats.code = code;
	if (run->options.stats && run->vm.hv_pid &&
	    ipc_send(run->vm.hv_socket, &ask, sizeof ask, NULL, 0) == 0) {
		run->want_stats = true;
		loop_alarm_set(&run->news,
			       host_clock.monotonic_ns(&host_clock) + NEWS_NS);
		return;
	}
	loop_stop(run->loop);
}

static void fail(struct run *run, const struct err *err)
{
	if (run->over)
		return;
	print_error(err);
	run_launched_failed(&run->launched, err);
	finish(run, "failed", failure_code(run));
}

/* A process that ended without having been told to: who, how. */
static void process_died(struct run *run, const char *who, int status)
{
	struct err err = { 0 };

	if (WIFSIGNALED(status))
		err_set(&err, -EPIPE, "%s was killed by signal %d (%s); the VM has ended",
			who, WTERMSIG(status),
			sigdescr_np(WTERMSIG(status)) ?: "unknown");
	else
		err_set(&err, -EPIPE,
			"%s ended by itself with status %d; the VM has ended", who,
			WEXITSTATUS(status));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		err_fix(&err, "this is a bug: it used a system call that its jail "
			      "forbids");
	fail(run, &err);
}

static bool ended_badly(int status)
{
	return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

/* One of them is gone: decide when both statuses are known, or when the wait is over. */
static void look_at_processes(struct run *run, bool waited)
{
	static const char hv[] = "the hypervisor process (tabique-hv)";
	static const char worker[] = "the worker process (tabique-worker)";
	bool hv_gone, worker_gone;

	if (run->over)
		return;
	hv_gone = vm_process_hv_ended(&run->vm);
	worker_gone = vm_process_worker_ended(&run->vm);
	if (!(hv_gone && worker_gone) && !waited) {
		loop_alarm_set(&run->news,
			       host_clock.monotonic_ns(&host_clock) + NEWS_NS);
		return;
	}
	/* An orderly exit is a consequence of the other's end; a signal or a status the cause. */
	if (worker_gone && (ended_badly(run->vm.worker_status) || !hv_gone))
		process_died(run, worker, run->vm.worker_status);
	else if (hv_gone)
		process_died(run, hv, run->vm.hv_status);
}

static void on_news_due(void *owner)
{
	struct run *run = owner;

	if (run->want_stats)
		loop_stop(run->loop);
	else
		look_at_processes(run, true);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void ask(struct run *run, int socket, enum owner_kind kind)
{
	struct owner_message m = { .kind = kind };

	/* A process that cannot be asked is gone; its pidfd says so. */
	if (ipc_send(socket, &m, sizeof m, NULL, 0) < 0)
		log_debug("owner message %d was not taken", kind);
}

static void guest_ended(struct run *run, u32 end, u32 code, const char *text)
{
	struct err err = { 0 };

	run->by_guest = !run->over;
	switch ((enum vm_end)end) {
	case VM_END_POWER_OFF:
		finish(run, "power-off", EXIT_DONE);
		return;
	case VM_END_RESET:
		finish(run, "reset", EXIT_GUEST_RESET);
		return;
	case VM_END_TRIPLE_FAULT:
		fprintf(stderr, "tabique: the guest ended in a triple fault%s%s\n",
			text[0] ? ": " : "", text);
		finish(run, "triple-fault", EXIT_TRIPLE_FAULT);
		return;
	case VM_END_DEBUG_EXIT:
		finish(run, "debug-exit", (int)((code << 1 | 1) & 0xff));
		return;
	case VM_END_CRASH:
		fprintf(stderr, "tabique: the guest reported a crash%s%s\n",
			text[0] ? ": " : "", text);
		finish(run, "guest-crash", EXIT_GUEST_CRASH);
		return;
	case VM_END_WORKER_GONE:
		look_at_processes(run, false);
		return;
	case VM_END_ENGINE:
	case VM_END_WORKER_LIED:
		err_set(&err, -EIO, "the VM has ended: %s", text);
		fail(run, &err);
		return;
	}
	err_set(&err, -EPROTO, "tabique-hv reported an unknown end (%u)", end);
	fail(run, &err);
}

static void process_failed(struct run *run, const struct owner_message *m)
{
	struct err err;

	owner_failed_err(m, &err);
	fail(run, &err);
}

static void handle_message(struct run *run, enum run_side side, struct owner_message *m)
{
	struct err err = { 0 };

	switch ((enum owner_kind)m->kind) {
	case OWNER_READY:
		m->u.ready.text[sizeof m->u.ready.text - 1] = '\0';
		log_debug("%s", m->u.ready.text);
		return;
	case OWNER_LOADED:
		return;
	case OWNER_FIRST_ENTRY:
		run->stats.first_entry_ns =
			host_clock.monotonic_ns(&host_clock) - run->start_ns;
		if (run_launched_runs(&run->launched, &run->vm, &err) < 0)
			fail(run, &err);
		return;
	case OWNER_FAILED:
		process_failed(run, m);
		return;
	case OWNER_ENDED:
		m->u.ended.text[sizeof m->u.ended.text - 1] = '\0';
		guest_ended(run, m->u.ended.end, m->u.ended.code, m->u.ended.text);
		return;
	case OWNER_GUEST_RESET:
		if (run->options.no_reboot)
			finish(run, "reset", EXIT_GUEST_RESET);
		else
			ask(run, run->vm.worker_socket, OWNER_RESET);
		return;
	case OWNER_STATS:
		run->stats.counters = m->u.stats;
		run->stats.have_hv = true;
		if (run->want_stats)
			loop_stop(run->loop);
		return;
	case OWNER_INSPECT:
	case OWNER_DISK_DONE:
	case OWNER_GUEST_PAIR:
	case OWNER_GUEST_DONE:
	case OWNER_DISK_EJECTED:
		if (!run->control)
			break;
		run_control_hear(run->control, side, m);
		return;
	case OWNER_MEMORY:
		if (!run->control)
			return;
		run_control_hear(run->control, side, m);
		return;
	case OWNER_HV_CONFIG:
	case OWNER_WORKER_CONFIG:
	case OWNER_POWER_BUTTON:
	case OWNER_RESET:
	case OWNER_NMI:
	case OWNER_STATS_ASK:
	case OWNER_INSPECT_ASK:
	case OWNER_DISK:
	case OWNER_GUEST:
	case OWNER_HOST_MEMORY:
		break; /* not for us */
	}
	log_warn("message %u from a VM process ignored", m->kind);
}

/* Take what has arrived, at most a few messages a round. -EPIPE: the process closed its end. */
static int take_messages(struct run *run, enum run_side side)
{
	int socket = side == RUN_HV ? run->vm.hv_socket : run->vm.worker_socket;

	for (unsigned k = 0; k < 16; k++) {
		struct owner_message m = { 0 };
		unsigned fd_count;
		size_t size;
		int r = ipc_receive(socket, &m, sizeof m, &size, NULL, 0, &fd_count);

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		handle_message(run, side, &m);
	}
	return 0;
}

static void on_hv(void *owner, unsigned events)
{
	struct run *run = owner;

	if (take_messages(run, RUN_HV) == -EPIPE) {
		loop_watch_remove(run->hv_watch);
		run->hv_watch = NULL;
	}
}

static void on_worker(void *owner, unsigned events)
{
	struct run *run = owner;

	if (take_messages(run, RUN_WORKER) == -EPIPE) {
		loop_watch_remove(run->worker_watch);
		run->worker_watch = NULL;
	}
}

/* What a process said last is older news than its end: read it first. */
static void on_hv_exit(void *owner, unsigned events)
{
	struct run *run = owner;

	loop_watch_remove(run->hv_exit);
	run->hv_exit = NULL;
	(void)take_messages(run, RUN_HV);
	look_at_processes(run, false);
	if (run->want_stats && vm_process_hv_ended(&run->vm))
		loop_stop(run->loop);
}

static void on_worker_exit(void *owner, unsigned events)
{
	struct run *run = owner;

	loop_watch_remove(run->worker_exit);
	run->worker_exit = NULL;
	(void)take_messages(run, RUN_WORKER);
	look_at_processes(run, false);
}

/* The VM lives on without its network: the worker hears of it by the adapters' ports. */
static void on_nat_exit(void *owner, unsigned events)
{
	struct run *run = owner;
	int status;

	loop_watch_remove(run->nat_exit);
	run->nat_exit = NULL;
	if (!vm_process_nat_ended(&run->vm) || run->over)
		return;
	status = run->vm.nat_status;
	if (WIFSIGNALED(status))
		log_warn("the address translator (tabique-nat) was killed by signal %d "
			 "(%s); "
			 "adapters on 'nat' have no link any more, the VM goes on",
			 WTERMSIG(status), sigdescr_np(WTERMSIG(status)) ?: "unknown");
	else
		log_warn("the address translator (tabique-nat) ended by itself with "
			 "status "
			 "%d; adapters on 'nat' have no link any more, the VM goes on",
			 WEXITSTATUS(status));
}

/* ---- the person ------------------------------------------------------------------------------ */

static void power_off(void *owner)
{
	finish(owner, "user", EXIT_DONE);
}

static void power_button(void *owner)
{
	struct run *run = owner;

	ask(run, run->vm.hv_socket, OWNER_POWER_BUTTON);
}

static void reset(void *owner)
{
	struct run *run = owner;

	ask(run, run->vm.worker_socket, OWNER_RESET);
}

static void on_choice(void *owner, enum terminal_choice choice)
{
	switch (choice) {
	case TERMINAL_LEAVE:
	case TERMINAL_POWER_OFF:
		power_off(owner);
		return;
	case TERMINAL_POWER_BUTTON:
		power_button(owner);
		return;
	case TERMINAL_RESET:
		reset(owner);
		return;
	}
}

static void on_terminal_broken(void *owner, const struct err *err)
{
	fail(owner, err);
}

static void on_signal(void *owner, unsigned events)
{
	struct run *run = owner;
	struct signalfd_siginfo info;
	struct err err = { 0 };

	if (read(run->signal_fd, &info, sizeof info) != sizeof info)
		return;
	err_set(&err, -EINTR, "ended by signal %u (%s)", info.ssi_signo,
		sigdescr_np((int)info.ssi_signo) ?: "unknown");
	fail(run, &err);
}

static void on_timeout(void *owner)
{
	struct run *run = owner;

	if (!run->over)
		fprintf(stderr,
			"tabique: the VM was ended after %u seconds (--timeout)\n",
			run->options.timeout_seconds);
	finish(run, "timeout", EXIT_TIMEOUT);
}

/* Once a second: guests of several owners share what the host has. */
static void on_host_memory(void *owner)
{
	struct run *run = owner;

	live_memory_tell_host(run->vm.worker_socket);
	loop_alarm_set(&run->host_memory,
		       host_clock.monotonic_ns(&host_clock) + NS_PER_SEC);
}

/* ---- the start ------------------------------------------------------------------------------- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* A file to boot from. *ret_not_found: the exit code is another one then. */
static int open_image(const char *what, const char *path, bool *ret_not_found,
		      struct err *err)
{
	AUTO_CLOSE int fd = may_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	*ret_not_found = false;
	if (fd < 0) {
		int r = fd;

		*ret_not_found = r == -ENOENT || r == -ENOTDIR;
		err_set(err, r, "%s '%s' cannot be opened: %s", what, path, err_words(r));
		if (may_open_cure(r))
			return err_fix(err, "%s", may_open_cure(r));
		return err_fix(err,
			       *ret_not_found ? "check the path"
					      : "check who may read it: ls -l '%s'",
			       path);
	}
	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s '%s': %s", what, path, err_words(-errno));
	if (S_ISDIR(st.st_mode)) {
		err_set(err, -EISDIR, "%s '%s' is a folder", what, path);
		return err_fix(err, "name the file inside it");
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, -EINVAL, "%s '%s' is not a plain file", what, path);
		return err_fix(err, "copy it to a file first");
	}
	return take_fd(&fd);
}

/* Bytes of RAM that there can be at most; guests add memory in blocks, from a multiple of them on. */
static u64 memory_room(const struct run_options *o)
{
	const u64 block = 128ull << 20, low = min_u64(o->memory, 3ull << 30);
	const struct worker_memory *d = &o->dynamic;

	if (!d->dynamic || d->max <= o->memory)
		return o->memory;
	return low + round_up(o->memory - low, block) +
	       round_up(d->max - o->memory, block);
}

static int configure(struct run *run, struct vm_process_config *config,
		     bool *ret_not_found, struct err *err)
{
	const struct run_options *o = &run->options;
	struct worker_config *w = &config->worker;
	const char *first;
	int r;

	config->hv = (struct hv_config){
		.vp_count = o->cpus,
		.debug_exit = o->debug_exit,
		.test_devices = o->test_devices,
		.ram_size = memory_room(o),
		.ram_start = o->memory,
		/* With a BIOS VGA's text has a place behind the frame buffer. */
		.vram_size = max_u64(o->video_memory * (1ull << 20), WALL_PAGE_SIZE) +
			     (o->bios && o->video_memory ? RUN_VGA_TEXT : 0),
		.rom_size = o->bios ? 4u << 20 : 1u << 20,
		.code_cache = o->code_cache,
	};
	r = engine_choose(o->engine, &config->hv.engine, &config->kvm, err);
	if (r < 0)
		return r;
	config->hv.hardware_apics = config->kvm >= 0 && engine_hardware_apics();
	w->bios = o->bios;
	first = o->bios ? o->firmware : o->kernel;
	config->kernel =
		open_image(o->bios ? "firmware" : "kernel", first, ret_not_found, err);
	if (config->kernel < 0)
		return config->kernel;
	snprintf(w->kernel_name, sizeof w->kernel_name, "%s", base_name(first));
	snprintf(w->cmdline, sizeof w->cmdline, "%s", o->append);
	w->hot_disks = o->control != NULL;
	w->memory = o->dynamic;
	for (unsigned k = 0; k < o->module_count; k++) {
		config->module[k] =
			open_image("initrd", o->module_path[k], ret_not_found, err);
		if (config->module[k] < 0)
			return config->module[k];
		w->module_count = k + 1;
		snprintf(w->module[k].name, sizeof w->module[k].name, "%s",
			 base_name(o->module_path[k]));
		snprintf(w->module[k].args, sizeof w->module[k].args, "%s",
			 o->module_args[k]);
	}
	r = run_nics_open(&run->options, w, &config->nat, config->nic, config->nat_port,
			  ret_not_found, err);
	if (r < 0)
		return r;
	return run_disks_open(&o->disks, w, &config->images, ret_not_found, err);
}

/* Signals that end us become readable, before anything could be left behind by one. */
static int catch_signals(struct run *run, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->signal_fd < 0 ? err_set(err, -errno, "signals: %s", err_words(-errno))
				  : 0;
}

static int watch_everything(struct run *run, struct err *err)
{
	static const struct terminal_events events = {
		.chosen = on_choice,
		.broken = on_terminal_broken,
	};
	const struct {
		int fd;
		loop_fd_fn fn;
		struct loop_watch **watch;
	} rows[] = {
		{ run->signal_fd, on_signal, &run->signals },
		{ run->vm.hv_socket, on_hv, &run->hv_watch },
		{ run->vm.worker_socket, on_worker, &run->worker_watch },
		{ run->vm.hv_pidfd, on_hv_exit, &run->hv_exit },
		{ run->vm.worker_pidfd, on_worker_exit, &run->worker_exit },
		{ run->vm.nat_pidfd, on_nat_exit, &run->nat_exit },
	};

	fcntl(run->vm.hv_socket, F_SETFL, O_NONBLOCK);
	fcntl(run->vm.worker_socket, F_SETFL, O_NONBLOCK);
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		if (rows[k].fd < 0)
			continue;
		int r = loop_watch_add(run->loop, rows[k].fd, LOOP_READ, rows[k].fn, run,
				       rows[k].watch);
		if (r < 0)
			return err_set(err, r, "the VM cannot be watched: %s",
				       err_words(r));
	}
	loop_alarm_init(run->loop, &run->timeout, on_timeout, run);
	loop_alarm_init(run->loop, &run->news, on_news_due, run);
	loop_alarm_init(run->loop, &run->host_memory, on_host_memory, run);
	if (run->options.dynamic.dynamic)
		loop_alarm_set(&run->host_memory, run->start_ns);
	if (run->options.timeout_seconds)
		loop_alarm_set(&run->timeout,
			       run->start_ns + run->options.timeout_seconds * NS_PER_SEC);
	if (run->launched.socket < 0)
		return terminal_open(run->loop, run->vm.serial, &events, run,
				     &run->terminal, err);
	int r = live_serial_new(run->loop, run->vm.serial, &run->serial);

	return r < 0 ? err_set(err, r, "serial console: %s", err_words(r)) : 0;
}

static int serve_control(struct run *run, struct err *err)
{
	const struct run_control_config config = {
		.loop = run->loop,
		.socket = run->place.fd,
		.options = &run->options,
		.hv_socket = run->vm.hv_socket,
		.worker_socket = run->vm.worker_socket,
		.hv_pid = run->vm.hv_pid,
		.worker_pid = run->vm.worker_pid,
		.nat_pid = run->vm.nat_pid,
		.serial = run->serial,
		.power_button = power_button,
		.power_off = power_off,
		.reset = reset,
		.owner = run,
	};
	int r = run_control_new(&config, &run->control);

	return r < 0 ? err_set(err, r, "control socket: %s", err_words(r)) : 0;
}

/* Who waits for the VM's end hears of it now; nobody finds its socket any more. */
static void end_control(struct run *run)
{
	control_unlisten(&run->place);
	run_control_ended(run->control, run->stats.end, run->code);
	run_control_free(run->control);
}

static void close_ports(struct vm_process_config *config)
{
	for (unsigned k = 0; k < WORKER_MAX_NICS; k++) {
		if (config->nic[k] >= 0)
			close(take_fd(&config->nic[k]));
		if (config->nat_port[k] >= 0)
			close(take_fd(&config->nat_port[k]));
	}
}

/* From options to a VM that is over; the exit code. */
static int run_vm(struct run *run)
{
	AUTO_FREE struct vm_process_config *config = calloc(1, sizeof *config);
	struct err err = { 0 };
	bool not_found = false, started = false;
	int r = config ? 0 : err_set(&err, -ENOMEM, "%s", err_words(-ENOMEM));

	if (config) {
		config->kvm = -1;
		memset(config->nic, -1, sizeof config->nic);
		memset(config->nat_port, -1, sizeof config->nat_port);
	}
	if (r == 0)
		r = catch_signals(run, &err);
	if (r == 0 && run->options.launched >= 0)
		r = run_launched_open(&run->launched, run->options.launched,
				      run->options.allow, &err);
	if (r == 0)
		r = configure(run, config, &not_found, &err);
	if (r == 0 && run->options.stats)
		r = run_stats_open(&run->stats, run->options.stats, &err);
	if (r == 0 && run->options.control)
		r = control_listen(run->options.control, CONTROL_OF_VM, &run->place,
				   &err);
	if (r == 0 && run->options.screen)
		r = run_screen_open(&run->screen, run->options.screen, &err);
	if (r == 0) {
		r = vm_process_start(config, &run->vm, &err);
		started = r == 0;
	}
	/* The worker has the images: its copies alone keep their locks. */
	if (config) {
		disk_images_close(&config->images);
		close_ports(config);
	}
	if (r == 0)
		r = loop_new(&run->loop);
	if (r == 0)
		r = watch_everything(run, &err);
	if (r == 0 && run->options.control)
		r = serve_control(run, &err);
	if (r == 0 && run->options.screen)
		r = run_screen_start(&run->screen, run->loop, run->vm.worker_socket,
				     &err);
	if (r == 0)
		r = run_launched_drop(&run->launched, &run->vm, run->options.control,
				      &err);
	if (r == 0)
		r = loop_run(run->loop);
	terminal_close(run->terminal, run->by_guest);
	if (r < 0) {
		if (!err.code)
			err_set(&err, r, "the event loop failed: %s", err_words(r));
		print_error(&err);
		run_launched_failed(&run->launched, &err);
		run->code = not_found && !run->options.debug_exit ? EXIT_NOT_FOUND
								  : failure_code(run);
		run->stats.end = "failed";
		run->stats.code = run->code;
	}
	if (started) {
		run_stats_memory(&run->stats, &run->vm);
		vm_process_end(&run->vm);
	}
	end_control(run);
	run_screen_close(&run->screen);
	live_serial_free(run->serial);
	run_launched_ended(&run->launched, run->stats.end, run->code);
	run->stats.hv.usage = run->vm.hv_usage;
	run->stats.worker.usage = run->vm.worker_usage;
	run->stats.nat.usage = run->vm.nat_usage;
	run->stats.wall_ns = host_clock.monotonic_ns(&host_clock) - run->start_ns;
	if (run_stats_write(&run->stats, &err) < 0) {
		print_error(&err);
		if (run->code == EXIT_DONE)
			run->code = failure_code(run);
	}
	loop_free(run->loop);
	return run->code;
}

static int cmd_run(int argc, char **argv)
{
	struct run run = { .signal_fd = -1,
			   .place = { .fd = -1 },
			   .screen = { .place = { .fd = -1 } },
			   .launched = { .socket = -1 },
			   .start_ns = host_clock.monotonic_ns(&host_clock) };
	struct err err = { 0 };
	int r = run_options_parse(argc, argv, &run.options, &err);

	if (r == 1) {
		run_options_help();
		return EXIT_DONE;
	}
	if (r < 0) {
		print_error(&err);
		return EXIT_USAGE;
	}
	return run_vm(&run);
}

const struct verb verb_run = {
	.name = "run",
	.summary = "boot a VM in the foreground, its console here",
	.run = cmd_run,
};
