#include "common/tcp.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READS_PER_TURN 2         /* full reads of one stream before others get a turn */
#define STALL_MS       20000     /* docs/protocol.md 2.7.6 */
#define OUT_MIN        4096      /* smallest output queue that is allocated */
#define OUT_LARGE      (1 << 20) /* from here on a queue that is too small is doubled */

struct keepalive;

/* Output the kernel did not take: data[begin..end). */
struct out {
	size_t size, begin, end;
	uint8_t data[];
};

enum tcp_state {
	TCP_IS_CONNECTING,
	TCP_IS_OPEN,
	TCP_IS_FAILED,
	TCP_IS_CLOSED, /* the CLOSED event is on its way */
};

struct tcp {
	struct stream stream;
	struct poll poll;
	struct task closed;
	struct out *out;
	uint64_t read_left;                /* 0 = reading is stopped */
	const struct keepalive *keepalive; /* what is set; NULL = none yet */
	uint64_t stalled_since_ms;         /* 0 = not stalled */
	uint32_t acked;                    /* low half of tcpi_bytes_acked at the last look */
	uint8_t state;
	bool is_readable, is_writable;
	bool has_hung_up; /* the peer's FIN is in the receive queue */
	bool has_urgent;  /* an urgent byte came: reads may stop short of it, splice() at it */
	bool is_unix;     /* reads may stop short of a message that passes descriptors */
	bool holds_back;  /* MSG_MORE was the last word */
	bool has_ended;   /* EOF was delivered */
	bool is_pulling;  /* DATA carries no bytes: the owner splices */
	bool watches_hangup;
	bool spares_input; /* … but not while bytes are unread before it */
	bool wants_drained;
	bool wants_shutdown, is_shut;
	bool may_be_unacked;  /* bytes went out since all were known to be acknowledged */
	bool is_cut_on_death; /* SO_LINGER 0 is set */
};

static const struct stream_ops tcp_ops;

static struct tcp *tcp_of(struct stream *s)
{
	assert(s->ops == &tcp_ops);
	return (struct tcp *)s;
}

bool tcp_is(const struct stream *s)
{
	return s->ops == &tcp_ops;
}

static void emit(struct tcp *t, enum stream_event event, const void *data, size_t len)
{
	t->stream.fn(&t->stream, event, bytes_of(data, len), t->stream.owner);
}

/* The stream is of no use any more; the owner hears it in the next turn, from fail_now(). */
static void fail_later(struct tcp *t, int error)
{
	if (t->stream.error == 0)
		t->stream.error = error;
	poll_again(t->stream.loop, &t->poll, READY_ERR);
}

static void fail_now(struct tcp *t)
{
	t->state = TCP_IS_FAILED;
	t->read_left = 0;
	emit(t, STREAM_FAILED, NULL, 0); /* may close @t */
}

static int socket_error(const struct tcp *t)
{
	int error = 0;
	socklen_t len = sizeof error;
	if (getsockopt(t->poll.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		return -errno;
	return -error;
}

/* Sends the queue. Return: false if @t failed. */
static bool flush(struct tcp *t)
{
	while (t->out != NULL && t->is_writable) {
		struct out *out = t->out;
		ssize_t n = send(
			t->poll.fd, out->data + out->begin, out->end - out->begin, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			t->stream.error = -errno;
			return false;
		}
		if (n < 0) {
			t->is_writable = false;
			return true;
		}
		t->may_be_unacked = true;
		out->begin += (size_t)n;
		if (out->begin == out->end) {
			free(out);
			t->out = NULL;
		}
	}
	return true;
}

static bool shut_when_drained(struct tcp *t)
{
	if (t->out != NULL || !t->wants_shutdown || t->is_shut)
		return true;
	t->is_shut = true;
	if (shutdown(t->poll.fd, SHUT_WR) == 0)
		return true;
	t->stream.error = -errno;
	return false;
}

/* The queue is empty: what asked for another read before this was known asks for nothing. */
static void note_empty(struct tcp *t)
{
	t->is_readable = false;
	t->poll.again &= (uint8_t)~READY_IN;
}

/* One read, or one "pull" event. Return: whether another may follow now. */
static bool read_once(struct tcp *t)
{
	if (t->is_pulling) {
		emit(t, STREAM_DATA, NULL, 0);
		return false;
	}
	uint8_t *buffer = loop_scratch(t->stream.loop, LOOP_READ);
	size_t size = t->read_left < LOOP_READ_SIZE ? (size_t)t->read_left : LOOP_READ_SIZE;
	ssize_t n = recv(t->poll.fd, buffer, size, 0);
	if (n > 0) {
		if ((size_t)n < size && !t->has_hung_up && !t->has_urgent && !t->is_unix)
			note_empty(t); /* a short read */
		if (t->read_left != STREAM_NO_LIMIT)
			t->read_left -= (uint64_t)n;
		emit(t, STREAM_DATA, buffer, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	note_empty(t);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0) {
		t->stream.error = -errno;
		fail_now(t);
		return false;
	}
	t->has_ended = true;
	t->read_left = 0;
	emit(t, STREAM_EOF, NULL, 0);
	return false;
}

static bool can_read(const struct tcp *t)
{
	return t->state == TCP_IS_OPEN && t->stream.error == 0 && t->read_left > 0 &&
	       t->is_readable;
}

static void read_some(struct tcp *t)
{
	for (int i = 0; can_read(t); i++) {
		if (i == READS_PER_TURN) {
			poll_again(t->stream.loop, &t->poll, READY_IN);
			return;
		}
		if (!read_once(t))
			return;
	}
}

/* A header that came before the reset is still in the queue, and says more than the reset. */
static void read_last_words(struct tcp *t)
{
	uint8_t *buffer = loop_scratch(t->stream.loop, LOOP_READ);
	while (t->state == TCP_IS_OPEN && t->read_left > 0 && t->read_left <= LOOP_READ_SIZE) {
		ssize_t n = recv(t->poll.fd, buffer, (size_t)t->read_left, 0);
		if (n <= 0)
			return;
		t->read_left -= (uint64_t)n;
		emit(t, STREAM_DATA, buffer, (size_t)n);
	}
}

static void on_connected(struct tcp *t, unsigned events)
{
	if ((events & (READY_OUT | READY_ERR)) == 0)
		return;
	if (events & READY_ERR)
		t->stream.error = socket_error(t);
	if (t->stream.error != 0) {
		fail_now(t);
		return;
	}
	t->state = TCP_IS_OPEN;
	t->is_writable = true;
	emit(t, STREAM_CONNECTED, NULL, 0);
}

static void on_writable(struct tcp *t)
{
	t->is_writable = true;
	if (!t->wants_drained)
		return;
	if (!flush(t) || !shut_when_drained(t)) {
		fail_now(t);
		return;
	}
	if (t->out != NULL)
		return;
	t->wants_drained = false;
	emit(t, STREAM_DRAINED, NULL, 0);
}

static bool is_hangup_due(struct tcp *t)
{
	return t->state == TCP_IS_OPEN && t->has_hung_up && t->watches_hangup &&
	       t->read_left == 0 && !t->has_ended &&
	       !(t->spares_input && tcp_has_input(&t->stream) > 0);
}

static void on_poll(struct poll *poll, unsigned events)
{
	struct tcp *t = (struct tcp *)((char *)poll - offsetof(struct tcp, poll));
	if (t->state == TCP_IS_CONNECTING) {
		on_connected(t, events);
		events &= READY_IN | READY_RDHUP;
	}
	if (t->state != TCP_IS_OPEN)
		return;
	t->has_urgent |= (events & READY_URGENT) != 0;
	if (events & READY_ERR) {
		if (t->stream.error == 0)
			t->stream.error = socket_error(t);
		if (t->stream.error != 0) {
			read_last_words(t); /* may close @t */
			if (t->state != TCP_IS_OPEN)
				return;
			fail_now(t);
			return;
		}
		events |= READY_IN; /* both directions are shut: read to the end */
	}
	if (t->stream.error != 0) /* FAILED is on its way; the kernel has told the reset already, */
		return;           /* and would show an end in order now */
	if (events & READY_RDHUP)
		t->has_hung_up = true;
	if (events & (READY_IN | READY_RDHUP))
		t->is_readable = !t->has_ended;
	if (events & READY_OUT)
		on_writable(t); /* may close @t */
	if (is_hangup_due(t)) {
		t->has_ended = true;
		emit(t, STREAM_EOF, NULL, 0);
		return;
	}
	read_some(t);
}

static void tcp_read_start(struct stream *s, uint64_t limit)
{
	struct tcp *t = tcp_of(s);
	if (t->has_ended)
		return;
	t->read_left = limit;
	if (t->is_readable)
		poll_again(s->loop, &t->poll, READY_IN);
}

static void tcp_read_stop(struct stream *s)
{
	tcp_of(s)->read_left = 0;
}

/* Keeps @data at the end of the queue. Return: false if there is no memory. */
static bool keep(struct tcp *t, struct bytes data)
{
	struct out *out = t->out;
	size_t used = out == NULL ? 0 : out->end - out->begin;
	if (out == NULL || out->size - out->end < data.len) {
		size_t size = used + data.len < OUT_MIN ? OUT_MIN : used + data.len;
		if (used >= OUT_LARGE)
			size += used;
		out = malloc(sizeof *out + size);
		if (out == NULL)
			return false;
		if (used > 0)
			memcpy(out->data, t->out->data + t->out->begin, used);
		free(t->out);
		t->out = out;
		*out = (struct out){ .size = size, .begin = 0, .end = used };
	}
	memcpy(out->data + out->end, data.ptr, data.len);
	out->end += data.len;
	return true;
}

static bool write_with(struct tcp *t, struct bytes data, int flags)
{
	if (t->state != TCP_IS_OPEN || t->wants_shutdown || t->stream.error != 0)
		return false;
	while (data.len > 0 && t->out == NULL && t->is_writable) {
		ssize_t n = send(t->poll.fd, data.ptr, data.len, MSG_NOSIGNAL | flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			fail_later(t, -errno);
			return false;
		}
		if (n < 0) {
			t->is_writable = false;
			break;
		}
		t->may_be_unacked = true;
		data = bytes_of(data.ptr + n, data.len - (size_t)n);
		t->is_writable = data.len == 0; /* a short send: no room until the next event */
	}
	if (data.len == 0)
		return false;
	if (!keep(t, data)) {
		fail_later(t, ERR_NOMEM);
		return false;
	}
	t->wants_drained = true;
	return true;
}

static bool tcp_write(struct stream *s, struct bytes data)
{
	return write_with(tcp_of(s), data, 0);
}

void tcp_write_more(struct stream *s, struct bytes data)
{
	tcp_of(s)->holds_back = true;
	write_with(tcp_of(s), data, MSG_MORE);
}

static bool tcp_shutdown(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	if (t->state != TCP_IS_OPEN || t->stream.error != 0)
		return false;
	t->wants_shutdown = true;
	if (!shut_when_drained(t)) {
		fail_later(t, t->stream.error);
		return false;
	}
	t->wants_drained |= t->out != NULL;
	return t->out != NULL;
}

static void on_closed(struct task *task)
{
	struct tcp *t = (struct tcp *)((char *)task - offsetof(struct tcp, closed));
	emit(t, STREAM_CLOSED, NULL, 0);
	free(t);
}

static void set_linger_zero(int fd, bool is_on)
{
	struct linger linger = { .l_onoff = is_on, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void leave(struct tcp *t)
{
	int fd = t->poll.fd;
	t->state = TCP_IS_CLOSED;
	t->read_left = 0;
	poll_remove(t->stream.loop, &t->poll);
	close(fd);
	free(t->out);
	t->out = NULL;
	loop_defer(t->stream.loop, &t->closed, on_closed);
}

static void tcp_close(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	if (t->state == TCP_IS_CLOSED)
		return;
	if (t->is_cut_on_death)
		set_linger_zero(t->poll.fd, false);
	leave(t);
}

static void tcp_abort(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	if (t->state == TCP_IS_CLOSED)
		return;
	if (t->holds_back) /* setting it pushes what MSG_MORE held back */
		setsockopt(t->poll.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (!t->is_cut_on_death)
		set_linger_zero(t->poll.fd, true);
	leave(t);
}

void tcp_cut_on_death(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	if (t->state == TCP_IS_CLOSED || t->is_cut_on_death)
		return;
	t->is_cut_on_death = true;
	set_linger_zero(t->poll.fd, true);
}

/* What the kernel asks of a silent peer: after so long, so often, so many times. */
struct keepalive {
	int idle_s, interval_s, n_probes;
};
static const struct keepalive keepalive_brisk = { 10, 3,
	3 }; /* gone within 19 s: bytes were moving lately */
static const struct keepalive keepalive_calm = { 60, 10, 3 };

/* Set when a connection is old enough to be asked about, so that short ones never pay for it. */
static void set_keepalive(struct tcp *t, const struct keepalive *k)
{
	static const int on = 1;
	int fd = t->poll.fd;
	if (t->keepalive == NULL)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	t->keepalive = k;
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &k->interval_s, sizeof k->interval_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &k->n_probes, sizeof k->n_probes);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &k->idle_s, sizeof k->idle_s);
}

/* A shut window is no stall while the peer's host answers the probes: each answer takes the count
 * back to zero. */
static bool is_probed_in_vain(const struct tcp_info *info)
{
	return info->tcpi_probes >= 2 && info->tcpi_last_ack_recv >= STALL_MS;
}

/* Whether bytes wait for the peer's host although it would take them. A zero window is no stall: a
 * reader that pauses answers every probe. Bytes that cannot even be sent (a local firewall) count
 * while a whole segment would fit the window; a smaller window may belong to a reader that pauses.
 */
static bool waits_for_peer(const struct tcp_info *info, socklen_t len)
{
	bool tells_window =
		len >= offsetof(struct tcp_info, tcpi_snd_wnd) + sizeof info->tcpi_snd_wnd;
	if (!tells_window)
		return info->tcpi_unacked > 0 && info->tcpi_probes == 0;
	if (info->tcpi_unacked > 0)
		return info->tcpi_snd_wnd > 0;
	return info->tcpi_notsent_bytes > 0 && info->tcpi_snd_wnd >= info->tcpi_snd_mss;
}

static bool tcp_is_stalled(struct stream *s, uint64_t now_ms, bool is_quiet)
{
	struct tcp *t = tcp_of(s);
	const struct keepalive *wanted = is_quiet ? &keepalive_calm : &keepalive_brisk;
	struct tcp_info info;
	socklen_t len = sizeof info;
	if (t->state != TCP_IS_OPEN)
		return false;
	if (t->keepalive != wanted)
		set_keepalive(t, wanted);
	if (!t->may_be_unacked)
		return false;
	memset(&info, 0, sizeof info);
	if (getsockopt(t->poll.fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return false;
	if (info.tcpi_unacked == 0 && info.tcpi_notsent_bytes == 0 && t->out == NULL)
		t->may_be_unacked = false;
	if (is_probed_in_vain(&info))
		return true;
	uint32_t acked = (uint32_t)info.tcpi_bytes_acked;
	if (!waits_for_peer(&info, len) || acked != t->acked || t->stalled_since_ms == 0) {
		t->acked = acked;
		t->stalled_since_ms = waits_for_peer(&info, len) ? now_ms : 0;
		return false;
	}
	return now_ms - t->stalled_since_ms >= STALL_MS;
}

static const struct stream_ops tcp_ops = {
	.read_start = tcp_read_start,
	.read_stop = tcp_read_stop,
	.write = tcp_write,
	.shutdown = tcp_shutdown,
	.close = tcp_close,
	.abort = tcp_abort,
	.is_stalled = tcp_is_stalled,
};

static int open_fd(struct loop *loop, int fd, enum tcp_state state, struct stream **ret)
{
	struct tcp *t = calloc(1, sizeof *t);
	if (t == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	t->stream.ops = &tcp_ops;
	t->stream.loop = loop;
	t->state = (uint8_t)state;
	t->is_writable = state == TCP_IS_OPEN;
	int error = poll_add(loop, &t->poll, fd, on_poll);
	if (error != 0) {
		close(fd);
		free(t);
		return error;
	}
	*ret = &t->stream;
	return 0;
}

int tcp_open_fd(struct loop *loop, int fd, struct stream **ret)
{
	return open_fd(loop, fd, TCP_IS_OPEN, ret);
}

int tcp_open_unix_fd(struct loop *loop, int fd, struct stream **ret)
{
	int error = open_fd(loop, fd, TCP_IS_OPEN, ret);
	if (error == 0)
		tcp_of(*ret)->is_unix = true;
	return error;
}

int tcp_connect(struct loop *loop, const union addr_sock *to, bool speaks_first, stream_fn *fn,
	void *owner, struct stream **ret)
{
	static const int on = 1, off = 0;
	struct stream *s;
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (speaks_first)
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
	int error = loop_mark_socket(loop, fd);
	if (error == 0 && connect(fd, &to->any, addr_sock_len(to)) != 0 && errno != EINPROGRESS)
		error = -errno;
	if (error != 0) {
		close(fd);
		return error;
	}
	error = open_fd(loop, fd, TCP_IS_CONNECTING, &s);
	if (error != 0)
		return error;
	stream_own(s, fn, owner);
	*ret = s;
	return 0;
}

int tcp_has_input(struct stream *s)
{
	uint8_t byte;
	ssize_t n = recv(tcp_of(s)->poll.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0)
		return 1;
	if (n == 0)
		return ERR_PIPE;
	return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

void tcp_watch_hangup(struct stream *s, bool is_on)
{
	if (!tcp_is(s))
		return;
	struct tcp *t = tcp_of(s);
	t->watches_hangup = is_on;
	t->spares_input = false;
	if (is_on && t->has_hung_up && !t->has_ended)
		poll_again(s->loop, &t->poll, READY_RDHUP);
}

void tcp_watch_end(struct stream *s, bool is_on)
{
	tcp_watch_hangup(s, is_on);
	if (tcp_is(s))
		tcp_of(s)->spares_input = is_on;
}

typedef int name_fn(int fd, struct sockaddr *ret, socklen_t *len);

static bool ask_name(const struct stream *s, name_fn *ask, union addr_sock *ret)
{
	union addr_sock at;
	socklen_t len = sizeof at;
	if (ask(((const struct tcp *)s)->poll.fd, &at.any, &len) != 0)
		return false;
	addr_sock_unmap(&at);
	*ret = at;
	return true;
}

bool tcp_peer(const struct stream *s, union addr_sock *ret)
{
	return ask_name(s, getpeername, ret);
}

bool tcp_local(const struct stream *s, union addr_sock *ret)
{
	return tcp_is(s) && ask_name(s, getsockname, ret);
}

bool tcp_original(const struct stream *s, union addr_sock *ret)
{
	union addr_sock local, at = { .any.sa_family = AF_UNSPEC };
	socklen_t len = sizeof at;
	int fd = ((const struct tcp *)s)->poll.fd;
	if (!tcp_local(s, &local))
		return false;
	bool is_ip4 = local.any.sa_family == AF_INET;
	if (getsockopt(fd, is_ip4 ? SOL_IP : SOL_IPV6, SO_ORIGINAL_DST, &at, &len) != 0)
		return false;
	addr_sock_unmap(&at);
	*ret = at;
	return true;
}

void tcp_pull_start(struct stream *s)
{
	struct tcp *t = tcp_of(s);
	t->is_pulling = true;
	tcp_read_start(s, STREAM_NO_LIMIT);
}

void tcp_pull_stop(struct stream *s)
{
	tcp_of(s)->is_pulling = false;
	tcp_read_start(s, STREAM_NO_LIMIT);
}

bool tcp_has_urgent(const struct stream *s)
{
	return ((const struct tcp *)s)->has_urgent;
}

void tcp_pull_again(struct stream *s)
{
	poll_again(s->loop, &tcp_of(s)->poll, READY_IN);
}

bool tcp_is_drained(const struct stream *s)
{
	return ((const struct tcp *)s)->out == NULL;
}

ssize_t tcp_splice_in(struct stream *s, int pipe_fd, size_t n)
{
	struct tcp *t = tcp_of(s);
	ssize_t moved;
	if (t->state != TCP_IS_OPEN)
		return ERR_PIPE;
	do
		moved = splice(
			t->poll.fd, NULL, pipe_fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (moved < 0 && errno == EINTR);
	if (moved > 0)
		return moved;
	if (moved == 0) {
		t->has_ended = true;
		t->is_readable = false;
		t->read_left = 0;
		return 0;
	}
	if (errno != EAGAIN)
		return -errno;
	t->is_readable = false;
	return ERR_AGAIN;
}

ssize_t tcp_splice_out(struct stream *s, int pipe_fd, size_t n)
{
	struct tcp *t = tcp_of(s);
	ssize_t moved;
	assert(t->out == NULL);
	if (t->state != TCP_IS_OPEN)
		return ERR_PIPE;
	do
		moved = splice(
			pipe_fd, NULL, t->poll.fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (moved < 0 && errno == EINTR);
	if (moved > 0) {
		t->may_be_unacked = true;
		return moved;
	}
	if (moved < 0 && errno != EAGAIN)
		return -errno;
	t->is_writable = false;
	t->wants_drained = true;
	return ERR_AGAIN;
}
