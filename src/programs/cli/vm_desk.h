/* SPDX-License-Identifier: Apache-2.0 */
/* tabique vm screenshot|type|keys|mouse: what a person would do at the VM's desk. */
#pragma once

#include "programs/cli/vm_words.h"

int vm_screenshot(const struct vm_words *words, struct err *err) MUST_CHECK;
int vm_type(const struct vm_words *words, struct err *err) MUST_CHECK;
int vm_keys(const struct vm_words *words, struct err *err) MUST_CHECK;
int vm_mouse(const struct vm_words *words, struct err *err) MUST_CHECK;
