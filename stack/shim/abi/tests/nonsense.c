/* nonsense.c: arguments that make no sense, and arguments thrown together: each call comes back,
 * with an error number or with what it was asked for. */
#include "want.h"
#include <limits.h>
#include <sys/uio.h>

static unsigned long seed = 88172645463325252;

static unsigned long chance(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static void plain(void)
{
    int fd = opened("/dev/echo"), flags = 0, band = 0;
    char buf[64];
    struct strbuf part = { 64, 4, buf }, lost = { 64, 4, NULL };
    FAILS(putmsg(-1, NULL, &part, 0), ENOSTR);
    FAILS(getmsg(INT_MAX, NULL, &part, &flags), ENOSTR);
    FAILS(putmsg(fd, NULL, &part, 7), EINVAL);
    FAILS(putmsg(fd, NULL, &part, RS_HIPRI), EINVAL);
    FAILS(putmsg(fd, &lost, NULL, 0), EFAULT);
    FAILS(putmsg(fd, NULL, &lost, 0), EFAULT);
    FAILS(putpmsg(fd, &part, NULL, -1, MSG_BAND), EINVAL);
    FAILS(putpmsg(fd, &part, NULL, 256, MSG_BAND), EINVAL);
    FAILS(putpmsg(fd, &part, NULL, 0, MSG_ANY), EINVAL);
    part.len = INT_MAX;
    FAILS(putmsg(fd, NULL, &part, 0), ERANGE);
    FAILS(putmsg(fd, &part, NULL, 0), ERANGE);
    part.len = INT_MIN;
    WANT(putmsg(fd, &part, &part, 0) == 0);
    FAILS(getmsg(fd, NULL, NULL, NULL), EFAULT);
    flags = 9;
    FAILS(getmsg(fd, NULL, &part, &flags), EINVAL);
    flags = MSG_BAND, band = 256;
    FAILS(getpmsg(fd, NULL, &part, &band, &flags), EINVAL);
    FAILS(getpmsg(fd, NULL, &part, NULL, &flags), EFAULT);
    FAILS(getpmsg(fd, NULL, &part, &band, NULL), EFAULT);
    WANT(write(fd, "four", 4) == 4);
    flags = 0;
    FAILS(getmsg(fd, NULL, &lost, &flags), EFAULT);
    /* Room that is said to be enormous: only what came is written. */
    part.maxlen = INT_MAX;
    WANT(getmsg(fd, NULL, &part, &flags) == 0 && part.len == 4);
    FAILS(isastream(-1), EBADF);
    FAILS(isastream(INT_MAX), EBADF);
    FAILS(open("/dev/", O_RDWR), EISDIR);
    FAILS(open("/dev/no/such", O_RDWR), ENOENT);
    FAILS(ms_pipe(NULL), EFAULT);
    FAILS(ms_start(NULL), EINVAL);
    FAILS(ms_start("no such plan"), EINVAL);
    FAILS(ms_attach(NULL), EINVAL);
    FAILS(ms_attach("elsewhere"), EISCONN);
    WANT(read(fd, buf, 0) == 0);
    WANT(close(fd) == 0);
    FAILS(close(fd), EBADF);
}

/* A number that is likely to be at an edge. */
static int number(int fd)
{
    static const int edges[] = { 0, 1, -1, 2, 4, 64, 255, 256, -2, 65535, 65536, 65537,
                                 1 << 20, INT_MAX, INT_MIN };
    unsigned long pick = chance() % 20;
    return pick < sizeof edges / sizeof *edges ? edges[pick] : pick == 19 ? fd : (int)chance();
}

/* No more than there is. */
static struct strbuf some(char *buf, int room)
{
    struct strbuf part = { number(0), number(0), chance() % 4 ? buf : NULL };
    if (part.maxlen > room)
        part.maxlen = room;
    if (part.len > room)
        part.len = room;
    return part;
}

enum { ROOM = 128 << 10, CALLS = 20000 };

static void any(void)
{
    static char one[ROOM], two[ROOM];
    int fds[4];
    WANT((fds[0] = opened("/dev/echo")) >= 0 && (fds[1] = tested()) >= 0 && ms_pipe(fds + 2) == 0);
    for (int at = 0; at < 4; at++)
        WANT(fcntl(fds[at], F_SETFL, O_NONBLOCK) == 0);
    for (int call = 0; call < CALLS; call++) {
        int fd = fds[chance() % 4], flags = number(0) & 7, band = number(0);
        struct strbuf c = some(one, ROOM), d = some(two, ROOM);
        struct strbuf *ctl = chance() % 4 ? &c : NULL, *data = chance() % 4 ? &d : NULL;
        union {
            int number;
            struct strpeek peek;
            struct strfdinsert insert;
            struct bandinfo band;
            struct str_list list;
            struct strioctl str;
            char name[64];
        } arg;
        memset(&arg, 0, sizeof arg);
        int cmd = 'S' << 8 | (int)(chance() % 40);
        switch (chance() % 8) {
        case 0:
            putpmsg(fd, ctl, data, band, flags);
            break;
        case 1:
            putmsg(fd, ctl, data, flags);
            break;
        case 2:
            getmsg(fd, ctl, data, chance() % 8 ? &flags : NULL);
            break;
        case 3:
            getpmsg(fd, ctl, data, chance() % 8 ? &band : NULL, &flags);
            break;
        case 4:
            write(fd, one, chance() % 4096);
            break;
        case 5: {
            struct iovec pieces[2] = { { one, chance() % 2048 }, { two, chance() % 2048 } };
            chance() % 2 ? readv(fd, pieces, 2) : writev(fd, pieces, 2);
            break;
        }
        default:
            switch (cmd) {
            case I_PEEK:
                arg.peek = (struct strpeek){ c, d, flags };
                break;
            case I_FDINSERT:
                arg.insert = (struct strfdinsert){ c, d, 0, number(fds[0]), number(8) };
                break;
            case I_FLUSHBAND:
                arg.band = (struct bandinfo){ (unsigned char)band, flags };
                break;
            case I_LIST:
                arg.list = (struct str_list){ number(0), chance() % 2 ? NULL : (void *)one };
                if (arg.list.sl_nmods > 64)
                    arg.list.sl_nmods = 64;
                break;
            case I_STR:
                arg.str = (struct strioctl){ ECHO_CMD, chance() % 2, c.len, c.buf };
                break;
            case I_PUSH:
            case I_FIND:
                strcpy(arg.name, chance() % 2 ? "null" : "\xff");
                break;
            case I_RECVFD:
                continue;
            case I_LINK:
            case I_PLINK:
                /* A stream that is linked is of no use to the others. */
                continue;
            default:
                arg.number = number(fd);
            }
            if (chance() % 8 == 0)
                ioctl(fd, cmd, chance() % 2 ? 0L : (long)number(fd));
            else
                ioctl(fd, cmd, &arg);
        }
        if (call % 64 == 0)
            for (int at = 0; at < 4; at++)
                ioctl(fds[at], I_FLUSH, FLUSHRW);
    }
    for (int at = 0; at < 4; at++)
        WANT(close(fds[at]) == 0);
    /* All is as before. */
    int fd = tested();
    char buf[8];
    WANT(write(fd, "well", 4) == 4 && read(fd, buf, 8) == 4 && close(fd) == 0);
}

int main(void)
{
    plain();
    any();
    puts("done");
    return 0;
}
