#ifndef COMMON_DRAIN_H
#define COMMON_DRAIN_H
#endif
