#include "chain/wire_request.h"
