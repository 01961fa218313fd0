#include "chain/wire_key.h"
