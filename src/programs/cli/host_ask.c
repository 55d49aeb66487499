/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to the daemon; see host_ask.h. */
#include "programs/cli/host_ask.h"

#include <errno.h>
#include <stdio.h>

#include "config/host_paths.h"
#include "control/client.h"
#include "control/http.h"
#include "control/socket.h"

static const char *socket_path(void)
{
	const char *path = getenv("TABIQUE_HOST");

	if (!path || !*path)
		return HOST_RUN "/api";
	return strncmp(path, "unix:", 5) == 0 ? path + 5 : path;
}

int host_connect(int *ret_fd, struct err *err)
{
	int r = control_connect(socket_path(), CONTROL_OF_DAEMON, ret_fd, err);

	if (r == -ENOENT) {
		err_set(err, r, "no daemon (tabiqued) listens on '%s'", socket_path());
		return err_fix(err, "start it: systemctl start tabiqued; or name the "
				    "VM's "
				    "own "
				    "socket: --control SOCKET");
	}
	if (r == -EACCES)
		return err_fix(err, "become root, or a member of the group 'tabique'");
	return r;
}

int host_ask(const char *method, const char *path, json_t *body, json_t **ret_metadata,
	     struct err *err)
{
	int fd = -1, r = host_connect(&fd, err);

	if (r < 0) {
		json_decref(body);
		return r;
	}
	r = control_ask(fd, method, path, body, ret_metadata, err);
	close(fd);
	return r;
}

int host_fetch(const char *path, u8 **ret_bytes, size_t *ret_size, struct err *err)
{
	int fd = -1, r = host_connect(&fd, err);

	if (r < 0)
		return r;
	r = control_fetch(fd, path, ret_bytes, ret_size, err);
	close(fd);
	return r;
}

/* Its words are those of a problem: the code is found by its name. */
static int operation_failed(const json_t *operation, struct err *err)
{
	static const struct {
		const char *word;
		int code;
	} rows[] = {
		{ "not-found", -ENOENT },  { "busy", -EBUSY },
		{ "invalid", -EINVAL },	   { "exists", -EEXIST },
		{ "timeout", -ETIMEDOUT },
	};
	const json_t *error = json_object_get(operation, "error");
	const char *word = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "message"));
	const char *fix =
		json_string_value(json_array_get(json_object_get(error, "fix"), 0));
	int code = -EIO;

	for (size_t k = 0; word && k < ARRAY_COUNT(rows); k++)
		if (strcmp(word, rows[k].word) == 0)
			code = rows[k].code;
	err_set(err, code, "%s", text ? text : "it failed without a word");
	return fix && *fix ? err_fix(err, "%s", fix) : code;
}

int host_wait(const json_t *metadata, struct err *err)
{
	const char *url = json_string_value(json_object_get(metadata, "url"));
	char path[HTTP_PATH_SIZE];
	const char *status;
	json_t *operation = NULL;
	int r;

	if (!url || strncmp(url, "/1.0/operations/", 16) != 0)
		return 0;
	snprintf(path, sizeof path, "%s/wait", url);
	r = host_ask("GET", path, NULL, &operation, err);
	if (r < 0)
		return r;
	status = json_string_value(json_object_get(operation, "status"));
	if (!status || strcmp(status, "failure") == 0)
		r = operation_failed(operation, err);
	else if (strcmp(status, "cancelled") == 0)
		r = err_set(err, -EINTR, "it was cancelled");
	json_decref(operation);
	return r;
}
