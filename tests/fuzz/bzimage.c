/* SPDX-License-Identifier: Apache-2.0 */
/* Linux bzImages: whatever the input is, its header has the two magic numbers. */
#include "abi/linux_boot.h"
#include "loader.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 file[65536];

	if (size < 1024 || size > sizeof file)
		return 0;
	memcpy(file, data, size);
	memcpy(file + 0x1fe, &(le16){ LINUX_BOOT_FLAG }, 2);
	memcpy(file + 0x202, &(le32){ LINUX_HEADER_MAGIC }, 4);
	return fuzz_load(file, size);
}
