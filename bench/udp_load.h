#ifndef BENCH_UDP_LOAD_H
#define BENCH_UDP_LOAD_H
/*
 * Does: the clients of the UDP measurements: plain sockets (one per flow), recvmmsg and sendmmsg,
 * no segmentation offload. Knows: the port to send to; that it echoes. Never knows: what stands
 * between.
 *
 * Every flow sends one datagram and waits for the answer before anything is counted.
 */

struct udp_load {
	int entry;   /* port on loopback */
	int n_flows; /* sockets */
	int size;    /* payload bytes of a datagram, at least UDP_LOAD_BYTES_MIN */
	int depth;   /* udp_echo: datagrams outstanding, all flows together */
	int per_s;   /* udp_offer: datagrams a second, all flows together */
	double secs, warm_s;
};

#define UDP_LOAD_BYTES_MIN 16
#define UDP_LOAD_BYTES_MAX 65507

/** udp_echo() - closed loop: an answer makes room for the next datagram. What is not answered
 * within half a second counts as lost, and makes room too. */
void udp_echo(const struct udp_load *load);
/** udp_offer() - datagrams at a steady rate, answered or not; what is not answered when the chain
 * has been quiet for a while after the last one is lost. */
void udp_offer(const struct udp_load *load);
/** udp_idle() - opens the flows, tells so on stdout, holds them until stdin ends. */
void udp_idle(const struct udp_load *load);

/** udp_origin_start() - echoes on UDP port 127.0.0.1:@port. Return: its process id. */
int udp_origin_start(int port);

#endif
