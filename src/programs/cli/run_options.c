/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `tabique run` as one table; see run_options.h. */
#include "programs/cli/run_options.h"

#include <errno.h>
#include <stdio.h>

#include "programs/cli/run_screen.h"
#include "config/host_paths.h"
#include "programs/cli/words.h"

/* Of dynamic memory: percent above what the guest needs; of 10,000. */
#define DEFAULT_BUFFER 20
#define DEFAULT_WEIGHT 5000

typedef int (*option_fn)(struct run_options *o, const char *value, struct err *err);

struct option_row {
	const char *name;
	const char *value; /* NULL: takes none */
	const char *help;
	option_fn set; /* NULL: belongs to a later version */
};

/* ---- values ---------------------------------------------------------------------------------- */

static int set_kernel(struct run_options *o, const char *value, struct err *err)
{
	o->kernel = value;
	return 0;
}

static int set_bios(struct run_options *o, const char *value, struct err *err)
{
	o->bios = true;
	return 0;
}

static int set_firmware(struct run_options *o, const char *value, struct err *err)
{
	o->bios = true;
	o->firmware = value;
	return 0;
}

/* One part of --initrd "FILE args,FILE args". */
static int add_module(struct run_options *o, const char *part, size_t size,
		      struct err *err)
{
	const char *space = memchr(part, ' ', size);
	size_t path_size = space ? (size_t)(space - part) : size;

	if (o->module_count == WORKER_MAX_MODULES)
		return err_set(err, -EINVAL, "--initrd: more than %d files",
			       WORKER_MAX_MODULES);
	if (path_size == 0 || size >= WORKER_ARGS_SIZE) {
		err_set(err, -EINVAL, "--initrd: '%.*s' is not a file name", (int)size,
			part);
		return err_fix(err, "give FILE, or \"FILE arguments,FILE arguments\"");
	}
	memcpy(o->module_path[o->module_count], part, path_size);
	memcpy(o->module_args[o->module_count], part, size);
	o->module_count++;
	return 0;
}

static int set_initrd(struct run_options *o, const char *value, struct err *err)
{
	for (;;) {
		size_t size = strcspn(value, ",");
		int r = add_module(o, value, size, err);

		if (r < 0 || !value[size])
			return r;
		value += size + 1;
	}
}

static int set_disk(struct run_options *o, const char *value, struct err *err)
{
	return run_disks_add(&o->disks, value, false, err);
}

static int set_cdrom(struct run_options *o, const char *value, struct err *err)
{
	return run_disks_add(&o->disks, value, true, err);
}

static int set_net(struct run_options *o, const char *value, struct err *err)
{
	return run_nics_add(&o->nics, value, err);
}

static int set_append(struct run_options *o, const char *value, struct err *err)
{
	if (strlen(value) >= WORKER_CMDLINE_SIZE)
		return err_set(err, -EINVAL,
			       "--append: the kernel command line is longer than %d "
			       "characters",
			       WORKER_CMDLINE_SIZE - 1);
	o->append = value;
	return 0;
}

static int wrong_memory(const char *value, struct err *err)
{
	err_set(err, -EINVAL, "--memory: '%s' is not an amount of memory", value);
	return err_fix(err, "give a number with a unit, for instance --memory 512M; "
			    "dynamic: "
			    "--memory 1G,min=512M,max=2G");
}

/* One word behind the size. */
static int set_dynamic(struct worker_memory *m, const char *word, struct err *err)
{
	const struct {
		const char *name;
		u64 *size;
		u32 *number, most;
	} rows[] = {
		{ "min=", &m->min, NULL, 0 },
		{ "max=", &m->max, NULL, 0 },
		{ "buffer=", NULL, &m->buffer, 2000 },
		{ "weight=", NULL, &m->weight, 10000 },
	};
	const char *rest = "";
	u64 n;

	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		size_t size = strlen(rows[k].name);

		if (strncmp(word, rows[k].name, size) != 0)
			continue;
		if (rows[k].size) {
			if (!parse_size(word + size, rows[k].size) || *rows[k].size == 0)
				break;
			*rows[k].size &= ~(u64)(WALL_PAGE_SIZE - 1);
			return 0;
		}
		if (!parse_number(word + size, &n, &rest) || *rest || n > rows[k].most)
			break;
		*rows[k].number = (u32)n;
		return 0;
	}
	return wrong_memory(word, err);
}

/* SIZE[,min=SIZE][,max=SIZE][,buffer=PERCENT][,weight=N] */
static int set_memory(struct run_options *o, const char *value, struct err *err)
{
	char words[256], *word = words, *next;
	u64 size;
	int r = 0;

	if (strlen(value) >= sizeof words)
		return wrong_memory(value, err);
	memcpy(words, value, strlen(value) + 1);
	next = strchr(words, ',');
	if (next)
		*next++ = '\0';
	if (!parse_size(word, &size))
		return wrong_memory(word, err);
	o->memory = size & ~(u64)(WALL_PAGE_SIZE - 1);
	o->dynamic = (struct worker_memory){
		.min = o->memory,
		.max = o->memory,
		.buffer = DEFAULT_BUFFER,
		.weight = DEFAULT_WEIGHT,
		.dynamic = next != NULL,
	};
	while (r == 0 && next) {
		word = next;
		next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		r = set_dynamic(&o->dynamic, word, err);
	}
	if (r == 0 && (size < RUN_MIN_MEMORY || o->dynamic.max > RUN_MAX_MEMORY)) {
		err_set(err, -EINVAL,
			"--memory: a VM can have from 1 MiB to 1 TiB, not '%s'", value);
		return err_fix(err, "give an amount in that range, for instance --memory "
				    "512M");
	}
	if (r == 0 && (o->dynamic.min > o->memory || o->dynamic.max < o->memory)) {
		err_set(err, -EINVAL,
			"--memory: '%s' starts with less than min or more than max",
			value);
		return err_fix(err, "give a start between the two");
	}
	return r;
}

static int set_cpus(struct run_options *o, const char *value, struct err *err)
{
	const char *rest;
	u64 n;

	if (!parse_number(value, &n, &rest) || *rest || n < 1 || n > RUN_MAX_CPUS) {
		err_set(err, -EINVAL,
			"--cpus: a VM can have from 1 to %d virtual processors, not '%s'",
			RUN_MAX_CPUS, value);
		return err_fix(err, "give a number in that range, for instance --cpus 2");
	}
	o->cpus = (u32)n;
	return 0;
}

static int set_engine(struct run_options *o, const char *value, struct err *err)
{
	static const char *const names[] = {
		[RUN_ENGINE_AUTO] = "auto",	    [RUN_ENGINE_KVM] = "kvm",
		[RUN_ENGINE_SOFT] = "soft",	    [RUN_ENGINE_INTERP] = "interp",
		[RUN_ENGINE_LOCKSTEP] = "lockstep",
	};

	for (size_t k = 0; k < ARRAY_COUNT(names); k++) {
		if (strcmp(value, names[k]) == 0) {
			o->engine = (enum run_engine)k;
			return 0;
		}
	}
	err_set(err, -EINVAL, "--engine: there is no engine '%s'", value);
	return err_fix(err, "give one of auto, kvm, soft, interp");
}

static int set_code_cache(struct run_options *o, const char *value, struct err *err)
{
	u64 size;

	if (!parse_size(value, &size) || size < 1u << 20 || size > 4ull << 30) {
		err_set(err, -EINVAL,
			"--code-cache: translated code can have from 1 MiB to 4 GiB, not "
			"'%s'",
			value);
		return err_fix(err, "give an amount in that range, for instance "
				    "--code-cache 32M");
	}
	o->code_cache = (u32)(size >> 20);
	return 0;
}

static int set_video_memory(struct run_options *o, const char *value, struct err *err)
{
	u64 size;

	if (!parse_size(value, &size) || (size & (size - 1)) ||
	    (size != 0 && (size < 4u << 20 || size > 64u << 20))) {
		err_set(err, -EINVAL,
			"--video-memory: a screen can have 4M, 8M, 16M, 32M or 64M, not "
			"'%s'",
			value);
		return err_fix(err, "give one of these, or 0 for no screen");
	}
	o->video_memory = (u32)(size >> 20);
	return 0;
}

static int set_timeout(struct run_options *o, const char *value, struct err *err)
{
	const char *rest;
	u64 n;

	if (!parse_number(value, &n, &rest) || *rest || n < 1 || n > 31536000) {
		err_set(err, -EINVAL, "--timeout: '%s' is not a number of seconds",
			value);
		return err_fix(err, "give a whole number from 1 to 31536000 (a year)");
	}
	o->timeout_seconds = (u32)n;
	return 0;
}

static int set_stats(struct run_options *o, const char *value, struct err *err)
{
	o->stats = value;
	return 0;
}

static int set_control(struct run_options *o, const char *value, struct err *err)
{
	o->control = value;
	return 0;
}

static int set_screen(struct run_options *o, const char *value, struct err *err)
{
	o->screen = value;
	return run_screen_check(value, err);
}

static int set_launched(struct run_options *o, const char *value, struct err *err)
{
	const char *rest;
	u64 n;

	if (!parse_number(value, &n, &rest) || *rest || n > 1023) {
		err_set(err, -EINVAL, "--launched: '%s' is no descriptor", value);
		return err_fix(err, "tabique-launcher gives it: leave it out");
	}
	o->launched = (int)n;
	return 0;
}

static int set_allow(struct run_options *o, const char *value, struct err *err)
{
	o->allow = value;
	return 0;
}

static int set_no_reboot(struct run_options *o, const char *value, struct err *err)
{
	o->no_reboot = true;
	return 0;
}

static int set_debug_exit(struct run_options *o, const char *value, struct err *err)
{
	o->debug_exit = true;
	return 0;
}

static int set_test_devices(struct run_options *o, const char *value, struct err *err)
{
	o->test_devices = true;
	return 0;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* clang-format off */
static const struct option_row rows[] = {
	{ "--kernel", "FILE", "Linux bzImage, PVH vmlinux or multiboot image to boot", set_kernel },
	{ "--initrd", "FILE", "initial RAM disk; multiboot: \"FILE args,FILE args\"", set_initrd },
	{ "--bios", NULL, "in place of a kernel: boot from --disk FILE,bus=ide or --cdrom", set_bios },
	{ "--firmware", "FILE", "the BIOS, if not Debian's SeaBIOS", set_firmware },
	{ "--append", "TEXT", "the kernel's command line", set_append },
	{ "--disk", "FILE", "a disk: FILE or nbd://...[,ro][,bus=scsi|ide][,format=raw|vhd|vhdx|iso]; again for more", set_disk },
	{ "--cdrom", "FILE", "a DVD drive with an ISO image in it", set_cdrom },
	{ "--net", "KIND", "a network adapter: nat, tap=NAME or socket=PATH[,mac=...]; again for more", set_net },
	{ "--memory", "SIZE", "memory of the guest: 512M, 2G (default 512M); 1G,min=512M,max=2G[,buffer=20][,weight=5000]: as it needs", set_memory },
	{ "--cpus", "N", "virtual processors, 1 to 64 (default 1)", set_cpus },
	{ "--code-cache", "SIZE", "most that translated code may take (soft)", set_code_cache },
	{ "--video-memory", "SIZE", "of the screen, which allows for its size; 0: none (default 8M)", set_video_memory },
	{ "--engine", "NAME", "auto, kvm, soft or interp (default auto)", set_engine },
	{ "--control", "SOCKET", "serve 'tabique vm' and 'tabique disk attach' there", set_control },
	{ "--screen", "ADDRESS", "let VNC viewers in: 127.0.0.1[:PORT], or a socket's path", set_screen },
	{ "--timeout", "SECONDS", "end the VM after this long, exit code 124", set_timeout },
	{ "--stats", "FILE", "write figures about the run there, as JSON", set_stats },
	{ "--no-reboot", NULL, "a guest reset ends the VM, exit code 10", set_no_reboot },
	{ "--debug-exit", NULL, "port 0xf4 ends the VM: exit code (value << 1) | 1", set_debug_exit },
	{ "--test-devices", NULL, "devices for bare test kernels", set_test_devices },
	{ "--launched", "FD", "who starts it is tabique-launcher, by this socket", set_launched },
	{ "--allow", "FILE", "what --launched may open, instead of " HOST_ALLOW, set_allow },
	{ "--floppy", "FILE", NULL, NULL },
};
/* clang-format on */

void run_options_help(void)
{
	puts("usage: tabique run --kernel FILE [OPTION...]\n"
	     "       tabique run --bios --disk FILE,bus=ide [OPTION...]\n\n"
	     "Boots a VM in the foreground with its serial console here. Ctrl-] opens a "
	     "menu.\n");
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
		if (rows[k].set)
			printf("  %-15s %-8s %s\n", rows[k].name,
			       rows[k].value ? rows[k].value : "", rows[k].help);
	puts("\nExit codes: 0 power-off, 1 failure (126 with --debug-exit), 2 usage, 3 "
	     "not found,\n"
	     "10 guest reset with --no-reboot, 12 guest crash, 14 triple fault, 124 "
	     "timeout.");
}

static const struct option_row *find_row(const char *word, const char **ret_value)
{
	size_t size = strcspn(word, "=");

	*ret_value = word[size] == '=' ? word + size + 1 : NULL;
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
		if (strlen(rows[k].name) == size && memcmp(rows[k].name, word, size) == 0)
			return &rows[k];
	return NULL;
}

/* One thing to boot, and its disks where it can have them. */
static int check_boot(struct run_options *o, struct err *err)
{
	if (!o->kernel && !o->bios) {
		err_set(err, -EINVAL, "run: there is nothing to boot");
		return err_fix(err, "name a kernel: --kernel FILE; or give --bios and a "
				    "disk");
	}
	if (o->bios && (o->kernel || o->module_count > 0 || o->append[0])) {
		err_set(err, -EINVAL, "run: --bios boots from disks, not a kernel");
		return err_fix(err, "leave out either --bios or --kernel, --initrd and "
				    "--append");
	}
	/* The screen's ROM goes the way of a kernel's modules. */
	if (o->bios && o->video_memory) {
		snprintf(o->module_path[0], sizeof o->module_path[0], RUN_VGA_BIOS);
		o->module_count = 1;
	}
	if (!o->firmware)
		o->firmware = RUN_DEFAULT_FIRMWARE;
	return run_disks_settle(&o->disks, o->bios, err);
}

int run_options_parse(int argc, char **argv, struct run_options *ret_options,
		      struct err *err)
{
	struct run_options *o = ret_options;

	memset(o, 0, sizeof *o);
	o->append = "";
	o->memory = RUN_DEFAULT_MEMORY;
	o->dynamic = (struct worker_memory){ .min = o->memory, .max = o->memory };
	o->cpus = 1;
	o->video_memory = RUN_DEFAULT_VIDEO_MEMORY;
	o->launched = -1;
	o->allow = HOST_ALLOW;
	for (int k = 1; k < argc; k++) {
		const char *value;
		const struct option_row *row = find_row(argv[k], &value);
		int r;

		if (strcmp(argv[k], "--help") == 0)
			return 1;
		if (!row) {
			err_set(err, -EINVAL, "run: unknown option '%s'", argv[k]);
			return err_fix(err, "see 'tabique run --help'");
		}
		if (!row->set) {
			err_set(err, -EINVAL, "run: %s is not yet part of this version",
				row->name);
			return err_fix(err, "leave %s out", row->name);
		}
		if (row->value && !value) {
			if (k + 1 == argc) {
				err_set(err, -EINVAL, "run: %s needs a value", row->name);
				return err_fix(err, "%s %s", row->name, row->value);
			}
			value = argv[++k];
		} else if (!row->value && value) {
			return err_set(err, -EINVAL, "run: %s takes no value", row->name);
		}
		r = row->set(o, value, err);
		if (r < 0)
			return r;
	}
	return check_boot(o, err);
}
