/* SPDX-License-Identifier: Apache-2.0 */
/* board/ide: what a guest's driver sees of a disk and a DVD drive, and what a hostile one gets. */
#include "board_drives.h"
#include "harness.h"
#include "state/record.h"

#define DRIVES __attribute__((cleanup(drives_done))) struct drives
#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)
#define SECTORS (DRIVES_DISK_SIZE / ATA_SECTOR)
#define PAGE 4096u
#define TO 0x10000u /* of the guest's memory, for data */

static void fill(u8 *bytes, u32 size, u32 seed)
{
	for (u32 k = 0; k < size; k++)
		bytes[k] = (u8)((k * 7 + k / 512 * 13 + seed) & 0xff);
}

static u8 *guest(struct drives *d, u64 gpa)
{
	return mini_page(d->stor->mini, gpa / PAGE);
}

static struct bm_entry entry(u32 base, u16 size, bool last)
{
	return (struct bm_entry){ le32_of(base), le16_of(size),
				  le16_of(last ? BM_ENTRY_LAST : 0) };
}

static u8 bm_status(struct drives *d, unsigned channel)
{
	return (u8)ide_bm_read(d->ide, channel * BM_CHANNEL_SIZE + BM_STATUS, 1);
}

/* ---- programmed I/O ---- */

TEST(disk_says_its_size_and_name_and_a_dvd_drive_is_known_by_its_signature)
{
	DRIVES d;
	u16 w[256];

	ASSERT_OK(drives_init(&d, 0));
	ASSERT_EQ(ide_read(d.ide, 1, ATA_MID, 1), 0x14);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_HIGH, 1), 0xeb);
	drives_command(&d, ATA_IDENTIFY, 0, 0);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_DRQ);
	drives_in(&d, 0, w, sizeof w);
	ASSERT_EQ(ide_read_status(d.ide, 0), READY);
	ASSERT_EQ(w[60] | (u32)w[61] << 16, SECTORS);
	ASSERT_EQ(w[100] | (u32)w[101] << 16, SECTORS);
	ASSERT_MEM(&w[27], "iVtrau lDH", 10);
	/* Nobody is the other drive. */
	ide_write(d.ide, 0, ATA_DEVICE, 1, ATA_DEVICE_SECOND);
	ASSERT_EQ(ide_read(d.ide, 0, ATA_STATUS, 1), 0);
	drives_command(&d, ATA_IDENTIFY_PACKET, 0, 0);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_ERR);
	ASSERT_EQ(ide_read(d.ide, 0, ATA_ERROR, 1), ATA_ERROR_ABRT);
}

TEST(sectors_written_by_port_are_read_back_and_lie_on_the_disk)
{
	DRIVES d;
	static u8 data[300 * ATA_SECTOR], back[sizeof data];

	ASSERT_OK(drives_init(&d, 0));
	fill(data, sizeof data, 1);
	/* More than the buffer holds: the disk is written in two pieces. */
	drives_command_wide(&d, ATA_WRITE_EXT, 1000, 300);
	for (u32 k = 0; k < 300; k++) {
		ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_DRQ);
		drives_out(&d, 0, data + k * ATA_SECTOR, ATA_SECTOR);
	}
	ASSERT_EQ(drives_wait(&d, 0), READY);
	ASSERT_EQ(pread(d.disk_fd, back, sizeof back, 1000 * ATA_SECTOR), sizeof back);
	ASSERT_MEM(back, data, sizeof data);
	memset(back, 0, sizeof back);
	/* 16 sectors a block. */
	drives_command_wide(&d, ATA_READ_MULTIPLE_EXT, 1000, 300);
	for (u32 k = 0; k < 300; k += 16) {
		u32 n = k + 16 <= 300 ? 16 : 300 - k;

		/* A buffer's end is a block's end too. */
		ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_DRQ);
		drives_in(&d, 0, back + k * ATA_SECTOR, n * ATA_SECTOR);
	}
	ASSERT_EQ(ide_read_status(d.ide, 0), READY);
	ASSERT_MEM(back, data, sizeof data);
	drives_command(&d, ATA_FLUSH, 0, 0);
	ASSERT_EQ(drives_wait(&d, 0), READY);
}

TEST(every_block_has_its_interrupt_and_the_status_takes_it_back)
{
	DRIVES d;
	u8 sector[ATA_SECTOR];

	ASSERT_OK(drives_init(&d, 0));
	drives_command(&d, ATA_READ, 5, 2);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_DRQ);
	ASSERT_EQ(d.interrupts[0], 1);
	ASSERT(!d.line[0]);
	drives_in(&d, 0, sector, sizeof sector);
	ASSERT(d.line[0]);
	(void)ide_read_status(d.ide, 0); /* the other one leaves it */
	ASSERT(d.line[0]);
	ide_write_control(d.ide, 0, ATA_CONTROL_NIEN);
	ASSERT(!d.line[0]);
	ide_write_control(d.ide, 0, 0);
	ASSERT(d.line[0]);
	(void)ide_read(d.ide, 0, ATA_STATUS, 1);
	drives_in(&d, 0, sector, sizeof sector);
	ASSERT_EQ(d.interrupts[0], 3);
	ASSERT(!d.line[0]);
}

TEST(sectors_behind_the_end_are_none)
{
	DRIVES d;

	ASSERT_OK(drives_init(&d, 0));
	const struct {
		u64 sector;
		u16 count;
	} bad[] = { { SECTORS, 1 },
		    { SECTORS - 1, 2 },
		    { 0xffffffffffffull, 1 },
		    { 1, 0 /* 65536 */ } };

	for (unsigned k = 0; k < ARRAY_COUNT(bad); k++) {
		drives_command_wide(&d, ATA_READ_DMA_EXT, bad[k].sector, bad[k].count);
		ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_ERR);
		ASSERT_EQ(ide_read(d.ide, 0, ATA_ERROR, 1), ATA_ERROR_IDNF);
	}
	drives_command(&d, ATA_READ, SECTORS - 1, 1);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_DRQ);
	/* Cylinders, heads, sectors; there is no sector 0. */
	ide_write(d.ide, 0, ATA_DEVICE, 1, 0);
	ide_write(d.ide, 0, ATA_LOW, 1, 0);
	ide_write(d.ide, 0, ATA_COMMAND, 1, ATA_READ);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_ERR);
}

TEST(reset_in_the_middle_of_a_request_waits_for_it_and_drops_its_data)
{
	DRIVES d;

	ASSERT_OK(drives_init(&d, 0));
	/* A flush always takes another thread. */
	drives_command(&d, ATA_FLUSH, 0, 0);
	ASSERT(ide_read_status(d.ide, 0) & ATA_STATUS_BSY);
	ide_write_control(d.ide, 0, ATA_CONTROL_SRST);
	ide_write_control(d.ide, 0, 0);
	ASSERT(ide_read_status(d.ide, 0) & ATA_STATUS_BSY);
	ASSERT_EQ(drives_wait(&d, 0), READY);
	ASSERT_EQ(d.interrupts[0], 0);
	ASSERT_EQ(ide_read(d.ide, 0, ATA_COUNT, 1), 1);
	ASSERT_EQ(ide_read(d.ide, 0, ATA_ERROR, 1), 1);
}

/* ---- the bus master ---- */

TEST(bus_master_scatters_and_gathers_over_its_table)
{
	DRIVES d;
	static u8 data[40 * ATA_SECTOR], back[sizeof data];

	ASSERT_OK(drives_init(&d, 0));
	fill(data, sizeof data, 3);
	ASSERT_EQ(pwrite(d.disk_fd, data, sizeof data, 64 * ATA_SECTOR), sizeof data);
	const struct bm_entry in[] = { entry(TO, 4094, false),
				       entry(TO + 0x8000, 2, false),
				       entry(TO + 0x10000, 16384, true) };

	drives_table(&d, 0, in, ARRAY_COUNT(in));
	drives_command_wide(&d, ATA_READ_DMA_EXT, 64, 40);
	ASSERT(ide_read_status(d.ide, 0) & ATA_STATUS_BSY);
	drives_start(&d, 0, true);
	ASSERT_EQ(drives_wait(&d, 0), READY);
	ASSERT_EQ(bm_status(&d, 0), BM_STATUS_IRQ);
	ASSERT_MEM(guest(&d, TO), data, 4094);
	ASSERT_MEM(guest(&d, TO + 0x8000), data + 4094, 2);
	ASSERT_MEM(guest(&d, TO + 0x10000), data + 4096, sizeof data - 4096);
	drives_command_wide(&d, ATA_WRITE_DMA_EXT, 4096, 40);
	drives_start(&d, 0, false);
	ASSERT_EQ(drives_wait(&d, 0), READY);
	ASSERT_EQ(pread(d.disk_fd, back, sizeof back, 4096 * ATA_SECTOR), sizeof back);
	ASSERT_MEM(back, data, sizeof data);
}

TEST(table_that_is_too_short_points_nowhere_or_to_itself_harms_nobody)
{
	DRIVES d;
	const struct bm_entry table[][2] = {
		{ entry(TO, 512, true) },			       /* too short */
		{ entry(0xfffff000, 0, true) },			       /* no RAM there */
		{ entry(0xfee00000, 512, false), entry(TO, 0, true) }, /* LAPIC */
		{ entry(0xa0000000, 4096, true) },
	};

	ASSERT_OK(drives_init(&d, 0));
	for (unsigned k = 0; k < ARRAY_COUNT(table); k++) {
		drives_table(&d, 0, table[k], 2);
		drives_command(&d, ATA_READ_DMA, 0, 2);
		drives_start(&d, 0, true);
		ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_ERR);
		ASSERT_EQ(bm_status(&d, 0), BM_STATUS_IRQ | BM_STATUS_ERROR);
	}
	/* The table is where its data goes: the walk ends with the data. */
	const struct bm_entry self[] = { entry(0x1000, 2, false),
					 entry(0x1000, 0, false) };

	drives_table(&d, 0, self, 2);
	drives_command_wide(&d, ATA_READ_DMA_EXT, 0, 2048);
	drives_start(&d, 0, true);
	(void)drives_wait(&d, 0);
	/* A table outside of RAM; it is longer than the data was, so the master still goes. */
	ASSERT(bm_status(&d, 0) & BM_STATUS_ACTIVE);
	ide_bm_write(d.ide, BM_COMMAND, 1, 0);
	ide_bm_write(d.ide, BM_TABLE, 4, 0xfffffffc);
	drives_command(&d, ATA_WRITE_DMA, 0, 1);
	drives_start(&d, 0, false);
	ASSERT_EQ(drives_wait(&d, 0), READY | ATA_STATUS_ERR);
}

TEST(read_only_disk_takes_no_write)
{
	DRIVES d;
	struct disk *disk;
	struct scsi_unit *unit;

	ASSERT_OK(drives_init(&d, 0));
	disk = ministor_disk(d.stor, 1 << 20, true, NULL);
	ASSERT_EQ(scsi_unit_new(&(struct scsi_unit_config){ .disk = disk }, &unit), 0);
	ASSERT_EQ(ide_attach(d.ide, 0, 0, unit), -EBUSY);
	ASSERT_EQ(ide_attach(d.ide, 0, 1, unit), 0);
	drives_command(&d, ATA_WRITE, 1u << 28 | 0, 1);
	ide_write(d.ide, 0, ATA_DEVICE, 1, ATA_DEVICE_LBA | ATA_DEVICE_SECOND);
	ide_write(d.ide, 0, ATA_COMMAND, 1, ATA_WRITE);
	EXPECT(ide_read(d.ide, 0, ATA_STATUS, 1) & (ATA_STATUS_ERR | ATA_STATUS_DRQ));
	ide_reset(d.ide);
	ide_write(d.ide, 0, ATA_DEVICE, 1, ATA_DEVICE_LBA | ATA_DEVICE_SECOND);
	ide_write(d.ide, 0, ATA_COUNT, 1, 1);
	ide_write(d.ide, 0, ATA_COMMAND, 1, ATA_WRITE);
	EXPECT_EQ(ide_read(d.ide, 0, ATA_STATUS, 1), READY | ATA_STATUS_ERR);
	EXPECT_EQ(ide_read(d.ide, 0, ATA_ERROR, 1), ATA_ERROR_ABRT);
	scsi_unit_free(unit);
}

/* ---- DVD ---- */

TEST(disc_is_read_by_port_in_blocks_of_the_guests_limit)
{
	DRIVES d;
	static u8 disc[1 << 20], back[100 * ATA_CD_BLOCK];
	const u8 read[ATA_CDB_SIZE] = { SCSI_READ_10, [5] = 3, [8] = 100 };
	u32 at = 0;
	u8 status;

	ASSERT_OK(drives_init(&d, sizeof disc));
	fill(disc, sizeof disc, 9);
	ASSERT_EQ(pwrite(d.medium_fd, disc, sizeof disc, 0), sizeof disc);
	status = drives_packet(&d, read, false, 6000);
	while (status & ATA_STATUS_DRQ) {
		u32 n = ide_read(d.ide, 1, ATA_MID, 1) | ide_read(d.ide, 1, ATA_HIGH, 1)
								 << 8;

		ASSERT(n > 0 && n <= 6000 && at + n <= sizeof back);
		ASSERT_EQ(ide_read(d.ide, 1, ATA_COUNT, 1), ATA_REASON_IN);
		drives_in(&d, 1, back + at, n);
		at += n;
		status = drives_wait(&d, 1);
	}
	ASSERT_EQ(status, READY);
	ASSERT_EQ(at, sizeof back);
	ASSERT_MEM(back, disc + 3 * ATA_CD_BLOCK, sizeof back);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_COUNT, 1), ATA_REASON_IN | ATA_REASON_COMMAND);
}

TEST(disc_is_read_by_the_bus_master)
{
	DRIVES d;
	static u8 disc[1 << 20];
	const u8 read[ATA_CDB_SIZE] = { SCSI_READ_12, [5] = 7, [9] = 80 };
	const struct bm_entry in[] = { entry(TO, 0, false), entry(TO + 0x10000, 0, false),
				       entry(TO + 0x20000, 0x8000, true) };

	ASSERT_OK(drives_init(&d, sizeof disc));
	fill(disc, sizeof disc, 4);
	ASSERT_EQ(pwrite(d.medium_fd, disc, sizeof disc, 0), sizeof disc);
	drives_table(&d, 1, in, ARRAY_COUNT(in));
	ASSERT_EQ(drives_packet(&d, read, true, 0), READY);
	ASSERT_EQ(bm_status(&d, 1), BM_STATUS_IRQ);
	ASSERT_MEM(guest(&d, TO), disc + 7 * ATA_CD_BLOCK, 80 * ATA_CD_BLOCK);
}

TEST(drive_without_a_disc_says_why_when_it_is_asked)
{
	DRIVES d;
	u8 sense[18];
	const u8 ready[ATA_CDB_SIZE] = { 0 }, ask[ATA_CDB_SIZE] = { 0x03, [4] = 18 };

	ASSERT_OK(drives_init(&d, 0));
	ASSERT_EQ(drives_packet(&d, ready, false, 0), READY | ATA_STATUS_ERR);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_ERROR, 1) >> 4, SENSE_NOT_READY);
	ASSERT_EQ(drives_packet(&d, ask, false, 18), READY | ATA_STATUS_DRQ);
	drives_in(&d, 1, sense, sizeof sense);
	ASSERT_EQ(sense[2], SENSE_NOT_READY);
	ASSERT_EQ(sense[12], 0x3a);
	ASSERT_EQ(drives_wait(&d, 1), READY);
	/* Blocks that no disc has, more than any guest reads, from the last one on. */
	const u8 far[ATA_CDB_SIZE] = { SCSI_READ_12, 0,	   0xff, 0xff, 0xff,
				       0xff,	     0xff, 0xff, 0xff, 0xff };

	ASSERT_EQ(drives_packet(&d, far, false, 0), READY | ATA_STATUS_ERR);
}

TEST(packet_that_stops_after_eleven_bytes_waits_and_a_reset_ends_it)
{
	DRIVES d;
	const u8 bytes[10] = { SCSI_READ_10 };

	ASSERT_OK(drives_init(&d, 1 << 20));
	ide_write(d.ide, 1, ATA_COMMAND, 1, ATA_PACKET);
	drives_out(&d, 1, bytes, sizeof bytes);
	ide_write(d.ide, 1, ATA_DATA, 1, 0);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_STATUS, 1), READY | ATA_STATUS_DRQ);
	ide_write(d.ide, 1, ATA_COMMAND, 1, ATA_DEVICE_RESET);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_STATUS, 1), 0);
	ASSERT_EQ(ide_read(d.ide, 1, ATA_HIGH, 1), 0xeb);
}

/* ---- rest, and going on elsewhere ---- */

static void count(void *owner)
{
	++*(unsigned *)owner;
}

TEST(pause_lets_a_request_end_and_the_next_one_wait)
{
	DRIVES d;
	unsigned quiet = 0;
	u8 status;

	ASSERT_OK(drives_init(&d, 0));
	ide_pause(d.ide, count, &quiet);
	ASSERT_EQ(quiet, 1);
	drives_command(&d, ATA_READ, 0, 1);
	ASSERT(ide_read_status(d.ide, 0) & ATA_STATUS_BSY);
	ide_resume(d.ide);
	status = drives_wait(&d, 0);
	ASSERT_EQ(status, READY | ATA_STATUS_DRQ);
}

TEST(saved_in_the_middle_of_a_transfer_it_goes_on_elsewhere)
{
	DRIVES d;
	DRIVES e;
	static u8 data[200 * ATA_SECTOR], back[sizeof data];
	struct state_writer w = { 0 };
	unsigned quiet = 0;

	ASSERT_OK(drives_init(&d, 0));
	ASSERT_OK(drives_init(&e, 0));
	fill(data, sizeof data, 5);
	ASSERT_EQ(pwrite(e.disk_fd, data, sizeof data, 0), sizeof data);
	ASSERT_EQ(pwrite(d.disk_fd, data, sizeof data, 0), sizeof data);
	drives_command(&d, ATA_READ, 0, 200);
	(void)drives_wait(&d, 0);
	drives_in(&d, 0, back, 100);
	ide_pause(d.ide, count, &quiet);
	ASSERT_EQ(quiet, 1);
	ide_save(d.ide, &w);
	ASSERT(!w.failed);
	ASSERT_EQ(ide_restore(e.ide, w.bytes, w.used), 0);
	ide_resume(e.ide);
	drives_in(&e, 0, back + 100, sizeof back - 100);
	EXPECT(memcmp(back, data, sizeof data) == 0);
	/* Every cut of it is refused or harmless. */
	for (size_t size = 1; size < w.used; size += 97)
		EXPECT(ide_restore(e.ide, w.bytes, size) <= 0);
	free(w.bytes);
}
