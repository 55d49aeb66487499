/* SPDX-License-Identifier: Apache-2.0 */
/* console/png.h, read back by libpng. */
#include "console/png.h"

#include <errno.h>
#include <png.h>

#include "harness.h"

TEST(picture_is_read_back_as_it_was)
{
	static const u32 pixels[6] = { 0xff0000, 0x00ff00, 0x0000ff,
				       0x123456, 0xffffff, 0x000000 };
	static const u8 want[18] = { 255,  0,	 0,    0,   255, 0,   0, 0, 255,
				     0x12, 0x34, 0x56, 255, 255, 255, 0, 0, 0 };
	png_image image = { .version = PNG_IMAGE_VERSION };
	AUTO_FREE u8 *bytes = NULL;
	u8 back[18];
	size_t size;

	ASSERT_EQ(png_write(pixels, 3, 2, &bytes, &size), 0);
	ASSERT(png_image_begin_read_from_memory(&image, bytes, size));
	ASSERT_EQ(image.width, 3);
	ASSERT_EQ(image.height, 2);
	image.format = PNG_FORMAT_RGB;
	ASSERT(png_image_finish_read(&image, NULL, back, 0, NULL));
	ASSERT_MEM(back, want, sizeof want);
	ASSERT_ERR(png_write(pixels, 0, 2, &bytes, &size), EINVAL);
	ASSERT_ERR(png_write(pixels, 5000, 2, &bytes, &size), EINVAL);
}
