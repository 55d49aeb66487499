/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executables in ELF, as far as a loader needs them. Specification: System V ABI, gABI 4.1,
 * chapters 4 and 5.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

#define ELF_MAGIC 0x464c457fu /* 7f 45 4c 46 */
#define ELF_CLASS_32 1
#define ELF_CLASS_64 2
#define ELF_DATA_LITTLE 1
#define ELF_TYPE_EXEC 2
#define ELF_TYPE_DYN 3
#define ELF_MACHINE_386 3
#define ELF_MACHINE_X86_64 62
#define ELF_SEGMENT_LOAD 1
#define ELF_SEGMENT_NOTE 4

struct elf_ident {
	le32 magic;
	u8 class, data, version, osabi, abiversion, pad[7];
} PACKED;

struct elf32_header {
	struct elf_ident ident;
	le16 type, machine;
	le32 version, entry, phoff, shoff, flags;
	le16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} PACKED;
_Static_assert(sizeof(struct elf32_header) == 52, "gABI");

struct elf64_header {
	struct elf_ident ident;
	le16 type, machine;
	le32 version;
	le64 entry, phoff, shoff;
	le32 flags;
	le16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} PACKED;
_Static_assert(sizeof(struct elf64_header) == 64, "gABI");

struct elf32_segment {
	le32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
} PACKED;
_Static_assert(sizeof(struct elf32_segment) == 32, "gABI");

struct elf64_segment {
	le32 type, flags;
	le64 offset, vaddr, paddr, filesz, memsz, align;
} PACKED;
_Static_assert(sizeof(struct elf64_segment) == 56, "gABI");

struct elf_note { /* then the name and the contents, each padded to 4 bytes */
	le32 name_size, content_size, type;
} PACKED;
