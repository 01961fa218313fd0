#include "chain/session.h"
