/* SPDX-License-Identifier: Apache-2.0 */
/* The MC146818, by a guest, time (also set on the host) and hostile state blocks. */
#include "chip_input.h"

#include "hv/chips/mc146818.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct script s;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 block[WALL_CHIP_STATE_SIZE];
	struct mc146818 rtc;

	script_begin(&s, data, size);
	mc146818_init(&rtc, &s.clock.clock, SCRIPT_PIN(&s, 0), SCRIPT_ALARM(&s));
	while (s.left) {
		u8 op = script_u8(&s);

		switch (op % 8) {
		case 0:
		case 1:
			mc146818_write(&rtc, 0x70, op & 0x80 ? op >> 3 : op >> 4 & 7);
			mc146818_write(&rtc, 0x71, script_u8(&s));
			break;
		case 2:
			mc146818_write(&rtc, 0x70, script_u8(&s));
			mc146818_read(&rtc, 0x71);
			break;
		case 3:
			mc146818_write(&rtc, 0x70, 10 + (op >> 6));
			mc146818_write(&rtc, 0x71, script_u8(&s));
			break;
		case 4:
			SCRIPT_ADVANCE(&s, script_time(&s), mc146818_on_alarm(&rtc));
			mc146818_on_alarm(&rtc);
			break;
		case 5:
			if (op > 0xf0)
				s.clock.realtime = (s64)script_u64(&s);
			break;
		case 6:
			mc146818_on_alarm(&rtc);
			SCRIPT_ROUND_TRIP(mc146818_save, mc146818_restore, &rtc);
			SCRIPT_INSPECT(mc146818_inspect, &rtc);
			break;
		case 7:
			if (op & 0x80) {
				mc146818_save(&rtc, block);
				script_spoil(&s, block);
				(void)!mc146818_restore(&rtc, block);
			}
			break;
		}
	}
	return 0;
}
