/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI configuration space, as far as boards of ours have it: PCI Local Bus Specification 3.0,
 * chapter 6. All numbers are little-endian.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#define PCI_CONFIG_SIZE 256

#define PCI_VENDOR	0x00	/* 16 bits */
#define PCI_DEVICE	0x02	/* 16 bits */
#define PCI_COMMAND	0x04	/* 16 bits */
#define PCI_STATUS	0x06	/* 16 bits */
#define PCI_CLASS	0x08	/* revision, programming interface, sub-class, class: a byte each */
#define PCI_HEADER_TYPE 0x0e	/* bit 7: more functions in this device */
#define PCI_BAR0	0x10	/* six of 32 bits */
#define PCI_BARS	6
#define PCI_INTERRUPT_LINE 0x3c	/* the firmware's note */
#define PCI_INTERRUPT_PIN 0x3d	/* 0: none */
#define PCI_SUBSYSTEM	0x2c	/* vendor, id: 16 bits each */

#define PCI_COMMAND_IO		1u
#define PCI_COMMAND_MEMORY	2u
#define PCI_COMMAND_MASTER	4u
#define PCI_MULTIFUNCTION	0x80u
#define PCI_BAR_FLAGS		0xfu	/* of a memory BAR: all clear is 32 bits, not prefetchable */
#define PCI_BAR_PREFETCH	8u
#define PCI_BAR_IO		1u

#define PCI_CLASS_HOST_BRIDGE	0x0600u
#define PCI_CLASS_ISA_BRIDGE	0x0601u
#define PCI_CLASS_IDE		0x0101u
#define PCI_CLASS_OTHER_BRIDGE	0x0680u
#define PCI_CLASS_VGA		0x0300u

#define PCI_VENDOR_INTEL	0x8086u
#define PCI_DEVICE_440BX	0x7192u	/* host bridge without AGP */
#define PCI_DEVICE_440FX	0x1237u
#define PCI_DEVICE_PIIX4_ISA	0x7110u
#define PCI_DEVICE_PIIX4_IDE	0x7111u
#define PCI_DEVICE_PIIX4_PM	0x7113u
#define PCI_VENDOR_MICROSOFT	0x1414u
#define PCI_DEVICE_VIDEO	0x5353u	/* Hyper-V's emulated video: says where VRAM lies */

/* Device and function on bus 0. */
#define PCI_FUNCTION(device, function) ((device) << 3 | (function))
