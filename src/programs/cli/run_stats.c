/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of a run; see run_stats.h. */
#include "programs/cli/run_stats.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

int run_stats_open(struct run_stats *stats, const char *path, struct err *err)
{
	stats->path = path;
	stats->file = fopen(path, "we");
	if (!stats->file) {
		err_set(err, -errno, "--stats: '%s' cannot be written: %s", path,
			err_words(-errno));
		return err_fix(err, "name a file in a folder where you may write");
	}
	return 0;
}

/*
 * Proportional memory of a process by smaps: all of it, and the part that is guest memory
 * (the memfds that vm_process.c names).
 */
static void read_pss(pid_t pid, struct run_stats_process *ret_process)
{
	char path[64], line[512];
	bool guest = false;
	FILE *f;

	if (pid == 0)
		return;
	snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		u64 kib;

		if (sscanf(line, "Pss: %" SCNu64 " kB", &kib) == 1) {
			ret_process->pss += kib << 10;
			if (guest)
				ret_process->shared += kib << 10;
		} else if (!isupper((unsigned char)line[0])) { /* "7f00-7f10 rw-s ..." */
			guest = strstr(line, "memfd:tabique-ram") ||
				strstr(line, "memfd:tabique-vram") ||
				strstr(line, "memfd:tabique-rom");
		}
	}
	fclose(f);
}

void run_stats_memory(struct run_stats *stats, const struct vm_process *vm)
{
	if (!stats->file)
		return;
	read_pss(vm->hv_pid, &stats->hv);
	read_pss(vm->worker_pid, &stats->worker);
	read_pss(vm->nat_pid, &stats->nat);
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void write_usage(FILE *f, const char *name, const struct run_stats_process *p)
{
	fprintf(f,
		"  \"%s\": {\n"
		"    \"cpu_user_seconds\": %.6f,\n"
		"    \"cpu_system_seconds\": %.6f,\n"
		"    \"pss_bytes\": %" PRIu64 ",\n"
		"    \"pss_guest_bytes\": %" PRIu64 "\n"
		"  },\n",
		name, seconds(p->usage.ru_utime), seconds(p->usage.ru_stime), p->pss,
		p->shared);
}

int run_stats_write(struct run_stats *stats, struct err *err)
{
	FILE *f = stats->file;
	const struct hv_stats *h = &stats->counters;
	int r = 0;

	if (!f)
		return 0;
	stats->file = NULL;
	fprintf(f,
		"{\n"
		"  \"end\": \"%s\",\n"
		"  \"code\": %d,\n"
		"  \"wall_seconds\": %.6f,\n"
		"  \"first_entry_seconds\": %.6f,\n",
		stats->end ?: "failed", stats->code, (double)stats->wall_ns / 1e9,
		(double)stats->first_entry_ns / 1e9);
	write_usage(f, "hv", &stats->hv);
	write_usage(f, "worker", &stats->worker);
	write_usage(f, "nat", &stats->nat);
	if (stats->have_hv) {
		const struct {
			const char *name;
			u64 value;
		} rows[] = {
			{ "instructions", h->instructions },
			{ "exits_pio", h->exits_pio },
			{ "exits_mmio", h->exits_mmio },
			{ "exits_worker", h->exits_worker },
			{ "interrupts", h->interrupts },
			{ "exceptions", h->exceptions },
			{ "halts", h->halts },
			{ "hypercalls", h->hypercalls },
			{ "decoded", h->decoded },
			{ "code_flushes", h->code_flushes },
			{ "tlb_misses", h->tlb_misses },
		};
		fputs("  \"counters\": {\n", f);
		for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
			fprintf(f, "    \"%s\": %" PRIu64 "%s\n", rows[k].name,
				rows[k].value, k + 1 < ARRAY_COUNT(rows) ? "," : "");
		fputs("  },\n", f);
	}
	fprintf(f, "  \"version\": \"%s\"\n}\n", TABIQUE_VERSION);
	if (fflush(f) != 0 || ferror(f))
		r = -errno;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	if (r < 0) {
		err_set(err, r, "--stats: '%s' cannot be written: %s", stats->path,
			err_words(r));
		return r == -ENOSPC ? err_fix(err, "make room there, or name another "
						   "place")
				    : r;
	}
	return 0;
}
