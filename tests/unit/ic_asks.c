/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value pairs, volume shadow copy and file copy against the driver of a mini-guest. */
#include <fcntl.h>
#include <linux/hyperv.h>
#include <signal.h>
#include <stdio.h>

#include "harness.h"
#include "miniguest/miniic.h"
#include "vsp/ic/text.h"

static void free_ic(struct miniic **m)
{
	miniic_free(*m);
}
#define GUEST_OF_IC __attribute__((cleanup(free_ic))) struct miniic *
#define KVP(m) (&(m)->components->kvp)
#define VSS(m) (&(m)->components->vss)
#define FCOPY(m) (&(m)->components->fcopy)

static struct miniic *guest(void)
{
	struct miniic *m = miniic_new();

	if (!miniic_start(m) || !miniic_agree(m, &KVP(m)->channel, 4, 0) ||
	    !miniic_agree(m, &VSS(m)->channel, 5, 0) ||
	    !miniic_agree(m, &FCOPY(m)->channel, 1, 1))
		abort();
	return m;
}

/* ---- text ---- */

TEST(text_goes_to_utf16_and_back)
{
	static const char text[] = "contrase\xc3\xb1"
				   "a@1|\xe2\x82\xac \xf0\x9f\x98\x80";
	u8 wide[64];
	char back[64];

	size_t size = ic_text_write(text, wide, sizeof wide / 2);
	ASSERT_EQ(size, 2 * (8 + 2 + 3 + 1 + 1 + 2 + 1));
	ic_text_read(wide, size, back, sizeof back);
	ASSERT_STR(back, text);
	/* As many units as it has, and one less. */
	ASSERT_EQ(ic_text_write("abc", wide, 4), 8);
	ASSERT_EQ(ic_text_write("abc", wide, 3), 0);
	ASSERT_EQ(ic_text_write("\xf0\x9f\x98\x80", wide, 3), 6);
	ASSERT_EQ(ic_text_write("\xf0\x9f\x98\x80", wide, 2), 0);
	ASSERT_EQ(ic_text_write("", wide, 0), 0);
}

TEST(text_that_is_no_utf8_is_refused)
{
	static const char *const bad[] = { "\x80",
					   "\xc3",
					   "\xc0\xaf",
					   "\xe0\x80\xaf",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\xf8\x88\x80\x80\x80",
					   "a\xe2\x82" };
	u8 wide[64];

	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++)
		ASSERT_EQ(ic_text_write(bad[k], wide, sizeof wide / 2), 0);
}

TEST(text_of_a_guest_is_cut_and_loses_what_makes_no_sense)
{
	/* an escape, an odd surrogate, a pair the wrong way round, half a unit at the end */
	static const u8 wide[] = {
		0x1b, 0, 'a', 0, 0, 0xd8, 'b', 0, 0, 0xdc, 0, 0xd8, 'c'
	};
	char text[32];

	ic_text_read(wide, sizeof wide, text, sizeof text);
	ASSERT_STR(text, "\xef\xbf\xbd"
			 "a\xef\xbf\xbd"
			 "b\xef\xbf\xbd\xef\xbf\xbd");
	ic_text_read(wide, sizeof wide, text, 6);
	ASSERT_STR(text, "\xef\xbf\xbd"
			 "a");
	ic_text_read(wide, 0, text, 1);
	ASSERT_STR(text, "");
}

/* ---- key-value pairs ---- */

struct pairs {
	struct miniic_end end; /* first: on_pairs_done */
	unsigned count;
	u8 pool[2048];
	char key[64], value[4096];
};

static void on_pair(void *owner, u8 pool, const char *key, const char *value)
{
	struct pairs *p = owner;

	p->pool[p->count++ % ARRAY_COUNT(p->pool)] = pool;
	snprintf(p->key, sizeof p->key, "%s", key);
	snprintf(p->value, sizeof p->value, "%s", value);
}

/* Take a question, answer it with this pair or, where key is NULL, with that status. */
static bool tell(struct miniic *m, const char *key, const char *value, u32 status,
		 struct ic_kvp *ret_asked)
{
	struct ic_header h;
	struct ic_kvp k;
	u8 *body;

	if (!miniic_take(m, &KVP(m)->channel, &h, &body) || le16_get(h.size) != sizeof k)
		return false;
	memcpy(&k, body, sizeof k);
	*ret_asked = k;
	if (key) {
		k.each.value.type = le32_of(IC_KVP_STRING);
		k.each.value.key_size = le32_of((u32)ic_text_write(
			key, k.each.value.key, sizeof k.each.value.key / 2));
		k.each.value.value_size = le32_of((u32)ic_text_write(
			value, k.each.value.value, sizeof k.each.value.value / 2));
		memcpy(body, &k, sizeof k);
	}
	return miniic_answer(m, &KVP(m)->channel, status);
}

TEST(pairs_of_all_pools_are_listed_what_the_guest_says_of_itself_first)
{
	GUEST_OF_IC m = guest();
	struct pairs p = { 0 };
	struct ic_kvp k;

	kvp_list(KVP(m), on_pair, miniic_done, &p);
	ASSERT(tell(m, "FullyQualifiedDomainName", "debian", IC_OK, &k));
	ASSERT_EQ(k.header.operation, IC_KVP_ENUMERATE);
	ASSERT_EQ(k.header.pool, IC_KVP_AUTO);
	ASSERT_EQ(le32_get(k.each.index), 0);
	ASSERT_STR(p.key, "FullyQualifiedDomainName");
	ASSERT_STR(p.value, "debian");
	ASSERT(tell(m, "OSName", "Debian", IC_OK, &k));
	ASSERT_EQ(le32_get(k.each.index), 1);
	ASSERT(tell(m, NULL, NULL, IC_NO_MORE, &k));
	ASSERT(tell(m, NULL, NULL, IC_NO_MORE, &k));
	ASSERT_EQ(k.header.pool, IC_KVP_GUEST);
	ASSERT_EQ(le32_get(k.each.index), 0);
	ASSERT(tell(m, "a", "b", IC_OK, &k));
	ASSERT_EQ(k.header.pool, IC_KVP_EXTERNAL);
	ASSERT_EQ(p.end.times, 0);
	ASSERT(tell(m, NULL, NULL, IC_NO_MORE, &k));
	ASSERT_EQ(p.end.times, 1);
	ASSERT_EQ(p.end.r, 0);
	ASSERT_EQ(p.count, 3);
	ASSERT_EQ(p.pool[2], IC_KVP_EXTERNAL);
}

struct rooms {
	struct miniic_end end; /* first: miniic_done */
	struct miniic *m;
	unsigned empty;
};

static void on_pair_with_room(void *owner, u8 pool, const char *key, const char *value)
{
	struct rooms *r = owner;
	struct mini_channel *c = &r->m->channel[KVP(r->m)->channel.relid - 1];

	r->empty += mini_field(r->m->mini, &c->out, VMBUS_RING_READ) ==
		    mini_field(r->m->mini, &c->out, VMBUS_RING_WRITE);
}

/*
 * Linux drops an answer that finds no room: file copies stopped where the guest was quicker with the next
 * answer than the host with giving back the room of the last.
 */
TEST(room_of_an_answer_is_given_back_before_anything_else_is_asked)
{
	GUEST_OF_IC m = guest();
	struct rooms r = { .m = m };
	struct ic_kvp k;

	kvp_list(KVP(m), on_pair_with_room, miniic_done, &r);
	ASSERT(tell(m, "a", "b", IC_OK, &k));
	ASSERT(tell(m, "c", "d", IC_OK, &k));
	ASSERT_EQ(r.empty, 2);
}

TEST(list_of_a_guest_that_never_ends_ends)
{
	GUEST_OF_IC m = guest();
	struct pairs p = { 0 };
	struct ic_kvp k;

	kvp_list(KVP(m), on_pair, miniic_done, &p);
	for (unsigned n = 0; n < 3 * (KVP_MAX_PAIRS + 1); n++)
		ASSERT(tell(m, "k", "v", IC_OK, &k));
	ASSERT_EQ(p.end.times, 1);
	ASSERT_EQ(p.count, 3 * KVP_MAX_PAIRS);
	/* And so does one that comes a pair in nine seconds. */
	kvp_list(KVP(m), on_pair, miniic_done, &p);
	for (unsigned n = 0; n < 4; n++) {
		miniic_advance(m, 9 * NS_PER_SEC);
		ASSERT(tell(m, "k", "v", IC_OK, &k));
	}
	ASSERT_EQ(p.end.times, 2);
	ASSERT_EQ(p.end.r, -ETIMEDOUT);
}

TEST(sizes_of_a_pair_that_lie_are_cut)
{
	GUEST_OF_IC m = guest();
	struct pairs p = { 0 };
	struct ic_header h;
	struct ic_kvp k;
	u8 *body;

	kvp_list(KVP(m), on_pair, miniic_done, &p);
	ASSERT(miniic_take(m, &KVP(m)->channel, &h, &body));
	memset(&k, 'A', sizeof k);
	k.each.value.type = le32_of(IC_KVP_STRING);
	k.each.value.key_size = le32_of(UINT32_MAX);
	k.each.value.value_size = le32_of(UINT32_MAX);
	memcpy(body, &k, sizeof k);
	ASSERT(miniic_answer(m, &KVP(m)->channel, IC_OK));
	ASSERT_EQ(p.count, 1);
	ASSERT_EQ(strlen(p.value), 1024 * 3);
	ASSERT(miniic_take(m, &KVP(m)->channel, &h, &body));
	k.each.value.type = le32_of(IC_KVP_U32);
	memcpy(k.each.value.value, "\x39\x30\0\0", 4);
	memcpy(body, &k, sizeof k);
	ASSERT(miniic_answer(m, &KVP(m)->channel, IC_OK));
	ASSERT_STR(p.value, "12345");
}

TEST(guest_without_a_daemon_says_so_at_once_or_by_its_silence)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_kvp k;

	kvp_set(KVP(m), "a", "b", miniic_done, &end);
	ASSERT(tell(m, NULL, NULL, IC_FAILED, &k));
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT(strstr(end.err.fix, "hyperv-daemons") != NULL);
	kvp_set(KVP(m), "a", "b", miniic_done, &end);
	miniic_advance(m, KVP_ANSWER_SECONDS * NS_PER_SEC);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	ASSERT(strstr(end.err.fix, "hyperv-daemons") != NULL);
}

TEST(host_writes_a_pair_and_takes_it_away)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	char text[64], *long_text = calloc(1, 2000);
	struct ic_kvp k;

	kvp_set(KVP(m), "name", "value", miniic_done, &end);
	ASSERT(tell(m, NULL, NULL, IC_OK, &k));
	ASSERT_EQ(k.header.operation, IC_KVP_SET);
	ASSERT_EQ(k.header.pool, IC_KVP_EXTERNAL);
	ASSERT_EQ(le32_get(k.value.type), IC_KVP_STRING);
	ASSERT_EQ(le32_get(k.value.key_size), 10);
	ic_text_read(k.value.key, le32_get(k.value.key_size), text, sizeof text);
	ASSERT_STR(text, "name");
	ic_text_read(k.value.value, le32_get(k.value.value_size), text, sizeof text);
	ASSERT_STR(text, "value");
	ASSERT_EQ(end.r, 0);
	kvp_set(KVP(m), "name", NULL, miniic_done, &end);
	ASSERT(tell(m, NULL, NULL, IC_NO_MORE, &k));
	ASSERT_EQ(k.header.operation, IC_KVP_DELETE);
	ic_text_read(k.gone.key, le32_get(k.gone.key_size), text, sizeof text);
	ASSERT_STR(text, "name");
	ASSERT_EQ(end.r, -EPERM);
	/* What does not fit is not sent. */
	memset(long_text, 'x', 1999);
	kvp_set(KVP(m), long_text, "b", miniic_done, &end);
	ASSERT_EQ(end.r, -EINVAL);
	kvp_set(KVP(m), "", "b", miniic_done, &end);
	ASSERT_EQ(end.times, 4);
	ASSERT(!tell(m, NULL, NULL, IC_OK, &k));
	free(long_text);
}

TEST(card_gets_an_address)
{
	static const struct kvp_address fixed = { .adapter = "{ab}",
						  .address = "10.0.0.5;fd00::5",
						  .mask = "255.255.255.0;64",
						  .gateway = "10.0.0.1",
						  .dns = "" };
	static const struct kvp_address dhcp = { .adapter = "{ab}",
						 .dhcp = true,
						 .address = "" };
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_kvp_ip ip;
	struct ic_header h;
	char text[64];
	u8 *body;

	kvp_set_address(KVP(m), &fixed, miniic_done, &end);
	ASSERT(miniic_take(m, &KVP(m)->channel, &h, &body));
	/* Half as long as it is: a guest took the card, and no address. */
	ASSERT_EQ(le16_get(h.size), sizeof(struct hv_kvp_ip_msg));
	ASSERT_EQ(offsetof(struct ic_kvp_ip, address),
		  offsetof(struct hv_kvp_ip_msg, kvp_ip_val.ip_addr));
	ASSERT_EQ(offsetof(struct ic_kvp_ip, dns),
		  offsetof(struct hv_kvp_ip_msg, kvp_ip_val.dns_addr));
	memcpy(&ip, body, sizeof ip);
	ASSERT_EQ(ip.operation, IC_KVP_SET_IP);
	ASSERT_EQ(ip.family, IC_KVP_IPV4 | IC_KVP_IPV6);
	ic_text_read(ip.address, sizeof ip.address, text, sizeof text);
	ASSERT_STR(text, "10.0.0.5;fd00::5");
	ASSERT(miniic_answer(m, &KVP(m)->channel, IC_OK));
	ASSERT_EQ(end.r, 0);
	kvp_set_address(KVP(m), &dhcp, miniic_done, &end);
	ASSERT(miniic_take(m, &KVP(m)->channel, &h, &body));
	memcpy(&ip, body, sizeof ip);
	ASSERT_EQ(ip.dhcp, 1);
}

/* ---- volume shadow copy ---- */

/* Take a question and answer it: its operation; 0: there is none. */
static u8 obey(struct miniic *m, u32 status)
{
	struct ic_header h;
	u8 *body, operation;

	if (!miniic_take(m, &VSS(m)->channel, &h, &body))
		return 0;
	operation = body[0];
	return miniic_answer(m, &VSS(m)->channel, status) ? operation : 0;
}

TEST(guest_freezes_and_thaws_when_it_is_asked)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_thaw(VSS(m), miniic_done, &end);
	ASSERT_EQ(end.r, -EALREADY);
	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, 0);
	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(end.r, -EBUSY);
	vss_thaw(VSS(m), miniic_done, &end);
	ASSERT_EQ(end.times, 3);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	ASSERT_EQ(end.times, 4);
	ASSERT_EQ(end.r, 0);
	miniic_advance(m, 60 * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), 0);
	ASSERT_EQ(VSS(m)->alone, 0);
}

TEST(guest_that_nobody_thaws_thaws_ten_seconds_after_it_was_asked_to_freeze)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_freeze(VSS(m), miniic_done, &end);
	miniic_advance(m, 4 * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	miniic_advance(m, 6 * NS_PER_SEC - 1);
	ASSERT_EQ(obey(m, IC_OK), 0);
	miniic_advance(m, 1);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	ASSERT_EQ(VSS(m)->state, VSS_IDLE);
	vss_thaw(VSS(m), miniic_done, &end);
	ASSERT_EQ(end.r, -EALREADY);
}

TEST(guest_that_freezes_late_is_thawed_at_once)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_freeze(VSS(m), miniic_done, &end);
	miniic_advance(m, VSS_SECONDS * NS_PER_SEC);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	miniic_advance(m, 100 * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	ASSERT_EQ(VSS(m)->state, VSS_IDLE);
	/* One that could not even late has nothing to thaw. */
	vss_freeze(VSS(m), miniic_done, &end);
	miniic_advance(m, VSS_SECONDS * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_FAILED), IC_VSS_FREEZE);
	ASSERT_EQ(obey(m, IC_OK), 0);
	ASSERT_EQ(VSS(m)->state, VSS_IDLE);
}

TEST(guest_that_will_not_freeze_is_not_thawed)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(obey(m, IC_FAILED), IC_VSS_FREEZE);
	ASSERT_EQ(end.r, -EPERM);
	miniic_advance(m, 60 * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), 0);
}

TEST(guest_that_will_not_thaw_is_told_five_times)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	vss_thaw(VSS(m), miniic_done, &end);
	for (unsigned k = 0; k < VSS_THAW_TRIES; k++) {
		ASSERT_EQ(end.times, 1);
		ASSERT_EQ(obey(m, IC_FAILED), IC_VSS_THAW);
		ASSERT_EQ(obey(m, IC_OK), 0);
		miniic_advance(m, NS_PER_SEC);
	}
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, -EPERM);
	ASSERT_EQ(obey(m, IC_OK), 0);
}

TEST(frozen_guest_thaws_elsewhere_and_after_it_has_stood)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };

	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	ASSERT(miniic_move(m));
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	ASSERT_EQ(VSS(m)->state, VSS_IDLE);
	/* One that is just freezing when it moves. */
	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT(miniic_move(m));
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	miniic_advance(m, NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	/* One that stands. */
	vss_freeze(VSS(m), miniic_done, &end);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_FREEZE);
	components_pause(m->components);
	miniic_advance(m, 60 * NS_PER_SEC);
	ASSERT_EQ(obey(m, IC_OK), 0);
	components_resume(m->components);
	miniic_advance(m, 0);
	ASSERT_EQ(obey(m, IC_OK), IC_VSS_THAW);
	ASSERT_EQ(VSS(m)->state, VSS_IDLE);
}

/* ---- file copy ---- */

static const struct fcopy_order order = {
	.name = "a", .folder = "/tmp", .make_path = true, .size = 10000
};

/* Begin to copy; ret_to: the pipe's writing end, with `bytes` of the file in it. */
static bool begin(struct miniic *m, const struct fcopy_order *o, u32 bytes,
		  struct miniic_end *end, int *ret_to)
{
	static u8 data[65536];
	int fd[2];

	for (unsigned k = 0; k < sizeof data; k++)
		data[k] = (u8)(k * 7 + k / 251);
	if (pipe2(fd, O_CLOEXEC) < 0 || fcntl(fd[0], F_SETFL, O_NONBLOCK) < 0 ||
	    write(fd[1], data, bytes) != (ssize_t)bytes)
		return false;
	*ret_to = fd[1];
	fcopy_copy(FCOPY(m), o, fd[0], miniic_done, end);
	return true;
}

/* Take the next message, answer it; its operation, UINT32_MAX where there is none. */
static u32 take_piece(struct miniic *m, u32 status, struct ic_fcopy_write *ret_piece)
{
	struct ic_header h;
	u8 *body;

	if (!miniic_take(m, &FCOPY(m)->channel, &h, &body))
		return UINT32_MAX;
	memcpy(ret_piece, body, min_u64(le16_get(h.size), sizeof *ret_piece));
	return miniic_answer(m, &FCOPY(m)->channel, status)
		       ? le32_get(ret_piece->header.operation)
		       : UINT32_MAX;
}

TEST(file_comes_in_pieces_in_their_order)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_start start;
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1;
	char text[64];
	u64 at = 0;

	ASSERT(begin(m, &order, 10000, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	memcpy(&start, &w, sizeof start);
	ic_text_read((const u8 *)start.folder, sizeof start.folder, text, sizeof text);
	ASSERT_STR(text, "/tmp");
	ASSERT_EQ(le64_get(start.size), 10000);
	ASSERT_EQ(le32_get(start.flags), IC_FCOPY_MAKE_PATH);
	while (at < 10000) {
		ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
		ASSERT_EQ(le64_get(w.offset), at);
		for (u32 k = 0; k < le32_get(w.size); k++)
			ASSERT_EQ(w.data[k], (u8)((at + k) * 7 + (at + k) / 251));
		at += le32_get(w.size);
	}
	ASSERT_EQ(at, 10000);
	ASSERT_EQ(end.times, 0);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_COMPLETE);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, 0);
	ASSERT_EQ(FCOPY(m)->fd, -1);
}

TEST(empty_file_is_copied_too)
{
	GUEST_OF_IC m = guest();
	struct fcopy_order empty = order;
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1;

	empty.size = 0;
	ASSERT(begin(m, &empty, 0, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_COMPLETE);
	ASSERT_EQ(end.r, 0);
	ASSERT_EQ(end.times, 1);
}

static bool piece_lies_there(void *owner)
{
	struct miniic *m = owner;

	return FCOPY(m)->state == FCOPY_WRITE || FCOPY(m)->state == FCOPY_CANCEL;
}

TEST(bytes_that_come_later_are_waited_for)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1;
	u8 rest[9000] = { 0 };

	ASSERT(begin(m, &order, 1000, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT_EQ(take_piece(m, IC_OK, &w), UINT32_MAX);
	ASSERT_EQ(write(to, rest, sizeof rest), sizeof rest);
	ASSERT(mini_until(m->mini, piece_lies_there, m));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(le32_get(w.size), IC_FCOPY_FRAGMENT);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_COMPLETE);
	ASSERT_EQ(end.r, 0);
}

TEST(file_that_ends_early_is_cancelled_in_the_guest)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	int to = -1;

	ASSERT(begin(m, &order, 7000, &end, &to));
	close(to);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(end.times, 0);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_CANCEL);
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -EIO);
	ASSERT(strstr(end.err.text, "shorter") != NULL);
	ASSERT_EQ(FCOPY(m)->state, FCOPY_IDLE);
}

TEST(file_that_the_guest_has_is_neither_overwritten_nor_removed)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;

	for (unsigned late = 0; late < 2; late++) {
		AUTO_CLOSE int to = -1;

		ASSERT(begin(m, &order, 10, &end, &to));
		if (late)
			miniic_advance(m, FCOPY_ANSWER_SECONDS * NS_PER_SEC);
		ASSERT_EQ(take_piece(m, 0x80070050, &w), IC_FCOPY_START);
		ASSERT_EQ(end.times, late + 1);
		ASSERT_EQ(end.r, late ? -ETIMEDOUT : -EEXIST);
		ASSERT_EQ(take_piece(m, IC_OK, &w), UINT32_MAX);
		ASSERT_EQ(FCOPY(m)->state, FCOPY_IDLE);
	}
}

TEST(disk_that_is_full_and_a_guest_that_falls_silent_end_in_a_cancel)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1, other = -1;

	ASSERT(begin(m, &order, 10000, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT_EQ(take_piece(m, 0x80070070, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(end.times, 0);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_CANCEL);
	ASSERT_EQ(end.r, -ENOSPC);
	ASSERT(begin(m, &order, 10000, &end, &other));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	miniic_advance(m, FCOPY_ANSWER_SECONDS * NS_PER_SEC);
	ASSERT_EQ(end.times, 2);
	ASSERT_EQ(end.r, -ETIMEDOUT);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_CANCEL);
	ASSERT_EQ(FCOPY(m)->state, FCOPY_IDLE);
}

static bool whole_piece_is_read(void *owner)
{
	struct miniic *m = owner;

	return FCOPY(m)->filled == IC_FCOPY_FRAGMENT;
}

TEST(copy_goes_on_after_the_guest_has_stood_and_is_cancelled_elsewhere)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1, other = -1;

	ASSERT(begin(m, &order, 1000, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	components_pause(m->components);
	u8 rest[9000] = { 0 };
	ASSERT_EQ(write(to, rest, sizeof rest), sizeof rest);
	/* The host looks at the pipe, and puts nothing into the ring. */
	ASSERT(mini_until(m->mini, whole_piece_is_read, m));
	ASSERT_EQ(take_piece(m, IC_OK, &w), UINT32_MAX);
	components_resume(m->components);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(le64_get(w.offset), IC_FCOPY_FRAGMENT);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_COMPLETE);
	ASSERT_EQ(end.r, 0);
	ASSERT(begin(m, &order, 7000, &end, &other));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT(miniic_move(m));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_WRITE);
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_CANCEL);
	ASSERT_EQ(FCOPY(m)->state, FCOPY_IDLE);
}

TEST(second_file_is_refused_while_the_first_is_copied)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 }, second = { 0 };
	AUTO_CLOSE int to = -1, other = -1;

	ASSERT(begin(m, &order, 10, &end, &to));
	ASSERT(begin(m, &order, 10, &second, &other));
	ASSERT_EQ(second.r, -EBUSY);
	ASSERT_EQ(end.times, 0);
	/* Nobody reads the pipe of what was refused. */
	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(write(other, "", 1), -1);
	ASSERT_EQ(errno, EPIPE);
}

TEST(who_waits_for_a_copy_hears_that_the_guest_has_closed)
{
	GUEST_OF_IC m = guest();
	struct miniic_end end = { 0 };
	struct ic_fcopy_write w;
	AUTO_CLOSE int to = -1;

	ASSERT(begin(m, &order, 10000, &end, &to));
	ASSERT_EQ(take_piece(m, IC_OK, &w), IC_FCOPY_START);
	ASSERT(mini_close_and_wait(&m->channel[5]));
	ASSERT_EQ(end.times, 1);
	ASSERT_EQ(end.r, -ENOTCONN);
	ASSERT_EQ(FCOPY(m)->fd, -1);
	ASSERT_EQ(FCOPY(m)->state, FCOPY_IDLE);
}
