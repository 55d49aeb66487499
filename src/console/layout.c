/* SPDX-License-Identifier: Apache-2.0 */
/* Keyboard layouts; see layout.h. */
#include "console/layout.h"

#include <errno.h>
#include <stdio.h>

/* Tables aligned by hand. */
/* clang-format off */

/* How a key is held down. */
enum level { PLAIN, SHIFT, ALTGR, ALTGR_SHIFT, LEVELS };

/* A key with what it types at each level, as code points. Dead keys are marked. */
#define DEAD 0x80000000u
struct key_row {
	u16 key;
	u32 types[LEVELS];
};

#define GRAVE		(DEAD | 0x0300)
#define ACUTE		(DEAD | 0x0301)
#define CIRCUMFLEX	(DEAD | 0x0302)
#define TILDE		(DEAD | 0x0303)
#define DIAERESIS	(DEAD | 0x0308)

/* Letters and digits that are at the same place in all of them, with what Shift makes of letters. */
static const struct key_row letters[] = {
	{ 0x10, { 'q', 'Q' } }, { 0x11, { 'w', 'W' } }, { 0x12, { 'e', 'E' } },
	{ 0x13, { 'r', 'R' } }, { 0x14, { 't', 'T' } }, { 0x15, { 'y', 'Y' } },
	{ 0x16, { 'u', 'U' } }, { 0x17, { 'i', 'I' } }, { 0x18, { 'o', 'O' } },
	{ 0x19, { 'p', 'P' } }, { 0x1e, { 'a', 'A' } }, { 0x1f, { 's', 'S' } },
	{ 0x20, { 'd', 'D' } }, { 0x21, { 'f', 'F' } }, { 0x22, { 'g', 'G' } },
	{ 0x23, { 'h', 'H' } }, { 0x24, { 'j', 'J' } }, { 0x25, { 'k', 'K' } },
	{ 0x26, { 'l', 'L' } }, { 0x2c, { 'z', 'Z' } }, { 0x2d, { 'x', 'X' } },
	{ 0x2e, { 'c', 'C' } }, { 0x2f, { 'v', 'V' } }, { 0x30, { 'b', 'B' } },
	{ 0x31, { 'n', 'N' } }, { 0x32, { 'm', 'M' } },
	{ KEY_SPACE, { ' ', ' ' } },
	{ KEY_ENTER, { '\n' } }, { KEY_TAB, { '\t' } }, { KEY_BACKSPACE, { '\b' } },
	{ KEY_ESCAPE, { 0x1b } },
	{ 0 },
};

static const struct key_row us[] = {
	{ 0x29, { '`', '~' } },
	{ 0x02, { '1', '!' } }, { 0x03, { '2', '@' } }, { 0x04, { '3', '#' } },
	{ 0x05, { '4', '$' } }, { 0x06, { '5', '%' } }, { 0x07, { '6', '^' } },
	{ 0x08, { '7', '&' } }, { 0x09, { '8', '*' } }, { 0x0a, { '9', '(' } },
	{ 0x0b, { '0', ')' } }, { 0x0c, { '-', '_' } }, { 0x0d, { '=', '+' } },
	{ 0x1a, { '[', '{' } }, { 0x1b, { ']', '}' } }, { 0x2b, { '\\', '|' } },
	{ 0x27, { ';', ':' } }, { 0x28, { '\'', '"' } },
	{ 0x33, { ',', '<' } }, { 0x34, { '.', '>' } }, { 0x35, { '/', '?' } },
	{ 0 },
};

/* º ª · € ¬ ¡ ¿ ç ñ by their code points. */
static const struct key_row es[] = {
	{ 0x29, { 0xba, 0xaa, '\\' } },
	{ 0x02, { '1', '!', '|' } },	{ 0x03, { '2', '"', '@' } },
	{ 0x04, { '3', 0xb7, '#' } },	{ 0x05, { '4', '$', '~' } },
	{ 0x06, { '5', '%' } },	{ 0x07, { '6', '&', 0xac } },
	{ 0x08, { '7', '/' } },		{ 0x09, { '8', '(' } },
	{ 0x0a, { '9', ')' } },		{ 0x0b, { '0', '=' } },
	{ 0x0c, { '\'', '?' } },	{ 0x0d, { 0xa1, 0xbf } },
	{ 0x12, { 0, 0, 0x20ac } },
	{ 0x1a, { GRAVE, CIRCUMFLEX, '[' } }, { 0x1b, { '+', '*', ']' } },
	{ 0x27, { 0xf1, 0xd1 } },	{ 0x28, { ACUTE, DIAERESIS, '{' } },
	{ 0x2b, { 0xe7, 0xc7, '}' } },
	{ 0x56, { '<', '>' } },
	{ 0x33, { ',', ';' } },		{ 0x34, { '.', ':' } },
	{ 0x35, { '-', '_' } },
	{ 0 },
};

/* | ° ¬ ¡ ¿ ñ by their code points. */
static const struct key_row es_latam[] = {
	{ 0x29, { '|', 0xb0, 0xac } },
	{ 0x02, { '1', '!' } },		{ 0x03, { '2', '"' } },
	{ 0x04, { '3', '#' } },		{ 0x05, { '4', '$' } },
	{ 0x06, { '5', '%' } },		{ 0x07, { '6', '&' } },
	{ 0x08, { '7', '/' } },		{ 0x09, { '8', '(' } },
	{ 0x0a, { '9', ')' } },		{ 0x0b, { '0', '=' } },
	{ 0x0c, { '\'', '?', '\\' } },	{ 0x0d, { 0xbf, 0xa1 } },
	{ 0x10, { 0, 0, '@' } },	{ 0x12, { 0, 0, 0x20ac } },
	{ 0x1a, { ACUTE, DIAERESIS } },	{ 0x1b, { '+', '*', '~' } },
	{ 0x27, { 0xf1, 0xd1 } },	{ 0x28, { '{', '[', CIRCUMFLEX } },
	{ 0x2b, { '}', ']', GRAVE } },
	{ 0x56, { '<', '>' } },
	{ 0x33, { ',', ';' } },		{ 0x34, { '.', ':' } },
	{ 0x35, { '-', '_' } },
	{ 0 },
};

struct layout {
	const char *name;
	const struct key_row *rows;
};
static const struct layout layouts[] = {
	{ "es", es }, { "es-latam", es_latam }, { "us", us },
};

/* Letters with an accent, and those accents before a blank that are the same everywhere. */
static const struct composed {
	u32 point, dead;
	char letter;
} composed[] = {
	{ 0xe1, ACUTE, 'a' }, { 0xe9, ACUTE, 'e' }, { 0xed, ACUTE, 'i' }, { 0xf3, ACUTE, 'o' },
	{ 0xfa, ACUTE, 'u' }, { 0xfd, ACUTE, 'y' }, { 0xc1, ACUTE, 'A' }, { 0xc9, ACUTE, 'E' },
	{ 0xcd, ACUTE, 'I' }, { 0xd3, ACUTE, 'O' }, { 0xda, ACUTE, 'U' }, { 0xdd, ACUTE, 'Y' },
	{ 0xe0, GRAVE, 'a' }, { 0xe8, GRAVE, 'e' }, { 0xec, GRAVE, 'i' }, { 0xf2, GRAVE, 'o' },
	{ 0xf9, GRAVE, 'u' }, { 0xc0, GRAVE, 'A' }, { 0xc8, GRAVE, 'E' }, { 0xcc, GRAVE, 'I' },
	{ 0xd2, GRAVE, 'O' }, { 0xd9, GRAVE, 'U' },
	{ 0xe2, CIRCUMFLEX, 'a' }, { 0xea, CIRCUMFLEX, 'e' }, { 0xee, CIRCUMFLEX, 'i' },
	{ 0xf4, CIRCUMFLEX, 'o' }, { 0xfb, CIRCUMFLEX, 'u' }, { 0xc2, CIRCUMFLEX, 'A' },
	{ 0xca, CIRCUMFLEX, 'E' }, { 0xce, CIRCUMFLEX, 'I' }, { 0xd4, CIRCUMFLEX, 'O' },
	{ 0xdb, CIRCUMFLEX, 'U' },
	{ 0xe4, DIAERESIS, 'a' }, { 0xeb, DIAERESIS, 'e' }, { 0xef, DIAERESIS, 'i' },
	{ 0xf6, DIAERESIS, 'o' }, { 0xfc, DIAERESIS, 'u' }, { 0xff, DIAERESIS, 'y' },
	{ 0xc4, DIAERESIS, 'A' }, { 0xcb, DIAERESIS, 'E' }, { 0xcf, DIAERESIS, 'I' },
	{ 0xd6, DIAERESIS, 'O' }, { 0xdc, DIAERESIS, 'U' },
	{ '`', GRAVE, ' ' }, { '^', CIRCUMFLEX, ' ' },
};

static const struct key_name {
	const char *name;
	u16 key;
} key_names[] = {
	{ "ctrl", KEY_CTRL }, { "alt", KEY_ALT }, { "shift", KEY_SHIFT }, { "altgr", KEY_ALTGR },
	{ "rctrl", KEY_E0 | 0x1d }, { "rshift", 0x36 }, { "win", KEY_E0 | 0x5b },
	{ "rwin", KEY_E0 | 0x5c }, { "menu", KEY_E0 | 0x5d },
	{ "enter", KEY_ENTER }, { "esc", KEY_ESCAPE }, { "tab", KEY_TAB },
	{ "space", KEY_SPACE }, { "backspace", KEY_BACKSPACE },
	{ "del", KEY_E0 | 0x53 }, { "ins", KEY_E0 | 0x52 }, { "home", KEY_E0 | 0x47 },
	{ "end", KEY_E0 | 0x4f }, { "pgup", KEY_E0 | 0x49 }, { "pgdn", KEY_E0 | 0x51 },
	{ "up", KEY_E0 | 0x48 }, { "down", KEY_E0 | 0x50 }, { "left", KEY_E0 | 0x4b },
	{ "right", KEY_E0 | 0x4d }, { "print", KEY_E0 | 0x37 }, { "sysrq", 0x54 },
	{ "caps", 0x3a }, { "num", 0x45 }, { "scroll", 0x46 },
	{ "f1", 0x3b }, { "f2", 0x3c }, { "f3", 0x3d }, { "f4", 0x3e }, { "f5", 0x3f },
	{ "f6", 0x40 }, { "f7", 0x41 }, { "f8", 0x42 }, { "f9", 0x43 }, { "f10", 0x44 },
	{ "f11", 0x57 }, { "f12", 0x58 },
};
/* clang-format on */

#define HERE_ARE "es, es-latam, us"

const char *layout_names(void)
{
	return HERE_ARE;
}

const struct layout *layout_find(const char *name)
{
	for (size_t k = 0; k < ARRAY_COUNT(layouts); k++)
		if (strcmp(layouts[k].name, name) == 0)
			return &layouts[k];
	return NULL;
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

/* The next code point; 0: it is none. Shortest forms only, no surrogates. */
static u32 next_point(const char **io_text)
{
	static const u32 least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const u8 *t = (const u8 *)*io_text;
	unsigned size = t[0] < 0x80   ? 1
			: t[0] < 0xc2 ? 0
			: t[0] < 0xe0 ? 2
			: t[0] < 0xf0 ? 3
			: t[0] < 0xf5 ? 4
				      : 0;
	u32 point = size == 1 ? t[0] : t[0] & (0x7fu >> size);

	if (size == 0)
		return 0;
	for (unsigned k = 1; k < size; k++) {
		if ((t[k] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (t[k] & 0x3f);
	}
	if (point < least[size] || (point >= 0xd800 && point < 0xe000) ||
	    point > 0x10ffff)
		return 0;
	*io_text += size;
	return point;
}

/* ---- characters ------------------------------------------------------------------------------ */

static bool find_in(const struct key_row *row, u32 point, struct stroke *ret_stroke)
{
	for (; row->key; row++) {
		for (unsigned level = 0; level < LEVELS; level++) {
			struct stroke s = { 0 };

			if (row->types[level] != point)
				continue;
			if (level == SHIFT || level == ALTGR_SHIFT)
				s.key[s.count++] = KEY_SHIFT;
			if (level == ALTGR || level == ALTGR_SHIFT)
				s.key[s.count++] = KEY_ALTGR;
			s.key[s.count++] = row->key;
			*ret_stroke = s;
			return true;
		}
	}
	return false;
}

static bool find_key(const struct layout *l, u32 point, struct stroke *ret_stroke)
{
	return find_in(l->rows, point, ret_stroke) || find_in(letters, point, ret_stroke);
}

/* One or two strokes; 0: it cannot be typed. */
static unsigned find_strokes(const struct layout *l, u32 point,
			     struct stroke ret_strokes[2])
{
	if (point != 0 && find_key(l, point, &ret_strokes[0]))
		return 1;
	for (size_t k = 0; k < ARRAY_COUNT(composed); k++) {
		const struct composed *c = &composed[k];

		if (c->point == point && find_key(l, c->dead, &ret_strokes[0]) &&
		    find_key(l, (u8)c->letter, &ret_strokes[1]))
			return 2;
	}
	return 0;
}

static int too_many(unsigned most, struct err *err)
{
	err_set(err, -E2BIG, "that is more than %u strokes of keys", most);
	return err_fix(err, "type it in pieces");
}

static int cannot_type(const struct layout *l, u32 point, const char *at, size_t size,
		       struct err *err)
{
	err_set(err, -EINVAL, "layout '%s' has no keys for '%.*s' (U+%04X)", l->name,
		(int)size, at, point);
	return err_fix(err, "choose another layout (%s), or leave it out", HERE_ARE);
}

int layout_type(const struct layout *l, const char *text, struct stroke *ret_strokes,
		unsigned most, struct err *err)
{
	struct stroke found[2];
	unsigned used = 0;

	while (*text) {
		const char *at = text;
		u32 point = next_point(&text);
		unsigned count;

		if (point == 0) {
			err_set(err, -EINVAL, "the text is not UTF-8");
			return err_fix(err, "send it in UTF-8");
		}
		/* What ends a line is Enter, however it is spelled. */
		if (point == '\r') {
			if (*text == '\n')
				continue;
			point = '\n';
		}
		count = find_strokes(l, point, found);
		if (count == 0)
			return cannot_type(l, point, at,
					   point < ' ' ? 0 : (size_t)(text - at), err);
		if (count > most - used)
			return too_many(most, err);
		memcpy(ret_strokes + used, found, count * sizeof *found);
		used += count;
	}
	return (int)used;
}

/* ---- keys by name ---------------------------------------------------------------------------- */

static u16 key_of(const char *name, size_t size)
{
	struct stroke s;

	for (size_t k = 0; k < ARRAY_COUNT(key_names); k++)
		if (strlen(key_names[k].name) == size &&
		    memcmp(key_names[k].name, name, size) == 0)
			return key_names[k].key;
	if (size == 1 && name[0] > ' ' && name[0] != '-' &&
	    find_key(layout_find("us"), (u8)name[0], &s) && s.count == 1)
		return s.key[0];
	return 0;
}

static int unknown_key(const char *name, size_t size, struct err *err)
{
	err_set(err, -EINVAL, "there is no key '%.*s'", (int)min_u64(size, 40), name);
	return err_fix(err, "keys are called ctrl, alt, shift, altgr, win, menu, enter, "
			    "esc, tab, space, backspace, del, ins, home, end, pgup, "
			    "pgdn, "
			    "up, down, left, right, f1 to f12, a to z, 0 to 9");
}

int keys_parse(const char *text, struct stroke *ret_strokes, unsigned most,
	       struct err *err)
{
	unsigned used = 0;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		struct stroke s = { 0 };

		if (used == most)
			return too_many(most, err);
		for (;;) {
			size_t size = strcspn(text, "- ");
			u16 key = key_of(text, size);

			if (key == 0 || s.count == STROKE_KEYS)
				return unknown_key(text, size, err);
			s.key[s.count++] = key;
			text += size;
			if (*text != '-')
				break;
			text++;
		}
		ret_strokes[used++] = s;
	}
	if (used == 0) {
		err_set(err, -EINVAL, "which keys?");
		return err_fix(err, "for instance ctrl-alt-del");
	}
	return (int)used;
}
