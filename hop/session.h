#ifndef HOP_SESSION_H
#define HOP_SESSION_H
#endif
