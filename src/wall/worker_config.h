/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker is told at its start: one message from the VM's owner, with the descriptors that
 * fd_mask names, in the order of enum worker_fd, then one a boot module, one an image, one a network
 * adapter that is plugged in. Strings are terminated by the owner; the worker checks. Paths never travel: names are for messages to people.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/disk_format.h"
#include "base/types.h"
#include "wall/wall.h"

#define WORKER_MAX_MODULES 16
#define WORKER_NAME_SIZE 128
#define WORKER_ARGS_SIZE 512
#define WORKER_CMDLINE_SIZE 4096

enum worker_fd { WORKER_FD_RAM, WORKER_FD_VRAM, WORKER_FD_ROM, WORKER_FD_DIRTY, WORKER_FD_CODE,
		 WORKER_FD_CONTROL, WORKER_FD_VERBS, WORKER_FD_ACCESS_EVENT, WORKER_FD_HV_EVENT,
		 WORKER_FD_KERNEL, WORKER_FD_COUNT };

struct worker_module {
	char name[WORKER_NAME_SIZE]; /* as the user gave it */
	char args[WORKER_ARGS_SIZE]; /* multiboot: the module's string */
};

/* SCSI disks and DVD drives. */
#define WORKER_MAX_DISKS 32
#define WORKER_MAX_IMAGES 32 /* of all disks together */
#define WORKER_MAX_CONTROLLERS 4
#define WORKER_MAX_LUNS 64
/* With a BIOS: IDE channel n is controller WORKER_IDE + n, its drives are 0 and 1. */
#define WORKER_IDE WORKER_MAX_CONTROLLERS
#define WORKER_IDE_CHANNELS 2
#define WORKER_IDE_DRIVES 2

struct worker_image {
	char name[WORKER_NAME_SIZE];
	u32 format;	  /* enum disk_format */
	u32 device_block; /* block device: its logical block size; else 0 */
	u32 nbd;	  /* the descriptor is a socket to an NBD server */
	char nbd_export[DISK_EXPORT_SIZE];
};

struct worker_disk {
	u32 controller, lun; /* of the SCSI controllers on the VMBus, or of IDE */
	u32 dvd, read_only;
	u32 first_image, level_count; /* leaf first; none: an empty DVD drive */
};

/* Synthetic network adapters. */
#define WORKER_MAX_NICS 8
enum worker_nic_port { WORKER_NIC_UNPLUGGED, WORKER_NIC_TAP, WORKER_NIC_SOCKET };

struct worker_nic {
	u32 port;     /* enum worker_nic_port; all but the first with a descriptor (net/port.h) */
	u32 spoofing; /* the guest may send from other addresses than its own */
	u8 mac[6];    /* unicast */
	u16 mtu;      /* 576 to 9000: what the port takes; told to the guest's administrator, not forced */
};

/* Dynamic memory: vsp/balloon/policy.h. */
struct worker_memory {
	u64 min, max; /* bytes; 0: what the machine starts with */
	u32 buffer, weight;
	u32 dynamic; /* else it has what somebody says, and at first what it starts with */
	u32 reserved;
};

struct worker_config {
	u32 kind;    /* OWNER_WORKER_CONFIG */
	u32 version; /* WALL_VERSION */
	u32 vp_count;
	u32 fd_mask;
	u64 ram_size, vram_size, rom_size;
	u64 ram_start; /* bytes of RAM that the machine starts with; 0 = all */
	struct worker_memory memory;
	u32 jail_flags;
	u32 uid;
	u32 debug_exit, test_devices;
	u32 module_count; /* initrd, or multiboot modules: descriptors after the fixed ones */
	u32 tsc_khz;
	u32 bios; /* the kernel is firmware, the modules are option ROMs */
	char kernel_name[WORKER_NAME_SIZE];
	char cmdline[WORKER_CMDLINE_SIZE];
	struct worker_module module[WORKER_MAX_MODULES];
	u32 disk_count, image_count; /* images: descriptors after the modules' */
	u32 hot_disks; /* struct worker_disk_order may come later */
	struct worker_disk disk[WORKER_MAX_DISKS];
	struct worker_image image[WORKER_MAX_IMAGES];
	u32 nic_count; /* the ports' descriptors after the images' */
	struct worker_nic nic[WORKER_MAX_NICS];
};

/*
 * What the guest shall do or be asked for, or what it shall have: owner -> worker. Answered by
 * OWNER_GUEST_DONE with the same id, when the guest has answered or has had its time.
 */
enum worker_guest_op {
	WORKER_GUEST_PAUSE, WORKER_GUEST_RESUME, /* no words of the guest's own */
	WORKER_GUEST_STOP, WORKER_GUEST_REBOOT,
	WORKER_GUEST_KVP_LIST,	 /* OWNER_GUEST_PAIR before the answer */
	WORKER_GUEST_KVP_SET,	 /* name, text: key and value */
	WORKER_GUEST_KVP_DELETE, /* name */
	WORKER_GUEST_ADDRESS,	 /* name: the card; yes: by DHCP; ip */
	WORKER_GUEST_FREEZE, WORKER_GUEST_THAW,
	WORKER_GUEST_COPY,	 /* name, text: file and folder; size; yes: over one that is there;
				  * with a pipe's reading end */
	WORKER_GUEST_LINK,	 /* size: which network adapter; yes: its cable is in, else out */
	WORKER_GUEST_MEMORY,	 /* memory */
	WORKER_GUEST_TYPE,	 /* name, text: layout and text */
	WORKER_GUEST_PRESS,	 /* text: keys by their names */
	WORKER_GUEST_POINT,	 /* pointer */
	WORKER_GUEST_PICTURE,	 /* with a memfd for a struct worker_picture; yes: for the text on the
				  * screen, in UTF-8 */
	WORKER_GUEST_SCREEN,	 /* with a viewer's connection; not answered */
	WORKER_GUEST_OPS,
};

/* What shall be otherwise; without WORKER_MEMORY_SIZE the policy decides from then on. */
enum { WORKER_MEMORY_SIZE = 1, WORKER_MEMORY_MIN = 2, WORKER_MEMORY_MAX = 4,
       WORKER_MEMORY_BUFFER = 8, WORKER_MEMORY_WEIGHT = 16 };
struct worker_memory_change {
	u64 size;
	struct worker_memory limits;
	u32 mask, reserved;
};

struct worker_guest_order {
	u32 kind; /* OWNER_GUEST */
	u32 op;	  /* enum worker_guest_op */
	u32 id;
	u32 yes;
	u64 size;
	char name[OWNER_KEY_SIZE]; /* all texts in UTF-8, terminated */
	char text[OWNER_VALUE_SIZE];
	struct { char address[256], mask[256], gateway[256], dns[256]; } ip;
	struct worker_memory_change memory;
	struct { u16 x, y; s16 wheel; u16 buttons; } pointer; /* x, y: 0 to 32767 */
};

/* A picture of the screen: this, then width * height pixels of 32 bits, XRGB, line by line. */
struct worker_picture { u32 width, height; };

/*
 * A disk of a VM that runs: owner -> worker, with a descriptor for each image. Answered by
 * OWNER_DISK_DONE with the same id. At most WORKER_MAX_DISKS orders wait for their answers.
 */
enum worker_disk_op { WORKER_DISK_ATTACH, WORKER_DISK_DETACH, WORKER_DISK_RESIZE,
		      WORKER_DISK_MEDIUM };

struct worker_disk_order {
	u32 kind; /* OWNER_DISK */
	u32 op;	  /* enum worker_disk_op */
	u32 id;
	u32 grow; /* resize: size is what is added */
	u64 size; /* resize: bytes; 0: look how large the file or device is now */
	struct worker_disk disk; /* where; attach: all of it, with first_image 0 */
	u32 force; /* medium: though the guest has locked the drive */
	struct worker_image image[WORKER_MAX_IMAGES]; /* attach, medium: level_count of them */
};
