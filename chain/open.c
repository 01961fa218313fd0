#include "chain/open.h"
