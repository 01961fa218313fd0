#include "common/secure.h"
