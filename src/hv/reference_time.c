/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's reference time; see reference_time.h. */
#include "hv/reference_time.h"

static u64 scaled(const struct reference_time *t, u64 tsc)
{
	return (u64)((unsigned __int128)tsc * t->scale >> 64);
}

void reference_time_init(struct reference_time *t, u64 tsc_hz)
{
	*t = (struct reference_time){ 0 };
	reference_time_set_rate(t, tsc_hz);
}

void reference_time_set_rate(struct reference_time *t, u64 tsc_hz)
{
	t->scale = 0;
	if (tsc_hz > HV_TIME_UNITS_PER_SEC)
		t->scale =
			(u64)(((unsigned __int128)HV_TIME_UNITS_PER_SEC << 64) / tsc_hz);
}

void reference_time_run(struct reference_time *t, u64 tsc)
{
	if (t->runs)
		return;
	t->offset = t->stood_at - scaled(t, tsc);
	t->runs = true;
}

void reference_time_stop(struct reference_time *t, u64 tsc)
{
	if (!t->runs)
		return;
	t->stood_at = reference_time_at(t, tsc);
	t->runs = false;
}

void reference_time_set(struct reference_time *t, u64 time)
{
	if (!t->runs)
		t->stood_at = time;
}

u64 reference_time_at(const struct reference_time *t, u64 tsc)
{
	return t->runs ? scaled(t, tsc) + t->offset : t->stood_at;
}

void reference_time_page(const struct reference_time *t, u32 sequence,
			 struct hv_reference_tsc_page *ret_page)
{
	*ret_page = (struct hv_reference_tsc_page){
		.sequence = le32_of(t->scale ? sequence : 0),
		.scale = le64_of(t->scale),
		.offset = le64_of(t->offset),
	};
}

u32 reference_time_next(u32 sequence)
{
	sequence++;
	return sequence == 0 || sequence == UINT32_MAX ? 1 : sequence;
}
