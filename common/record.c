#include "common/record.h"
