/* What the programs share: sockets of one address, and words for what a call has come to. */
#pragma GCC diagnostic ignored "-Wunused-function"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longest wait for what has to come, and the wait for what must not. Milliseconds. */
#define LONG 30000
#define SHORT 40

static const char *here;

static void must(long value, const char *what)
{
    if (value < 0) {
        printf("%s: %s\n", what, strerror(errno));
        fflush(stdout);
        _exit(1);
    }
}

static void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
    fflush(stdout);
}

/* What a call has come to: its value, or the error by name. */
static void came(const char *what, long value)
{
    if (value < 0)
        say("%s: %s", what, strerrorname_np(errno));
    else
        say("%s: %ld", what, value);
}

static struct sockaddr_in at(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, here, &to.sin_addr);
    return to;
}

static struct sockaddr_in name_of(int fd)
{
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    must(getsockname(fd, (struct sockaddr *)&name, &len), "getsockname");
    return name;
}

static int bound(int kind)
{
    struct sockaddr_in to = at(0);
    int fd = socket(AF_INET, kind, 0);
    must(fd, "socket");
    must(bind(fd, (struct sockaddr *)&to, sizeof to), "bind");
    return fd;
}

static int listening(void)
{
    int fd = bound(SOCK_STREAM);
    must(listen(fd, 16), "listen");
    return fd;
}

static int connected(int to)
{
    struct sockaddr_in name = name_of(to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd, "socket");
    must(connect(fd, (struct sockaddr *)&name, sizeof name), "connect");
    return fd;
}

/* Two ends of a connection. */
static void connection(int *one, int *other)
{
    int listener = listening();
    *one = connected(listener);
    *other = accept(listener, NULL, NULL);
    must(*other, "accept");
    close(listener);
}

static void put(int fd, const char *text)
{
    must(send(fd, text, strlen(text), MSG_NOSIGNAL), "send");
}

static void get(const char *what, int fd)
{
    char text[256];
    ssize_t got = recv(fd, text, sizeof text - 1, 0);
    if (got < 0)
        return came(what, got);
    text[got] = 0;
    say("%s: %zd \"%s\"", what, got, text);
}

/* Waits until so many octets can be read. */
static void arrived(int fd, int count)
{
    int there = 0;
    for (int wait = 0; wait < LONG; wait++) {
        must(ioctl(fd, FIONREAD, &there), "FIONREAD");
        if (there >= count)
            return;
        usleep(1000);
    }
    say("only %d of %d octets have come", there, count);
}

/* Waits until a thread of this process sleeps. */
static void asleep(pid_t thread)
{
    char path[64], text[512];
    int quiet = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread);
    for (int wait = 0; wait < LONG && quiet < 5; wait++) {
        FILE *file = fopen(path, "r");
        if (!file)
            return;
        if (!fgets(text, sizeof text, file))
            text[0] = 0;
        fclose(file);
        char *state = strrchr(text, ')');
        quiet = state && state[2] == 'S' ? quiet + 1 : 0;
        usleep(1000);
    }
}

static pid_t self(void)
{
    return (pid_t)syscall(SYS_gettid);
}

static const char *events_of(unsigned events)
{
    static __thread char text[64];
    snprintf(text, sizeof text, "%s%s%s%s%s%s", events & EPOLLIN ? " IN" : "",
             events & EPOLLOUT ? " OUT" : "", events & EPOLLPRI ? " PRI" : "",
             events & EPOLLRDHUP ? " RDHUP" : "", events & EPOLLERR ? " ERR" : "",
             events & EPOLLHUP ? " HUP" : "");
    return text;
}

static int begin(int count, char **words)
{
    here = count > 1 ? words[1] : "127.0.0.1";
    alarm(100);
    return 0;
}
