#include "config/read_hop.h"
