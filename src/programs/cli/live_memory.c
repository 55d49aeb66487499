/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a VM that runs; see live_memory.h. */
#include "programs/cli/live_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/ipc.h"
#include "base/log.h"
#include "programs/cli/words.h"

static const struct {
	const char *name;
	bool size; /* with a unit: 512M */
	u32 bit;
} keys[] = {
	{ "memory", true, WORKER_MEMORY_SIZE },
	{ "memory.min", true, WORKER_MEMORY_MIN },
	{ "memory.max", true, WORKER_MEMORY_MAX },
	{ "memory.buffer", false, WORKER_MEMORY_BUFFER },
	{ "memory.weight", false, WORKER_MEMORY_WEIGHT },
};

/* The row of a key of `size` letters; ARRAY_COUNT(keys): there is none. */
static size_t find_key(const char *name, size_t size)
{
	size_t k = 0;

	while (k < ARRAY_COUNT(keys) &&
	       (strlen(keys[k].name) != size || memcmp(keys[k].name, name, size) != 0))
		k++;
	return k;
}

static int no_such_key(const char *name, struct err *err)
{
	err_set(err, -EINVAL, "'%s' cannot be set while the VM runs", name);
	return err_fix(err, "set memory=SIZE, or memory.min, memory.max, memory.buffer, "
			    "memory.weight");
}

void live_memory_hear(struct live_memory *memory, const struct owner_message *message)
{
	memory->known = true;
	memory->said = *message;
	memory->said.u.memory.status[sizeof memory->said.u.memory.status - 1] = '\0';
}

json_t *live_memory_show(const struct live_memory *memory)
{
	const __typeof__(memory->said.u.memory) *m = &memory->said.u.memory;

	if (!memory->known)
		return NULL;
	return json_pack("{s:I, s:I, s:I, s:s, s:s, s:I, s:I, s:i, s:i}", "assigned",
			 (json_int_t)m->assigned, "demand", (json_int_t)m->demand,
			 "target", (json_int_t)m->target, "status", m->status, "decides",
			 m->dynamic ? "policy" : "owner", "min", (json_int_t)m->min,
			 "max", (json_int_t)m->max, "buffer", (int)m->buffer, "weight",
			 (int)m->weight);
}

/* "MemAvailable:   1234 kB"; UINT64_MAX: it does not say. */
static u64 host_free(void)
{
	static const char name[] = "MemAvailable:";
	AUTO_CLOSE int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	char text[4096] = "";
	const char *at, *rest;
	u64 kib, bytes;

	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return UINT64_MAX;
	at = strstr(text, name);
	if (!at)
		return UINT64_MAX;
	at += strlen(name);
	at += strspn(at, " ");
	return parse_number(at, &kib, &rest) && mul_u64(kib, 1024, &bytes) ? bytes
									   : UINT64_MAX;
}

void live_memory_tell_host(int worker_socket)
{
	struct owner_message m = { .kind = OWNER_HOST_MEMORY,
				   .size = sizeof m.u.host_free };

	m.u.host_free = host_free();
	if (ipc_send(worker_socket, &m, sizeof m, NULL, 0) < 0)
		log_debug("the worker is not told of the host's memory");
}

static void put(struct worker_memory_change *c, u32 bit, u64 value)
{
	c->mask |= bit;
	switch (bit) {
	case WORKER_MEMORY_SIZE:
		c->size = value;
		break;
	case WORKER_MEMORY_MIN:
		c->limits.min = value;
		break;
	case WORKER_MEMORY_MAX:
		c->limits.max = value;
		break;
	case WORKER_MEMORY_BUFFER:
		c->limits.buffer = (u32)min_u64(value, UINT32_MAX);
		break;
	case WORKER_MEMORY_WEIGHT:
		c->limits.weight = (u32)min_u64(value, UINT32_MAX);
		break;
	}
}

int live_memory_read(const json_t *body, struct worker_memory_change *ret_change,
		     struct err *err)
{
	struct worker_memory_change c = { 0 };
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)body, name, value)
	{
		size_t k = find_key(name, strlen(name));

		if (k == ARRAY_COUNT(keys))
			return no_such_key(name, err);
		if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		    (keys[k].bit == WORKER_MEMORY_SIZE &&
		     json_integer_value(value) < WALL_PAGE_SIZE)) {
			err_set(err, -EINVAL, "\"%s\" is not an amount", name);
			return err_fix(err, "give bytes, percent or a weight as a "
					    "number");
		}
		put(&c, keys[k].bit, (u64)json_integer_value(value));
	}
	if (c.mask == 0) {
		err_set(err, -EINVAL, "what shall be otherwise?");
		return err_fix(err, "set memory=SIZE, or memory.min, memory.max, "
				    "memory.buffer, memory.weight");
	}
	*ret_change = c;
	return 0;
}

int live_memory_read_word(const char *word, json_t *body, struct err *err)
{
	size_t size = strcspn(word, "="), k = find_key(word, size);
	const char *value = word[size] ? word + size + 1 : "", *rest = "";
	u64 number;

	if (k == ARRAY_COUNT(keys) || !word[size])
		return no_such_key(word, err);
	if (!(keys[k].size ? parse_size(value, &number)
			   : parse_number(value, &number, &rest) && !*rest) ||
	    number > INT64_MAX) {
		err_set(err, -EINVAL, "%s: '%s' is not an amount", keys[k].name, value);
		return err_fix(err, keys[k].size ? "give a number with a unit, for "
						   "instance "
						   "512M"
						 : "give a number");
	}
	json_object_set_new(body, keys[k].name, json_integer((json_int_t)number));
	return 0;
}
