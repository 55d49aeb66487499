/* SPDX-License-Identifier: Apache-2.0 */
/* The 8254, by a guest, time and hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/i8254.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u16 ports[5] = { 0x40, 0x41, 0x42, 0x43, 0x61 };
	u8 block[WALL_CHIP_STATE_SIZE];
	struct i8254 pit;

	script_begin(&s, data, size);
	i8254_init(&pit, &s.clock.clock, SCRIPT_PIN(&s, 0), SCRIPT_ALARM(&s));
	while (s.left) {
		u8 op = script_u8(&s);

		switch (op % 6) {
		case 0:
		case 1:
			i8254_write(&pit, ports[(op >> 4) % 5], script_u8(&s));
			break;
		case 2:
			i8254_read(&pit, ports[(op >> 4) % 5]);
			break;
		case 3:
			SCRIPT_ADVANCE(&s, script_time(&s), i8254_on_alarm(&pit));
			i8254_on_alarm(&pit);
			break;
		case 4:
			i8254_on_alarm(&pit);
			SCRIPT_ROUND_TRIP(i8254_save, i8254_restore, &pit);
			SCRIPT_INSPECT(i8254_inspect, &pit);
			break;
		case 5:
			if (op & 0x80) {
				i8254_save(&pit, block);
				script_spoil(&s, block);
				(void)!i8254_restore(&pit, block);
			}
			break;
		}
	}
	return 0;
}
