#ifndef CONFIG_READ_HOP_H
#define CONFIG_READ_HOP_H
#endif
