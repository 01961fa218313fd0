#include "chain/spec.h"
