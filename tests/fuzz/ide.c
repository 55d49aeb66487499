/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses of a guest to the IDE controller: registers, data, control, bus master, with a disk and a DVD
 * drive behind it and a table in RAM that the input writes. Three bytes an access: where, value, more.
 * At the end no disk works any more.
 */
#include "abi/ata.h"
#include "board/ide.h"
#include "miniguest/ministor.h"
#include "scsi/unit.h"

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void set_line(void *owner, unsigned channel, bool level) {}

static void count(void *owner)
{
	++*(unsigned *)owner;
}

static bool is_quiet(void *owner)
{
	return *(unsigned *)owner > 0;
}

static void let_disks_work(struct ministor *s, struct ide *ide)
{
	unsigned quiet = 0;

	ide_pause(ide, count, &quiet);
	require(mini_until(s->mini, is_quiet, &quiet));
}

static void move(struct ide *ide, unsigned channel, u8 value, u8 more)
{
	for (unsigned k = 0; k < 8u * (more + 1u); k++) {
		if (more & 1)
			ide_write(ide, channel, ATA_DATA, 2, value);
		else
			(void)ide_read(ide, channel, ATA_DATA, 2);
	}
}

static void access_ide(struct ministor *s, struct ide *ide, const u8 *in)
{
	unsigned channel = in[0] >> 7, where = in[0] & 31;
	unsigned master = channel * BM_CHANNEL_SIZE;

	if (where < 8)
		ide_write(ide, channel, where, 1, in[1]);
	else if (where < 16)
		(void)ide_read(ide, channel, where - 8, 1u << (in[2] % 3));
	else if (where < 20)
		move(ide, channel, in[1], in[2]);
	else if (where == 20)
		ide_write_control(ide, channel, in[1]);
	else if (where < 24)
		ide_bm_write(ide, master + in[2] % 8, 1u << (in[2] >> 6) % 3, in[1]);
	else if (where < 26)
		(void)ide_bm_read(ide, in[2] % 16, 1u << (in[1] % 3));
	else if (where < 28)
		ide_bm_write(ide, master + BM_TABLE, 4, 0x1000 + 8u * in[1]);
	else if (where < 30)
		mini_page(s->mini, 1)[in[2] << 3 | (in[1] & 7)] = in[1];
	else {
		let_disks_work(s, ide);
		ide_resume(ide);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct ministor *s;
	static struct ide *ide;

	if (!s) {
		struct scsi_unit *disk, *dvd;

		s = ministor_new(0);
		require(scsi_unit_new(
				&(struct scsi_unit_config){
					.disk = ministor_disk(s, 1 << 20, false, NULL) },
				&disk) == 0);
		require(scsi_unit_new(
				&(struct scsi_unit_config){
					.dvd = true,
					.disk = ministor_disc(s, 1 << 20, NULL) },
				&dvd) == 0);
		require(ide_new(&(struct ide_config){ .gm = s->mini->gm,
						      .set_line = set_line },
				&ide) == 0);
		require(ide_attach(ide, 0, 0, disk) == 0);
		require(ide_attach(ide, 1, 0, dvd) == 0);
	}
	ide_reset(ide);
	/* What moves data moves much: a few hundred accesses are enough. */
	for (size = min_u64(size, 1500); size >= 3; size -= 3, data += 3)
		access_ide(s, ide, data);
	let_disks_work(s, ide);
	return 0;
}
