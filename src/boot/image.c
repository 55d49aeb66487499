/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel or module file; see image.h. Loop thread, before the guest runs. */
#include "boot/image.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "wall/guest_memory.h"

/* One read(2) at most; the kernel cuts at 2 GiB anyway. */
#define READ_MAX (1ull << 30)

int boot_image_init(struct boot_image *image, int fd, const char *name, const char *what,
		    struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s '%s': %s", what, name, err_words(-errno));
	if (S_ISDIR(st.st_mode)) {
		err_set(err, -EISDIR, "%s '%s' is a directory", what, name);
		return err_fix(err, "name a file in it");
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(err, -EINVAL, "%s '%s' is not a regular file", what, name);
		return err_fix(err, "copy it into a file first");
	}
	if (st.st_size <= 0) {
		err_set(err, -ENODATA, "%s '%s' is empty", what, name);
		return err_fix(err, "look whether it was copied or built whole");
	}
	*image = (struct boot_image){ .fd = fd, .size = (u64)st.st_size, .name = name };
	return 0;
}

static int truncated(const struct boot_image *image, u64 needed, struct err *err)
{
	err_set(err, -ENODATA,
		"'%s' is truncated: its headers speak of %llu bytes, it has %llu",
		image->name, (unsigned long long)needed, (unsigned long long)image->size);
	return err_fix(err, "copy or build it again");
}

static int read_all(const struct boot_image *image, u64 offset, u8 *to, u64 size,
		    struct err *err)
{
	u64 end;

	if (!add_u64(offset, size, &end))
		end = UINT64_MAX;
	if (end > image->size)
		return truncated(image, end, err);
	while (size > 0) {
		ssize_t n = pread(image->fd, to, min_u64(size, READ_MAX), (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -errno, "read '%s': %s", image->name,
				       err_words(-errno));
		if (n == 0)
			return truncated(image, end, err); /* it shrank under us */
		to += n;
		offset += (u64)n;
		size -= (u64)n;
	}
	return 0;
}

int boot_image_read(const struct boot_image *image, u64 offset, void *to, u64 size,
		    struct err *err)
{
	return read_all(image, offset, to, size, err);
}

/*
 * All pages in one call where the host can (Linux 5.14), instead of a fault for each: 10 ms in place
 * of 14 for an initrd of 14 MB.
 */
static void populate(u8 *to, u64 size)
{
#ifdef MADV_POPULATE_WRITE
	u8 *first = (u8 *)((uintptr_t)to & ~(uintptr_t)(WALL_PAGE_SIZE - 1));
	u64 whole = (u64)(to - first) + size;

	(void)madvise(first, (whole + WALL_PAGE_SIZE - 1) & ~(u64)(WALL_PAGE_SIZE - 1),
		      MADV_POPULATE_WRITE);
#endif
}

int boot_image_load(const struct boot_image *image, u64 offset, u64 size,
		    struct guest_memory *gm, gpa_t gpa, struct err *err)
{
	u64 ticket = 0; /* nobody runs: nothing is published */
	u8 *to = gm_pin(gm, gpa, size);

	if (!to)
		return err_set(err, -EFAULT,
			       "'%s' wants to lie where no memory is (%#llx)",
			       image->name, (unsigned long long)gpa);
	if (range_inside(offset, size, image->size))
		populate(to, size);
	int r = read_all(image, offset, to, size, err);
	gm_written(gm, gpa, size, &ticket);
	return r;
}
