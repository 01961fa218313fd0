#ifndef ACCESS_SESSION_H
#define ACCESS_SESSION_H
#endif
