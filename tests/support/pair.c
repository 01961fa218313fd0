#include "tests/support/pair.h"
