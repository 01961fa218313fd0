#include "tests/support/hex.h"
