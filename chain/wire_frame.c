#include "chain/wire_frame.h"

#include <assert.h>
#include <stdlib.h>

static struct bytes take(struct bytes *in, size_t len)
{
	struct bytes taken = bytes_of(in->ptr, len);
	*in = bytes_of(len > 0 ? in->ptr + len : in->ptr, in->len - len);
	return taken;
}

/* Collects the header. Return: whether it is complete. */
static bool take_header(struct wire_frames *f, struct bytes *in)
{
	while (f->n_header < WIRE_FRAME_HEADER && in->len > 0)
		f->header[f->n_header++] = *take(in, 1).ptr;
	return f->n_header == WIRE_FRAME_HEADER;
}

static void start(struct wire_frames *f)
{
	f->n_header = 0;
	f->n_in = 0;
	f->len = 0;
}

int wire_frames_next(struct wire_frames *frames, struct bytes *in, struct bytes *ret)
{
	if (frames->n_header == 0) { /* what the last call returned is over */
		free(frames->buffer);
		frames->buffer = NULL;
	}
	if (!take_header(frames, in))
		return 0;
	frames->len = (size_t)frames->header[0] << 8 | frames->header[1];
	if (frames->len > WIRE_FRAME_MAX)
		return ERR_BAD_RECORD;
	if (frames->n_in == 0 && in->len >= frames->len) { /* whole: no copy */
		*ret = take(in, frames->len);
		start(frames);
		return 1;
	}
	if (in->len == 0)
		return 0;
	if (frames->buffer == NULL)
		frames->buffer = malloc(frames->len);
	if (frames->buffer == NULL)
		return ERR_NOMEM;
	size_t left = frames->len - frames->n_in;
	struct bytes part = take(in, in->len < left ? in->len : left);
	memcpy(frames->buffer + frames->n_in, part.ptr, part.len);
	frames->n_in += part.len;
	if (frames->n_in < frames->len)
		return 0;
	*ret = bytes_of(frames->buffer, frames->len);
	start(frames);
	return 1;
}

bool wire_frames_is_partial(const struct wire_frames *frames)
{
	return frames->n_header > 0;
}

void wire_frames_deinit(struct wire_frames *frames)
{
	free(frames->buffer);
	memset(frames, 0, sizeof *frames);
}

void wire_frame_header(size_t len, uint8_t to[WIRE_FRAME_HEADER])
{
	assert(len <= WIRE_FRAME_MAX);
	to[0] = (uint8_t)(len >> 8);
	to[1] = (uint8_t)len;
}
