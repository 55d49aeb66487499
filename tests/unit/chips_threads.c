/* SPDX-License-Identifier: Apache-2.0 */
/* Senders on other threads while the processor takes, ends and changes its priority. */
#include <pthread.h>

#include "chips_lapic.h"

#define SENDERS 4
#define ROUNDS 20000

/* The processor sleeps until notify; a notify that came first is not forgotten. */
struct sleeper {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool notified;
};

struct world {
	struct manual_clock clock;
	struct lapic lapic;
	struct lapic *pointers[1];
	struct apic_bus bus;
	struct sleeper sleeper;
	_Atomic u32 taken[256]; /* how often each vector was taken */
};

static void world_notify(void *owner)
{
	struct world *w = owner;

	pthread_mutex_lock(&w->sleeper.lock);
	w->sleeper.notified = true;
	pthread_cond_signal(&w->sleeper.wake);
	pthread_mutex_unlock(&w->sleeper.lock);
}
static void world_event(void *owner)
{
	(void)owner;
}
static void world_send(void *owner, const struct apic_message *message)
{
	(void)owner;
	(void)message;
}
static void world_eoi(void *owner, u8 vector)
{
	(void)owner;
	(void)vector;
}
static void world_alarm(void *owner, u64 when_ns)
{
	(void)owner;
	(void)when_ns;
}
static u64 world_tsc(void *owner)
{
	(void)owner;
	return 0;
}

static const struct lapic_ops world_ops = {
	.notify = world_notify,
	.nmi = world_event,
	.signal = world_event,
	.send = world_send,
	.eoi = world_eoi,
	.alarm = world_alarm,
	.tsc = world_tsc,
};

struct sender {
	struct world *world;
	u8 vector;
	bool level;
};

/* Each sends its vector again only when the last one was taken: none may get lost. */
static void *send_rounds(void *argument)
{
	struct sender *s = argument;
	struct apic_message message = { .vector = s->vector, .level = s->level };

	for (u32 round = 1; round <= ROUNDS; round++) {
		apic_bus_send(&s->world->bus, &message, NULL);
		while (atomic_load(&s->world->taken[s->vector]) < round)
			sched_yield();
	}
	return NULL;
}

static void sleep_until_notified(struct sleeper *s)
{
	pthread_mutex_lock(&s->lock);
	while (!s->notified)
		pthread_cond_wait(&s->wake, &s->lock);
	s->notified = false;
	pthread_mutex_unlock(&s->lock);
}

TEST_TIMEOUT(lapic_loses_no_request_of_other_threads, 120)
{
	static struct world w;
	struct sender senders[SENDERS];
	pthread_t threads[SENDERS];
	u32 total = 0;

	manual_clock_init(&w.clock, 0, 0);
	pthread_mutex_init(&w.sleeper.lock, NULL);
	pthread_cond_init(&w.sleeper.wake, NULL);
	lapic_init(&w.lapic, &world_ops, &w, &w.clock.clock, 0, true, 40, NS_PER_SEC);
	w.pointers[0] = &w.lapic;
	apic_bus_init(&w.bus, w.pointers, 1);
	wr(&w.lapic, 0xf0, 0x1ff);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i] = (struct sender){ &w, (u8)(0x31 + i * 0x11), i & 1 };
		ASSERT_EQ(pthread_create(&threads[i], NULL, send_rounds, &senders[i]), 0);
	}
	while (total < SENDERS * ROUNDS) {
		int vector = lapic_take(&w.lapic);

		if (vector < 0) {
			sleep_until_notified(&w.sleeper);
			continue;
		}
		total++;
		/* Closed for all while it is served, then open: both ways wake up. */
		lapic_set_cr8(&w.lapic, 15);
		atomic_fetch_add(&w.taken[vector], 1);
		lapic_eoi(&w.lapic);
		lapic_set_cr8(&w.lapic, 0);
	}
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < SENDERS; i++)
		ASSERT_EQ(atomic_load(&w.taken[senders[i].vector]), ROUNDS);
	ASSERT_EQ(lapic_take(&w.lapic), -1);
}
