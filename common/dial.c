#include "common/dial.h"
