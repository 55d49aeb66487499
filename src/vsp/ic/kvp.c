/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value pairs; see kvp.h. */
#include "vsp/ic/kvp.h"

#include <errno.h>
#include <stdio.h>

#include "vsp/ic/text.h"

/* What the guest says of itself first. */
static const u8 pools[] = { IC_KVP_AUTO, IC_KVP_GUEST, IC_KVP_EXTERNAL };

/* ---- ends ------------------------------------------------------------------------------------ */

static void end(struct kvp *k, int r, const struct err *err)
{
	k->pair = NULL;
	k->sets_address = false;
	ic_request_end(&k->request, r, err);
}

static void fix_daemon(struct err *err)
{
	err_fix(err, "in the guest, start its KVP daemon; in Debian: apt install "
		     "hyperv-daemons");
}

static void end_without_daemon(struct kvp *k)
{
	struct err err = { 0 };

	err_set(&err, -ENOTCONN,
		"the guest's kernel says that its KVP daemon does not run%s",
		k->sets_address ? ", or cannot set addresses" : "");
	if (k->sets_address)
		err_fix(&err, "in the guest, see journalctl -u hv-kvp-daemon: it needs a "
			      "program hv_set_ifconfig, which Debian 12 does not have "
			      "(guests/debian/hv_set_ifconfig is one)");
	else
		fix_daemon(&err);
	end(k, err.code, &err);
}

static void end_in_silence(struct kvp *k, unsigned seconds)
{
	struct err err = { 0 };

	err_set(&err, -ETIMEDOUT, "the guest has not answered in %u seconds", seconds);
	fix_daemon(&err);
	end(k, err.code, &err);
}

/* ---- questions ------------------------------------------------------------------------------- */

static unsigned seconds_of(const struct kvp *k)
{
	return k->sets_address ? KVP_ADDRESS_SECONDS : KVP_ANSWER_SECONDS;
}

static void ask(struct kvp *k, const void *body, u32 size)
{
	struct err err = { 0 };
	int r = ic_ask(&k->channel, body, size, seconds_of(k) * NS_PER_SEC);

	if (r < 0)
		end(k, ic_why_not(&k->channel, r, &err), &err);
}

static void ask_next(struct kvp *k)
{
	const struct ic_kvp body = {
		.header = { .operation = IC_KVP_ENUMERATE, .pool = pools[k->at] },
		.each.index = le32_of(k->index),
	};

	ask(k, &body, sizeof body);
}

void kvp_list(struct kvp *k, kvp_pair_fn pair, ic_done_fn done, void *owner)
{
	if (ic_request_is_busy(&k->request, done, owner))
		return;
	k->request = (struct ic_request){ done, owner };
	k->pair = pair;
	k->at = 0;
	k->index = 0;
	k->list_end_ns = ic_now(&k->channel) + KVP_LIST_SECONDS * NS_PER_SEC;
	ask_next(k);
}

static void refuse_text(ic_done_fn done, void *owner, const char *what, unsigned most)
{
	struct err err = { 0 };

	err_set(&err, -EINVAL, "the %s is too long, or no UTF-8", what);
	err_fix(&err, "give at most %u characters", most);
	done(owner, err.code, &err);
}

void kvp_set(struct kvp *k, const char *key, const char *value, ic_done_fn done,
	     void *owner)
{
	struct ic_kvp body = {
		.header = { .operation = value ? IC_KVP_SET : IC_KVP_DELETE,
			    .pool = IC_KVP_EXTERNAL },
	};
	u8 *key_at = value ? body.value.key : body.gone.key;
	size_t key_size = ic_text_write(key, key_at, sizeof body.value.key / 2);
	size_t value_size = 0;

	if (ic_request_is_busy(&k->request, done, owner))
		return;
	if (key_size <= 2) {
		refuse_text(done, owner, "key", sizeof body.value.key / 2 - 1);
		return;
	}
	if (value) {
		value_size = ic_text_write(value, body.value.value,
					   sizeof body.value.value / 2);
		if (value_size == 0) {
			refuse_text(done, owner, "value",
				    sizeof body.value.value / 2 - 1);
			return;
		}
		body.value.type = le32_of(IC_KVP_STRING);
		body.value.key_size = le32_of((u32)key_size);
		body.value.value_size = le32_of((u32)value_size);
	} else {
		body.gone.key_size = le32_of((u32)key_size);
	}
	k->request = (struct ic_request){ done, owner };
	ask(k, &body, sizeof body);
}

void kvp_set_address(struct kvp *k, const struct kvp_address *a, ic_done_fn done,
		     void *owner)
{
	struct ic_kvp_ip body = { .operation = IC_KVP_SET_IP, .dhcp = a->dhcp };
	const struct {
		const char *name, *text;
		u8 *to;
		size_t size;
	} rows[] = {
		{ "card's name", a->adapter, body.adapter, sizeof body.adapter },
		{ "address", a->address, body.address, sizeof body.address },
		{ "mask", a->mask, body.mask, sizeof body.mask },
		{ "gateway", a->gateway, body.gateway, sizeof body.gateway },
		{ "name server", a->dns, body.dns, sizeof body.dns },
	};

	if (ic_request_is_busy(&k->request, done, owner))
		return;
	for (unsigned n = 0; n < (a->dhcp ? 1 : ARRAY_COUNT(rows)); n++) {
		if (ic_text_write(rows[n].text, rows[n].to, rows[n].size / 2) == 0) {
			refuse_text(done, owner, rows[n].name,
				    (unsigned)rows[n].size / 2 - 1);
			return;
		}
	}
	if (strchr(a->address, '.'))
		body.family |= IC_KVP_IPV4;
	if (strchr(a->address, ':'))
		body.family |= IC_KVP_IPV6;
	k->request = (struct ic_request){ done, owner };
	k->sets_address = true;
	ask(k, &body, sizeof body);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void tell_pair(struct kvp *k, const struct ic_kvp_value *v)
{
	/* Each unit of UTF-16 is three bytes at most. */
	char key[sizeof v->key / 2 * 3 + 1], value[sizeof v->value / 2 * 3 + 1];
	u32 key_size = le32_get(v->key_size), value_size = le32_get(v->value_size);
	u64 number = 0;

	ic_text_read(v->key, min_u64(key_size, sizeof v->key), key, sizeof key);
	if (le32_get(v->type) == IC_KVP_U32 || le32_get(v->type) == IC_KVP_U64) {
		memcpy(&number, v->value, le32_get(v->type) == IC_KVP_U32 ? 4 : 8);
		snprintf(value, sizeof value, "%llu",
			 (unsigned long long)le64toh(number));
	} else {
		ic_text_read(v->value, min_u64(value_size, sizeof v->value), value,
			     sizeof value);
	}
	k->pairs++;
	k->pair(k->request.owner, pools[k->at], key, value);
}

static void on_list_answer(struct kvp *k, u32 status, const u8 *bytes, u32 size)
{
	struct ic_kvp body;

	if (status == IC_OK && size >= sizeof body && k->index < KVP_MAX_PAIRS) {
		memcpy(&body, bytes, sizeof body);
		tell_pair(k, &body.each.value);
		k->index++;
	} else {
		k->index = 0;
		k->at++;
	}
	if (k->at == ARRAY_COUNT(pools))
		end(k, 0, NULL);
	else if (ic_now(&k->channel) >= k->list_end_ns)
		end_in_silence(k, KVP_LIST_SECONDS);
	else
		ask_next(k);
}

static void on_answered(void *owner, u32 status, const u8 *body, u32 size)
{
	struct kvp *k = owner;
	struct err err = { 0 };

	if (status == IC_FAILED) {
		end_without_daemon(k);
	} else if (k->pair) {
		on_list_answer(k, status, body, size);
	} else if (status != IC_OK) {
		err_set(&err, -EPERM,
			"the guest will not: its KVP daemon answered with status %#x",
			status);
		err_fix(&err, "look at what it says in the guest's journal");
		end(k, err.code, &err);
	} else {
		end(k, 0, NULL);
	}
}

static void on_silent(void *owner)
{
	end_in_silence(owner, seconds_of(owner));
}

static void on_closed(void *owner)
{
	struct kvp *k = owner;
	struct err err = { 0 };

	ic_say_unloaded(&err, "answered", "try again when it is there");
	end(k, err.code, &err);
}

static void inspect(const void *owner, const char *branch, struct inspect *out)
{
	const struct kvp *k = owner;

	inspect_number(out, branch, "pairs", k->pairs);
}

static const struct ic_kind kind = {
	.name = "kvp",
	.interface = IC_GUID_KVP,
	.instance = IC_INSTANCE_KVP,
	.message = IC_KVP,
	.version = { { 4, 0 }, { 3, 0 }, { 1, 0 } },
	.answered = on_answered,
	.silent = on_silent,
	.closed = on_closed,
	.inspect = inspect,
};

int kvp_offer(struct kvp *k, struct ic_host *host)
{
	return ic_channel_offer(&k->channel, host, &kind, k);
}
