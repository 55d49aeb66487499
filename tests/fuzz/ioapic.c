/* SPDX-License-Identifier: Apache-2.0 */
/* The IOAPIC, by a guest, its pins and hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/ioapic.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;
static unsigned delivered;

static unsigned on_deliver(void *owner, const struct apic_message *message)
{
	(void)owner;
	/* One operation can serve each pin once. */
	if (++delivered > IOAPIC_PINS || message->delivery > 7)
		abort();
	return message->vector & 1;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 block[WALL_CHIP_STATE_SIZE];
	struct ioapic io;

	script_begin(&s, data, size);
	ioapic_init(&io, on_deliver, NULL);
	while (s.left) {
		u8 op = script_u8(&s);

		delivered = 0;
		switch (op % 7) {
		case 0:
			ioapic_write(&io, 0, 4, 0x10 + script_u8(&s) % 48);
			ioapic_write(&io, 0x10, 4, script_u32(&s));
			break;
		case 1:
			ioapic_write(&io, script_u8(&s), 1u << (op >> 6), script_u32(&s));
			break;
		case 2:
			ioapic_read(&io, script_u8(&s), 1u << (op >> 6));
			ioapic_read(&io, 0x10, 4);
			break;
		case 3:
			ioapic_set_pin(&io, script_u8(&s), op & 0x80);
			break;
		case 4:
			ioapic_eoi(&io, script_u8(&s));
			break;
		case 5:
			SCRIPT_ROUND_TRIP(ioapic_save, ioapic_restore, &io);
			SCRIPT_INSPECT(ioapic_inspect, &io);
			break;
		case 6:
			if (op & 0x80) {
				ioapic_save(&io, block);
				script_spoil(&s, block);
				(void)!ioapic_restore(&io, block);
			}
			break;
		}
	}
	return 0;
}
