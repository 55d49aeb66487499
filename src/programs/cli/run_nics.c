/* SPDX-License-Identifier: Apache-2.0 */
/* The network adapters of `tabique run`; see run_nics.h. */
#include "programs/cli/run_nics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/ipc.h"
#include "control/socket.h"
#include "programs/cli/run_options.h"
#include "programs/cli/tap.h"
#include "programs/cli/words.h"

#define DEFAULT_MTU 1500

/* ---- words ----------------------------------------------------------------------------------- */

static int set_mac(struct run_nic *n, const char *text, struct err *err)
{
	unsigned b[6];
	char more;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1],
					 &b[2], &b[3], &b[4], &b[5], &more) != 6) {
		err_set(err, -EINVAL, "--net: '%s' is no address of an adapter", text);
		return err_fix(err, "give six bytes, for instance mac=00:15:5d:00:00:01");
	}
	for (unsigned k = 0; k < 6; k++)
		n->mac[k] = (u8)b[k];
	if (b[0] & 1 || memcmp(n->mac, (u8[6]){ 0 }, 6) == 0) {
		err_set(err, -EINVAL,
			"--net: '%s' is an address of a group, not of one adapter", text);
		return err_fix(err, "let the first byte be even and not all be 0, for "
				    "instance mac=00:15:5d:00:00:01");
	}
	n->has_mac = true;
	return 0;
}

static int set_mtu(struct run_nic *n, const char *text, struct err *err)
{
	const char *rest;
	u64 mtu;

	if (!parse_number(text, &mtu, &rest) || *rest || mtu < NET_MIN_MTU ||
	    mtu > NET_MAX_MTU) {
		err_set(err, -EINVAL,
			"--net: an adapter can have an MTU from %d to %d, "
			"not '%s'",
			NET_MIN_MTU, NET_MAX_MTU, text);
		return err_fix(err, "give for instance mtu=1500");
	}
	n->mtu = (u16)mtu;
	return 0;
}

/* [ADDRESS:]PORT. The address stays what it was where none is given. */
static bool parse_end(const char *text, u32 *ret_address, u16 *ret_port)
{
	const char *colon = strrchr(text, ':'), *rest;
	char address[INET_ADDRSTRLEN] = "";
	struct in_addr in;
	u64 port;

	if (!parse_number(colon ? colon + 1 : text, &port, &rest) || *rest || port < 1 ||
	    port > 65535)
		return false;
	*ret_port = (u16)port;
	if (!colon || colon == text)
		return true;
	if ((size_t)(colon - text) >= sizeof address)
		return false;
	memcpy(address, text, (size_t)(colon - text));
	if (inet_pton(AF_INET, address, &in) != 1)
		return false;
	*ret_address = in.s_addr;
	return true;
}

static int add_forward(struct run_nic *n, const char *text, struct err *err)
{
	struct nat_forward f = { .host = htonl(INADDR_LOOPBACK) };
	const char *start = text, *dash;
	char host[64];

	if (n->kind != RUN_NIC_NAT) {
		err_set(err, -EINVAL, "--net: forward= belongs to nat");
		return err_fix(err, "reach the guest by its own address on that network");
	}
	if (n->forward_count == NAT_MAX_FORWARDS) {
		err_set(err, -EINVAL, "--net: more than %d ports of one adapter",
			NAT_MAX_FORWARDS);
		return err_fix(err, "leave some out");
	}
	if (strncmp(start, "udp:", 4) == 0 || strncmp(start, "tcp:", 4) == 0) {
		f.udp = start[0] == 'u';
		start += 4;
	}
	dash = strchr(start, '-');
	snprintf(host, sizeof host, "%.*s", dash ? (int)(dash - start) : 0, start);
	if (!dash || dash - start >= (ptrdiff_t)sizeof host || !strchr(dash, ':') ||
	    !parse_end(host, &f.host, &f.host_port) ||
	    !parse_end(dash + 1, &f.guest, &f.guest_port)) {
		err_set(err, -EINVAL, "--net: '%s' is no port to forward", text);
		return err_fix(err, "give [udp:][ADDRESS:]PORT-[GUEST]:PORT, for "
				    "instance "
				    "forward=2222-:22");
	}
	n->forward[n->forward_count++] = f;
	return 0;
}

static int set_word(struct run_nic *n, const char *word, struct err *err)
{
	if (strncmp(word, "mac=", 4) == 0)
		return set_mac(n, word + 4, err);
	if (strncmp(word, "mtu=", 4) == 0)
		return set_mtu(n, word + 4, err);
	if (strncmp(word, "forward=", 8) == 0)
		return add_forward(n, word + 8, err);
	if (strcmp(word, "spoofing") == 0) {
		n->spoofing = true;
		return 0;
	}
	err_set(err, -EINVAL, "--net: '%s' is not known", word);
	return err_fix(err, "give forward=, mac=, mtu= or spoofing");
}

/* ---- the option ------------------------------------------------------------------------------ */

static int set_name(struct run_nic *n, const char *name, size_t most, const char *what,
		    struct err *err)
{
	if (!*name || strlen(name) >= most) {
		err_set(err, -EINVAL, "--net: '%s' is no name of a %s", name, what);
		return err_fix(err, "give tap=NAME, as 'ip tuntap' shows it, or "
				    "socket=PATH of a switch");
	}
	snprintf(n->name, sizeof n->name, "%s", name);
	return 0;
}

static int set_kind(struct run_nic *n, const char *word, struct err *err)
{
	if (strcmp(word, "nat") == 0) {
		n->kind = RUN_NIC_NAT;
		return 0;
	}
	if (strncmp(word, "tap=", 4) == 0) {
		n->kind = RUN_NIC_TAP;
		return set_name(n, word + 4, TAP_NAME_SIZE, "tap", err);
	}
	if (strncmp(word, "socket=", 7) == 0) {
		n->kind = RUN_NIC_SOCKET;
		return set_name(n, word + 7, sizeof n->name, "switch's socket", err);
	}
	err_set(err, -EINVAL, "--net: there is no network '%s'", word);
	return err_fix(err, "give nat, tap=NAME, socket=PATH or none");
}

static int too_many(const struct run_nics *nics, const char *value, struct err *err)
{
	if (nics->none || (nics->count > 0 && strcmp(value, "none") == 0)) {
		err_set(err, -EINVAL, "--net: 'none' beside another network");
		return err_fix(err, "leave one of them out");
	}
	if (nics->count == WORKER_MAX_NICS) {
		err_set(err, -EINVAL, "--net: a VM can have at most %d network adapters",
			WORKER_MAX_NICS);
		return err_fix(err, "leave some out");
	}
	return 0;
}

int run_nics_add(struct run_nics *nics, const char *value, struct err *err)
{
	struct run_nic *n = &nics->nic[nics->count];
	AUTO_FREE char *copy = strdup(value);
	char *rest = copy, *word;
	int r = too_many(nics, value, err);

	if (r < 0)
		return r;
	if (!copy)
		return err_set(err, -ENOMEM, "%s", err_words(-ENOMEM));
	if (strcmp(value, "none") == 0) {
		nics->none = true;
		return 0;
	}
	*n = (struct run_nic){ 0 };
	r = set_kind(n, strsep(&rest, ","), err);
	while (r == 0 && (word = strsep(&rest, ",")))
		r = set_word(n, word, err);
	if (r == 0)
		nics->count++;
	return r;
}

/* ---- words for people ------------------------------------------------------------------------ */

void run_nic_network(const struct run_nic *n, char *ret_text, size_t size)
{
	switch (n->kind) {
	case RUN_NIC_NAT:
		snprintf(ret_text, size, "nat");
		return;
	case RUN_NIC_TAP:
		snprintf(ret_text, size, "tap=%s", n->name);
		return;
	case RUN_NIC_SOCKET:
		snprintf(ret_text, size, "socket=%s", n->name);
		return;
	}
}

void nat_forward_text(const struct nat_forward *f, char *ret_text, size_t size)
{
	char host[INET_ADDRSTRLEN], guest[INET_ADDRSTRLEN] = "";

	inet_ntop(AF_INET, &f->host, host, sizeof host);
	if (f->guest)
		inet_ntop(AF_INET, &f->guest, guest, sizeof guest);
	snprintf(ret_text, size, "%s%s:%u-%s:%u", f->udp ? "udp:" : "", host,
		 f->host_port, guest, f->guest_port);
}

/* ---- addresses of adapters ------------------------------------------------------------------- */

static u64 mix(u64 hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (u8)*text) * 0x100000001b3ull;
	return (hash ^ 0xff) * 0x100000001b3ull;
}

static u64 mix_path(u64 hash, const char *path)
{
	char whole[PATH_MAX];

	return mix(hash, path && realpath(path, whole) ? whole : path ?: "");
}

/* Two hosts on one network are two hosts, whatever runs on them. */
static u64 mix_host(u64 hash)
{
	char id[64] = "";
	FILE *f = fopen("/etc/machine-id", "re");

	if (f) {
		if (!fgets(id, sizeof id, f))
			id[0] = '\0';
		fclose(f);
	}
	return mix(hash, id);
}

/* Microsoft's part for Hyper-V, and three bytes that follow from the host, the VM and the adapter's place. */
static void make_mac(const struct run_options *o, unsigned place, u8 ret_mac[6])
{
	u64 hash = mix_host(0xcbf29ce484222325ull);

	for (unsigned k = 0; k < o->disks.count; k++)
		hash = mix_path(hash, o->disks.disk[k].path);
	hash = mix_path(hash, o->disks.count ? NULL : o->bios ? o->firmware : o->kernel);
	hash = mix(hash, o->control ?: "");
	hash = mix(hash, o->nics.nic[place].name);
	hash = (hash ^ place) * 0x100000001b3ull;
	memcpy(ret_mac,
	       (u8[6]){ 0x00, 0x15, 0x5d, (u8)(hash >> 40), (u8)(hash >> 32),
			(u8)(hash >> 24) },
	       6);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* The host's name server: the first of IPv4 in /etc/resolv.conf. 0: none. */
static u32 find_resolver(void)
{
	FILE *f = fopen("/etc/resolv.conf", "re");
	struct in_addr address = { 0 };
	char line[512], word[64];

	while (f && !address.s_addr && fgets(line, sizeof line, f))
		if (sscanf(line, "nameserver %63s", word) == 1 &&
		    inet_pton(AF_INET, word, &address) != 1)
			address.s_addr = 0;
	if (f)
		fclose(f);
	return address.s_addr;
}

/* Room for some of the largest frames: the kernel counts what waits in a socket to its sender. */
static void widen(int fd)
{
	int size = 4 << 20;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

static int open_nat(const struct run_nic *n, unsigned place, struct nat_config *nat,
		    int *ret_fd, int *ret_nat_fd, struct err *err)
{
	struct nat_adapter_config *a = &nat->adapter[nat->adapter_count];
	int pair[2], r = ipc_pair(pair);

	if (r < 0)
		return err_set(err, r, "--net nat: %s", err_words(r));
	widen(pair[0]);
	widen(pair[1]);
	*ret_fd = pair[0];
	*ret_nat_fd = pair[1];
	nat->resolver = find_resolver();
	nat->adapter_count++;
	*a = (struct nat_adapter_config){ .net = place,
					  .mtu = n->mtu,
					  .forward_count = n->forward_count };
	memcpy(a->forward, n->forward, sizeof a->forward);
	return 0;
}

static int open_switch(const struct run_nic *n, int *ret_fd, struct err *err)
{
	int r = control_connect(n->name, CONTROL_OF_SWITCH, ret_fd, err);

	if (r < 0)
		return err_wrap(err, "--net");
	widen(*ret_fd);
	return 0;
}

int run_nics_open(struct run_options *o, struct worker_config *worker,
		  struct nat_config *nat, int ret_fd[WORKER_MAX_NICS],
		  int ret_nat_fd[WORKER_MAX_NICS], bool *ret_not_found, struct err *err)
{
	for (unsigned k = 0; k < o->nics.count; k++) {
		struct run_nic *n = &o->nics.nic[k];
		u16 mtu = DEFAULT_MTU;
		int r = 0;

		if (n->kind == RUN_NIC_TAP)
			r = tap_open(n->name, &ret_fd[k], &mtu, err);
		if (!n->mtu)
			n->mtu = mtu;
		if (n->kind == RUN_NIC_NAT)
			r = open_nat(n, k, nat, &ret_fd[k],
				     &ret_nat_fd[nat->adapter_count], err);
		if (n->kind == RUN_NIC_SOCKET)
			r = open_switch(n, &ret_fd[k], err);
		*ret_not_found = r == -ENOENT || r == -ENODEV;
		if (r < 0)
			return r;
		if (!n->has_mac)
			make_mac(o, k, n->mac);
		worker->nic[k] = (struct worker_nic){
			.port = n->kind == RUN_NIC_TAP ? WORKER_NIC_TAP
						       : WORKER_NIC_SOCKET,
			.spoofing = n->spoofing,
			.mtu = n->mtu,
		};
		memcpy(worker->nic[k].mac, n->mac, 6);
		worker->nic_count = k + 1;
	}
	return 0;
}
