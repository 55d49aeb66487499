/* SPDX-License-Identifier: Apache-2.0 */
/* machine/disks.h on a VMBus without a guest: disks that come, change and leave. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "disk/disk.h"
#include "machine/disks.h"
#include "miniguest/ministor.h"
#include "state/record.h"
#include "unit/harness.h"

#define MIB (1ull << 20)

struct fixture {
	struct mini *mini;
	struct disk_pool *pool;
	struct disks *disks;
	bool quiet;
	u32 ejected; /* controller and lun of the last one */
	/* the last answer, and how many there were */
	unsigned answers, wanted;
	u32 id;
	int r;
	bool there;
	u64 size;
	struct err err;
};

static void on_ejected(void *owner, u32 controller, u32 lun)
{
	struct fixture *f = owner;

	f->ejected = controller << 8 | lun;
}

static bool build(struct fixture *f)
{
	const struct disk_pool_config pool = { .threads = 2 };
	struct err err = { 0 };

	memset(f, 0, sizeof *f);
	f->mini = mini_new();
	CHECK_ERR(disk_pool_new(f->mini->loop, &pool, &f->pool, &err), 0);
	CHECK_ERR(disks_new(&(struct disks_config){ .loop = f->mini->loop,
						    .server = f->mini->server,
						    .gm = f->mini->gm,
						    .vp_count = 1,
						    .ejected = on_ejected,
						    .owner = f },
			    &f->disks),
		  0);
	disks_set_pool(f->disks, f->pool);
	return true;
}

static void tear_down(struct fixture *f)
{
	disks_free(f->disks);
	disk_pool_free(f->pool);
	mini_free(f->mini);
}

static void on_done(void *owner, u32 id, int r, bool there, u64 size,
		    const struct err *err)
{
	struct fixture *f = owner;

	f->answers++;
	f->id = id;
	f->r = r;
	f->there = there;
	f->size = size;
	f->err = *err;
}

static bool is_answered(void *owner)
{
	struct fixture *f = owner;

	return f->answers >= f->wanted;
}

static void on_quiet(void *owner)
{
	*(bool *)owner = true;
}

static bool is_quiet(void *owner)
{
	return *(bool *)owner;
}

static void ask(struct fixture *f, struct worker_disk_order order, int fd)
{
	f->wanted++;
	order.id = f->wanted;
	disks_change(f->disks, &order, &fd, on_done, f);
	EXPECT_EQ(fd, -1);
}

static struct worker_disk_order order_of(u32 op, u32 lun, u64 size)
{
	return (struct worker_disk_order){ .op = op,
					   .size = size,
					   .disk = { .controller = 1, .lun = lun } };
}

static int image(u64 size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	EXPECT_EQ(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct worker_disk_order attach_of(u32 lun, enum disk_format format)
{
	struct worker_disk_order order = order_of(WORKER_DISK_ATTACH, lun, 0);

	order.disk.level_count = 1;
	order.image[0] = (struct worker_image){ .name = "new", .format = format };
	return order;
}

static bool attach(struct fixture *f, u32 lun, u64 size)
{
	ask(f, attach_of(lun, DISK_RAW), image(size));
	CHECK(mini_until(f->mini, is_answered, f));
	CHECK_EQ(f->r, 0);
	CHECK(f->there);
	CHECK_EQ(f->size, size);
	return true;
}

TEST(disk_comes_grows_and_leaves_and_its_place_is_free_again)
{
	struct fixture f;
	struct worker_disk_order grow = order_of(WORKER_DISK_RESIZE, 3, MIB);
	struct worker_disk_order less = order_of(WORKER_DISK_RESIZE, 3, MIB);

	ASSERT_OK(build(&f));
	ASSERT_OK(attach(&f, 3, MIB));
	grow.grow = 1;
	ask(&f, grow, -1);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT_EQ(f.r, 0);
	ASSERT_EQ(f.size, 2 * MIB);
	ask(&f, less, -1);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT_ERR(f.r, EINVAL);
	ASSERT(f.there);
	ASSERT(strncmp(f.err.text, "scsi1:3: ", 9) == 0);
	ask(&f, order_of(WORKER_DISK_DETACH, 3, 0), -1);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT_EQ(f.r, 0);
	ASSERT(!f.there);
	ASSERT_OK(attach(&f, 3, MIB));
	tear_down(&f);
}

/* ---- what the guest has not noticed ---- */

static bool is_waiting(void *owner)
{
	struct fixture *f = owner;
	char text[4096];
	struct inspect out = { .text = text, .size = sizeof text };

	disks_inspect(f->disks, &out);
	return strstr(text, "disks.scsi1:3.state: waiting\n") != NULL;
}

/* A disk at scsi1:3 that the guest knew has left, and another one shall come. */
static bool replace_known(struct fixture *f, struct ministor *guest)
{
	const u8 inquiry[16] = { SCSI_INQUIRY, [4] = 36 };

	*guest =
		(struct ministor){ .mini = f->mini, .data_page = mini_alloc(f->mini, 1) };
	CHECK(attach(f, 3, MIB));
	CHECK(ministor_start(guest));
	CHECK_EQ(ministor_command(guest, 3, inquiry, 6, STORVSP_READ, 36).srb_status,
		 SRB_SUCCESS);
	ask(f, order_of(WORKER_DISK_DETACH, 3, 0), -1);
	CHECK(mini_until(f->mini, is_answered, f));
	ask(f, attach_of(3, DISK_RAW), image(2 * MIB));
	CHECK(mini_until(f->mini, is_waiting, f));
	CHECK(!is_answered(f));
	return true;
}

static bool close_guest(struct fixture *f)
{
	bool closed = false;

	vmbus_server_close_all(f->mini->server, on_quiet, &closed);
	return mini_until(f->mini, is_quiet, &closed);
}

TEST(disk_waits_until_the_guest_met_the_absence_of_the_one_before)
{
	const u8 test_unit_ready[16] = { SCSI_TEST_UNIT_READY };
	struct ministor guest;
	struct fixture f;

	ASSERT_OK(build(&f));
	ASSERT_OK(replace_known(&f, &guest));
	ASSERT_EQ(ministor_command(&guest, 3, test_unit_ready, 6, STORVSP_NO_DATA, 0)
			  .srb_status,
		  SRB_INVALID_LUN);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT_EQ(f.r, 0);
	ASSERT_EQ(f.size, 2 * MIB);
	ASSERT(close_guest(&f));
	tear_down(&f);
}

TEST(quiet_does_not_wait_for_what_the_guest_has_not_noticed)
{
	struct ministor guest;
	struct fixture f;

	ASSERT_OK(build(&f));
	ASSERT_OK(replace_known(&f, &guest));
	disks_quiet(f.disks, on_quiet, &f.quiet);
	ASSERT(mini_until(f.mini, is_quiet, &f.quiet));
	ASSERT(is_answered(&f));
	ASSERT_ERR(f.r, EBUSY);
	ASSERT(strstr(f.err.text, "the guest has not noticed yet"));
	ASSERT(close_guest(&f));
	tear_down(&f);
}

TEST(guest_that_does_not_ask_who_is_there_is_told_again)
{
	struct ministor guest;
	struct fixture f;
	u8 bytes[128];

	ASSERT_OK(build(&f));
	guest = (struct ministor){ .mini = f.mini };
	ASSERT_OK(attach(&f, 3, MIB));
	ASSERT(ministor_start(&guest));
	ASSERT_OK(attach(&f, 4, MIB));
	for (unsigned k = 0; k < 2; k++) {
		ASSERT_EQ(mini_wait(&guest.channel, bytes, sizeof bytes), 80);
		ASSERT_EQ(bytes[16], STORVSP_ENUMERATE_BUS);
	}
	ASSERT(close_guest(&f));
	tear_down(&f);
}

/* ---- media ---- */

static struct worker_disk_order medium_of(u32 lun, u32 level_count)
{
	struct worker_disk_order order = attach_of(lun, DISK_ISO);

	order.op = WORKER_DISK_MEDIUM;
	order.disk.level_count = level_count;
	return order;
}

static bool empty_drive(struct fixture *f)
{
	struct worker_disk_order order = order_of(WORKER_DISK_ATTACH, 3, 0);

	order.disk.dvd = 1;
	ask(f, order, -1);
	CHECK(is_answered(f));
	CHECK_EQ(f->r, 0);
	CHECK_EQ(f->size, 0);
	return true;
}

/* The answer to it, and what is in the drive then. */
static bool change_medium(struct fixture *f, struct worker_disk_order order, int fd,
			  int want_r, u64 want_size)
{
	ask(f, order, fd);
	CHECK(mini_until(f->mini, is_answered, f));
	CHECK_EQ(f->r, want_r);
	CHECK(f->there);
	CHECK_EQ(f->size, want_size);
	return true;
}

TEST(medium_comes_is_replaced_and_taken_out)
{
	struct fixture f;

	ASSERT_OK(build(&f));
	ASSERT_OK(empty_drive(&f));
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(MIB), 0, MIB));
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(2 * MIB), 0, 2 * MIB));
	/* One that cannot be opened leaves the one that is there. */
	ASSERT_OK(change_medium(&f, medium_of(3, 1), open("/", O_RDONLY | O_CLOEXEC),
				-ENOTBLK, 2 * MIB));
	ASSERT_OK(change_medium(&f, medium_of(3, 0), -1, 0, 0));
	ASSERT_OK(change_medium(&f, medium_of(3, 0), -1, 0, 0));
	tear_down(&f);
}

TEST(medium_of_a_disk_or_of_a_drive_that_is_locked_is_not_changed)
{
	struct worker_disk_order forced = medium_of(3, 0);
	struct fixture f;
	struct ministor guest;
	const u8 lock[16] = { SCSI_PREVENT_ALLOW, [4] = 1 };
	int fd = image(MIB);

	ASSERT_OK(build(&f));
	ASSERT_OK(attach(&f, 4, MIB));
	ask(&f, medium_of(4, 1), fd);
	ASSERT_ERR(f.r, EINVAL);
	ASSERT_EQ(fcntl(fd, F_GETFD), -1);
	ASSERT_OK(empty_drive(&f));
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(MIB), 0, MIB));
	guest = (struct ministor){ .mini = f.mini };
	ASSERT(ministor_start(&guest));
	(void)ministor_command(&guest, 3, lock, 6, STORVSP_NO_DATA, 0); /* attention */
	ASSERT_EQ(ministor_command(&guest, 3, lock, 6, STORVSP_NO_DATA, 0).srb_status,
		  SRB_SUCCESS);
	ask(&f, medium_of(3, 0), -1);
	ASSERT_ERR(f.r, EBUSY);
	forced.force = 1;
	ASSERT_OK(change_medium(&f, forced, -1, 0, 0));
	ASSERT(close_guest(&f));
	tear_down(&f);
}

static bool is_empty(void *owner)
{
	struct fixture *f = owner;
	char text[4096];
	struct inspect out = { .text = text, .size = sizeof text };

	disks_inspect(f->disks, &out);
	return strstr(text, "disks.scsi1:3.state: there\ndisks.scsi1:3.image: \n") !=
	       NULL;
}

TEST(medium_that_the_guest_ejects_is_closed_and_another_one_may_come)
{
	const u8 eject[16] = { SCSI_START_STOP, [4] = 2 };
	struct ministor guest;
	struct fixture f;

	ASSERT_OK(build(&f));
	ASSERT_OK(empty_drive(&f));
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(MIB), 0, MIB));
	guest = (struct ministor){ .mini = f.mini };
	ASSERT(ministor_start(&guest));
	(void)ministor_command(&guest, 3, eject, 6, STORVSP_NO_DATA, 0); /* attention */
	ASSERT_EQ(ministor_command(&guest, 3, eject, 6, STORVSP_NO_DATA, 0).srb_status,
		  SRB_SUCCESS);
	ASSERT(mini_until(f.mini, is_empty, &f));
	ASSERT_EQ(f.ejected, 0x103);
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(MIB), 0, MIB));
	ASSERT(close_guest(&f));
	tear_down(&f);
}

/* ---- media and saved state ---- */

/* A machine whose drive at scsi1:3 has that medium, and is in that state. */
static bool build_drive(struct fixture *f, const char *name,
			const struct state_writer *state)
{
	struct worker_disk_order order = attach_of(3, DISK_ISO);

	CHECK_OK(build(f));
	order.disk.dvd = order.disk.read_only = 1;
	snprintf(order.image[0].name, sizeof order.image[0].name, "%s", name);
	ask(f, order, image(MIB));
	CHECK(mini_until(f->mini, is_answered, f));
	CHECK_EQ(f->r, 0);
	if (state)
		CHECK_EQ(disks_restore(f->disks, state->bytes, state->used), 0);
	return true;
}

/* What the guest hears with its first command, a TEST UNIT READY: 0: that all is well. */
static bool first_word_is(struct fixture *f, u16 want)
{
	const u8 test_unit_ready[16] = { SCSI_TEST_UNIT_READY };
	struct ministor guest = { .mini = f->mini };
	struct ministor_result heard;

	CHECK(ministor_start(&guest));
	heard = ministor_command(&guest, 3, test_unit_ready, 6, STORVSP_NO_DATA, 0);
	CHECK_EQ(heard.additional, want);
	return close_guest(f);
}

TEST(medium_that_came_at_run_time_is_named_in_the_state)
{
	struct state_writer before = { 0 }, after = { 0 }, emptied = { 0 };
	struct worker_disk_order second = medium_of(3, 1);
	char name[WORKER_NAME_SIZE];
	struct fixture f;

	snprintf(second.image[0].name, sizeof second.image[0].name, "second.iso");
	ASSERT_OK(build_drive(&f, "first.iso", NULL));
	ASSERT_EQ(disks_save(f.disks, &before), 0);
	ASSERT_OK(change_medium(&f, second, image(MIB), 0, MIB));
	ASSERT_EQ(disks_save(f.disks, &after), 0);
	ASSERT_OK(change_medium(&f, medium_of(3, 0), -1, 0, 0));
	ASSERT_EQ(disks_save(f.disks, &emptied), 0);
	tear_down(&f);
	ASSERT_EQ(disks_saved_medium(before.bytes, before.used, 1, 3, name), 0);
	ASSERT_STR(name, "first.iso");
	ASSERT_EQ(disks_saved_medium(after.bytes, after.used, 1, 3, name), 0);
	ASSERT_STR(name, "second.iso");
	ASSERT_EQ(disks_saved_medium(emptied.bytes, emptied.used, 1, 3, name), 0);
	ASSERT_STR(name, "");
	ASSERT_ERR(disks_saved_medium(after.bytes, after.used, 1, 4, name), ENOENT);
	/* Any piece of it: an answer. */
	for (size_t size = 0; size < after.used; size++)
		(void)!disks_saved_medium(after.bytes, size, 1, 3, name);
	free(before.bytes);
	free(after.bytes);
	free(emptied.bytes);
}

TEST(guest_hears_of_another_medium_than_the_state_has_and_of_the_same_one_not)
{
	struct state_writer state = { 0 };
	struct fixture f;

	ASSERT_OK(build_drive(&f, "first.iso", NULL));
	ASSERT_EQ(disks_save(f.disks, &state), 0);
	tear_down(&f);
	ASSERT_OK(build_drive(&f, "first.iso", &state));
	ASSERT_OK(first_word_is(&f, 0));
	tear_down(&f);
	ASSERT_OK(build_drive(&f, "second.iso", &state));
	ASSERT_OK(first_word_is(&f, ASC_MEDIUM_CHANGED));
	tear_down(&f);
	free(state.bytes);
}

TEST(drive_that_was_empty_in_the_state_gives_up_what_was_put_in)
{
	struct state_writer state = { 0 };
	struct fixture f;

	ASSERT_OK(build(&f));
	ASSERT_OK(empty_drive(&f));
	ASSERT_EQ(disks_save(f.disks, &state), 0);
	tear_down(&f);
	ASSERT_OK(build_drive(&f, "first.iso", &state));
	ASSERT(is_empty(&f));
	ASSERT_OK(change_medium(&f, medium_of(3, 1), image(2 * MIB), 0, 2 * MIB));
	tear_down(&f);
	free(state.bytes);
}

TEST(image_that_is_none_leaves_nothing_behind)
{
	struct fixture f;
	int fd = image(MIB);

	ASSERT_OK(build(&f));
	ask(&f, attach_of(0, DISK_VHDX), fd);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT(f.r < 0);
	ASSERT(!f.there);
	ASSERT(strncmp(f.err.text, "scsi1:0: disk 'new': ", 21) == 0);
	ASSERT_EQ(fcntl(fd, F_GETFD), -1);
	/* Neither a place nor an answer of a disk that is not there. */
	ask(&f, order_of(WORKER_DISK_DETACH, 0, 0), -1);
	ASSERT_ERR(f.r, ENOENT);
	ASSERT_OK(attach(&f, 0, MIB));
	tear_down(&f);
}

TEST(second_change_of_a_disk_is_refused_while_the_first_is_under_way)
{
	struct fixture f;

	ASSERT_OK(build(&f));
	ask(&f, attach_of(5, DISK_RAW), image(MIB));
	ASSERT_EQ(f.answers, 0);
	ask(&f, order_of(WORKER_DISK_DETACH, 5, 0), -1);
	ASSERT_EQ(f.answers, 1);
	ASSERT_EQ(f.id, 2);
	ASSERT_ERR(f.r, EBUSY);
	int second = image(MIB);
	ask(&f, attach_of(5, DISK_RAW), second);
	ASSERT_EQ(f.answers, 2);
	ASSERT_ERR(f.r, EBUSY);
	ASSERT_EQ(fcntl(second, F_GETFD), -1);
	ASSERT(mini_until(f.mini, is_answered, &f));
	ASSERT_EQ(f.id, 1);
	ASSERT_EQ(f.r, 0);
	tear_down(&f);
}

TEST(quiet_waits_for_what_is_under_way)
{
	struct fixture f;

	ASSERT_OK(build(&f));
	ask(&f, attach_of(1, DISK_RAW), image(MIB));
	disks_quiet(f.disks, on_quiet, &f.quiet);
	ASSERT(!f.quiet);
	ASSERT(mini_until(f.mini, is_quiet, &f.quiet));
	ASSERT_EQ(f.answers, 1);
	f.quiet = false;
	disks_quiet(f.disks, on_quiet, &f.quiet);
	ASSERT(f.quiet);
	tear_down(&f);
}

TEST(thirty_third_disk_is_refused)
{
	struct fixture f;

	ASSERT_OK(build(&f));
	for (u32 lun = 0; lun < WORKER_MAX_DISKS; lun++)
		ASSERT_OK(attach(&f, lun, 65536));
	ask(&f, attach_of(40, DISK_RAW), image(MIB));
	ASSERT_EQ(f.answers, WORKER_MAX_DISKS + 1);
	ASSERT_ERR(f.r, ENOSPC);
	tear_down(&f);
}
