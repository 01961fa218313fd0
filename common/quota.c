#include "common/quota.h"
