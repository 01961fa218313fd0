#ifndef CONFIG_CLI_H
#define CONFIG_CLI_H
#endif
