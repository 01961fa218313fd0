#include "common/netset.h"
