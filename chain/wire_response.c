#include "chain/wire_response.h"
