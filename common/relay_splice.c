#include "common/relay_splice.h"
