#include "common/drain.h"
