/* SPDX-License-Identifier: Apache-2.0 */
/* Formats of disk images by the names of their files; see disk_format.h. */
#include "base/disk_format.h"

#include <strings.h>

bool disk_name_is_nbd(const char *name)
{
	return strncmp(name, "nbd://", 6) == 0 || strncmp(name, "nbd+unix://", 11) == 0;
}

enum disk_format disk_format_of_name(const char *name)
{
	static const struct {
		const char *end;
		enum disk_format format;
	} ends[] = {
		{ ".iso", DISK_ISO },	{ ".vhd", DISK_VHD },	 { ".avhd", DISK_VHD },
		{ ".vhdx", DISK_VHDX }, { ".avhdx", DISK_VHDX },
	};
	size_t length = strlen(name);

	if (disk_name_is_nbd(name))
		return DISK_RAW;
	for (size_t i = 0; i < ARRAY_COUNT(ends); i++) {
		size_t n = strlen(ends[i].end);

		if (length > n && strcasecmp(name + length - n, ends[i].end) == 0)
			return ends[i].format;
	}
	return DISK_RAW;
}

const char *disk_format_name(enum disk_format format)
{
	static const char *const names[DISK_FORMATS] = {
		[DISK_RAW] = "raw",
		[DISK_ISO] = "iso",
		[DISK_VHD] = "vhd",
		[DISK_VHDX] = "vhdx",
	};

	return format < DISK_FORMATS ? names[format] : "unknown";
}
