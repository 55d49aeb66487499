/* SPDX-License-Identifier: Apache-2.0 */
/* tabique op list|cancel: what takes a while; tabique events: what happens. Both of the host's daemon. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "programs/cli/host_ask.h"
#include "programs/cli/verb.h"
#include "programs/cli/vm_words.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static int list(const struct vm_words *w, struct err *err)
{
	json_t *operations = NULL, *o;
	size_t k;
	int r = host_ask("GET", "/1.0/operations", NULL, &operations, err);

	if (r < 0)
		return r;
	if (w->json) {
		print_json(operations);
	} else {
		printf("%-6s %-10s %-24s %-10s %s\n", "ID", "What", "VM", "Status",
		       "Error");
		json_array_foreach(operations, k, o)
			printf("%-6lld %-10s %-24s %-10s %s\n",
			       (long long)json_integer_value(json_object_get(o, "id")),
			       text_of(o, "what"), text_of(o, "vm"), text_of(o, "status"),
			       text_of(json_object_get(o, "error"), "message"));
	}
	json_decref(operations);
	return 0;
}

static int cancel(const struct vm_words *w, struct err *err)
{
	json_t *operation = NULL;
	char path[128];
	int r;

	if (w->count != 1) {
		err_set(err, -EINVAL, "which operation?");
		return err_fix(err, "see which there are: tabique op list");
	}
	snprintf(path, sizeof path, "/1.0/operations/%.64s", w->word[0]);
	r = host_ask("DELETE", path, NULL, &operation, err);
	json_decref(operation);
	return r;
}

static const struct vm_verb verbs[] = {
	{ "list", list, { NULL }, .nameless = true },
	{ "cancel", cancel, { NULL }, .nameless = true },
};

static void print_help(FILE *to)
{
	fputs("usage: tabique op list [-o json]\n"
	      "       tabique op cancel ID\n\n"
	      "Starts and stops of VMs are operations of the host's daemon, which go on "
	      "without\nwho asked for them.\n",
	      to);
}

static int run(int argc, char **argv)
{
	static const struct vm_noun noun = {
		.name = "op",
		.help = print_help,
		.verbs = verbs,
		.count = ARRAY_COUNT(verbs),
	};

	return vm_noun_run(&noun, argc, argv);
}

const struct verb verb_op = {
	.name = "op",
	.summary = "list what takes a while, and cancel it",
	.run = run,
};

/* ---- events ---------------------------------------------------------------------------------- */

/* The stream as it comes, without the head of the reply. */
static int print_events(int fd, struct err *err)
{
	static const char request[] = "GET /1.0/events HTTP/1.1\r\nHost: "
				      "localhost\r\n\r\n";
	char bytes[4096];
	bool in_head = true;
	ssize_t n;

	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
		return err_set(err, -errno, "the daemon: %s", err_words(-errno));
	while ((n = recv(fd, bytes, sizeof bytes - 1, 0)) > 0) {
		const char *text = bytes;

		bytes[n] = '\0';
		if (in_head) {
			if (strncmp(bytes, "HTTP/1.1 200", 12) != 0)
				return err_set(err, -EBUSY,
					       "the daemon refuses to tell "
					       "of events");
			text = strstr(bytes, "\r\n\r\n");
			text = text ? text + 4 : bytes + n;
			in_head = false;
		}
		fputs(text, stdout);
		if (fflush(stdout) != 0)
			return 0;
	}
	return err_set(err, -EPIPE, "the daemon has ended");
}

static int run_events(int argc, char **argv)
{
	struct err err = { 0 };
	int fd = -1, r;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		puts("usage: tabique events --follow\n\nPrints what happens to the VMs "
		     "of this host, as server-sent events.");
		return EXIT_DONE;
	}
	if (argc != 2 || strcmp(argv[1], "--follow") != 0) {
		err_set(&err, -EINVAL, "events are followed");
		err_fix(&err, "tabique events --follow");
		print_error(&err);
		return EXIT_USAGE;
	}
	r = host_connect(&fd, &err);
	if (r == 0) {
		r = print_events(fd, &err);
		close(fd);
	}
	if (r < 0)
		print_error(&err);
	return exit_code_of(r);
}

const struct verb verb_events = {
	.name = "events",
	.summary = "follow what happens on this host",
	.run = run_events,
};
