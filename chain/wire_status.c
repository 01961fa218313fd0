#include "chain/wire_status.h"
