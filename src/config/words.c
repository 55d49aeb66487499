/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in words; see words.h. */
#include "config/words.h"

#include "base/checked.h"

bool parse_number(const char *text, u64 *ret_number, const char **ret_rest)
{
	u64 n = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++)
		if (!mul_u64(n, 10, &n) || !add_u64(n, (u64)(*p - '0'), &n))
			return false;
	if (p == text)
		return false;
	*ret_number = n;
	*ret_rest = p;
	return true;
}

bool parse_size(const char *text, u64 *ret_size)
{
	static const char units[] = "KMGTP";
	const char *rest, *unit;
	u64 n;

	if (!parse_number(text, &n, &rest))
		return false;
	if (*rest) {
		unit = strchr(units, *rest & ~0x20);
		if (!unit || !mul_u64(n, 1ull << (10 * (unit - units + 1)), &n))
			return false;
		rest++;
		if (*rest == 'i')
			rest++;
		if (*rest == 'B' || *rest == 'b')
			rest++;
		if (*rest)
			return false;
	}
	*ret_size = n;
	return true;
}
