#ifndef CHAIN_CLI_SCREEN_H
#define CHAIN_CLI_SCREEN_H
/*
 * Does: a live page on the terminal's alternate screen: draws it at most ten times a second, again
 * after a resize, hands keys over, and gives the terminal back as it was. Knows: terminals, libuv.
 * Never knows: what is shown.
 */
#include <stdio.h>
#include <uv.h>

struct cli_screen;

struct cli_screen_events {
	/* The page, lines that end in '\n', none wider than @width; what does not fit is cut off.
	 */
	void (*draw)(unsigned width, FILE *to, void *owner);
	void (*on_key)(int key, void *owner); /* a byte; 'q' once the terminal is gone */
	void *owner;
};

/** cli_screen_open() - takes the terminal on stdout; keys come from stdin, or else from the
 * terminal itself. @help is the last line. Borrows @help. Return: 0, or UV_E*. */
int cli_screen_open(uv_loop_t *loop, const char *help, const struct cli_screen_events *events,
	struct cli_screen **ret) __attribute__((warn_unused_result));
/** cli_screen_change() - draws soon. */
void cli_screen_change(struct cli_screen *screen);
/** cli_screen_close() - gives the terminal back at once; the memory goes when the loop runs. NULL
 * ok. */
void cli_screen_close(struct cli_screen *screen);

/** cli_screen_width() - of the terminal on stdout, else $COLUMNS, else 80; 20 at least. */
unsigned cli_screen_width(void);

#endif
