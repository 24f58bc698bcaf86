/* want.h: what all programs of this folder begin with. WANT says at which line something was not
 * as written, and ends the program. */

#ifndef WANT_H
#define WANT_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <millstream.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <unistd.h>

#define WANT(what)                                                                                \
    do {                                                                                          \
        errno = 0;                                                                                \
        if (!(what)) {                                                                            \
            fprintf(stderr, "%s, line %d: %s (errno %d: %s)\n", __FILE__, __LINE__, #what, errno, \
                    strerror(errno));                                                             \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

#define FAILS(what, number) WANT((what) == -1 && errno == (number))

static inline int opened(const char *path)
{
    int fd = open(path, O_RDWR);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* A stream of echo with the module testmod, and what testmod does (see the book). */
static inline int tested(void)
{
    int fd = opened("/dev/echo");
    WANT(ioctl(fd, I_PUSH, "testmod") == 0);
    return fd;
}

enum { ECHO_CMD = 0x7401, REFUSE, HOLD, RELEASE, TWICE, ERROR_CMD, HANGUP, REVERSE };

static inline int asks(int fd, int cmd, int timeout, int len, void *data)
{
    struct strioctl ask = { cmd, timeout, len, data };
    return ioctl(fd, I_STR, &ask);
}

/* The stream fails with an error number, as its driver says. */
static inline void fail(int fd, char number)
{
    WANT(asks(fd, ERROR_CMD, 1, 1, &number) == -1);
}

static inline void hang_up(int fd)
{
    WANT(asks(fd, HANGUP, 1, 0, NULL) == -1);
}

#endif
