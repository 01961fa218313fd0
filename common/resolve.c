#include "common/resolve.h"
