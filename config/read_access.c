#include "config/read_access.h"
