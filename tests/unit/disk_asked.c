/* SPDX-License-Identifier: Apache-2.0 */
/* A disk whose requests a test waits for; see disk_asked.h. */
#include "unit/disk_asked.h"

#include "unit/harness.h"

int asked_open(struct asked_disk *a, const struct disk_pool_config *pool,
	       const struct disk_open *open, struct err *err)
{
	int r;

	memset(a, 0, sizeof *a);
	r = loop_new(&a->loop);
	if (r == 0)
		r = disk_pool_new(a->loop, pool, &a->pool, err);
	return r < 0 ? r : disk_open(a->pool, open, &a->disk, err);
}

int asked_close(struct asked_disk *a)
{
	int r = a->disk ? disk_close(a->disk) : 0;

	if (a->pool)
		disk_pool_free(a->pool);
	loop_free(a->loop);
	return r;
}

static void on_done(struct disk_request *request, int r)
{
	struct asked_disk *a = request->owner;

	if (a->last == 0)
		a->last = r;
	if (--a->waiting == 0)
		loop_stop(a->loop);
}

void asked_submit(struct asked_disk *a, struct disk_request *request)
{
	request->owner = a;
	request->done = on_done;
	if (a->waiting++ == 0)
		a->last = 0;
	disk_submit(a->disk, request);
}

int asked_wait(struct asked_disk *a)
{
	return a->waiting > 0 && loop_run(a->loop) < 0 ? -1 : a->last;
}

int asked_write_at_once(struct asked_disk *a, u8 (*data)[512], unsigned count, u64 stride)
{
	static struct disk_request request[ASKED_AT_ONCE];
	static struct iovec iov[ASKED_AT_ONCE];

	for (unsigned n = 0; n < count; n++) {
		memset(data[n], (int)n, sizeof data[n]);
		iov[n] = (struct iovec){ .iov_base = data[n], .iov_len = 512 };
		request[n] = (struct disk_request){ .op = DISK_WRITE,
						    .iov = &iov[n],
						    .iov_count = 1,
						    .size = 512,
						    .offset = n * stride };
		asked_submit(a, &request[n]);
	}
	return asked_wait(a);
}

int asked_do(struct asked_disk *a, struct disk_request request)
{
	asked_submit(a, &request);
	return asked_wait(a);
}

int asked_transfer(struct asked_disk *a, enum disk_op op, void *data, u64 size,
		   u64 offset)
{
	const struct iovec iov = { .iov_base = data, .iov_len = size };

	return asked_do(a, (struct disk_request){ .op = op,
						  .iov = &iov,
						  .iov_count = 1,
						  .size = size,
						  .offset = offset });
}
