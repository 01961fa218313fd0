#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H
#endif
