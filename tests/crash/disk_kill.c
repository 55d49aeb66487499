/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A writer that is killed. It is the worker's stack of disks - rings, storvsp, SCSI, src/disk with its
 * threads - driven by a mini-guest in one process, which writes, trims and flushes as fast as it can
 * and notes in a journal (kill_journal.h) what it was told.
 *
 *	disk-kill new JOURNAL BYTES
 *		for an empty disk of that size
 *	disk-kill rules JOURNAL [pages] [small-trims]
 *		from now on writes are aligned to 4 KiB; no trim is larger than 256 KiB
 *	disk-kill load JOURNAL SEED MICROSECONDS IMAGE [PARENT...]
 *		write; killed by SIGKILL so many microseconds after it began to open the image.
 *		0: some thousand requests, then the image is closed in order
 *	disk-kill verify JOURNAL RAW
 *		every sector of RAW (what some program says is on the disk) is one that may be there;
 *		from then on it must be this one
 *
 * tests/soak/disk-kill and a scenario drive it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/disk_format.h"
#include "kill_journal.h"
#include "miniguest/ministor.h"

enum {
	SLOTS = 24,
	MAX_SECTORS = 128, /* of a write */
	MAX_TRIM = 8192,   /* sectors */
	SMALL_TRIM = 512,
	PAGES_OF_SLOT = MAX_SECTORS * JOURNAL_SECTOR / VMBUS_PAGE + 1,
	REQUESTS_OF_A_CLOSE = 4000,
	MAX_DONE = 1 << 16,
};

enum kind { NOTHING, WRITE, FUA, TRIM, FLUSH };

/* A piece of the disk and what became of it. */
struct piece {
	u64 sector;
	u32 count, version;
};

struct slot {
	enum kind kind;
	struct piece piece;
	u64 page;
};

struct load {
	struct journal *journal;
	struct ministor *stor;
	struct slot slot[SLOTS];
	struct piece done[MAX_DONE];   /* writes that ended, oldest first */
	unsigned done_count, flushing; /* how many of them the flush under way covers */
	bool flush_under_way;
	u64 random;
};

static void die(const char *what)
{
	fprintf(stderr, "disk-kill: %s\n", what);
	exit(1);
}

static u64 below(struct load *l, u64 limit)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random % limit;
}

/* ---- what the guest does ---- */

static bool is_free(const struct load *l, u64 sector, u32 count)
{
	for (unsigned k = 0; k < SLOTS; k++) {
		const struct slot *s = &l->slot[k];

		if (s->kind != NOTHING && s->kind != FLUSH &&
		    sector < s->piece.sector + s->piece.count &&
		    s->piece.sector < sector + count)
			return false;
	}
	return true;
}

/*
 * Half of the writes go to an eighth of the disk, so that much is written again; one in eight is not
 * aligned to 4 KiB.
 */
static struct piece choose(struct load *l, u32 max, bool any_sector)
{
	u64 sectors = l->journal->sectors / (below(l, 2) ? 8 : 1);
	struct piece p = { .count = 8 * (u32)(1 + below(l, max / 8)) };

	if (any_sector)
		p.count = (u32)(1 + below(l, max));
	p.sector = below(l, sectors - p.count);
	if (!any_sector)
		p.sector &= ~7ull;
	return p;
}

static bool send_write(struct load *l, unsigned n, bool fua)
{
	struct slot *s = &l->slot[n];
	u8 cdb[10] = { SCSI_WRITE_10, fua ? 8 : 0 };
	struct piece p = choose(l, below(l, 4) ? 16 : MAX_SECTORS,
				!l->journal->whole_pages && below(l, 8) == 0);

	if (!is_free(l, p.sector, p.count))
		return false;
	p.version = ++l->journal->version;
	for (u32 k = 0; k < p.count; k++) {
		u32 in = k * JOURNAL_SECTOR;

		journal_fill(mini_page(l->stor->mini, s->page + in / VMBUS_PAGE) +
				     in % VMBUS_PAGE,
			     p.sector + k, p.version);
		l->journal->sector[p.sector + k].submitted = p.version;
	}
	be32_put(cdb + 2, (u32)p.sector);
	be16_put(cdb + 7, (u16)p.count);
	if (!ministor_send(&l->stor->channel, n, 0, cdb, sizeof cdb, STORVSP_WRITE,
			   s->page, p.count * JOURNAL_SECTOR))
		die("the ring is full");
	s->kind = fua ? FUA : WRITE;
	s->piece = p;
	return true;
}

static bool send_trim(struct load *l, unsigned n)
{
	struct slot *s = &l->slot[n];
	const u8 cdb[10] = { SCSI_UNMAP, [8] = 24 };
	u8 *list = mini_page(l->stor->mini, s->page);
	struct piece p =
		choose(l, l->journal->small_trims ? SMALL_TRIM : MAX_TRIM, false);

	if (!is_free(l, p.sector, p.count))
		return false;
	p.version = ++l->journal->version;
	for (u32 k = 0; k < p.count; k++)
		l->journal->sector[p.sector + k].trimmed = p.version;
	memset(list, 0, 24);
	be16_put(list, 22);
	be16_put(list + 2, 16);
	be64_put(list + 8, p.sector);
	be32_put(list + 16, p.count);
	if (!ministor_send(&l->stor->channel, n, 0, cdb, sizeof cdb, STORVSP_WRITE,
			   s->page, 24))
		die("the ring is full");
	s->kind = TRIM;
	s->piece = p;
	return true;
}

static bool send_flush(struct load *l, unsigned n)
{
	static const u8 cdb[10] = { SCSI_SYNCHRONIZE_CACHE_10 };

	if (l->flush_under_way)
		return false;
	if (!ministor_send(&l->stor->channel, n, 0, cdb, sizeof cdb, STORVSP_NO_DATA, 0,
			   0))
		die("the ring is full");
	l->slot[n].kind = FLUSH;
	l->flush_under_way = true;
	l->flushing = l->done_count;
	return true;
}

static bool send_something(struct load *l, unsigned n)
{
	u64 what = below(l, 100);

	if (l->done_count > MAX_DONE / 2)
		what = 0;
	if (what < 4)
		return send_flush(l, n);
	if (what < 6)
		return send_trim(l, n);
	return l->done_count < MAX_DONE && send_write(l, n, what < 8);
}

/* ---- what it was told ---- */

static void is_durable(struct journal *j, const struct piece *p)
{
	for (u32 k = 0; k < p->count; k++) {
		struct journal_sector *s = &j->sector[p->sector + k];

		if (s->flushed < p->version)
			s->flushed = p->version;
	}
}

static void take_answer(struct load *l, unsigned n)
{
	struct slot *s = &l->slot[n];
	struct journal *j = l->journal;

	switch (s->kind) {
	case WRITE:
		l->done[l->done_count++] = s->piece;
		j->writes++;
		break;
	case FUA:
		is_durable(j, &s->piece);
		j->writes++;
		break;
	case FLUSH:
		for (unsigned k = 0; k < l->flushing; k++)
			is_durable(j, &l->done[k]);
		l->done_count -= l->flushing;
		memmove(l->done, l->done + l->flushing, l->done_count * sizeof *l->done);
		l->flush_under_way = false;
		j->flushes++;
		break;
	case TRIM:
		j->trims++;
		break;
	case NOTHING:
		die("an answer that nobody asked for");
	}
	s->kind = NOTHING;
}

static void wait_answer(struct load *l)
{
	struct storvsp_packet packet;
	u8 bytes[128];
	u64 transaction;
	u32 got;

	do {
		got = mini_wait(&l->stor->channel, bytes, sizeof bytes);
	} while (got == 80 && bytes[0] == VMBUS_PACKET_INBAND);
	memcpy(&transaction, bytes + 8, sizeof transaction);
	memcpy(&packet, bytes + 16, sizeof packet);
	if (got != 80 || transaction >= SLOTS)
		die("no answer");
	if (packet.request.srb_status != SRB_SUCCESS)
		die("a request failed");
	take_answer(l, (unsigned)transaction);
}

static unsigned under_way(const struct load *l)
{
	unsigned count = 0;

	for (unsigned k = 0; k < SLOTS; k++)
		count += l->slot[k].kind != NOTHING;
	return count;
}

/* requests 0: for ever. */
static void run(struct load *l, u64 requests)
{
	for (u64 sent = 0; requests == 0 || sent < requests;) {
		for (unsigned k = 0; k < SLOTS; k++)
			if (l->slot[k].kind == NOTHING && send_something(l, k)) {
				sent++;
				l->journal->sent++;
			}
		if (under_way(l) > 0)
			wait_answer(l);
	}
	while (under_way(l) > 0)
		wait_answer(l);
}

/* ---- the process that is killed ---- */

static struct scsi_unit *open_unit(struct ministor *stor, char **image, unsigned count)
{
	struct disk_level level[DISK_MAX_DEPTH];
	struct disk_open open_it = { .level = level, .level_count = count };
	struct scsi_unit_config config = { .id = { 0xd1 } };
	struct scsi_unit *unit;
	struct err err = { 0 };

	for (unsigned k = 0; k < count; k++) {
		level[k] = (struct disk_level){
			.fd = open(image[k], (k == 0 ? O_RDWR : O_RDONLY) | O_CLOEXEC),
			.name = image[k],
			.format = disk_format_of_name(image[k]),
		};
		if (level[k].fd < 0)
			die(image[k]);
	}
	if (disk_open(stor->pool, &open_it, &config.disk, &err) < 0)
		die(err.text);
	if (scsi_unit_new(&config, &unit) < 0 ||
	    storvsp_attach(stor->storvsp, 0, unit) < 0)
		die("no unit");
	return unit;
}

static void load(struct journal *journal, u64 seed, u64 requests, char **image,
		 unsigned count)
{
	static struct load l;
	struct scsi_unit *unit;

	l.journal = journal;
	l.random = seed * 0x9e3779b97f4a7c15ull | 1;
	l.stor = ministor_new(0);
	unit = open_unit(l.stor, image, count);
	if (disk_info(unit->disk)->size != journal->sectors * JOURNAL_SECTOR)
		die("the image is not of the journal's size");
	for (unsigned k = 0; k < SLOTS; k++)
		l.slot[k].page = mini_alloc(l.stor->mini, PAGES_OF_SLOT);
	if (!ministor_start(l.stor))
		die("the controller does not start");
	run(&l, requests);
	ministor_free(l.stor);
}

static int kill_after(struct journal *journal, u64 seed, u64 microseconds, char **image,
		      unsigned count)
{
	pid_t child;
	int status;

	journal->writes = journal->flushes = journal->trims = journal->sent = 0;
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		load(journal, seed, microseconds ? 0 : REQUESTS_OF_A_CLOSE, image, count);
		_exit(0);
	}
	if (microseconds) {
		struct timespec t = { .tv_sec = (time_t)(microseconds / 1000000),
				      .tv_nsec = (long)(microseconds % 1000000 * 1000) };

		nanosleep(&t, NULL);
		kill(child, SIGKILL);
	}
	if (waitpid(child, &status, 0) != child)
		die("waitpid");
	if (microseconds ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL
			 : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		die("the writer ended by itself");
	printf("sent %llu writes %llu flushes %llu trims %llu\n",
	       (unsigned long long)journal->sent, (unsigned long long)journal->writes,
	       (unsigned long long)journal->flushes, (unsigned long long)journal->trims);
	return 0;
}

/* ---- afterwards ---- */

static int verify(struct journal *j, const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	u64 size = j->sectors * JOURNAL_SECTOR, lost = 0, unflushed = 0, written = 0;
	const u8 *bytes = fd < 0 || lseek(fd, 0, SEEK_END) < (off_t)size
				  ? MAP_FAILED
				  : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (bytes == MAP_FAILED)
		die(path);
	for (u64 n = 0; n < j->sectors; n++) {
		struct journal_sector *s = &j->sector[n];
		u32 version;
		bool whole = journal_read(bytes + n * JOURNAL_SECTOR, n, &version);

		if (!whole || !journal_allows(s, version)) {
			if (lost++ < 5)
				printf("sector %llu: %s %u, flushed %u, submitted %u, "
				       "trimmed %u\n",
				       (unsigned long long)n,
				       whole ? "version" : "no sector of ours:", version,
				       s->flushed, s->submitted, s->trimmed);
			continue;
		}
		written += version > 0;
		unflushed += version > s->flushed;
		*s = (struct journal_sector){ .flushed = version, .submitted = version };
	}
	printf("sectors %llu written %llu, of these never flushed %llu, lost %llu\n",
	       (unsigned long long)j->sectors, (unsigned long long)written,
	       (unsigned long long)unflushed, (unsigned long long)lost);
	return lost > 0;
}

static int set_rules(struct journal *j, char **word, int count)
{
	j->whole_pages = j->small_trims = false;
	for (int k = 0; k < count; k++) {
		j->whole_pages |= strcmp(word[k], "pages") == 0;
		j->small_trims |= strcmp(word[k], "small-trims") == 0;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct journal *journal;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && strcmp(argv[1], "new") == 0)
		return journal_open(argv[2], strtoull(argv[3], NULL, 10) / JOURNAL_SECTOR)
			       ? 0
			       : 1;
	journal = argc > 2 ? journal_open(argv[2], 0) : NULL;
	if (journal && argc >= 6 && argc - 5 <= DISK_MAX_DEPTH &&
	    strcmp(argv[1], "load") == 0)
		return kill_after(journal, strtoull(argv[3], NULL, 10),
				  strtoull(argv[4], NULL, 10), argv + 5,
				  (unsigned)argc - 5);
	if (journal && strcmp(argv[1], "rules") == 0)
		return set_rules(journal, argv + 3, argc - 3);
	if (journal && argc == 4 && strcmp(argv[1], "verify") == 0)
		return verify(journal, argv[3]);
	fprintf(stderr, "usage: disk-kill new JOURNAL BYTES\n"
			"       disk-kill rules JOURNAL [pages] [small-trims]\n"
			"       disk-kill load JOURNAL SEED MICROSECONDS IMAGE "
			"[PARENT...]\n"
			"       disk-kill verify JOURNAL RAW\n");
	return 2;
}
