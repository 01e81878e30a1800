/*
 * The control messages of the channel: one JSON text each, in CONTROL frames
 * (wire.h). One C type for all of them; each op uses the fields named with it.
 * Texts from the guest are hostile: the parser bounds size and depth, and
 * unknown ops or members of a wrong type are errors.
 *
 * host to guest                uses
 *   create   prepare a container up to the exec of its process: namespaces,
 *            mounts, lookup of args[0]. container, process, streams, config,
 *            shares, shm_size, hostname, bundle. Answered by reply.
 *   start    exec the created container's process. container. Answered by reply
 *            (an error is the failed exec).
 *   exec     run one more process. container, process, streams, config (the
 *            text of a process.json). Answered by reply after its exec.
 *   signal   process (0 with all), signal, all. Answered by reply.
 *   resize   process, width, height. Not answered.
 *   connected  token, stream or error: what became of a `connect`.
 *   gone     stream (of a bound socket): nobody will listen there again.
 * guest to host
 *   reply    seq; error, when it failed, in words for the user.
 *   exit     process, status: a wait status as of wait(2). Sent after the
 *            process's output up to its end.
 *   connect  token, stream: somebody has connected to the bound socket of that
 *            stream id; the token is the guest's, repeated in `connected`. At
 *            most WIRE_SOCKETS_MAX connections, asked for or open, in a VM.
 */
#ifndef VXN_CONTROL_H
#define VXN_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum control_op {
	CONTROL_CREATE,
	CONTROL_START,
	CONTROL_EXEC,
	CONTROL_SIGNAL,
	CONTROL_RESIZE,
	CONTROL_REPLY,
	CONTROL_EXIT,
	CONTROL_CONNECT,
	CONTROL_CONNECTED,
	CONTROL_GONE,
};

enum control_share_kind {
	CONTROL_SHARE_TREE,   /* a directory or a regular file, served on the stream */
	CONTROL_SHARE_SOCKET, /* the stream is its name in `connect`, and carries nothing */
	CONTROL_SHARE_DEVICE, /* the guest's own of that number; no stream */
};

/*
 * What the guest mounts for one of config.json's mounts. Those that are nested
 * in another come after it, each before what is nested in it.
 */
struct control_share {
	int32_t mount; /* index in config.json's mounts, -1 = the rootfs */
	uint32_t stream;
	bool directory; /* else a single file */
	bool readonly;
	enum control_share_kind kind;
	char *path;		 /* of a nested mount, below the mount's destination; else NULL */
	uint32_t flags;		 /* of a nested mount: MS_*, as on the host */
	uint32_t device;	 /* makedev() of a device */
	uint32_t socket_type;	 /* SOCK_*; 0 = nobody listens, nor ever will */
	uint32_t mode, uid, gid; /* of a socket */
};

struct control_message {
	enum control_op op;
	uint64_t seq;		/* of a request, repeated in its reply; never 0 */
	char *container;	/* id */
	uint32_t process;	/* number of the process in this VM, chosen by the host, from 1 */
	uint32_t stdin_stream;	/* 0 = none: /dev/null inside */
	uint32_t stdout_stream; /* with a terminal all three are the same stream */
	uint32_t stderr_stream;
	char *config; /* JSON text of config.json (create) or process.json (exec) */
	struct control_share *shares;
	size_t shares_count;
	uint64_t
		shm_size; /* bytes of the host's /dev/shm for it, which is not shared; 0 = unknown */
	char *bundle;	  /* its path on the host, for the state that hooks are given */
	bool refuse_devices; /* an error, if the guest has no driver for one */
	char *hostname; /* the host's, for a container that has none of its own; NULL = unknown */
	int32_t signal;
	bool all;
	uint16_t width, height; /* characters */
	char *error;		/* NULL = success */
	char *warning;		/* for the host's log, NULL = none */
	int32_t status;
	uint32_t token;	 /* never 0 */
	uint32_t stream; /* of a bound socket; of its connection (connected) */
};

/*
 * Returns the JSON text, NUL-terminated, to be freed; NULL with err set when
 * config is not valid JSON or memory is short.
 */
char *control_print(const struct control_message *message, struct error *err);

/* Fills message, to be released by control_free whatever the result. */
int control_parse(const char *text, size_t size, struct control_message *message,
		  struct error *err);

void control_free(struct control_message *message);

#endif
