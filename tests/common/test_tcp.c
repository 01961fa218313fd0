#include "common/tcp.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One stream; its peer is a bare socket of the test. */
struct world {
	struct loop *loop;
	struct stream *stream;
	struct task answer;
	int peer;
	char events[16]; /* D data, E end, F failed, X closed */
	int error;
	bool is_over;
};

static void note(struct world *w, char event)
{
	size_t n = strlen(w->events);
	cr_assert_lt(n + 1, sizeof w->events);
	w->events[n] = event;
}

static void reset_peer(struct world *w)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(w->peer, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	close(w->peer);
}

/* The reset comes before the answer to the first byte, which meets it: send() takes the error away,
 * and the next recv() would tell of an end in order. */
static void answer(struct task *task)
{
	struct world *w = (struct world *)((char *)task - offsetof(struct world, answer));
	reset_peer(w);
	stream_write(w->stream, bytes_of("y", 1));
}

static void on_event(struct stream *stream, enum stream_event event, struct bytes data, void *owner)
{
	struct world *w = owner;
	(void)data;
	switch (event) {
	case STREAM_DATA:
		note(w, 'D');
		loop_defer(w->loop, &w->answer, answer);
		break;
	case STREAM_EOF:
		note(w, 'E');
		stream_close(stream);
		break;
	case STREAM_FAILED:
		note(w, 'F');
		w->error = stream->error;
		stream_close(stream);
		break;
	case STREAM_CLOSED:
		note(w, 'X');
		w->is_over = true;
		break;
	case STREAM_CONNECTED:
	case STREAM_DRAINED:
		break;
	}
}

static void set_up(struct world *w)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	cr_assert_eq(listen(listener, 1), 0);
	cr_assert_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
	w->peer = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(connect(w->peer, (struct sockaddr *)&at, sizeof at), 0);
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	cr_assert_geq(fd, 0);
	close(listener);
	cr_assert_eq(loop_new(&w->loop), 0);
	cr_assert_eq(tcp_open_fd(w->loop, fd, &w->stream), 0);
	stream_own(w->stream, on_event, w);
	stream_read_start(w->stream);
}

Test(tcp, a_reset_met_by_a_write_is_no_end_in_order)
{
	struct world w = { 0 };
	set_up(&w);
	cr_assert_eq(send(w.peer, "x", 1, 0), 1);
	cr_assert(loop_run_until(w.loop, &w.is_over, 5000));
	cr_expect_str_eq(w.events, "DFX");
	cr_expect(w.error == ERR_RESET || w.error == ERR_PIPE, "%d", w.error);
	loop_free(w.loop);
}
