/*
 * fetch - a plain HTTP GET through a chain of hops: the body to stdout, what goes wrong to stderr.
 *
 *   cc fetch.c -o fetch $(pkg-config --cflags --libs hopchain)
 *   ./fetch chain.json example.org:80 /index.html
 *
 * One loop, one client, one stream. libuv writes the body in its own time; while a piece of it is
 * on its way the stream is not read, so that a slow reader of stdout slows the sender down.
 */
#include <hopchain.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct fetch {
	uv_loop_t loop;
	struct hopchain_client *client;
	struct hopchain_stream *stream; /* NULL once it has closed */
	const char *target, *path;
	unsigned n_matched; /* of the empty line that ends the header */
	uv_fs_t write;
	char *piece; /* of the body, being written; or NULL */
	size_t at, len;
	bool has_ended;
	int exit_code;
};

static void write_rest(struct fetch *f);

static void on_written(uv_fs_t *write)
{
	struct fetch *f = write->data;
	ssize_t n = write->result;
	uv_fs_req_cleanup(write);
	f->at += n > 0 ? (size_t)n : 0;
	if (n >= 0 && f->at < f->len) {
		write_rest(f);
		return;
	}
	free(f->piece);
	f->piece = NULL;
	if (n < 0) {
		fprintf(stderr, "fetch: cannot write: %s\n", uv_strerror((int)n));
		f->exit_code = 1;
	}
	if (f->stream != NULL && (n < 0 || f->has_ended))
		hopchain_close(f->stream);
	else if (f->stream != NULL)
		hopchain_read_start(f->stream); /* there is room again */
}

static void write_rest(struct fetch *f)
{
	uv_buf_t rest = uv_buf_init(f->piece + f->at, (unsigned)(f->len - f->at));
	f->write.data = f;
	uv_fs_write(&f->loop, &f->write, 1, &rest, 1, -1, on_written);
}

/* Data is ours only during the event: what is written later is copied. */
static void on_body(struct fetch *f, const char *data, size_t len)
{
	f->piece = malloc(len);
	if (f->piece == NULL)
		abort();
	memcpy(f->piece, data, len);
	f->at = 0;
	f->len = len;
	hopchain_read_stop(f->stream);
	write_rest(f);
}

static void on_data(struct fetch *f, const char *data, size_t len)
{
	static const char end[] = "\r\n\r\n";
	for (; len > 0 && f->n_matched < 4; data++, len--)
		f->n_matched = *data == end[f->n_matched] ? f->n_matched + 1 : *data == end[0];
	if (len > 0)
		on_body(f, data, len);
}

static void ask(struct fetch *f)
{
	char request[2048];
	snprintf(request, sizeof request, "GET %.1500s HTTP/1.0\r\nHost: %s\r\n\r\n", f->path,
		f->target);
	hopchain_write(f->stream, request, strlen(request));
	hopchain_read_start(f->stream);
}

static void on_event(struct hopchain_stream *stream, enum hopchain_event event, const void *data,
	size_t len, void *owner)
{
	struct fetch *f = owner;
	switch (event) {
	case HOPCHAIN_CONNECTED:
		ask(f);
		break;
	case HOPCHAIN_DATA:
		on_data(f, data, len);
		break;
	case HOPCHAIN_DRAINED: /* nobody waits for it: the request is short */
		break;
	case HOPCHAIN_EOF:
		f->has_ended = true;
		if (f->piece == NULL)
			hopchain_close(stream);
		break;
	case HOPCHAIN_FAILED: /* the sentence names the hop, the reason and the time */
		fprintf(stderr, "fetch: %s\n", hopchain_stream_error(stream)->text);
		f->exit_code = hopchain_stream_error(stream)->exit_code;
		hopchain_close(stream);
		break;
	case HOPCHAIN_CLOSED:
		f->stream = NULL;
		hopchain_client_close(f->client, NULL, NULL);
		break;
	}
}

int main(int argc, char **argv)
{
	struct fetch f = { .target = argc > 2 ? argv[2] : NULL, .path = argc > 3 ? argv[3] : "/" };
	struct hopchain_chain *chain;
	char *report;
	if (argc < 3 || hopchain_target_check(f.target) != NULL) {
		fprintf(stderr, "Usage: fetch CHAIN HOST:PORT [/PATH]\n");
		return 2;
	}
	int error = hopchain_chain_read(argv[1], &chain, &report);
	if (error != 0) {
		fprintf(stderr, "%s", report != NULL ? report : hopchain_strerror(error));
		hopchain_text_free(report);
		return 3;
	}
	uv_loop_init(&f.loop);
	error = hopchain_client_open(&f.loop, chain, &f.client);
	if (error == 0)
		error = hopchain_connect(f.client, f.target, on_event, &f, &f.stream);
	if (error != 0) {
		fprintf(stderr, "fetch: %s\n", hopchain_strerror(error));
		return 1;
	}
	uv_run(&f.loop, UV_RUN_DEFAULT); /* returns when everything has closed */
	uv_loop_close(&f.loop);
	hopchain_chain_free(chain);
	return f.exit_code;
}
