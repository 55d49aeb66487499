/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol of the synthetic network adapter over VMBus channels: NVSP, and RNDIS inside of it.
 * Linux' drivers/net/hyperv and Microsoft's RNDIS and NDIS documents are the witnesses.
 *
 * A packet's payload is a struct nvsp_message of 40 bytes (guests send as few as 28 where they know
 * no more). RNDIS messages lie in buffers: the guest's in sections of the send buffer or in pages
 * that the packet lists, or both, one behind the other; the host's in sub-allocations of the receive
 * buffer, which a transfer-pages packet names.
 */
#pragma once

/* Tables aligned by hand. */
/* clang-format off */

#include "base/types.h"

/* ---- NVSP ---- */

#define NVSP_1 2u
#define NVSP_2 0x30002u
#define NVSP_4 0x40000u
#define NVSP_5 0x50000u
#define NVSP_6 0x60000u
#define NVSP_6_1 0x60001u /* coalesced segments towards the guest */

enum nvsp_type {
	NVSP_INIT = 1,
	NVSP_INIT_COMPLETE = 2,
	NVSP_NDIS_VERSION = 100,	    /* not answered */
	NVSP_RECEIVE_BUFFER = 101,
	NVSP_RECEIVE_BUFFER_COMPLETE = 102,
	NVSP_REVOKE_RECEIVE_BUFFER = 103,   /* not answered */
	NVSP_SEND_BUFFER = 104,
	NVSP_SEND_BUFFER_COMPLETE = 105,
	NVSP_REVOKE_SEND_BUFFER = 106,	    /* not answered */
	NVSP_RNDIS = 107,		    /* both ways */
	NVSP_RNDIS_COMPLETE = 108,	    /* both ways */
	NVSP_NDIS_CONFIG = 125,		    /* not answered */
	NVSP_VF_ASSOCIATION = 128,
	NVSP_SWITCH_DATA_PATH = 129,
	NVSP_OID_QUERY_EX = 131,
	NVSP_SUB_CHANNELS = 133,	    /* both ways */
	NVSP_INDIRECTION_TABLE = 134,	    /* host to guest */
};

enum nvsp_status {
	NVSP_OK = 1, NVSP_FAILED = 2, NVSP_TOO_NEW = 3, NVSP_TOO_OLD = 4, NVSP_BAD_RNDIS = 5,
	NVSP_BUSY = 6, NVSP_UNSUPPORTED = 7,
};

#define NVSP_RECEIVE_BUFFER_ID 0xcafeu
#define NVSP_SEND_BUFFER_ID 0u
#define NVSP_NO_SECTION 0xffffffffu
#define NVSP_CHANNEL_DATA 0u
#define NVSP_CHANNEL_CONTROL 1u
#define NVSP_SUB_CHANNELS_ALLOCATE 1u
#define NVSP_INDIRECTIONS 16

/* What the guest can, in NVSP_NDIS_CONFIG. */
enum {
	NVSP_CAN_VMQ = 1, NVSP_CAN_CHIMNEY = 2, NVSP_CAN_SRIOV = 4, NVSP_CAN_8021Q = 8,
	NVSP_CAN_CORRELATION = 16, NVSP_CAN_TEAMING = 32, NVSP_CAN_SUBNET = 64, NVSP_CAN_RSC = 128,
};

struct nvsp_message {
	le32 type;
	union {
		struct { le32 min, max; } PACKED init;
		struct { le32 version, max_mdl_chain, status; } PACKED init_complete;
		struct { le32 major, minor; } PACKED ndis_version;
		struct { le32 gpadl; le16 id; } PACKED buffer; /* also send buffer */
		struct {
			le32 status, sections;
			le32 offset, size, count, end; /* of the only section */
		} PACKED receive_buffer_complete;
		struct { le32 status, section_size; } PACKED send_buffer_complete;
		struct { le16 id; } PACKED revoke;
		struct { le32 channel, section, section_size; } PACKED rndis;
		struct { le32 status; } PACKED rndis_complete;
		struct { le32 mtu, reserved; le64 can; } PACKED ndis_config;
		struct { le32 operation, count; } PACKED sub_channels;
		struct { le32 status, count; } PACKED sub_channels_complete;
		struct { le32 count, offset; } PACKED indirection; /* then the table */
		u8 raw[36];
	};
} PACKED;
_Static_assert(sizeof(struct nvsp_message) == 40, "nvsp");
#define NVSP_MIN_MESSAGE 28u /* what an old guest sends at the least */

struct nvsp_indirection_table {
	struct nvsp_message header;
	le32 channel[NVSP_INDIRECTIONS];
} PACKED;

/* In the header of a transfer-pages packet; ranges follow. */
struct nvsp_transfer {
	le16 set;
	u8 sender_owns, reserved;
	le32 count;
} PACKED;
struct nvsp_transfer_range {
	le32 size, offset;
} PACKED;
/* Linux takes packets of so many ranges, where it knows coalesced segments. */
#define NVSP_MAX_RANGES 375u

/* ---- RNDIS ---- */

enum rndis_type {
	RNDIS_PACKET = 1,
	RNDIS_INITIALIZE = 2, RNDIS_HALT = 3, RNDIS_QUERY = 4, RNDIS_SET = 5, RNDIS_RESET = 6,
	RNDIS_INDICATE = 7, RNDIS_KEEP_ALIVE = 8,
};
#define RNDIS_COMPLETE 0x80000000u

enum rndis_status {
	RNDIS_OK = 0, RNDIS_FAILED = 0xc0000001, RNDIS_NOT_SUPPORTED = 0xc00000bb,
	RNDIS_INVALID_LENGTH = 0xc0010014, RNDIS_INVALID_DATA = 0xc0010015,
	RNDIS_TOO_SHORT = 0xc0010016, RNDIS_INVALID_OID = 0xc0010017,
	/* indications */
	RNDIS_MEDIA_CONNECT = 0x4001000b, RNDIS_MEDIA_DISCONNECT = 0x4001000c,
	RNDIS_LINK_SPEED_CHANGE = 0x40010013, RNDIS_NETWORK_CHANGE = 0x40010018,
};

struct rndis_header {
	le32 type, size;
} PACKED;

/* Every control message but HALT and RESET begins with its id; offsets in it count from there. */
#define RNDIS_OFFSET_BASE 8u

struct rndis_initialize {
	struct rndis_header header;
	le32 id, major, minor, max_transfer;
} PACKED;
struct rndis_initialize_complete {
	struct rndis_header header;
	le32 id, status, major, minor, flags, medium, max_packets, max_transfer, alignment;
	le32 reserved[2];
} PACKED;
_Static_assert(sizeof(struct rndis_initialize_complete) == 52, "initialize complete");

struct rndis_request { /* query and set */
	struct rndis_header header;
	le32 id, oid, length, offset, handle;
} PACKED;
struct rndis_query_complete {
	struct rndis_header header;
	le32 id, status, length, offset;
} PACKED;
struct rndis_set_complete { /* keep-alive, too */
	struct rndis_header header;
	le32 id, status;
} PACKED;
struct rndis_reset_complete {
	struct rndis_header header;
	le32 status, addressing_reset;
} PACKED;
struct rndis_keep_alive {
	struct rndis_header header;
	le32 id;
} PACKED;
struct rndis_indicate {
	struct rndis_header header;
	le32 status, length, offset;
} PACKED;

/* A frame; offsets count from data_offset. */
struct rndis_packet {
	struct rndis_header header;
	le32 data_offset, data_size;
	le32 oob_offset, oob_size, oob_count;
	le32 info_offset, info_size;
	le32 handle, reserved;
} PACKED;
_Static_assert(sizeof(struct rndis_packet) == 44, "packet");

/* What is said of a frame beside its bytes. */
struct rndis_info {
	le32 size, type, offset; /* offset: of the value, from here */
} PACKED;
#define RNDIS_INFO_INTERNAL 0x80000000u
enum rndis_info_type {
	RNDIS_INFO_CHECKSUM = 0, RNDIS_INFO_LSO = 2, RNDIS_INFO_VLAN = 6, RNDIS_INFO_HASH = 8,
	RNDIS_INFO_PACKET_ID = (int)(RNDIS_INFO_INTERNAL | 1),
};

/* RNDIS_INFO_CHECKSUM, from the guest: what shall be summed. Bits 25:16: where TCP or UDP begins. */
enum {
	RNDIS_SEND_IPV4 = 1, RNDIS_SEND_IPV6 = 2, RNDIS_SEND_TCP = 4, RNDIS_SEND_UDP = 8,
	RNDIS_SEND_IP_HEADER = 16,
};
/* To the guest: what was found. */
enum {
	RNDIS_RECEIVED_TCP_BAD = 1, RNDIS_RECEIVED_UDP_BAD = 2, RNDIS_RECEIVED_IP_BAD = 4,
	RNDIS_RECEIVED_TCP_GOOD = 8, RNDIS_RECEIVED_UDP_GOOD = 16, RNDIS_RECEIVED_IP_GOOD = 32,
};
/* RNDIS_INFO_LSO: bits 19:0 segment size, 29:20 where TCP begins, 30 version 2, 31 IPv6. */
#define RNDIS_LSO_V2 BIT(30)
#define RNDIS_LSO_IPV6 BIT(31)
/* RNDIS_INFO_VLAN: bits 2:0 priority, 3 CFI, 15:4 number. */

/* RNDIS_INFO_PACKET_ID: u8 version, u8 flags, u16 id. */
enum { RNDIS_PART = 1, RNDIS_PART_FIRST = 2, RNDIS_PART_LAST = 4 };

/* ---- what is asked and set (OIDs) ---- */

enum rndis_oid {
	OID_SUPPORTED_LIST = 0x00010101, OID_HARDWARE_STATUS = 0x00010102,
	OID_MEDIA_SUPPORTED = 0x00010103, OID_MEDIA_IN_USE = 0x00010104,
	OID_MAXIMUM_FRAME_SIZE = 0x00010106, OID_LINK_SPEED = 0x00010107,
	OID_TRANSMIT_BLOCK_SIZE = 0x0001010a, OID_RECEIVE_BLOCK_SIZE = 0x0001010b,
	OID_VENDOR_ID = 0x0001010c, OID_VENDOR_DESCRIPTION = 0x0001010d,
	OID_PACKET_FILTER = 0x0001010e, OID_MAXIMUM_TOTAL_SIZE = 0x00010111,
	OID_MAC_OPTIONS = 0x00010113, OID_MEDIA_CONNECT_STATUS = 0x00010114,
	OID_VENDOR_DRIVER_VERSION = 0x00010116,
	OID_RSS_CAPABILITIES = 0x00010203, OID_RSS_PARAMETERS = 0x00010204,
	OID_CONFIG_PARAMETER = 0x0001021b,
	OID_SENT_OK = 0x00020101, OID_RECEIVED_OK = 0x00020102,
	OID_SEND_ERRORS = 0x00020103, OID_RECEIVE_ERRORS = 0x00020104,
	OID_RECEIVE_NO_BUFFER = 0x00020105, OID_FRIENDLY_NAME = 0x00020216,
	OID_PERMANENT_ADDRESS = 0x01010101, OID_CURRENT_ADDRESS = 0x01010102,
	OID_MULTICAST_LIST = 0x01010103, OID_MULTICAST_LIST_SIZE = 0x01010104,
	OID_OFFLOAD_CURRENT = (int)0xfc01020b, OID_OFFLOAD_PARAMETERS = (int)0xfc01020c,
	OID_OFFLOAD_CAPABILITIES = (int)0xfc01020d,
};

/* OID_PACKET_FILTER */
enum {
	RNDIS_FILTER_DIRECTED = 1, RNDIS_FILTER_MULTICAST = 2, RNDIS_FILTER_ALL_MULTICAST = 4,
	RNDIS_FILTER_BROADCAST = 8, RNDIS_FILTER_PROMISCUOUS = 0x20,
};

/* Every NDIS structure begins so. */
struct ndis_header {
	u8 type, revision;
	le16 size;
} PACKED;
#define NDIS_RSS_CAPABILITIES 0x88
#define NDIS_RSS_PARAMETERS 0x89
#define NDIS_OFFLOAD 0xa7

/* OID_OFFLOAD_CAPABILITIES: the whole of revision 3; older guests get its beginning. */
struct ndis_offload {
	struct ndis_header header;
	struct { le32 send_encapsulation, send, receive_encapsulation, receive; } PACKED sum_ipv4,
		sum_ipv6;
	le32 lso_v1[4];
	le32 ipsec_v1[7];
	struct { le32 encapsulation, max_size, min_segments; } PACKED lso_ipv4;
	struct { le32 encapsulation, max_size, min_segments, options; } PACKED lso_ipv6;
	le32 flags;
	u8 ipsec_v2[32]; /* revision 2 */
	u8 rsc_ipv4, rsc_ipv6, reserved[2]; /* revision 3 */
	le32 encapsulated[2];
} PACKED;
_Static_assert(offsetof(struct ndis_offload, ipsec_v2) == 112, "offload, revision 1");
_Static_assert(offsetof(struct ndis_offload, rsc_ipv4) == 144, "offload, revision 2");
_Static_assert(sizeof(struct ndis_offload) == 156, "offload, revision 3");
#define NDIS_ENCAPSULATION_8023 2u
enum { NDIS_SUM_EXTENSIONS = 1, NDIS_SUM_TCP_OPTIONS = 4, NDIS_SUM_TCP = 0x10, NDIS_SUM_UDP = 0x40,
       NDIS_SUM_IP = 0x100 };
#define NDIS_LSO_IPV6_OPTIONS 5u

/* OID_OFFLOAD_PARAMETERS: a byte each, 0 leaves it as it is. */
enum {
	NDIS_SET_SUM_IPV4 = 4, NDIS_SET_SUM_TCP4, NDIS_SET_SUM_UDP4, NDIS_SET_SUM_TCP6,
	NDIS_SET_SUM_UDP6, NDIS_SET_LSO4 = 11, NDIS_SET_LSO6 = 12, NDIS_SET_RSC4 = 22,
	NDIS_SET_RSC6 = 23,
};
enum { NDIS_OFF = 1, NDIS_LSO_ON = 2, NDIS_RSC_ON = 2 };
#define NDIS_OFFLOAD_PARAMETERS_MIN 20u

/* OID_RSS_CAPABILITIES */
struct ndis_rss_capabilities {
	struct ndis_header header;
	le32 flags, messages, queues;
	le16 entries;
} PACKED;
#define NDIS_RSS_CAN_TCP4 0x100u
#define NDIS_RSS_CAN_TCP6 0x200u

/* OID_RSS_PARAMETERS; table and key at offsets from here. */
struct ndis_rss_parameters {
	struct ndis_header header;
	le16 flags, base_cpu;
	le32 hash;
	le16 table_size, reserved;
	le32 table_offset;
	le16 key_size, reserved2;
	le32 key_offset;
} PACKED;
_Static_assert(sizeof(struct ndis_rss_parameters) == 28, "rss parameters");
#define NDIS_RSS_DISABLE 0x10u
enum { NDIS_RSS_SAME_HASH = 2, NDIS_RSS_SAME_TABLE = 4, NDIS_RSS_SAME_KEY = 8 };
#define NDIS_RSS_TOEPLITZ 1u
enum { NDIS_HASH_IPV4 = 0x100, NDIS_HASH_TCP4 = 0x200, NDIS_HASH_IPV6 = 0x400, NDIS_HASH_TCP6 = 0x1000 };
#define NDIS_RSS_ENTRIES 128
#define NDIS_RSS_KEY 40

/* OID_CONFIG_PARAMETER; offsets from here, text in UTF-16. */
struct rndis_config_parameter {
	le32 name_offset, name_size, type, value_offset, value_size;
} PACKED;
#define RNDIS_CONFIG_TEXT 2u

#define VMBUS_GUID_NIC GUID(0xf8615163, 0xdf3e, 0x46c5, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e)
