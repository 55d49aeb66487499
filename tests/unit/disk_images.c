/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of image holds what was written into it, through closing, growing and chains. */
#include "unit/disk_model.h"
#include "unit/harness.h"

static bool work_on(const struct model_kind *kind, u64 seed, unsigned steps)
{
	struct model m;

	CHECK_OK(model_new(&m, kind, seed));
	CHECK_OK(model_open(&m, false));
	CHECK_OK(model_compare(&m));
	for (unsigned i = 0; i < steps; i++) {
		CHECK_OK(model_step(&m));
		if (i % 50 == 49)
			CHECK_OK(model_compare(&m));
		if (i % 100 == 99) {
			CHECK_OK(model_close(&m));
			CHECK_OK(model_open(&m, false));
			CHECK_OK(model_compare(&m));
		}
		if (i == steps / 2)
			CHECK_OK(model_grow(&m));
	}
	CHECK_OK(model_compare(&m));
	CHECK_OK(model_close(&m));
	CHECK_OK(model_open(&m, true));
	CHECK_OK(model_compare(&m));
	model_free(&m);
	return true;
}

TEST_TIMEOUT(images_of_every_kind_hold_what_was_written, 60)
{
	for (unsigned i = 0; i < model_kind_count; i++)
		for (u64 seed = 1; seed <= 3; seed++)
			if (!work_on(&model_kinds[i], seed, 400))
				FAIL("%s, seed %llu", model_kinds[i].name,
				     (unsigned long long)seed);
}

static bool nothing_flushed(const struct model_kind *kind)
{
	struct model m;

	CHECK_OK(model_new(&m, kind, 5));
	CHECK_OK(model_open(&m, false));
	for (unsigned i = 0; i < 100; i++)
		CHECK_OK(model_step(&m));
	CHECK_ERR(image_flush(m.image), 0);
	image_abandon(take_ptr(m.image));
	CHECK_OK(model_open(&m, false));
	CHECK_OK(model_compare(&m));
	model_free(&m);
	return true;
}

TEST(what_was_flushed_is_there_after_the_process_was_killed)
{
	for (unsigned i = 0; i < model_kind_count; i++)
		if (!nothing_flushed(&model_kinds[i]))
			FAIL("%s", model_kinds[i].name);
}
