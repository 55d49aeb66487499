/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-V's interface from 32-bit code: the hypercall page, messages and events that the test device
 * sends back, the message that waits for its slot, the page of the time beside the register.
 * --test-devices.
 */
#include "kernel.h"

#define SINT 2
#define VECTOR 0x51
#define MESSAGE_CONNECTION 0x10
#define EVENT_CONNECTION 0x21
#define ROUNDS 1000

enum {
	OS_ID = 0x40000000,
	HYPERCALL = 0x40000001,
	TIME_REF_COUNT = 0x40000020,
	REFERENCE_TSC = 0x40000021,
	SCONTROL = 0x40000080,
	SIEFP = 0x40000082,
	SIMP = 0x40000083,
	EOM = 0x40000084,
	SINT0 = 0x40000090,
};

struct message {
	uint32_t type;
	uint8_t size, flags;
	uint16_t reserved;
	uint64_t sender;
	uint32_t payload[60];
};

static uint8_t call_page[4096] __attribute__((aligned(4096)));
static struct message messages[16] __attribute__((aligned(4096)));
static volatile uint32_t events[1024] __attribute__((aligned(4096)));
static volatile uint32_t time_page[1024] __attribute__((aligned(4096)));
static uint32_t input[64] __attribute__((aligned(256)));
static volatile uint32_t interrupts;

__attribute__((interrupt)) static void on_sint(struct frame *frame)
{
	(void)frame;
	interrupts++;
	LAPIC[0xb0 / 4] = 0;
}

static void wrmsr(uint32_t index, uint32_t low, uint32_t high)
{
	__asm__ volatile("wrmsr" ::"c"(index), "a"(low), "d"(high));
}

static uint64_t rdmsr(uint32_t index)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return low | (uint64_t)high << 32;
}

/* Input word in EDX:EAX, input in EBX:ECX, output in EDI:ESI. */
static uint32_t call(uint32_t word, uint32_t parameter)
{
	uint32_t status, rest;

	__asm__ volatile("call *%[page]"
			 : "=a"(status), "=d"(rest), "+c"(parameter)
			 : "a"(word), "d"(0), "b"(0), "D"(0),
			   "S"(0), [page] "m"(*(void *[]){ call_page })
			 : "memory");
	return rest ? 0xffffffff : status;
}

static uint32_t post(uint32_t number)
{
	input[0] = MESSAGE_CONNECTION;
	input[2] = 7;
	input[3] = 4;
	input[4] = number;
	return call(0x5c, (uint32_t)input);
}

static void test_device(uint32_t command, uint32_t connection)
{
	uint32_t value = connection << 24 | command << 16 | SINT;

	__asm__ volatile("outl %0, %1" ::"a"(value), "Nd"((uint16_t)0x3000));
}

static void wait_for(uint32_t count)
{
	for (;;) {
		__asm__ volatile("cli");
		if (interrupts >= count)
			break;
		__asm__ volatile("sti; hlt");
	}
}

/* The number in the slot; it is empty then, and the next one may come. */
static uint32_t take(void)
{
	volatile struct message *slot = &messages[SINT];
	uint32_t number = slot->type == 7 && slot->size == 4 ? slot->payload[0] : 0xdead;

	slot->type = 0;
	__asm__ volatile("lock orl $0, (%%esp)" ::: "memory");
	if (slot->flags & 1)
		wrmsr(EOM, 0, 0);
	return number;
}

static uint32_t test_messages(void)
{
	for (uint32_t k = 1; k <= ROUNDS; k++) {
		interrupts = 0;
		if (post(k) != 0)
			return k;
		wait_for(1);
		if (take() != k)
			return k;
	}
	return 0;
}

/* Five wait behind a slot that is full, in their order. */
static uint32_t test_queue(void)
{
	interrupts = 0;
	for (uint32_t k = 1; k <= 6; k++) {
		if (post(k) != 0)
			return k;
	}
	for (uint32_t k = 1; k <= 6; k++) {
		wait_for(k);
		if (interrupts != k || take() != k)
			return 0x100 + k;
	}
	return 0;
}

static uint32_t test_events(void)
{
	volatile uint32_t *word = &events[SINT * 64 + EVENT_CONNECTION / 32];
	uint32_t bit = 1u << EVENT_CONNECTION % 32;

	for (uint32_t k = 1; k <= ROUNDS; k++) {
		interrupts = 0;
		if (call(0x1005d, EVENT_CONNECTION) != 0)
			return k;
		wait_for(1);
		if (*word != bit)
			return k;
		*word = 0;
	}
	return 0;
}

/* (tsc * scale >> 64) + offset, by halves. */
static uint64_t page_time(void)
{
	uint32_t low, high;
	uint64_t middle;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	middle = ((uint64_t)low * time_page[2] >> 32) + (uint64_t)low * time_page[3];
	uint64_t carry = middle >> 32;
	middle = (middle & 0xffffffff) + (uint64_t)high * time_page[2];
	return (uint64_t)high * time_page[3] + carry + (middle >> 32) +
	       (time_page[4] | (uint64_t)time_page[5] << 32);
}

static uint32_t test_time(void)
{
	if (time_page[0] == 0)
		return 1;
	for (int k = 0; k < 1000; k++) {
		uint64_t before = page_time();
		uint64_t now = rdmsr(TIME_REF_COUNT);

		if (now < before || page_time() < now)
			return 2;
	}
	return 0;
}

void kernel_main(const uint32_t *info)
{
	(void)info;
	start_pics();
	set_gate(VECTOR, on_sint);
	load_idt();
	LAPIC[0xf0 / 4] = 0x1ff;

	wrmsr(REFERENCE_TSC, (uint32_t)time_page | 1, 0);
	wrmsr(OS_ID, 1, 0);
	wrmsr(HYPERCALL, (uint32_t)call_page | 1, 0);
	wrmsr(SIMP, (uint32_t)messages | 1, 0);
	wrmsr(SIEFP, (uint32_t)events | 1, 0);
	wrmsr(SINT0 + SINT, VECTOR, 0);
	wrmsr(SCONTROL, 1, 0);
	report("unknown call", call(0x4242, 0));
	report("unknown connection", call(0x1005d, 0x999));
	test_device(4, MESSAGE_CONNECTION);
	test_device(6, EVENT_CONNECTION);
	report("messages", test_messages());
	report("queue", test_queue());
	report("events", test_events());
	report("time", test_time());
	leave(0);
}
