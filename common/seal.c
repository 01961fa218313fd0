#include "common/seal.h"
