#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H
#endif
