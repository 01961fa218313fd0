#include "config/json.h"
