#include "access/session.h"
