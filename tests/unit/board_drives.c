/* SPDX-License-Identifier: Apache-2.0 */
/* See board_drives.h. */
#include "board_drives.h"

#include "harness.h"
#include "scsi/unit.h"

#define TABLE 0x1000u

static void set_line(void *owner, unsigned channel, bool level)
{
	struct drives *d = owner;

	d->interrupts[channel] += level && !d->line[channel];
	d->line[channel] = level;
}

bool drives_init(struct drives *d, u64 medium)
{
	*d = (struct drives){ .disk_fd = -1, .medium_fd = -1 };
	d->stor = ministor_new(0);
	struct disk *disk = ministor_disk(d->stor, DRIVES_DISK_SIZE, false, &d->disk_fd);

	if (medium)
		d->medium = ministor_disc(d->stor, medium, &d->medium_fd);
	CHECK_EQ(scsi_unit_new(&(struct scsi_unit_config){ .disk = disk }, &d->disk), 0);
	CHECK_EQ(scsi_unit_new(&(struct scsi_unit_config){ .dvd = true,
							   .disk = d->medium },
			       &d->dvd),
		 0);
	const struct ide_config config = { .gm = d->stor->mini->gm,
					   .set_line = set_line,
					   .owner = d };

	CHECK_EQ(ide_new(&config, &d->ide), 0);
	CHECK_EQ(ide_attach(d->ide, 0, 0, d->disk), 0);
	CHECK_EQ(ide_attach(d->ide, 1, 0, d->dvd), 0);
	return true;
}

void drives_done(struct drives *d)
{
	ide_free(d->ide);
	scsi_unit_free(d->disk);
	scsi_unit_free(d->dvd);
	ministor_free(d->stor);
	if (d->disk_fd >= 0)
		close(d->disk_fd);
	if (d->medium_fd >= 0)
		close(d->medium_fd);
}

void drives_command(struct drives *d, u8 command, u32 sector, u8 count)
{
	ide_write(d->ide, 0, ATA_COUNT, 1, count);
	ide_write(d->ide, 0, ATA_LOW, 1, sector & 0xff);
	ide_write(d->ide, 0, ATA_MID, 1, sector >> 8 & 0xff);
	ide_write(d->ide, 0, ATA_HIGH, 1, sector >> 16 & 0xff);
	ide_write(d->ide, 0, ATA_DEVICE, 1, ATA_DEVICE_LBA | (sector >> 24 & 0xf));
	ide_write(d->ide, 0, ATA_COMMAND, 1, command);
}

void drives_command_wide(struct drives *d, u8 command, u64 sector, u16 count)
{
	ide_write(d->ide, 0, ATA_COUNT, 1, count >> 8);
	ide_write(d->ide, 0, ATA_LOW, 1, sector >> 24 & 0xff);
	ide_write(d->ide, 0, ATA_MID, 1, sector >> 32 & 0xff);
	ide_write(d->ide, 0, ATA_HIGH, 1, sector >> 40 & 0xff);
	drives_command(d, command, (u32)(sector & 0xffffff), (u8)count);
}

struct waiting {
	struct ide *ide;
	unsigned channel;
};

static bool not_busy(void *owner)
{
	const struct waiting *w = owner;

	return !(ide_read_status(w->ide, w->channel) & ATA_STATUS_BSY);
}

u8 drives_wait(struct drives *d, unsigned channel)
{
	struct waiting w = { d->ide, channel };

	EXPECT(mini_until(d->stor->mini, not_busy, &w));
	return (u8)ide_read(d->ide, channel, ATA_STATUS, 1);
}

void drives_in(struct drives *d, unsigned channel, void *to, u32 size)
{
	for (u32 k = 0; k < size; k += 2) {
		u16 word = (u16)ide_read(d->ide, channel, ATA_DATA, 2);

		memcpy((u8 *)to + k, &word, 2);
	}
}

void drives_out(struct drives *d, unsigned channel, const void *from, u32 size)
{
	for (u32 k = 0; k < size; k += 2) {
		u16 word;

		memcpy(&word, (const u8 *)from + k, 2);
		ide_write(d->ide, channel, ATA_DATA, 2, word);
	}
}

u8 drives_packet(struct drives *d, const u8 cdb[ATA_CDB_SIZE], bool dma, u16 limit)
{
	ide_write(d->ide, 1, ATA_DEVICE, 1, 0);
	ide_write(d->ide, 1, ATA_FEATURE, 1, dma);
	ide_write(d->ide, 1, ATA_MID, 1, limit & 0xff);
	ide_write(d->ide, 1, ATA_HIGH, 1, limit >> 8);
	ide_write(d->ide, 1, ATA_COMMAND, 1, ATA_PACKET);
	drives_out(d, 1, cdb, ATA_CDB_SIZE);
	if (dma)
		drives_start(d, 1, true);
	return drives_wait(d, 1);
}

void drives_table(struct drives *d, unsigned channel, const struct bm_entry *entry,
		  unsigned count)
{
	memcpy(mini_page(d->stor->mini, TABLE / 4096), entry, count * sizeof *entry);
	ide_bm_write(d->ide, channel * BM_CHANNEL_SIZE + BM_TABLE, 4, TABLE);
}

void drives_start(struct drives *d, unsigned channel, bool to_memory)
{
	ide_bm_write(d->ide, channel * BM_CHANNEL_SIZE + BM_STATUS, 1,
		     BM_STATUS_IRQ | BM_STATUS_ERROR);
	ide_bm_write(d->ide, channel * BM_CHANNEL_SIZE, 1, 0);
	ide_bm_write(d->ide, channel * BM_CHANNEL_SIZE, 1,
		     BM_COMMAND_START | (to_memory ? BM_COMMAND_TO_MEMORY : 0));
}
