/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic timers; see stimer.h. */
#include "hv/stimer.h"

#include <errno.h>
#include <stdio.h>

static unsigned sint_of(u64 config)
{
	return config >> HV_STIMER_SINT_SHIFT & 15;
}

static u8 vector_of(u64 config)
{
	return (u8)(config >> HV_STIMER_VECTOR_SHIFT);
}

/* Can a timer with this configuration be enabled at all? */
static bool tellable(u64 config)
{
	return config & HV_STIMER_DIRECT ? vector_of(config) >= 16 : sint_of(config) != 0;
}

static void tell(struct stimers *t, unsigned n)
{
	struct stimer *s = &t->timer[n];

	if (s->config & HV_STIMER_DIRECT) {
		t->fired[n]++;
		t->ops->interrupt(t->owner, vector_of(s->config));
	} else if (t->ops->message(t->owner, n, sint_of(s->config), s->expiry)) {
		t->fired[n]++;
	}
}

static u64 period_of(const struct stimer *s)
{
	return max_u64(s->count, STIMER_MIN_PERIOD);
}

static void expire(struct stimers *t, unsigned n, u64 now)
{
	struct stimer *s = &t->timer[n];
	u64 period, missed;

	tell(t, n);
	if (!(s->config & HV_STIMER_PERIODIC)) {
		s->config &= ~HV_STIMER_ENABLED;
		s->expiry = STIMER_NEVER;
		return;
	}
	period = period_of(s);
	missed = (now - s->expiry) / period;
	if (__builtin_mul_overflow(missed + 1, period, &missed) ||
	    __builtin_add_overflow(s->expiry, missed, &s->expiry))
		s->expiry = STIMER_NEVER; /* in 58,000 years */
}

void stimer_look(struct stimers *t)
{
	u64 now = t->ops->now(t->owner), next = STIMER_NEVER;

	for (unsigned n = 0; n < HV_STIMERS; n++) {
		if (t->timer[n].expiry <= now)
			expire(t, n, now);
		next = min_u64(next, t->timer[n].expiry);
	}
	t->ops->alarm(t->owner, next);
}

/* After a register was written: armed or not, and until when. */
static void start(struct stimers *t, unsigned n)
{
	struct stimer *s = &t->timer[n];
	u64 now;

	s->expiry = STIMER_NEVER;
	if (s->config & HV_STIMER_ENABLED && s->count != 0) {
		now = t->ops->now(t->owner);
		if (!(s->config & HV_STIMER_PERIODIC))
			s->expiry = min_u64(s->count, STIMER_NEVER - 1);
		else if (__builtin_add_overflow(now, period_of(s), &s->expiry))
			s->expiry = STIMER_NEVER;
	}
	stimer_look(t);
}

static void write_config(struct stimers *t, unsigned n, u64 value)
{
	struct stimer *s = &t->timer[n];

	if (!tellable(value))
		value &= ~HV_STIMER_ENABLED;
	if (!(value & HV_STIMER_ENABLED))
		t->ops->cancel(t->owner, n);
	s->config = value;
	start(t, n);
}

static void write_count(struct stimers *t, unsigned n, u64 value)
{
	struct stimer *s = &t->timer[n];

	s->count = value;
	t->ops->cancel(t->owner, n);
	if (value == 0)
		s->config &= ~HV_STIMER_ENABLED;
	else if (s->config & HV_STIMER_AUTO_ENABLE && tellable(s->config))
		s->config |= HV_STIMER_ENABLED;
	start(t, n);
}

bool stimer_msr_read(const struct stimers *t, u32 index, u64 *ret_value)
{
	const struct stimer *s;

	if (index < HV_MSR_STIMER0_CONFIG || index > HV_MSR_STIMER3_COUNT)
		return false;
	s = &t->timer[(index - HV_MSR_STIMER0_CONFIG) / 2];
	*ret_value = index & 1 ? s->count : s->config;
	return true;
}

bool stimer_msr_write(struct stimers *t, u32 index, u64 value)
{
	unsigned n = (index - HV_MSR_STIMER0_CONFIG) / 2;

	if (index < HV_MSR_STIMER0_CONFIG || index > HV_MSR_STIMER3_COUNT)
		return false;
	if (index & 1) {
		write_count(t, n, value);
		return true;
	}
	if (value & ~HV_STIMER_BITS)
		return false;
	write_config(t, n, value);
	return true;
}

static void clear(struct stimers *t)
{
	for (unsigned n = 0; n < HV_STIMERS; n++)
		t->timer[n] = (struct stimer){ .expiry = STIMER_NEVER };
}

void stimer_init(struct stimers *t, const struct stimer_ops *ops, void *owner)
{
	*t = (struct stimers){ .ops = ops, .owner = owner };
	clear(t);
}

void stimer_reset(struct stimers *t)
{
	clear(t);
	t->ops->alarm(t->owner, STIMER_NEVER);
}

void stimer_save(const struct stimers *t, struct stimer_state ret_state[HV_STIMERS])
{
	for (unsigned n = 0; n < HV_STIMERS; n++) {
		ret_state[n] = (struct stimer_state){
			.config = le64_of(t->timer[n].config),
			.count = le64_of(t->timer[n].count),
			.expiry = le64_of(t->timer[n].expiry),
		};
	}
}

int stimer_restore(struct stimers *t, const struct stimer_state state[HV_STIMERS])
{
	for (unsigned n = 0; n < HV_STIMERS; n++) {
		u64 config = le64_get(state[n].config);
		bool armed = le64_get(state[n].expiry) != STIMER_NEVER;

		if (config & ~HV_STIMER_BITS ||
		    (config & HV_STIMER_ENABLED && !tellable(config)) ||
		    (armed &&
		     (!(config & HV_STIMER_ENABLED) || le64_get(state[n].count) == 0)))
			return -EINVAL;
	}
	for (unsigned n = 0; n < HV_STIMERS; n++) {
		t->timer[n] = (struct stimer){ .config = le64_get(state[n].config),
					       .count = le64_get(state[n].count),
					       .expiry = le64_get(state[n].expiry) };
	}
	return 0;
}

void stimer_inspect(const struct stimers *t, struct inspect *out)
{
	char name[16];

	for (unsigned n = 0; n < HV_STIMERS; n++) {
		snprintf(name, sizeof name, "stimer %u", n);
		inspect_line(out, name, "config 0x%llx count %llu fired %llu%s",
			     (unsigned long long)t->timer[n].config,
			     (unsigned long long)t->timer[n].count,
			     (unsigned long long)t->fired[n],
			     t->timer[n].expiry != STIMER_NEVER ? " armed" : "");
	}
}
