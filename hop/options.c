#include "hop/options.h"
