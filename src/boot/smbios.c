/* SPDX-License-Identifier: Apache-2.0 */
/* Who made the machine; see smbios.h. Any thread. */
#include "boot/smbios.h"

struct table {
	u8 *bytes;
	u32 used, largest;
	u16 count;
};

/* strings: one after the other, the last one empty. It all fits: the texts are ours. */
static void add(struct table *t, const void *structure, u8 type, u8 size,
		const char *strings)
{
	struct smbios_head head = { .type = type,
				    .length = size,
				    .handle = le16_of((u16)(type << 8)) };
	u32 begin = t->used, length = 0;

	memcpy(t->bytes + t->used, structure, size);
	memcpy(t->bytes + t->used, &head, sizeof head);
	t->used += size;
	while (strings[length])
		length += (u32)strlen(strings + length) + 1;
	memcpy(t->bytes + t->used, strings, length);
	t->used += length;
	/* Two zeros where there is no string; one ends the list where there are. */
	for (unsigned k = 0; k < (length ? 1u : 2u); k++)
		t->bytes[t->used++] = 0;
	t->largest = (u32)max_u64(t->largest, t->used - begin);
	t->count++;
}

u32 smbios_build(u8 table[SMBIOS_TABLE_SIZE], struct smbios_anchor *ret_anchor)
{
	struct table t = { .bytes = table };

	add(&t,
	    &(struct smbios_system){
		    .vendor = 1, .product = 2, .version = 3, .wake_up = 6 },
	    1, sizeof(struct smbios_system),
	    "Microsoft Corporation\0Virtual Machine\0007.0\0");
	add(&t,
	    &(struct smbios_board){
		    .vendor = 1, .product = 2, .version = 3, .features = 9, .type = 10 },
	    2, sizeof(struct smbios_board),
	    "Microsoft Corporation\0Virtual Machine\0007.0\0");
	add(&t,
	    &(struct smbios_chassis){ .vendor = 1,
				      .type = 3,
				      .version = 2,
				      .boot = 3,
				      .power = 3,
				      .thermal = 3,
				      .security = 3 },
	    3, sizeof(struct smbios_chassis), "Microsoft Corporation\0007.0\0");
	add(&t, &(struct smbios_head){ 0 }, 127, sizeof(struct smbios_head), "");
	*ret_anchor = (struct smbios_anchor){
		.anchor = { '_', 'S', 'M', '_' },
		.length = sizeof *ret_anchor,
		.major = 2,
		.minor = 7,
		.largest = le16_of((u16)t.largest),
		.middle = { '_', 'D', 'M', 'I', '_' },
		.table_size = le16_of((u16)t.used),
		.count = le16_of(t.count),
		.bcd = 0x27,
	};
	return t.used;
}
