#include "chain/lib_state.h"
#include "common/log.h"
#include "common/record.h"
#include "common/seal.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int start_error;

static void start(void)
{
	log_mute();
	start_error = seal_start();
	if (start_error == 0)
		start_error = record_start();
}

int lib_start(void)
{
	pthread_once(&once, start);
	return start_error;
}
