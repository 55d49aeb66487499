/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keymap LAYOUT TTY - give a Linux console the keyboard of data/keymaps.h, as loadkeys would, in Unicode.
 * Exit: 0 done, 1 the console refused, 2 there is no such layout.
 */
#include <fcntl.h>
#include <linux/kd.h>
#include <linux/keyboard.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "data/keymaps.h"

/* A table's entry as the console has it. */
static unsigned short entry(unsigned short types)
{
	switch (types) {
	case D(0x300):
		return K_DGRAVE;
	case D(0x301):
		return K_DACUTE;
	case D(0x302):
		return K_DCIRCM;
	case D(0x303):
		return K_DTILDE;
	case D(0x308):
		return K_DDIERE;
	case D(0x327):
		return K_DCEDIL;
	case '\n':
		return K_ENTER;
	}
	/* What is no Latin-1 is told from the others by its upper bits. */
	return types < 0x80 ? K(KT_LATIN, types) : types ^ 0xf000;
}

static int load(int tty, const unsigned short (*map)[KEYMAP_LEVELS])
{
	/* The console's numbers of these tables are ours: 1 Shift, 2 AltGr. */
	for (unsigned level = 0; level < KEYMAP_LEVELS; level++) {
		for (unsigned key = 0; key < KEYMAP_KEYS; key++) {
			struct kbentry e = { (unsigned char)level, (unsigned char)key,
					     entry(map[key][level]) };

			if (map[key][level] && ioctl(tty, KDSKBENT, &e) < 0)
				return -1;
		}
	}
	return ioctl(tty, KDSKBMODE, K_UNICODE);
}

int main(int argc, char **argv)
{
	const unsigned short(*map)[KEYMAP_LEVELS] =
		argc != 3			   ? NULL
		: strcmp(argv[1], "es") == 0	   ? keymap_es
		: strcmp(argv[1], "es-latam") == 0 ? keymap_es_latam
		: strcmp(argv[1], "us") == 0	   ? keymap_us
						   : NULL;
	int tty = map ? open(argv[2], O_RDWR) : -1;

	if (!map)
		return 2;
	if (tty < 0 || load(tty, map) < 0) {
		perror(argv[2]);
		return 1;
	}
	return 0;
}
