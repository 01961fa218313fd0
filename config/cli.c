#include "config/cli.h"
