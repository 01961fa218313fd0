#include "hop/policy.h"
