/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the launcher, which runs as root: one that is taken has texts that end, a name that is no path, and
 * becomes words of which none is another option than it is meant to be. The bytes are laid over a request
 * that is right, piece by piece: { 16 bits where, 8 bits how many, the bytes }.
 */
#include <ctype.h>
#include <stdio.h>

#include "programs/launcher/requests.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static struct launch_request good(void)
{
	struct launch_request r = { .version = LAUNCH_VERSION,
				    .kind = LAUNCH_START,
				    .name = "web1",
				    .limits = { .weight = 100 },
				    .cpus = 1,
				    .memory = 64 << 20,
				    .engine = "soft",
				    .kernel = "/vmlinuz",
				    .disk_count = 1,
				    .nic_count = 1 };

	snprintf(r.disk[0], sizeof r.disk[0], "/disk.vhdx");
	snprintf(r.nic[0], sizeof r.nic[0], "nat");
	return r;
}

static void check_words(const struct launch_request *r)
{
	static struct launch_words w;
	size_t count = 0;

	launch_words_make(r, "/run/control", "/etc/allow", 3, &w);
	while (w.argv[count]) {
		require(++count < LAUNCH_MAX_ARGS);
		/* Pairs: an option of ours, and its value. */
		if (count > 2 && count % 2 == 1)
			require(strncmp(w.argv[count - 1], "--", 2) == 0);
	}
	require(count % 2 == 0);
	for (const char *p = r->name; *p; p++)
		require(isalnum((unsigned char)*p) || *p == '-' || *p == '_');
	require(r->kernel[0] == '/' && strlen(r->append) < sizeof r->append);
	for (u32 k = 0; k < r->disk_count; k++)
		require(r->disk[k][0] == '/' && strlen(r->disk[k]) < sizeof r->disk[k]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct launch_request r;
	struct err err = { 0 };
	int code;

	r = good();
	while (size >= 3) {
		size_t at = (size_t)(data[0] | data[1] << 8) % sizeof r, n = data[2];

		data += 3;
		size -= 3;
		n = min_u64(n, min_u64(size, sizeof r - at));
		memcpy((u8 *)&r + at, data, n);
		data += n;
		size -= n;
	}
	code = launch_request_check(&r, &err);
	require((code < 0) == (err.text[0] != '\0'));
	if (code == 0 && r.kind == LAUNCH_START)
		check_words(&r);
	return 0;
}
