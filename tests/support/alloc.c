#include "tests/support/alloc.h"
