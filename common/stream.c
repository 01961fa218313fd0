#include "common/stream.h"

static void ignore(struct stream *s, enum stream_event event, struct bytes data, void *owner)
{
	(void)s, (void)event, (void)data, (void)owner;
}

void stream_drop(struct stream *s)
{
	stream_own(s, ignore, NULL);
	stream_abort(s);
}

void stream_leave(struct stream *s)
{
	stream_own(s, ignore, NULL);
	stream_shutdown(s);
	stream_close(s);
}
