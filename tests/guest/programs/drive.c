/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drive WHAT: one request to the guest's DVD drive /dev/sr0 - eject, lock, unlock; changed says
 * whether the medium is another one since that was last asked. The exit status tells whether it was
 * done.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cdrom.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct {
	const char *name;
	unsigned long request;
	long argument;
} requests[] = {
	{ "eject", CDROMEJECT, 0 },
	{ "lock", CDROM_LOCKDOOR, 1 },
	{ "unlock", CDROM_LOCKDOOR, 0 },
	{ "changed", CDROM_MEDIA_CHANGED, CDSL_CURRENT },
};

int main(int argc, char **argv)
{
	int fd = open("/dev/sr0", O_RDONLY | O_NONBLOCK);

	for (size_t k = 0; fd >= 0 && k < sizeof requests / sizeof requests[0]; k++) {
		int r;

		if (argc != 2 || strcmp(argv[1], requests[k].name) != 0)
			continue;
		r = ioctl(fd, requests[k].request, requests[k].argument);
		if (r < 0)
			printf("%s: %s\n", argv[1], strerror(errno));
		else
			printf("%s: %d\n", argv[1], r);
		close(fd);
		return r < 0;
	}
	fprintf(stderr, "usage: drive eject|lock|unlock|changed, with a drive "
			"/dev/sr0\n");
	return 2;
}
