#include "chain/wire_secret.h"
