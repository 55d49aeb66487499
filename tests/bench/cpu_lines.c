/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu-lines SECONDS TEXT... -- COMMAND [ARGUMENT...] - run COMMAND and, as each line of its
 * output that has one of the TEXTs in it appears, print
 *
 *	CPU WALL LINE
 *
 * CPU: seconds of processor time that COMMAND and every process below it have used by then, all
 * threads, also ended ones. WALL: seconds since it was started. That is how the bench sees what
 * a row inside a guest costs the host. A last line "CPU WALL end STATUS" tells COMMAND's exit
 * status; what still runs after SECONDS is killed, and its status is 124.
 *
 * A process's clock (clock_getcpuclockid) counts nanoseconds where /proc counts ticks of 10 ms.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/types.h"

struct process {
	pid_t pid, parent;
	double ended; /* CPU of children that it has waited for */
	bool below;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Parent and cutime + cstime from /proc/PID/stat; false: it is gone. */
static bool read_stat(struct process *p)
{
	char path[64], line[1024];
	unsigned long user, system;
	FILE *f;
	const char *rest;
	bool good;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)p->pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	good = fgets(line, sizeof line, f) != NULL;
	fclose(f);
	rest = good ? strrchr(line, ')') : NULL; /* the name may hold anything */
	if (!rest || sscanf(rest + 1,
			    " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lu %lu",
			    &p->parent, &user, &system) != 3)
		return false;
	p->ended = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	return true;
}

static double cpu_of(pid_t pid)
{
	clockid_t clock;
	struct timespec t;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CPU seconds of `root` and all below it. */
static double cpu_below(pid_t root)
{
	static struct process all[8192];
	size_t count = 0;
	double sum = 0;
	DIR *d = opendir("/proc");
	bool more = true;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d)) && count < ARRAY_COUNT(all);) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		all[count] = (struct process){ .pid = atoi(e->d_name) };
		if (read_stat(&all[count])) {
			all[count].below = all[count].pid == root;
			count++;
		}
	}
	closedir(d);
	while (more) {
		more = false;
		for (size_t k = 0; k < count; k++) {
			for (size_t up = 0; up < count && !all[k].below; up++) {
				if (all[up].below && all[up].pid == all[k].parent)
					more = all[k].below = true;
			}
		}
	}
	for (size_t k = 0; k < count; k++) {
		if (all[k].below)
			sum += cpu_of(all[k].pid) + all[k].ended;
	}
	return sum;
}

static void show(pid_t child, double start, const char *line, char *const *texts)
{
	for (; strcmp(*texts, "--") != 0; texts++) {
		if (strstr(line, *texts)) {
			double wall = now() - start;

			printf("%.4f %.4f %s\n", cpu_below(child), wall, line);
			fflush(stdout);
			return;
		}
	}
}

/* Read lines until the output ends. false: time is up. */
static bool follow(int fd, pid_t child, double start, double limit, char *const *texts)
{
	char line[4096];
	size_t size = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		double left = start + limit - now();
		char byte;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			continue;
		if (read(fd, &byte, 1) != 1)
			return true;
		if (byte == '\r')
			continue;
		if (byte != '\n' && size < sizeof line - 1) {
			line[size++] = byte;
			continue;
		}
		line[size] = 0;
		size = 0;
		show(child, start, line, texts);
	}
}

int main(int argc, char **argv)
{
	double start, limit = argc > 1 ? atof(argv[1]) : 0;
	int command = 2, fds[2], status;
	pid_t child;

	while (command < argc && strcmp(argv[command], "--") != 0)
		command++;
	if (limit <= 0 || command + 1 >= argc) {
		fprintf(stderr, "usage: cpu-lines SECONDS TEXT... -- COMMAND...\n");
		return 2;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return 1;
	start = now();
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDONLY);

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(null, 0);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execvp(argv[command + 1], argv + command + 1);
		fprintf(stderr, "cpu-lines: '%s': %s\n", argv[command + 1],
			strerror(errno));
		_exit(127);
	}
	close(fds[1]);

	bool in_time = child > 0 && follow(fds[0], child, start, limit, argv + 2);

	if (!in_time && child > 0)
		kill(child, SIGTERM);

	/* Before it is waited for: its clock goes with it. */
	siginfo_t info;
	double cpu;

	waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
	cpu = cpu_below(child);
	if (waitpid(child, &status, 0) != child)
		return 1;
	printf("%.4f %.4f end %d\n", cpu, now() - start,
	       !in_time		   ? 124
	       : WIFEXITED(status) ? WEXITSTATUS(status)
				   : 128 + WTERMSIG(status));
	return 0;
}
