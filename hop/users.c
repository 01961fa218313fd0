#include "hop/users.h"
