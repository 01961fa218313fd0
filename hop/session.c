#include "hop/session.h"
