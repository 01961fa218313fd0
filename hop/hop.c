#include "hop/hop.h"
