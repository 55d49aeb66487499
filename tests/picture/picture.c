/* SPDX-License-Identifier: Apache-2.0 */
/* picture FILE.png X,Y... - say how large a picture is, and the colours of some of its points. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	unsigned char *bytes;

	if (argc < 2 || !png_image_begin_read_from_file(&image, argv[1])) {
		fprintf(stderr, "picture: %s\n", argc < 2 ? "which?" : image.message);
		return 1;
	}
	image.format = PNG_FORMAT_RGB;
	bytes = malloc(PNG_IMAGE_SIZE(image));
	if (!bytes || !png_image_finish_read(&image, NULL, bytes, 0, NULL))
		return 1;
	printf("%ux%u\n", image.width, image.height);
	for (int k = 2; k < argc; k++) {
		unsigned x, y;
		const unsigned char *p;

		if (sscanf(argv[k], "%u,%u", &x, &y) != 2 || x >= image.width ||
		    y >= image.height)
			return 1;
		p = bytes + 3 * ((size_t)y * image.width + x);
		printf("%u,%u %02x%02x%02x\n", x, y, p[0], p[1], p[2]);
	}
	free(bytes);
	return 0;
}
