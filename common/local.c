#include "common/local.h"
