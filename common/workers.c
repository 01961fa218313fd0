#include "common/workers.h"
