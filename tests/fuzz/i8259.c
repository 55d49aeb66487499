/* SPDX-License-Identifier: Apache-2.0 */
/* The pair of 8259A, by a guest, its lines and hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/i8259.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u16 ports[8] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x20, 0xa0 };
	u8 block[WALL_CHIP_STATE_SIZE];
	struct i8259 pic;

	script_begin(&s, data, size);
	i8259_init(&pic, SCRIPT_PIN(&s, 0));
	while (s.left) {
		u8 op = script_u8(&s);

		switch (op % 6) {
		case 0:
			i8259_write(&pic, ports[op >> 5], script_u8(&s));
			break;
		case 1:
			i8259_read(&pic, ports[op >> 5]);
			break;
		case 2:
			i8259_set_line(&pic, script_u8(&s) & 31, op & 0x80);
			break;
		case 3:
			i8259_ack(&pic);
			break;
		case 4:
			SCRIPT_ROUND_TRIP(i8259_save, i8259_restore, &pic);
			SCRIPT_INSPECT(i8259_inspect, &pic);
			break;
		case 5:
			if (op & 0x80) {
				i8259_save(&pic, block);
				script_spoil(&s, block);
				(void)!i8259_restore(&pic, block);
			}
			break;
		}
		if (i8259_pending(&pic) != (s.pins & 1))
			abort();
	}
	return 0;
}
