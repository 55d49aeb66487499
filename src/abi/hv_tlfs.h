/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's interface to its guests as Microsoft's Hypervisor Top-Level Functional
 * Specification (TLFS) has it: CPUID leaves, synthetic MSRs, hypercalls, the pages and messages of the
 * synthetic interrupt controller. Numbers and layouts alone. Chapter names at each part.
 */
#pragma once

/* Tables, aligned by hand. */
/* clang-format off */

#include "base/types.h"

/* ---- CPUID (Feature and Interface Discovery) ------------------------------------------------- */

#define HV_CPUID_BASE 0x40000000u
#define HV_CPUID_INTERFACE 0x40000001u
#define HV_CPUID_VERSION 0x40000002u
#define HV_CPUID_FEATURES 0x40000003u
#define HV_CPUID_HINTS 0x40000004u
#define HV_CPUID_LIMITS 0x40000005u
#define HV_CPUID_HARDWARE 0x40000006u
#define HV_CPUID_MAX 0x4000000au

#define HV_VENDOR_EBX 0x7263694du /* "Micr" */
#define HV_VENDOR_ECX 0x666f736fu /* "osof" */
#define HV_VENDOR_EDX 0x76482074u /* "t Hv" */
#define HV_INTERFACE_EAX 0x31237648u /* "Hv#1" */

/* HV_CPUID_FEATURES, EAX: privileges, low half */
#define HV_ACCESS_VP_RUNTIME BIT(0)
#define HV_ACCESS_TIME_REF_COUNT BIT(1)
#define HV_ACCESS_SYNIC BIT(2)
#define HV_ACCESS_STIMERS BIT(3)
#define HV_ACCESS_APIC_MSRS BIT(4)
#define HV_ACCESS_HYPERCALL_MSRS BIT(5)
#define HV_ACCESS_VP_INDEX BIT(6)
#define HV_ACCESS_RESET BIT(7)
#define HV_ACCESS_REFERENCE_TSC BIT(9)
#define HV_ACCESS_FREQUENCIES BIT(11)
/* EBX: privileges, high half */
#define HV_POST_MESSAGES BIT(4)
#define HV_SIGNAL_EVENTS BIT(5)
#define HV_ACCESS_VP_REGISTERS BIT(17)
#define HV_EXTENDED_HYPERCALLS BIT(20)
/* EDX */
#define HV_XMM_INPUT_AVAILABLE BIT(4)
#define HV_FREQUENCIES_AVAILABLE BIT(8)
#define HV_CRASH_MSRS_AVAILABLE BIT(10)
#define HV_DIRECT_STIMERS_AVAILABLE BIT(19)

/* HV_CPUID_HINTS, EAX */
#define HV_HINT_REMOTE_TLB_FLUSH BIT(2)
#define HV_HINT_APIC_MSRS BIT(3)
#define HV_HINT_RELAXED_TIMING BIT(5)
#define HV_HINT_NO_AUTO_EOI BIT(9)
#define HV_HINT_CLUSTER_IPI BIT(10)
#define HV_HINT_EX_PROCESSOR_MASKS BIT(11)

/* ---- synthetic MSRs ------------------------------------------------------------------------- */

#define HV_MSR_FIRST 0x40000000u
#define HV_MSR_LAST 0x400001ffu

#define HV_MSR_GUEST_OS_ID 0x40000000u
#define HV_MSR_HYPERCALL 0x40000001u
#define HV_MSR_VP_INDEX 0x40000002u
#define HV_MSR_RESET 0x40000003u
#define HV_MSR_VP_RUNTIME 0x40000010u
#define HV_MSR_TIME_REF_COUNT 0x40000020u
#define HV_MSR_REFERENCE_TSC 0x40000021u
#define HV_MSR_TSC_FREQUENCY 0x40000022u
#define HV_MSR_APIC_FREQUENCY 0x40000023u
#define HV_MSR_EOI 0x40000070u
#define HV_MSR_ICR 0x40000071u
#define HV_MSR_TPR 0x40000072u
#define HV_MSR_VP_ASSIST_PAGE 0x40000073u
#define HV_MSR_SCONTROL 0x40000080u
#define HV_MSR_SVERSION 0x40000081u
#define HV_MSR_SIEFP 0x40000082u
#define HV_MSR_SIMP 0x40000083u
#define HV_MSR_EOM 0x40000084u
#define HV_MSR_SINT0 0x40000090u /* 16 of them */
#define HV_MSR_STIMER0_CONFIG 0x400000b0u /* config and count of 4 timers */
#define HV_MSR_STIMER3_COUNT 0x400000b7u
#define HV_MSR_CRASH_P0 0x40000100u /* 5 of them */
#define HV_MSR_CRASH_CTL 0x40000105u

/* A register that names a page: bit 0 enables it, 63:12 are the page number. */
#define HV_PAGE_ENABLED BIT64(0)
#define HV_PAGE_GPA (~0xfffull)
#define HV_HYPERCALL_LOCKED BIT64(1)

#define HV_CRASH_NOTIFY BIT64(63)
#define HV_CRASH_MESSAGE BIT64(62)
#define HV_CRASH_MESSAGE_MAX 4096u

/* ---- partition reference time (Timers) ------------------------------------------------------ */

#define HV_TIME_UNITS_PER_SEC 10000000u /* 100 ns */

struct hv_reference_tsc_page {
	le32 sequence; /* 0: not valid, read the MSR */
	le32 reserved;
	le64 scale;  /* time = (tsc * scale >> 64) + offset */
	le64 offset; /* signed */
} PACKED;
_Static_assert(sizeof(struct hv_reference_tsc_page) == 24, "TLFS: Reference TSC Page");

/* ---- the synthetic interrupt controller (Virtual Interrupt Controller) ----------------------- */

#define HV_SINTS 16
#define HV_SINT_VMBUS 2
#define HV_SINT_VECTOR 0xffull
#define HV_SINT_MASKED BIT64(16)
#define HV_SINT_AUTO_EOI BIT64(17)
#define HV_SINT_POLLING BIT64(18)
#define HV_SCONTROL_ENABLED BIT64(0)
#define HV_SYNIC_VERSION 1u

#define HV_EVENT_FLAGS 2048u /* a SINT; 256 bytes of the event flags page */
#define HV_MESSAGE_PAYLOAD 240u
#define HV_MESSAGE_PENDING 1u /* flags: another one waits, write EOM */

#define HV_MESSAGE_NONE 0u
#define HV_MESSAGE_TIMER_EXPIRED 0x80000010u

struct hv_message { /* a slot of the message page */
	le32 type;
	u8 payload_size;
	u8 flags;
	le16 reserved;
	le64 sender; /* port */
	u8 payload[HV_MESSAGE_PAYLOAD];
} PACKED;
_Static_assert(sizeof(struct hv_message) == 256, "TLFS: SynIC messages");
_Static_assert(offsetof(struct hv_message, flags) == 5, "TLFS: SynIC messages");

struct hv_timer_message { /* payload of HV_MESSAGE_TIMER_EXPIRED */
	le32 index;
	le32 reserved;
	le64 expiration;
	le64 delivery;
} PACKED;
_Static_assert(sizeof(struct hv_timer_message) == 24, "TLFS: Timer messages");

/* ---- synthetic timers (Timers) -------------------------------------------------------------- */

#define HV_STIMERS 4
#define HV_STIMER_ENABLED BIT64(0)
#define HV_STIMER_PERIODIC BIT64(1)
#define HV_STIMER_LAZY BIT64(2)
#define HV_STIMER_AUTO_ENABLE BIT64(3)
#define HV_STIMER_VECTOR_SHIFT 4 /* 8 bits */
#define HV_STIMER_DIRECT BIT64(12)
#define HV_STIMER_SINT_SHIFT 16 /* 4 bits */
#define HV_STIMER_BITS 0xf1fffull

/* ---- hypercalls (Hypercall Interface) ------------------------------------------------------- */

/* the input word */
#define HV_CALL_CODE 0xffffull
#define HV_CALL_FAST BIT64(16)
#define HV_CALL_VARHEAD_SHIFT 17 /* 10 bits: qwords of a variable header */
#define HV_CALL_VARHEAD 0x3ffull
#define HV_CALL_REPS_SHIFT 32 /* 12 bits */
#define HV_CALL_START_SHIFT 48 /* 12 bits */
#define HV_CALL_REPS 0xfffull
#define HV_CALL_RESERVED 0xf000f000f8000000ull /* 31 too: no nested hypervisor here */

/* codes */
#define HV_FLUSH_SPACE 0x0002u
#define HV_FLUSH_LIST 0x0003u
#define HV_NOTIFY_LONG_SPIN_WAIT 0x0008u
#define HV_SEND_IPI 0x000bu
#define HV_FLUSH_SPACE_EX 0x0013u
#define HV_FLUSH_LIST_EX 0x0014u
#define HV_SEND_IPI_EX 0x0015u
#define HV_GET_VP_REGISTERS 0x0050u
#define HV_SET_VP_REGISTERS 0x0051u
#define HV_POST_MESSAGE 0x005cu
#define HV_SIGNAL_EVENT 0x005du
#define HV_QUERY_EXTENDED 0x8001u

/* status, in bits 15:0 of the result; repetitions done in 43:32 */
enum hv_status {
	HV_SUCCESS = 0,
	HV_INVALID_CODE = 2,
	HV_INVALID_INPUT = 3,
	HV_INVALID_ALIGNMENT = 4,
	HV_INVALID_PARAMETER = 5,
	HV_ACCESS_DENIED = 6,
	HV_OPERATION_DENIED = 8,
	HV_NO_MEMORY = 0xb,
	HV_INVALID_PARTITION = 0xd,
	HV_INVALID_VP = 0xe,
	HV_INVALID_PORT = 0x11,
	HV_INVALID_CONNECTION = 0x12,
	HV_NO_BUFFERS = 0x13,
	HV_INVALID_SYNIC_STATE = 0x18,
};

struct hv_post_message { /* input of HV_POST_MESSAGE */
	le32 connection;
	le32 reserved;
	le32 type;
	le32 size; /* of payload */
	u8 payload[HV_MESSAGE_PAYLOAD];
} PACKED;
_Static_assert(sizeof(struct hv_post_message) == 256, "TLFS: HvCallPostMessage");

struct hv_flush { /* HV_FLUSH_SPACE, HV_FLUSH_LIST */
	le64 space;
	le64 flags;
	le64 processors;
} PACKED;
#define HV_FLUSH_ALL_PROCESSORS BIT64(0)
#define HV_FLUSH_FLAGS 15ull

struct hv_vp_set { /* a bank of 64 processors for each bit of banks follows */
	le64 format;
	le64 banks;
} PACKED;
#define HV_VP_SET_SPARSE 0u
#define HV_VP_SET_ALL 1u
#define HV_VP_SET_BANKS 64u

struct hv_flush_ex { /* HV_FLUSH_SPACE_EX, HV_FLUSH_LIST_EX; banks are the variable header */
	le64 space;
	le64 flags;
	struct hv_vp_set set;
} PACKED;

struct hv_send_ipi {
	le32 vector;
	le32 reserved;
	le64 processors;
} PACKED;

struct hv_send_ipi_ex {
	le32 vector;
	le32 reserved;
	struct hv_vp_set set;
} PACKED;

/* Fast calls with more than two registers: these follow RDX and R8. */
#define HV_CALL_XMM 6
#define HV_CALL_XMM_INPUT (16 + 16 * HV_CALL_XMM)

/* ---- registers by name (Virtual Processors) -------------------------------------------------- */

struct hv_vp_registers { /* HV_GET_VP_REGISTERS, HV_SET_VP_REGISTERS */
	le64 partition;
	le32 vp;
	u8 level; /* of trust: 3:0, 4 = use it */
	u8 reserved[3];
} PACKED;
#define HV_PARTITION_SELF (~0ull)
#define HV_VP_SELF 0xfffffffeu
#define HV_LEVEL_USE 0x10u

struct hv_register_value {
	le64 word[2];
} PACKED;

struct hv_register_setting { /* an element of HV_SET_VP_REGISTERS; of GET it is the name alone */
	le32 name;
	le32 reserved[3];
	struct hv_register_value value;
} PACKED;
_Static_assert(sizeof(struct hv_register_setting) == 32, "TLFS: HV_REGISTER_ASSOC");

#define HV_REGISTER_VERSION 0x00000100u
#define HV_REGISTER_FEATURES 0x00000200u
#define HV_REGISTER_HINTS 0x00000201u
#define HV_REGISTER_LIMITS 0x00000202u
#define HV_REGISTER_HARDWARE 0x00000203u
#define HV_REGISTER_CRASH_P0 0x00000210u /* 5 of them, then the control */
#define HV_REGISTER_TSC_FREQUENCY 0x00000240u /* then the APIC's */
#define HV_REGISTER_VP_RUNTIME 0x00090000u
#define HV_REGISTER_HYPERCALL 0x00090001u
#define HV_REGISTER_GUEST_OS_ID 0x00090002u
#define HV_REGISTER_VP_INDEX 0x00090003u
#define HV_REGISTER_TIME_REF_COUNT 0x00090004u
#define HV_REGISTER_EOI 0x00090010u
#define HV_REGISTER_VP_ASSIST_PAGE 0x00090013u
#define HV_REGISTER_REFERENCE_TSC 0x00090017u
#define HV_REGISTER_SINT0 0x000a0000u
#define HV_REGISTER_SCONTROL 0x000a0010u
#define HV_REGISTER_STIMER0_CONFIG 0x000b0000u
