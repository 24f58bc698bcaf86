/* devices.c: modules, requests, joined streams, links and pipes, tried on echo, loop, mux and
 * testmod. Exits with 0 when all went as written; else says at which line it did not. */
#include <errno.h>
#include <fcntl.h>
#include <millstream.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/wait.h>
#include <unistd.h>

#define WANT(what)                                                                                \
    do {                                                                                          \
        errno = 0;                                                                                \
        if (!(what)) {                                                                            \
            fprintf(stderr, "line %d: %s (errno %d: %s)\n", __LINE__, #what, errno,               \
                    strerror(errno));                                                             \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

#define FAILS(what, number) WANT((what) == -1 && errno == (number))

static int opened(const char *path)
{
    int fd = open(path, O_RDWR);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void modules(void)
{
    int fd = opened("/dev/echo");
    char name[20];
    FAILS(ioctl(fd, I_LOOK, name), EINVAL);
    FAILS(ioctl(fd, I_POP, 0), EINVAL);
    FAILS(ioctl(fd, I_PUSH, "no-such-module"), EINVAL);
    WANT(ioctl(fd, I_PUSH, "null") == 0 && ioctl(fd, I_PUSH, "count") == 0);
    WANT(ioctl(fd, I_LOOK, name) == 0 && !strcmp(name, "count"));
    WANT(ioctl(fd, I_FIND, "null") == 1 && ioctl(fd, I_FIND, "impair") == 0);
    FAILS(ioctl(fd, I_FIND, "no-such-module"), EINVAL);
    int count = ioctl(fd, I_LIST, NULL);
    WANT(count == 3);
    struct str_mlist names[3];
    struct str_list list = { 3, names };
    WANT(ioctl(fd, I_LIST, &list) == 0 || list.sl_nmods == 3);
    WANT(!strcmp(names[0].l_name, "count") && !strcmp(names[1].l_name, "null"));
    WANT(!strcmp(names[2].l_name, "echo"));
    WANT(write(fd, "through", 7) == 7 && read(fd, name, 20) == 7);
    WANT(ioctl(fd, I_POP, 0) == 0 && ioctl(fd, I_POP, 0) == 0);
    FAILS(ioctl(fd, I_POP, 0), EINVAL);
    FAILS(ioctl(fd, ('S' << 8) | 99, 0), EINVAL);
    WANT(close(fd) == 0);
}

enum { ECHO_CMD = 0x7401, REFUSE = 0x7402, HOLD = 0x7403, ERROR = 0x7406, HANGUP = 0x7407,
       REVERSE = 0x7408 };

static void requests(void)
{
    int fd = opened("/dev/echo"), number = EACCES;
    WANT(ioctl(fd, I_PUSH, "testmod") == 0);
    char data[16] = "abc";
    struct strioctl ask = { ECHO_CMD, 0, 3, data };
    WANT(ioctl(fd, I_STR, &ask) == 3 && ask.ic_len == 3 && !memcmp(data, "abc", 3));
    struct strioctl refuse = { REFUSE, 0, sizeof number, (char *)&number };
    FAILS(ioctl(fd, I_STR, &refuse), EACCES);
    struct strioctl silence = { HOLD, 1, 0, NULL };
    FAILS(ioctl(fd, I_STR, &silence), ETIME);
    struct strioctl unknown = { 0x1234, 0, 0, NULL };
    FAILS(ioctl(fd, I_STR, &unknown), EINVAL);
    ask.ic_timout = -2;
    FAILS(ioctl(fd, I_STR, &ask), EINVAL);

    char bytes[] = { 1, 2 };
    struct strioctl fail = { ERROR, 1, 1, bytes };
    bytes[0] = ENXIO;
    WANT(ioctl(fd, I_STR, &fail) == -1);
    FAILS(write(fd, "x", 1), ENXIO);
    FAILS(read(fd, data, 1), ENXIO);
    WANT(close(fd) == 0);

    fd = opened("/dev/echo");
    WANT(ioctl(fd, I_PUSH, "testmod") == 0);
    struct strioctl hang = { HANGUP, 1, 0, NULL };
    WANT(ioctl(fd, I_STR, &hang) == -1);
    WANT(read(fd, data, 1) == 0);
    FAILS(write(fd, "x", 1), ENXIO);
    struct pollfd poll_fd = { fd, POLLIN, 0 };
    WANT(poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & POLLHUP);
    WANT(close(fd) == 0);
}

enum { LOOP_NUMBER = 0x6c01, LOOP_SET = 0x6c02 };

static void joined(void)
{
    int a = opened("/dev/loop"), b = opened("/dev/loop");
    char number[4], buf[20];
    struct strioctl ask = { LOOP_NUMBER, 0, 0, number };
    WANT(ioctl(b, I_STR, &ask) == 0 && ask.ic_len == 4);
    struct strioctl join = { LOOP_SET, 0, 4, number };
    WANT(ioctl(a, I_STR, &join) == 0 && join.ic_len == 0);
    join.ic_len = 4;
    FAILS(ioctl(a, I_STR, &join), EBUSY);
    WANT(write(a, "there", 5) == 5 && read(b, buf, 20) == 5);
    WANT(write(b, "back", 4) == 4 && read(a, buf, 20) == 4);
    pid_t child = fork();
    if (child == 0) {
        /* A child has the streams, too, where the stack is another process. */
        ssize_t written = write(a, "child", 5);
        _exit(written == 5 ? 0 : errno == ENETDOWN ? 7 : 1);
    }
    int status = 0;
    WANT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    WANT(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
    if (WEXITSTATUS(status) == 0)
        WANT(read(b, buf, 20) == 5 && !memcmp(buf, "child", 5));
    WANT(close(a) == 0 && read(b, buf, 20) == 0 && close(b) == 0);
}

static void linked(void)
{
    int mux = opened("/dev/mux"), below = opened("/dev/echo");
    char buf[20];
    int id = ioctl(mux, I_LINK, below);
    WANT(id > 0);
    FAILS(write(below, "x", 1), EINVAL);
    FAILS(ioctl(below, I_PUSH, "null"), EINVAL);
    WANT(write(mux, "down", 4) == 4 && read(mux, buf, 20) == 4 && !memcmp(buf, "down", 4));
    FAILS(ioctl(mux, I_UNLINK, id + 99), EINVAL);
    WANT(ioctl(mux, I_UNLINK, id) == 0);
    WANT(write(below, "mine", 4) == 4 && read(below, buf, 20) == 4);
    WANT(close(mux) == 0 && close(below) == 0);
}

static void pipes(void)
{
    int ends[2], fd = opened("/dev/echo");
    char buf[20];
    WANT(ms_pipe(ends) == 0 && isastream(ends[0]) == 1 && isastream(ends[1]) == 1);
    WANT(write(ends[0], "one way", 7) == 7 && read(ends[1], buf, 20) == 7);
    WANT(write(ends[1], "other", 5) == 5 && read(ends[0], buf, 20) == 5);
    struct strbuf ctl = { 0, 1, "c" }, data = { 0, 1, "d" };
    WANT(putmsg(ends[0], &ctl, &data, 0) == 0);
    struct strbuf c = { 20, 0, buf }, d = { 20, 0, buf + 10 };
    int flags = 0;
    WANT(getmsg(ends[1], &c, &d, &flags) == 0 && c.len == 1 && d.len == 1);
    WANT(ioctl(ends[0], I_SENDFD, fd) == 0);
    struct strrecvfd got;
    WANT(ioctl(ends[1], I_RECVFD, &got) == 0 && got.uid == geteuid() && got.fd >= 0);
    WANT(write(got.fd, "same", 4) == 4 && read(fd, buf, 20) == 4);
    WANT(close(got.fd) == 0 && close(fd) == 0);
    WANT(close(ends[0]) == 0 && read(ends[1], buf, 20) == 0);
    FAILS(write(ends[1], "x", 1), EPIPE);
    WANT(close(ends[1]) == 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    modules();
    requests();
    joined();
    linked();
    pipes();
    puts("done");
    return 0;
}
