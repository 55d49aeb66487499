/* SPDX-License-Identifier: Apache-2.0 */
/* The keyboard controller's reset line and port 0x92: i8042.h. Under the chipset lock. */
#include "hv/chips/i8042.h"

#include <errno.h>

#include "wall/wall.h"

#define STATUS_DATA 0x01u
#define STATUS_SYSTEM 0x04u /* self test passed */

#define OUTPUT_RESET 0x01u /* active low */
#define OUTPUT_A20 0x02u

#define COMMAND_READ_CONFIGURATION 0x20u
#define COMMAND_WRITE_CONFIGURATION 0x60u
#define COMMAND_SELF_TEST 0xaau
#define COMMAND_PORT_TEST 0xabu
#define COMMAND_READ_OUTPUT 0xd0u
#define COMMAND_WRITE_OUTPUT 0xd1u

#define CONFIGURATION_RESET 0x34u /* both ports off, system flag */

#define PORT92_RESET 0x01u
#define PORT92_A20 0x02u

static void reset_machine(struct i8042 *kbc)
{
	kbc->resets++;
	kbc->on_reset(kbc->owner);
}

static void answer(struct i8042 *kbc, u8 data)
{
	kbc->data = data;
	kbc->data_waits = true;
}

static void write_command(struct i8042 *kbc, u8 command)
{
	kbc->parameter_of = 0;
	switch (command) {
	case COMMAND_READ_CONFIGURATION:
		answer(kbc, kbc->configuration);
		return;
	case COMMAND_WRITE_CONFIGURATION:
	case COMMAND_WRITE_OUTPUT:
		kbc->parameter_of = command;
		return;
	case COMMAND_SELF_TEST:
		answer(kbc, 0x55);
		return;
	case COMMAND_PORT_TEST:
		answer(kbc, 0x01); /* clock line stuck: nothing is plugged in */
		return;
	case COMMAND_READ_OUTPUT:
		answer(kbc, OUTPUT_RESET | OUTPUT_A20);
		return;
	}
	/* Pulse output lines: those whose bit is 0. Line 0 is reset. */
	if (command >= 0xf0 && !(command & 0x01))
		reset_machine(kbc);
}

static void write_data(struct i8042 *kbc, u8 value)
{
	u8 command = kbc->parameter_of;

	kbc->parameter_of = 0;
	if (command == COMMAND_WRITE_CONFIGURATION)
		kbc->configuration = value;
	else if (command == COMMAND_WRITE_OUTPUT && !(value & OUTPUT_RESET))
		reset_machine(kbc);
}

u8 i8042_read(struct i8042 *kbc, u16 port)
{
	switch (port) {
	case 0x60:
		kbc->data_waits = false;
		return kbc->data;
	case 0x64:
		return STATUS_SYSTEM | (kbc->data_waits ? STATUS_DATA : 0);
	case 0x92:
		return kbc->port92 | PORT92_A20;
	}
	return 0xff;
}

void i8042_write(struct i8042 *kbc, u16 port, u8 value)
{
	bool was;

	switch (port) {
	case 0x60:
		write_data(kbc, value);
		break;
	case 0x64:
		write_command(kbc, value);
		break;
	case 0x92:
		was = kbc->port92 & PORT92_RESET;
		kbc->port92 = value & (PORT92_RESET | PORT92_A20);
		if ((value & PORT92_RESET) && !was)
			reset_machine(kbc);
		break;
	}
}

void i8042_init(struct i8042 *kbc, void (*on_reset)(void *owner), void *owner)
{
	memset(kbc, 0, sizeof *kbc);
	kbc->on_reset = on_reset;
	kbc->owner = owner;
	i8042_reset(kbc);
}

void i8042_reset(struct i8042 *kbc)
{
	kbc->data = 0;
	kbc->data_waits = false;
	kbc->parameter_of = 0;
	kbc->configuration = CONFIGURATION_RESET;
	kbc->port92 = PORT92_A20;
}

/* ---- state --------------------------------------------------------------------------------------- */

#define STATE_VERSION 1

struct i8042_state {
	struct chip_state_head head;
	u8 data, data_waits, parameter_of, configuration, port92;
} PACKED;
_Static_assert(sizeof(struct i8042_state) <= WALL_CHIP_STATE_SIZE, "fits its block");

void i8042_save(const struct i8042 *kbc, void *block)
{
	struct i8042_state s = {
		.data = kbc->data,
		.data_waits = kbc->data_waits,
		.parameter_of = kbc->parameter_of,
		.configuration = kbc->configuration,
		.port92 = kbc->port92,
	};

	chip_state_finish(block, STATE_VERSION, &s, sizeof s);
}

int i8042_restore(struct i8042 *kbc, const void *block)
{
	struct i8042_state s;

	if (!chip_state_take(block, STATE_VERSION, &s, sizeof s) || s.data_waits > 1 ||
	    (s.parameter_of && s.parameter_of != COMMAND_WRITE_CONFIGURATION &&
	     s.parameter_of != COMMAND_WRITE_OUTPUT) ||
	    (s.port92 & ~(PORT92_RESET | PORT92_A20)))
		return -EINVAL;
	kbc->data = s.data;
	kbc->data_waits = s.data_waits;
	kbc->parameter_of = s.parameter_of;
	kbc->configuration = s.configuration;
	kbc->port92 = s.port92;
	return 0;
}

void i8042_inspect(const struct i8042 *kbc, struct inspect *out)
{
	inspect_line(out, "resets", "%llu", (unsigned long long)kbc->resets);
	inspect_line(out, "configuration", "0x%02x", kbc->configuration);
	inspect_line(out, "port 92", "0x%02x", kbc->port92);
}
