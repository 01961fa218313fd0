#include "common/addr.h"
