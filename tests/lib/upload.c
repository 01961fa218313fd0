/* Sends MIB of a pattern to a target as fast as it is taken, ends its direction, and prints what
 * comes back until the other end ends, too. For tests/e2e/test_library.py. */
#include <hopchain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define PIECE (256 * 1024)

struct upload {
	struct hopchain_client *client;
	size_t n_left;
	unsigned n_pauses;
	int exit_code;
};

static char piece[PIECE];

static void send_on(struct upload *u, struct hopchain_stream *stream)
{
	while (u->n_left > 0) {
		size_t n = u->n_left < sizeof piece ? u->n_left : sizeof piece;
		u->n_left -= n;
		if (hopchain_write(stream, piece, n)) {
			u->n_pauses++;
			return;
		}
	}
	hopchain_shutdown(stream);
}

static void on_event(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct upload *u = owner;
	switch (event) {
	case HOPCHAIN_CONNECTED:
		hopchain_read_start(stream);
		send_on(u, stream);
		break;
	case HOPCHAIN_DRAINED:
		send_on(u, stream);
		break;
	case HOPCHAIN_DATA:
		fwrite(data, 1, len, stdout);
		break;
	case HOPCHAIN_FAILED:
		fprintf(stderr, "%s: %s\n", hopchain_stream_error(stream)->slug,
			hopchain_stream_error(stream)->text);
		u->exit_code = hopchain_stream_error(stream)->exit_code;
		hopchain_abort(stream);
		break;
	case HOPCHAIN_EOF:
		hopchain_close(stream);
		break;
	case HOPCHAIN_CLOSED:
		hopchain_client_close(u->client, NULL, NULL);
		break;
	}
}

int main(int argc, char **argv)
{
	struct upload u = { .n_left = argc > 3 ? (size_t)atol(argv[3]) << 20 : 0 };
	struct hopchain_chain *chain;
	struct hopchain_stream *stream;
	uv_loop_t loop;
	char *report;
	memset(piece, 'x', sizeof piece);
	if (argc < 4 || hopchain_chain_read(argv[1], &chain, &report) != 0)
		return 2;
	uv_loop_init(&loop);
	if (hopchain_client_open(&loop, chain, &u.client) != 0 ||
		hopchain_connect(u.client, argv[2], on_event, &u, &stream) != 0)
		return 1;
	uv_run(&loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&loop) != 0) {
		fprintf(stderr, "something was left on the loop\n");
		return 1;
	}
	hopchain_chain_free(chain);
	fprintf(stderr, "pauses=%u\n", u.n_pauses);
	return u.exit_code;
}
