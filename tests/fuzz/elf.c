/* SPDX-License-Identifier: Apache-2.0 */
/* ELF files with a PVH note: the input as it is. */
#include "loader.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	return fuzz_load(data, size);
}
