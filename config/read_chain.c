#include "config/read_chain.h"
