/* SPDX-License-Identifier: Apache-2.0 */
/* What may be found on a disk whose writer was killed; see kill_journal.h. */
#include "kill_journal.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct journal *journal_open(const char *path, u64 sectors)
{
	u64 size = sizeof(struct journal) + sectors * sizeof(struct journal_sector);
	AUTO_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct journal *j;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (sectors > 0 && ftruncate(fd, (off_t)size) < 0)
		return NULL;
	if (sectors == 0)
		size = (u64)st.st_size;
	if (size < sizeof *j)
		return NULL;
	j = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (j == MAP_FAILED)
		return NULL;
	if (sectors > 0)
		j->sectors = sectors;
	return j;
}

static u64 mix(u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ull;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void journal_fill(u8 *bytes, u64 sector, u32 version)
{
	u64 x = mix(sector << 32 | version);

	if (version == 0) {
		memset(bytes, 0, JOURNAL_SECTOR);
		return;
	}
	for (unsigned k = 0; k < JOURNAL_SECTOR; k += 8) {
		memcpy(bytes + k, &x, 8);
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	}
	memcpy(bytes, &version, sizeof version);
}

bool journal_read(const u8 *bytes, u64 sector, u32 *ret_version)
{
	u8 want[JOURNAL_SECTOR];

	memcpy(ret_version, bytes, sizeof *ret_version);
	journal_fill(want, sector, *ret_version);
	return memcmp(bytes, want, sizeof want) == 0;
}

bool journal_allows(const struct journal_sector *s, u32 version)
{
	if (version == 0 && s->trimmed > 0 && s->trimmed >= s->flushed)
		return true;
	return version >= s->flushed && version <= s->submitted;
}
