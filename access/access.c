#include "access/access.h"
