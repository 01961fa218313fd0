#ifndef CHAIN_CLI_PROGRESS_H
#define CHAIN_CLI_PROGRESS_H
/*
 * Does: numbers of a transfer as words, and as a line on a terminal that is drawn again and again.
 * Knows: bytes, time, the width of stderr. Never knows: who transfers.
 */
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

/* Bytes of payload, and when they began to flow. */
struct cli_transfer {
	uint64_t n_sent, n_received;
	uint64_t start_ns; /* uv_hrtime(); 0 = not yet */
};

#define CLI_TRANSFER_TEXT 160
/** cli_print_amount() - "12 bytes", "1.5 MiB". Returns @to. */
#define CLI_AMOUNT_TEXT   32
const char *cli_print_amount(double bytes, char to[CLI_AMOUNT_TEXT]);
/** cli_print_seconds() - "3.2 ms", "12.3 s", "1:02:03". Returns @to. */
#define CLI_SECONDS_TEXT 32
const char *cli_print_seconds(uint64_t ns, char to[CLI_SECONDS_TEXT]);
/** cli_transfer_print() - "sent 12 bytes, received 1048576 bytes in 1.2 s, 853.3 KiB/s". Returns
 * @to. */
const char *cli_transfer_print(const struct cli_transfer *transfer, char to[CLI_TRANSFER_TEXT]);

struct cli_progress;
/** cli_progress_open() - draws @transfer (borrowed) on stderr four times a second, if that is a
 * terminal and standard output is none: their lines would mix. Return: NULL if it is not drawn. */
struct cli_progress *cli_progress_open(uv_loop_t *loop, const struct cli_transfer *transfer);
/** cli_progress_erase() - before a message. NULL ok. */
void cli_progress_erase(struct cli_progress *progress);
/** cli_progress_close() - erases; it is gone when the loop has turned. NULL ok. */
void cli_progress_close(struct cli_progress *progress);

#endif
