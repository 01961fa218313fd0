#include "common/tcp.h"
