/* SPDX-License-Identifier: Apache-2.0 */
/* Multiboot images: the header at 512 always adds up. */
#include "abi/multiboot.h"
#include "loader.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 file[65536];
	u32 flags;

	if (size < 1024 || size > sizeof file)
		return 0;
	memcpy(file, data, size);
	memcpy(&flags, file + 516, 4);
	memcpy(file + 512, &(le32){ MULTIBOOT_HEADER_MAGIC }, 4);
	memcpy(file + 520, &(le32){ -(MULTIBOOT_HEADER_MAGIC + flags) }, 4);
	return fuzz_load(file, size);
}
