#include "access/options.h"
