#ifndef HOP_USERS_H
#define HOP_USERS_H
#endif
