#ifndef CONFIG_JSON_H
#define CONFIG_JSON_H
#endif
