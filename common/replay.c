#include "common/replay.h"
