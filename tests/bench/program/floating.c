/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of scalar double precision; see rows.h. */
#include <math.h>

#include "rows.h"

u64 row_nbody(long n)
{
	enum { BODIES = 5 };
	double at[BODIES][3] = { { 0, 0, 0 },
				 { 4.84, -1.16, -.10 },
				 { 8.34, 4.12, -.4 },
				 { 12.89, -15.11, -.22 },
				 { 15.37, -25.9, .179 } };
	double speed[BODIES][3] = { { 0, 0, 0 },
				    { .6, 2.8, -.02 },
				    { -1.01, 1.8, .008 },
				    { 1.08, .86, -.01 },
				    { .97, .59, -.03 } };
	const double mass[BODIES] = { 39.47, .037, .011, .0017, .002 };

	for (long k = 0; k < n * 1000; k++) {
		for (int i = 0; i < BODIES; i++) {
			for (int j = i + 1; j < BODIES; j++) {
				double d[3], square = 0;

				for (int z = 0; z < 3; z++) {
					d[z] = at[i][z] - at[j][z];
					square += d[z] * d[z];
				}

				double pull = .001 / (square * sqrt(square));

				for (int z = 0; z < 3; z++) {
					speed[i][z] -= d[z] * mass[j] * pull;
					speed[j][z] += d[z] * mass[i] * pull;
				}
			}
		}
		for (int i = 0; i < BODIES; i++) {
			for (int z = 0; z < 3; z++)
				at[i][z] += .001 * speed[i][z];
		}
	}
	return (u64)(s64)(at[1][0] * 1e6);
}

u64 row_linpack(long n)
{
	enum { SIZE = 200 };
	static double a[SIZE][SIZE];
	u64 sum = 0;

	for (long round = 0; round < n; round++) {
		for (int i = 0; i < SIZE; i++) {
			for (int j = 0; j < SIZE; j++)
				a[i][j] = (double)(next_random() & 0xffff) / 65536 - .5;
		}
		for (int k = 0; k < SIZE - 1; k++) {
			int pivot = k;

			for (int i = k + 1; i < SIZE; i++) {
				if (fabs(a[i][k]) > fabs(a[pivot][k]))
					pivot = i;
			}
			for (int j = 0; j < SIZE; j++) {
				double t = a[k][j];

				a[k][j] = a[pivot][j];
				a[pivot][j] = t;
			}
			for (int i = k + 1; i < SIZE; i++) {
				double f = a[i][k] / a[k][k];

				for (int j = k + 1; j < SIZE; j++)
					a[i][j] -= f * a[k][j];
			}
		}
		sum += (u64)(fabs(a[SIZE - 1][SIZE - 1]) * 1e3);
	}
	return sum;
}
