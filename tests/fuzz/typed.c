/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and names of keys that somebody wants to have typed, and a guest's accesses to the PCI data port. The
 * first byte chooses: a layout, names of keys, or accesses of eight bytes each.
 */
#include "board/pci.h"
#include "console/layout.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct stroke *s, int count, unsigned most, const struct err *err)
{
	require(count <= (int)most && (count < 0) == (err->code < 0));
	for (int k = 0; k < count; k++)
		require(s[k].count > 0 && s[k].count <= STROKE_KEYS);
}

static void access_pci(const u8 *data, size_t size)
{
	static struct pci_bus bus;
	static struct pci_function bridge;
	u32 before;

	pci_bus_init(&bus);
	pci_host_bridge_init(&bridge);
	require(pci_bus_add(&bus, &bridge) == 0);
	before = pci_bus_read(&bus, 0x80000000, 0, 4);
	for (; size >= 10; data += 10, size -= 10) {
		u32 latch, value;

		memcpy(&latch, data, 4);
		memcpy(&value, data + 4, 4);
		pci_bus_write(&bus, latch, data[8], 1 << data[9] % 3, value);
		(void)pci_bus_read(&bus, latch, data[8], 1 << data[9] % 3);
	}
	require(pci_bus_read(&bus, 0x80000000, 0, 4) == before);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char *const names[] = { "es", "es-latam", "us" };
	struct stroke s[16];
	struct err err = { 0 };
	AUTO_FREE char *text = NULL;
	int count;

	if (size == 0)
		return 0;
	if (data[0] % 5 == 4) {
		access_pci(data + 1, size - 1);
		return 0;
	}
	text = strndup((const char *)data + 1, size - 1);
	require(text != NULL);
	count = data[0] % 5 == 3 ? keys_parse(text, s, ARRAY_COUNT(s), &err)
				 : layout_type(layout_find(names[data[0] % 5]), text, s,
					       ARRAY_COUNT(s), &err);
	check(s, count, ARRAY_COUNT(s), &err);
	return 0;
}
