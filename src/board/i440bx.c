/* SPDX-License-Identifier: Apache-2.0 */
/* The north bridge; see i440bx.h. Loop thread. */
#include "board/i440bx.h"

#include <stdio.h>

#define PAM 0x59
#define PAM_SIZE 7

/* Where a piece lies, and its two bits of PAM. */
static gpa_t piece_base(unsigned piece)
{
	return piece == 0 ? 0xf0000 : 0xc0000 + (piece - 1) * 0x4000ull;
}

static u64 piece_size(unsigned piece)
{
	return piece == 0 ? 0x10000 : 0x4000;
}

static enum i440bx_kind piece_kind(const struct pci_function *f, unsigned piece)
{
	u8 byte = f->config[PAM + (piece + 1) / 2];
	u8 bits = piece % 2 == 0 ? byte >> 4 : byte;

	return (bits & 3) == 0	 ? I440BX_ROM
	       : (bits & 3) == 1 ? I440BX_READ_ONLY
				 : I440BX_RAM;
}

static void look(struct i440bx *b, bool all)
{
	for (unsigned k = 0; k < I440BX_PIECES; k++) {
		enum i440bx_kind kind = piece_kind(&b->function, k);

		if (!all && kind == b->piece[k])
			continue;
		b->piece[k] = kind;
		b->map(b->owner, k, piece_base(k), piece_size(k), kind);
	}
}

static void changed(void *owner, const struct pci_function *f, u8 at, unsigned size)
{
	if (at < PAM + PAM_SIZE && at + size > PAM)
		look(owner, false);
}

static void fill(struct pci_function *f)
{
	memset(f->writable + PAM, 0x33, PAM_SIZE);
	f->writable[0x72] = 0x7f; /* SMRAM: kept, and of no effect: there is no SMM */
}

void i440bx_init(struct i440bx *b,
		 void (*map)(void *owner, unsigned piece, gpa_t gpa, u64 size,
			     enum i440bx_kind kind),
		 void *owner)
{
	*b = (struct i440bx){ .map = map, .owner = owner };
	pci_host_bridge_init(&b->function);
	/* The one that SeaBIOS knows; guests' drivers make no difference. */
	b->function.device = PCI_DEVICE_440FX;
	b->function.fill = fill;
	b->function.changed = changed;
	b->function.owner = b;
}

void i440bx_map_all(struct i440bx *b)
{
	look(b, true);
}

void i440bx_inspect(const struct i440bx *b, struct inspect *out)
{
	static const char *const words[] = { "ROM", "RAM, read-only", "RAM" };
	char name[16];

	for (unsigned k = 0; k < I440BX_PIECES; k++) {
		snprintf(name, sizeof name, "pam.%05llx",
			 (unsigned long long)piece_base(k));
		inspect_words(out, "board.i440bx", name, "%s", words[b->piece[k]]);
	}
}
