/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tabique disk create|info|check|convert|resize|merge: images that no VM uses. Reads the words,
 * opens the files, and has tabique-disk do the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "programs/cli/disk_live.h"
#include "programs/cli/disk_process.h"
#include "programs/cli/verb.h"
#include "programs/cli/words.h"

typedef unsigned long long ull;

struct disk_words {
	const char *file[2];
	unsigned file_count;
	u64 size;
	bool size_set, size_added; /* size=, +20G */
	int type;		   /* enum disk_order_type, -1: not said */
	u32 block_size, logical_block;
	const char *parent;
	struct image_folders folders;
	bool repair, json;
};

/* ---- words ----------------------------------------------------------------------------------- */

static int wrong_value(const char *word, const char *fix, struct err *err)
{
	err_set(err, -EINVAL, "'%s' cannot be", word);
	return err_fix(err, "%s", fix);
}

static int set_size(struct disk_words *w, const char *word, const char *value,
		    struct err *err)
{
	w->size_added = value[0] == '+';
	w->size_set = true;
	if (!parse_size(value + w->size_added, &w->size))
		return wrong_value(word, "a size is a number and K, M, G or T: 100G",
				   err);
	return 0;
}

static int set_type(struct disk_words *w, const char *word, const char *value,
		    struct err *err)
{
	static const char *const types[] = { "fixed", "dynamic", "differencing", "raw" };

	for (int i = 0; i < (int)ARRAY_COUNT(types); i++) {
		if (strcmp(value, types[i]) == 0) {
			w->type = i == 3 ? DISK_TYPE_FIXED : i;
			return 0;
		}
	}
	return wrong_value(word, "type=fixed, type=dynamic or type=differencing", err);
}

static int set_number(u32 *ret_number, const char *word, const char *value,
		      const char *fix, struct err *err)
{
	u64 n;

	if (!parse_size(value, &n) || n > UINT32_MAX)
		return wrong_value(word, fix, err);
	*ret_number = (u32)n;
	return 0;
}

static int set_key(struct disk_words *w, const char *word, struct err *err)
{
	const char *value = strchr(word, '=') + 1;
	size_t n = (size_t)(value - word);

	if (strncmp(word, "size=", n) == 0)
		return set_size(w, word, value, err);
	if (strncmp(word, "type=", n) == 0)
		return set_type(w, word, value, err);
	if (strncmp(word, "block=", n) == 0)
		return set_number(&w->block_size, word, value,
				  "block=2M: a power of two from 1M to 256M", err);
	if (strncmp(word, "sector=", n) == 0)
		return set_number(&w->logical_block, word, value,
				  "sector=512 or sector=4096", err);
	if (strncmp(word, "parent=", n) == 0) {
		w->parent = value;
		return 0;
	}
	if (strncmp(word, "parents=", n) == 0 && w->folders.count < IMAGE_FOLDERS) {
		w->folders.folder[w->folders.count++] = value;
		return 0;
	}
	return wrong_value(
		word, "the keys are size, type, block, sector, parent, parents", err);
}

/* A word with '=' is a key only where letters stand before it: paths may have one. */
static bool is_key(const char *word)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz");

	return n > 0 && word[n] == '=';
}

static int read_words(int argc, char **argv, struct disk_words *w, struct err *err)
{
	int r = 0;

	*w = (struct disk_words){ .type = -1 };
	for (int i = 0; i < argc && r == 0; i++) {
		if (strcmp(argv[i], "--repair") == 0) {
			w->repair = true;
		} else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
			w->json = strcmp(argv[++i], "json") == 0;
		} else if (argv[i][0] == '-' && argv[i][1]) {
			err_set(err, -EINVAL, "unknown option '%s'", argv[i]);
			r = err_fix(err, "see 'tabique disk --help'");
		} else if (is_key(argv[i])) {
			r = set_key(w, argv[i], err);
		} else if (w->file_count < ARRAY_COUNT(w->file)) {
			w->file[w->file_count++] = argv[i];
		} else {
			err_set(err, -EINVAL, "'%s' is one file too many", argv[i]);
			r = err_fix(err, "see 'tabique disk --help'");
		}
	}
	return r;
}

static int need_files(const struct disk_words *w, unsigned count, struct err *err)
{
	if (w->file_count == count)
		return 0;
	err_set(err, -EINVAL, count == 1 ? "one file is needed" : "two files are needed");
	return err_fix(err, "see 'tabique disk --help'");
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void set_name(struct disk_image_name *n, const char *path,
		     const struct image_file *file)
{
	snprintf(n->name, sizeof n->name, "%.1000s", path);
	n->format = file->format;
	n->device_block = file->device_block;
	n->nbd = file->nbd;
	memcpy(n->nbd_export, file->nbd_export, sizeof n->nbd_export);
}

static void work_init(struct disk_work *work, const struct disk_words *w,
		      enum disk_order_verb verb)
{
	memset(work, 0, sizeof *work);
	work->order.verb = verb;
	work->order.size = w->size;
	work->order.block_size = w->block_size;
	work->order.logical_block = w->logical_block;
	work->order.repair = w->repair;
	work->source.fd = work->target.fd = -1;
	work->folders = &w->folders;
}

static int open_source(struct disk_work *work, const char *path, bool writable,
		       struct err *err)
{
	int r = image_file_open(path, writable, &work->source, err);

	if (r < 0)
		return r;
	work->source_path = path;
	set_name(&work->order.source, path, &work->source);
	return 0;
}

/* The target's descriptor goes to the other process; ours stays, to name the file at the end. */
static int set_target(struct disk_work *work, const struct new_file *file,
		      struct err *err)
{
	work->target = (struct image_file){ .fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3),
					    .format = disk_format_of_name(file->path) };
	if (work->target.fd < 0)
		return err_set(err, -errno, "no descriptor: %s", err_words(-errno));
	set_name(&work->order.target, file->path, &work->target);
	return 0;
}

static int run_into_file(struct disk_work *work, const char *path, struct err *err)
{
	struct new_file file;
	int r = new_file_make(path, &file, err);

	if (r < 0)
		return r;
	r = set_target(work, &file, err);
	if (r == 0)
		r = disk_process_run(work, err);
	if (r == 0)
		r = new_file_finish(&file, err);
	new_file_close(&file);
	return r;
}

static struct disk_work work; /* large */

static int create(const struct disk_words *w, struct err *err)
{
	const char *path = w->file[0];
	int r = need_files(w, 1, err);

	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_CREATE);
	work.order.type = w->parent	 ? DISK_TYPE_DIFFERENCING
			  : w->type >= 0 ? (u32)w->type
					 : DISK_TYPE_DYNAMIC;
	if (!w->parent && work.order.type == DISK_TYPE_DIFFERENCING) {
		err_set(err, -EINVAL, "a differencing image needs a parent");
		return err_fix(err, "parent=FILE");
	}
	if (!w->size_set && !w->parent) {
		err_set(err, -EINVAL, "'%s' needs a size", path);
		return err_fix(err, "size=100G");
	}
	if (w->parent) {
		r = open_source(&work, w->parent, false, err);
		if (r == 0)
			r = image_file_relative(path, w->parent,
						work.order.parent_relative,
						work.order.parent_absolute,
						DISK_ORDER_NAME, err);
	}
	return r < 0 ? r : run_into_file(&work, path, err);
}

/* ---- info ------------------------------------------------------------------------------------ */

static struct {
	struct disk_facts facts;
	bool there;
} told;

static void on_facts(const struct disk_facts *facts)
{
	told.facts = *facts;
	told.there = true;
}

static const char *type_name(u32 type)
{
	static const char *const names[] = { "fixed", "dynamic", "differencing" };

	return type < ARRAY_COUNT(names) ? names[type] : "unknown";
}

/* Identities as Hyper-V's tools print them: the first three numbers are little-endian. */
static void print_id(char *to, size_t size, const u8 *g)
{
	snprintf(to, size,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11],
		 g[12], g[13], g[14], g[15]);
}

static void print_json_text(const char *text)
{
	putchar('"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			putchar('\\');
		putchar(*p);
	}
	putchar('"');
}

static void print_facts(const char *path, const struct disk_facts *f, u64 used, bool json)
{
	const char *parent = f->relative[0] ? f->relative : f->absolute;
	char id[40];

	print_id(id, sizeof id, f->id);
	if (json) {
		fputs("{\"file\": ", stdout);
		print_json_text(path);
		printf(", \"format\": \"%s\", \"type\": \"%s\", \"size\": %llu, "
		       "\"file_size\": %llu, \"used\": %llu, \"block\": %llu, "
		       "\"sector\": %u, \"physical_sector\": %u, \"id\": \"%s\"",
		       disk_format_name(f->format), type_name(f->type), (ull)f->size,
		       (ull)f->file_size, (ull)used, (ull)f->block_size, f->logical_block,
		       f->physical_block, id);
		if (f->type == DISK_TYPE_DIFFERENCING) {
			fputs(", \"parent\": ", stdout);
			print_json_text(parent);
		}
		puts("}");
		return;
	}
	printf("file:    %s\nformat:  %s %s\nsize:    %llu bytes (%.1f GiB)\n", path,
	       disk_format_name(f->format), type_name(f->type), (ull)f->size,
	       (double)f->size / (1 << 30));
	if (!disk_name_is_nbd(path))
		printf("on disk: %llu bytes of a file of %llu\n", (ull)used,
		       (ull)f->file_size);
	if (f->block_size)
		printf("block:   %llu bytes\n", (ull)f->block_size);
	printf("sector:  %u bytes, physical %u\n", f->logical_block, f->physical_block);
	if (f->format == DISK_VHD || f->format == DISK_VHDX)
		printf("id:      %s\n", id);
	if (f->type == DISK_TYPE_DIFFERENCING)
		printf("parent:  %s\n", parent);
}

static int info(const struct disk_words *w, struct err *err)
{
	struct stat st = { 0 };
	int r = need_files(w, 1, err);

	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_FACTS);
	work.facts = on_facts;
	r = open_source(&work, w->file[0], false, err);
	if (r == 0)
		(void)fstat(work.source.fd, &st);
	if (r == 0)
		r = disk_process_run(&work, err);
	if (r == 0 && told.there)
		print_facts(w->file[0], &told.facts, (u64)st.st_blocks * 512, w->json);
	return r;
}

/* ---- check, convert, resize, merge ----------------------------------------------------------- */

static unsigned findings, bad_findings;

static void on_finding(bool error, const char *text)
{
	printf("%s: %s\n", error ? "error" : "warning", text);
	findings++;
	bad_findings += error;
}

static int check(const struct disk_words *w, struct err *err)
{
	int r = need_files(w, 1, err);

	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_CHECK);
	work.finding = on_finding;
	r = open_source(&work, w->file[0], w->repair, err);
	if (r == 0)
		r = disk_process_run(&work, err);
	if (r < 0)
		return r;
	if (findings == 0)
		printf("'%s' is in order\n", w->file[0]);
	else if (w->repair)
		printf("'%s' is repaired\n", w->file[0]);
	else
		printf("'%s' can be used; to make it clean: tabique disk check "
		       "--repair\n",
		       w->file[0]);
	return 0;
}

static bool progress_shown;

static void on_progress(u64 done, u64 total)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%3u %%", total ? (unsigned)(done * 100 / total) : 100);
	progress_shown = true;
}

static void end_progress(void)
{
	if (progress_shown)
		fputs("\r     \r", stderr);
}

static int convert(const struct disk_words *w, struct err *err)
{
	int r = need_files(w, 2, err);

	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_CONVERT);
	work.progress = on_progress;
	work.order.type = w->type >= 0 ? (u32)w->type : DISK_TYPE_DYNAMIC;
	if (work.order.type == DISK_TYPE_DIFFERENCING) {
		err_set(err, -EINVAL, "a copy has no parent");
		return err_fix(err, "type=fixed or type=dynamic");
	}
	r = open_source(&work, w->file[0], false, err);
	if (r == 0)
		r = run_into_file(&work, w->file[1], err);
	end_progress();
	return r;
}

static int ask_size(const struct disk_words *w, const char *path, u64 *ret_size,
		    struct err *err)
{
	int r;

	work_init(&work, w, DISK_VERB_FACTS);
	work.facts = on_facts;
	r = open_source(&work, path, false, err);
	if (r == 0)
		r = disk_process_run(&work, err);
	if (r == 0)
		*ret_size = told.facts.size;
	return r;
}

static int resize(struct disk_words *w, struct err *err)
{
	u64 size = 0;
	int r;

	/* tabique disk resize FILE 200G */
	if (w->file_count == 2 && !w->size_set) {
		r = set_size(w, w->file[1], w->file[1], err);
		if (r < 0)
			return r;
		w->file_count = 1;
	}
	r = need_files(w, 1, err);
	if (r == 0 && !w->size_set) {
		err_set(err, -EINVAL, "the new size is missing");
		r = err_fix(err, "tabique disk resize FILE 200G, or +20G");
	}
	if (r == 0 && w->size_added) {
		r = ask_size(w, w->file[0], &size, err);
		if (r == 0 && !add_u64(w->size, size, &w->size))
			r = wrong_value(w->file[0], "a smaller size", err);
	}
	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_RESIZE);
	r = open_source(&work, w->file[0], true, err);
	return r < 0 ? r : disk_process_run(&work, err);
}

/* The child is not needed any more, and with the parent's new identity of no use. */
static int merge(const struct disk_words *w, struct err *err)
{
	int r = need_files(w, 1, err);

	if (r < 0)
		return r;
	work_init(&work, w, DISK_VERB_MERGE);
	work.parent_writable = true;
	work.progress = on_progress;
	r = open_source(&work, w->file[0], true, err);
	if (r == 0)
		r = disk_process_run(&work, err);
	end_progress();
	if (r < 0)
		return r;
	if (unlink(w->file[0]) < 0)
		return err_set(err, -errno, "'%s' is merged, but cannot be removed: %s",
			       w->file[0], err_words(-errno));
	printf("merged into '%s'\n", work.parent_path);
	return 0;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static void print_help(FILE *to)
{
	fputs("usage: tabique disk create FILE size=100G [type=fixed|dynamic] "
	      "[block=2M]\n"
	      "                           [sector=512|4096]\n"
	      "       tabique disk create FILE parent=FILE     a differencing image\n"
	      "       tabique disk info FILE [-o json]\n"
	      "       tabique disk check FILE [--repair]\n"
	      "       tabique disk convert SRC DST [type=fixed|dynamic]\n"
	      "       tabique disk resize FILE 200G|+20G\n"
	      "       tabique disk merge FILE                  into its parent\n"
	      "of a VM that runs (tabique run --control SOCKET):\n"
	      "       tabique disk attach --control SOCKET FILE [--controller scsi0] "
	      "[--lun 3]\n"
	      "                           [--read-only] [--passthrough] [format=raw|vhd|"
	      "vhdx|iso]\n"
	      "       tabique disk detach --control SOCKET scsi0:3\n"
	      "       tabique disk resize --control SOCKET scsi0:3 [200G|+20G]\n"
	      "       tabique disk insert --control SOCKET scsi0:1 FILE.iso [--force]\n"
	      "       tabique disk eject --control SOCKET scsi0:1 [--force]\n\n"
	      "The format comes from the name's end: .vhdx .vhd .iso, else raw. A parent "
	      "is\n"
	      "looked for in its child's folder, and in those of parents=DIR. For info "
	      "and "
	      "convert\nSRC may be on an NBD server: nbd://HOST[:PORT]/EXPORT or "
	      "nbd+unix:///EXPORT?socket=PATH.\n",
	      to);
}

static int run(int argc, char **argv)
{
	static struct disk_words w;
	struct err err = { 0 };
	const char *word = argc > 1 ? argv[1] : "";
	int r;

	if (argc < 2 || strcmp(word, "--help") == 0) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? EXIT_USAGE : EXIT_DONE;
	}
	if (disk_live_wants(argc, argv))
		return disk_live_run(argc, argv);
	r = read_words(argc - 2, argv + 2, &w, &err);
	if (r < 0)
		;
	else if (strcmp(word, "create") == 0)
		r = create(&w, &err);
	else if (strcmp(word, "info") == 0)
		r = info(&w, &err);
	else if (strcmp(word, "check") == 0)
		r = check(&w, &err);
	else if (strcmp(word, "convert") == 0)
		r = convert(&w, &err);
	else if (strcmp(word, "resize") == 0)
		r = resize(&w, &err);
	else if (strcmp(word, "merge") == 0)
		r = merge(&w, &err);
	else {
		r = err_set(&err, -EINVAL, "unknown verb 'disk %s'", word);
		err_fix(&err, "see 'tabique disk --help'");
	}
	if (r < 0)
		print_error(&err);
	return r < 0 ? exit_code_of(r) : bad_findings ? EXIT_FAILED : EXIT_DONE;
}

const struct verb verb_disk = {
	.name = "disk",
	.summary = "make, look at, convert, resize and merge disk images",
	.run = run,
};
