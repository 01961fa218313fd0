#include "chain/error.h"
