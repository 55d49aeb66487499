/* SPDX-License-Identifier: Apache-2.0 */
/* console/layout.h beside keyboards as others have them (data/keymaps.h). */
#include "console/layout.h"
#include "data/keymaps.h"
#include "harness.h"

typedef unsigned short keymap[KEYMAP_KEYS][KEYMAP_LEVELS];
static const struct {
	const char *name;
	const keymap *map;
} layouts[] = {
	{ "es", &keymap_es },
	{ "es-latam", &keymap_es_latam },
	{ "us", &keymap_us },
};

static size_t utf8(u32 point, char *to)
{
	if (point < 0x80) {
		to[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		to[0] = (char)(0xc0 | point >> 6);
		to[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | point >> 12);
	to[1] = (char)(0x80 | (point >> 6 & 0x3f));
	to[2] = (char)(0x80 | (point & 0x3f));
	return 3;
}

/* What a dead key makes of the next letter. */
static u32 compose(u32 mark, u32 letter)
{
	static const struct {
		u32 mark;
		const char *letters;
		u32 made[16];
	} rows[] = {
		{ 0x300,
		  "aeiouAEIOU",
		  { 0xe0, 0xe8, 0xec, 0xf2, 0xf9, 0xc0, 0xc8, 0xcc, 0xd2, 0xd9 } },
		{ 0x301,
		  "aeiouyAEIOUY",
		  { 0xe1, 0xe9, 0xed, 0xf3, 0xfa, 0xfd, 0xc1, 0xc9, 0xcd, 0xd3, 0xda,
		    0xdd } },
		{ 0x302,
		  "aeiouAEIOU",
		  { 0xe2, 0xea, 0xee, 0xf4, 0xfb, 0xc2, 0xca, 0xce, 0xd4, 0xdb } },
		{ 0x308,
		  "aeiouyAEIOU",
		  { 0xe4, 0xeb, 0xef, 0xf6, 0xfc, 0xff, 0xc4, 0xcb, 0xcf, 0xd6, 0xdc } },
	};

	if (letter == ' ')
		return mark == 0x300 ? '`' : mark == 0x302 ? '^' : 0;
	for (size_t k = 0; k < ARRAY_COUNT(rows); k++) {
		const char *at = rows[k].mark == mark && letter < 0x80
					 ? strchr(rows[k].letters, (int)letter)
					 : NULL;
		if (at)
			return rows[k].made[at - rows[k].letters];
	}
	return 0;
}

/* What a keyboard of that layout makes of the strokes; its code points, 0 behind. */
static unsigned play(const keymap *map, const struct stroke *s, int count,
		     u32 *ret_points)
{
	unsigned used = 0;
	u32 dead = 0;

	for (int k = 0; k < count; k++) {
		unsigned level = 0;
		u32 point;
		u16 key = 0;

		for (unsigned n = 0; n < s[k].count; n++) {
			key = s[k].key[n];
			if (n + 1 < s[k].count)
				level |= key == KEY_SHIFT ? 1 : key == KEY_ALTGR ? 2 : 4;
		}
		if (key >= KEYMAP_KEYS || level >= KEYMAP_LEVELS)
			return 0;
		point = (*map)[key][level];
		if (dead) {
			ret_points[used++] = compose(dead, point);
			dead = 0;
		} else if (point & 0x8000) {
			dead = point & 0x7fff;
		} else {
			ret_points[used++] = point;
		}
	}
	return dead ? 0 : used;
}

TEST(what_a_layout_types_is_what_that_keyboard_makes_of_it)
{
	for (size_t n = 0; n < ARRAY_COUNT(layouts); n++) {
		const struct layout *l = layout_find(layouts[n].name);
		unsigned typed = 0;

		ASSERT(l);
		for (u32 point = 1; point < 0x3000; point++) {
			struct stroke s[4];
			struct err err = { 0 };
			char text[8] = { 0 };
			u32 points[4] = { 0 };
			int count;

			if (point == '\r')
				continue;
			utf8(point, text);
			count = layout_type(l, text, s, 4, &err);
			if (count < 0)
				continue;
			typed++;
			ASSERT_EQ(play(layouts[n].map, s, count, points), 1);
			ASSERT_EQ(points[0], point);
		}
		ASSERT(typed >= 95 + 3);
	}
}

TEST(every_layout_types_all_of_ascii_and_the_spanish_ones_spanish)
{
	static const char spanish[] = "áéíóúüñÁÉÍÓÚÜÑ¿¡€¬°ªº·çÇ";
	struct stroke s[64];
	struct err err = { 0 };

	for (size_t n = 0; n < ARRAY_COUNT(layouts); n++)
		for (char c = ' '; c < 0x7f; c++)
			ASSERT(layout_type(layout_find(layouts[n].name),
					   (char[2]){ c, 0 }, s, 64, &err) > 0);
	ASSERT_EQ(layout_type(layout_find("es"), "áéíóúüñÁÉÍÓÚÜÑ¿¡€¬ªº·çÇ", s, 64, &err),
		  23 + 12);
	ASSERT_EQ(layout_type(layout_find("es-latam"), "áéíóúüñÁÉÍÓÚÜÑ¿¡€¬°", s, 64,
			      &err),
		  19 + 12);
	ASSERT_ERR(layout_type(layout_find("us"), spanish, s, 64, &err), EINVAL);
	ASSERT(strstr(err.text, "á"));
	ASSERT(strstr(err.text, "U+00E1"));
}

TEST(strokes_are_those_of_the_keys)
{
	struct stroke s[8];
	struct err err = { 0 };

	ASSERT_EQ(layout_type(layout_find("es"), "@", s, 8, &err), 1);
	ASSERT_EQ(s[0].count, 2);
	ASSERT_EQ(s[0].key[0], KEY_ALTGR);
	ASSERT_EQ(s[0].key[1], 3);
	ASSERT_EQ(layout_type(layout_find("us"), "A\r\n\n", s, 8, &err), 3);
	ASSERT_EQ(s[0].key[0], KEY_SHIFT);
	ASSERT_EQ(s[0].key[1], 0x1e);
	ASSERT_EQ(s[1].key[0], KEY_ENTER);
}

TEST(text_that_is_not_utf8_or_too_long_is_refused)
{
	static const char *const bad[] = { "\xff",     "\xc3",	       "\xc0\x80",
					   "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80",
					   "a\x80",    "\xe0\x80\x80" };
	struct stroke s[4];
	struct err err = { 0 };

	for (size_t k = 0; k < ARRAY_COUNT(bad); k++)
		ASSERT_ERR(layout_type(layout_find("us"), bad[k], s, 4, &err), EINVAL);
	ASSERT_EQ(layout_type(layout_find("us"), "abcd", s, 4, &err), 4);
	ASSERT_ERR(layout_type(layout_find("us"), "abcde", s, 4, &err), E2BIG);
	ASSERT(!layout_find("fr"));
}

TEST(keys_are_found_by_their_names)
{
	struct stroke s[4];
	struct err err = { 0 };

	ASSERT_EQ(keys_parse("ctrl-alt-del  f2 a", s, 4, &err), 3);
	ASSERT_EQ(s[0].count, 3);
	ASSERT_EQ(s[0].key[2], KEY_E0 | 0x53);
	ASSERT_EQ(s[1].key[0], 0x3c);
	ASSERT_EQ(s[2].key[0], 0x1e);
	ASSERT_ERR(keys_parse("", s, 4, &err), EINVAL);
	ASSERT_ERR(keys_parse("  ", s, 4, &err), EINVAL);
	ASSERT_ERR(keys_parse("ctrl-", s, 4, &err), EINVAL);
	ASSERT_ERR(keys_parse("-a", s, 4, &err), EINVAL);
	ASSERT_ERR(keys_parse("hyper-a", s, 4, &err), EINVAL);
	ASSERT(strstr(err.text, "hyper"));
	ASSERT_ERR(keys_parse("a-b-c-d-e-f-g-h-i", s, 4, &err), EINVAL);
	ASSERT_ERR(keys_parse("a b c d e", s, 4, &err), E2BIG);
}
