#include "udp_load.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "ends.h"
#include "meter.h"

#define BATCH          64
#define FLOWS_MAX      64    /* of udp_echo and udp_offer */
#define LOST_AFTER_S   0.5   /* a datagram without an answer */
#define QUIET_S        0.3   /* nothing comes any more */
#define PACE_NS        50000 /* udp_offer sends what is due this often */
#define OPEN_TRIES     20    /* of the first datagram of a flow, OPEN_WAIT_MS apart */
#define OPEN_WAIT_MS   500
#define IDLE_EXCHANGES 2 /* the second finds the flow set up: what the set-up needed can go */

/* The first bytes of every datagram. */
struct stamp {
	uint64_t number; /* of all datagrams of this run */
	uint32_t slot;
	uint32_t flow;
};

/* A datagram on its way; number 0: none. */
struct slot {
	uint64_t number;
	double sent_at;
};

static struct udp_load opt;
static struct pollfd flows[FLOWS_MAX];
static struct slot *slots;          /* udp_echo: depth per flow; udp_offer: one per datagram */
static int depth;                   /* of one flow */
static uint64_t n_sent, n_answered; /* the first number is 1 */
static uint64_t n_lost;
static double counts_from; /* losses of what was sent before do not count */

static char bytes[BATCH][UDP_LOAD_BYTES_MAX + 1];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

/* ---- sockets ---- */

static int flow_open(void)
{
	struct sockaddr_in to = loopback(1, opt.entry);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		die("socket");
	if (connect(fd, (void *)&to, sizeof(to)))
		die("connect");
	return fd;
}

/* Whether the flow's first datagram (number 0) is answered within OPEN_WAIT_MS. */
static bool is_answered(int fd)
{
	struct pollfd event = { .fd = fd, .events = POLLIN };

	return poll(&event, 1, OPEN_WAIT_MS) > 0 &&
	       recv(fd, bytes[0], sizeof(bytes[0]), 0) == opt.size;
}

static void flow_greet(int fd)
{
	for (int i = 0; i < OPEN_TRIES; i++) {
		memset(bytes[0], 0, (size_t)opt.size);
		if (send(fd, bytes[0], (size_t)opt.size, 0) >= 0 && is_answered(fd))
			return;
	}
	errno = 0;
	die("no answer to the first datagram of a flow");
}

static void flows_open(void)
{
	if (opt.n_flows > FLOWS_MAX)
		die("too many flows");
	for (int i = 0; i < opt.n_flows; i++) {
		flows[i] = (struct pollfd){ .fd = flow_open(), .events = POLLIN };
		set_buffers(flows[i].fd);
		flow_greet(flows[i].fd);
	}
	for (int i = 0; i < BATCH; i++) {
		parts[i].iov_base = bytes[i];
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &parts[i], .msg_iovlen = 1 };
	}
}

/* ---- sending: fill the batch, then send it on one flow ---- */

static int n_batched;

static void batch_send(int flow)
{
	int n = n_batched;

	n_batched = 0;
	for (int i = 0; i < n;) {
		int n_taken = sendmmsg(flows[flow].fd, messages + i, (unsigned)(n - i), 0);

		if (n_taken < 0 && errno != ECONNREFUSED && errno != EAGAIN && errno != ENOBUFS)
			die("sendmmsg");
		i += n_taken > 0 ? n_taken : 1; /* not taken: lost, as it would be further on */
	}
}

static void batch_add(int flow, uint32_t slot, double at)
{
	struct stamp stamp = { .number = ++n_sent, .slot = slot, .flow = (uint32_t)flow };

	slots[slot] = (struct slot){ .number = stamp.number, .sent_at = at };
	memcpy(bytes[n_batched], &stamp, sizeof(stamp));
	parts[n_batched++].iov_len = (size_t)opt.size;
	if (n_batched == BATCH)
		batch_send(flow);
}

/* ---- receiving ---- */

/* Counts an answer. Return: whether it is the first one to something outstanding. */
static bool take(int flow, const char *data, size_t len, double at)
{
	size_t n_slots = (size_t)depth * (size_t)opt.n_flows;
	struct stamp stamp;

	memcpy(&stamp, data, sizeof(stamp));
	if (len != (size_t)opt.size || stamp.flow != (uint32_t)flow || stamp.slot >= n_slots ||
		stamp.number == 0 || slots[stamp.slot].number != stamp.number)
		return false;
	sample_add(at - slots[stamp.slot].sent_at);
	slots[stamp.slot].number = 0;
	n_answered++;
	return true;
}

/* Takes all that waits on a flow; with @is_refilled each answer makes room for the next datagram.
 */
static void flow_receive(int flow, bool is_refilled)
{
	static struct mmsghdr got[BATCH];
	static struct iovec into[BATCH];
	static char data[BATCH][UDP_LOAD_BYTES_MAX + 1];
	int n;

	do {
		double at;

		for (int i = 0; i < BATCH; i++) {
			into[i] = (struct iovec){ data[i], (size_t)opt.size + 1 };
			got[i].msg_hdr = (struct msghdr){ .msg_iov = &into[i], .msg_iovlen = 1 };
		}
		n = recvmmsg(flows[flow].fd, got, BATCH, 0, NULL);
		at = now();
		for (int i = 0; i < n; i++) {
			struct stamp stamp;

			memcpy(&stamp, data[i], sizeof(stamp));
			if (take(flow, data[i], got[i].msg_len, at) && is_refilled)
				batch_add(flow, stamp.slot, at);
		}
		batch_send(flow);
	} while (n == BATCH);
}

/* Return: whether anything came. */
static bool receive(const struct timespec *wait, bool is_refilled)
{
	int n = ppoll(flows, (nfds_t)opt.n_flows, wait, NULL);

	for (int i = 0; n > 0 && i < opt.n_flows; i++)
		if (flows[i].revents)
			flow_receive(i, is_refilled);
	return n > 0;
}

/* Until nothing comes for QUIET_S, or LOST_AFTER_S have passed. */
static void drain(void)
{
	struct timespec wait = { .tv_nsec = (long)(QUIET_S * 1e9) };
	double until = now() + LOST_AFTER_S;

	while (now() < until && n_answered + n_lost < n_sent && receive(&wait, false))
		continue;
}

static void slots_make(int depth_of_flow)
{
	depth = depth_of_flow;
	slots = calloc((size_t)depth * (size_t)opt.n_flows, sizeof(*slots));
	if (!slots)
		die("slots");
}

/* Counts what was sent before @before as lost, and sends the next in its place. */
static void slots_lose(double before, bool is_refilled)
{
	for (int i = 0; i < depth * opt.n_flows; i++) {
		if (slots[i].number == 0 || slots[i].sent_at >= before)
			continue;
		n_lost += slots[i].sent_at >= counts_from;
		slots[i].number = 0;
		if (is_refilled) {
			batch_add(i / depth, (uint32_t)i, now());
			batch_send(i / depth);
		}
	}
}

/* ---- the two measurements ---- */

/* Warms up, then counts, while turn() is called; what is on its way at the end is waited for. */
static void measure(void (*turn)(void))
{
	struct mark marks[2];

	for (int i = 0; i < 2; i++) {
		double until = now() + (i ? opt.secs : opt.warm_s);

		samples_forget();
		counts_from = now();
		while (now() < until)
			turn();
		marks[i] = mark_now(n_answered, n_sent);
	}
	drain();
	slots_lose(now() + 1, false);
	print_answer(&marks[0], &marks[1], 0, n_lost);
}

static void echo_turn(void)
{
	static const struct timespec wait = { .tv_nsec = 10000000 };
	static double looked_at;
	double at;

	receive(&wait, true);
	at = now();
	if (at - looked_at > LOST_AFTER_S / 10) {
		looked_at = at;
		slots_lose(at - LOST_AFTER_S, true);
	}
}

void udp_echo(const struct udp_load *load)
{
	opt = *load;
	flows_open();
	slots_make((opt.depth + opt.n_flows - 1) / opt.n_flows);
	for (int i = 0; i < depth * opt.n_flows; i++) {
		batch_add(i / depth, (uint32_t)i, now());
		if ((i + 1) % depth == 0)
			batch_send(i / depth);
	}
	measure(echo_turn);
}

static double offered_from;

/* What is due by now goes out in turns of the flows, in one call each. */
static void offer_turn(void)
{
	static const struct timespec wait = { .tv_nsec = PACE_NS };
	double at = now();
	uint64_t due = (uint64_t)((at - offered_from) * opt.per_s);
	uint64_t first = n_sent, n_flows = (uint64_t)opt.n_flows;

	if (due > (uint64_t)depth * n_flows)
		die("the run took too long");
	for (uint64_t i = 0; i < n_flows; i++) {
		int flow = (int)((first + i) % n_flows);

		for (uint64_t slot = first + i; slot < due; slot += n_flows)
			batch_add(flow, (uint32_t)slot, at);
		batch_send(flow);
	}
	receive(&wait, false);
}

void udp_offer(const struct udp_load *load)
{
	opt = *load;
	prctl(PR_SET_TIMERSLACK, 1000);
	flows_open();
	slots_make((int)((opt.warm_s + opt.secs + 1) * opt.per_s) / opt.n_flows + 1);
	offered_from = now();
	measure(offer_turn);
}

/* ---- idle flows ---- */

void udp_idle(const struct udp_load *load)
{
	opt = *load;
	for (int i = 0; i < opt.n_flows; i++) {
		int fd = flow_open();

		for (int k = 0; k < IDLE_EXCHANGES; k++)
			flow_greet(fd);
	}
	printf("{\"open\": %d}\n", opt.n_flows);
	fflush(stdout);
	while (read(STDIN_FILENO, bytes[0], sizeof(bytes[0])) > 0)
		continue;
}
