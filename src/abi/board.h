/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the parts of the board are: ports, addresses, interrupt lines. Both sides of the wall
 * build from these numbers: hv answers at them, the loader writes them into the ACPI tables.
 *
 * Interrupt lines are ISA numbers; on the IOAPIC line n is pin n, but for line 0, which is
 * pin 2 (as every PC chip set has it; the MADT says so).
 */
#pragma once

/* Tables, aligned by hand. clang-format off */

#define BOARD_PORT_PIC_MASTER 0x20 /* 2 ports */
#define BOARD_PORT_PIT 0x40	   /* 4 ports */
#define BOARD_PORT_I8042_DATA 0x60
#define BOARD_PORT_SPEAKER 0x61	   /* gate and output of PIT channel 2 */
#define BOARD_PORT_I8042 0x64	   /* status and command */
#define BOARD_PORT_RTC 0x70	   /* index, data */
#define BOARD_PORT_92 0x92	   /* fast A20 and reset */
#define BOARD_PORT_PIC_SLAVE 0xa0  /* 2 ports */
#define BOARD_PORT_SMI_CMD 0xb2	   /* FADT: SMI_CMD */
#define BOARD_PORT_TEST_LATCH 0xe0 /* 4 ports; --test-devices, also the next three */
#define BOARD_PORT_TEST_FLUSH 0xe4
#define BOARD_PORT_TEST_BYTES 0xe8   /* 4 ports */
#define BOARD_PORT_TEST_LINES 0x2000 /* 24 ports */
#define BOARD_PORT_DEBUG_TEXT 0xe9   /* Bochs' console; not together with test devices */
#define BOARD_PORT_DEBUG_EXIT 0xf4   /* --debug-exit */
#define BOARD_PORT_COM1 0x3f8	     /* 8 ports */
#define BOARD_PORT_COM2 0x2f8	     /* 8 ports */
#define BOARD_PORT_ELCR 0x4d0	     /* 2 ports: edge/level of each line */
#define BOARD_PORT_IDE0 0x1f0	     /* 8 ports */
#define BOARD_PORT_IDE0_CONTROL 0x3f6
#define BOARD_PORT_IDE1 0x170 /* 8 ports */
#define BOARD_PORT_IDE1_CONTROL 0x376
#define BOARD_PORT_FIRMWARE_LOG 0x402 /* SeaBIOS' */
#define BOARD_PORT_FW_CFG_DMA 0x514   /* 8 ports */
#define BOARD_PORT_FW_CFG 0x510	      /* selector (16 bits), data at 0x511 */
#define BOARD_PORT_PM1_EVENT 0x600    /* FADT: PM1a_EVT_BLK, 4 bytes */
#define BOARD_PORT_PM1_CONTROL 0x604  /* FADT: PM1a_CNT_BLK, 2 bytes */
#define BOARD_PORT_PM_TIMER 0x608     /* FADT: PM_TMR_BLK, 4 bytes */
#define BOARD_PORT_PCI_ADDRESS 0xcf8  /* 4 ports */
#define BOARD_PORT_RESET 0xcf9	      /* FADT: RESET_REG; a byte inside the former */
#define BOARD_PORT_PCI_DATA 0xcfc     /* 4 ports */

#define BOARD_PORT_TEST_HYPERV 0x3000 /* 4 bytes */

/* Addresses that PCI functions and synthetic devices may take; no RAM lies there. */
#define BOARD_GPA_PCI 0xf0000000u
#define BOARD_GPA_PCI_END 0xfec00000u
#define BOARD_GPA_VIDEO 0xf8000000u /* frame buffer, where its BAR stands at power-on */
#define BOARD_GPA_IOAPIC 0xfec00000u
#define BOARD_GPA_LAPIC 0xfee00000u
#define BOARD_GPA_TEST_LATCH 0xff000000u /* 64 KiB */

#define BOARD_IRQ_PIT 0
#define BOARD_IRQ_KEYBOARD 1
#define BOARD_IRQ_COM2 3
#define BOARD_IRQ_COM1 4
#define BOARD_IRQ_RTC 8
#define BOARD_IRQ_IDE0 14
#define BOARD_IRQ_IDE1 15
#define BOARD_IRQ_MOUSE 12
#define BOARD_IRQ_SCI 9 /* level, active high */

#define BOARD_IOAPIC_PINS 24
#define BOARD_IOAPIC_PIN_OF_LINE_0 2

/* Values that go with the registers above. */
#define BOARD_ACPI_ENABLE 0xf1 /* to SMI_CMD: SCI_EN becomes 1 */
#define BOARD_ACPI_DISABLE 0xf0
#define BOARD_RESET_VALUE 0x06 /* to BOARD_PORT_RESET: hard reset */
#define BOARD_SLP_TYP_S5 5     /* \_S5 package, both values */
#define BOARD_PM_TIMER_BITS 32 /* FADT flag TMR_VAL_EXT set */
#define BOARD_PM_TIMER_HZ 3579545u
#define BOARD_PIT_HZ 1193182u
#define BOARD_CMOS_CENTURY 0x32 /* FADT: CENTURY */
