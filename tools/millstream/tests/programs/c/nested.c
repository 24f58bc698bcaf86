/* Sets in sets, sets that are polled, and sets that two processes wait for. */
#include "common.h"

static void add(int set, int fd, unsigned events, int name, const char *what)
{
    struct epoll_event event = {.events = events, .data.u32 = name};
    came(what, epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

static void told(const char *what, int set, int wait)
{
    struct epoll_event event;
    int count = epoll_wait(set, &event, 1, wait);
    if (count > 0)
        say("%s: %d of %u%s", what, count, event.data.u32, events_of(event.events));
    else
        say("%s: %d", what, count);
}

static void *waits(void *set)
{
    told("another thread", *(int *)set, LONG);
    return NULL;
}

static void sets_in_sets(void)
{
    int one, other, ends[2];
    int outer = epoll_create1(0), inner = epoll_create1(0), innermost = epoll_create1(0);
    connection(&one, &other);
    must(pipe(ends), "pipe");
    add(outer, inner, EPOLLIN, 1, "inner in outer");
    add(inner, innermost, EPOLLIN, 2, "innermost in inner");
    add(innermost, one, EPOLLIN, 3, "a socket in the innermost");
    add(innermost, ends[0], EPOLLIN, 4, "a pipe, too");
    add(inner, inner, EPOLLIN, 0, "itself");
    add(innermost, outer, EPOLLIN, 0, "a ring of sets");
    told("nothing", outer, SHORT);
    put(other, "a");
    told("outer", outer, LONG);
    told("inner", inner, LONG);
    told("innermost", innermost, LONG);
    struct pollfd asked = {.fd = outer, .events = POLLIN};
    came("poll", poll(&asked, 1, LONG));
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(inner, &bits);
    came("select", select(inner + 1, &bits, NULL, NULL, NULL));
    get("read", one);
    told("read", outer, SHORT);
    came("poll", poll(&asked, 1, SHORT));
    must(write(ends[1], "b", 1), "write");
    told("outer, of the pipe", outer, LONG);
    told("innermost, of the pipe", innermost, LONG);
    char octet;
    must(read(ends[0], &octet, 1), "read");
    told("read", outer, SHORT);
    pthread_t thread;
    pthread_create(&thread, NULL, waits, &outer);
    usleep(10000);
    put(other, "c");
    pthread_join(thread, NULL);
    get("read", one);
    close(innermost);
    put(other, "d");
    told("the innermost is closed", outer, SHORT);
    close(inner);
    close(outer);
    close(one);
    close(other);
}

static void edges(void)
{
    int one, other, outer = epoll_create1(0), inner = epoll_create1(0);
    connection(&one, &other);
    add(inner, one, EPOLLIN, 1, "a socket in inner");
    add(outer, inner, EPOLLIN | EPOLLET, 2, "inner in outer, edges");
    put(other, "a");
    told("an edge", outer, LONG);
    told("not again", outer, SHORT);
    put(other, "b");
    told("another", outer, LONG);
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = 3};
    came("mod", epoll_ctl(outer, EPOLL_CTL_MOD, inner, &event));
    told("once", outer, LONG);
    told("not again", outer, SHORT);
    came("del", epoll_ctl(outer, EPOLL_CTL_DEL, inner, NULL));
    put(other, "c");
    told("taken out", outer, SHORT);
    close(inner);
    close(outer);
    close(one);
    close(other);
}

static int child(int (*what)(int, int), int set, int fd)
{
    fflush(stdout);
    pid_t pid = fork();
    must(pid, "fork");
    if (pid == 0) {
        alarm(100);
        _exit(what(set, fd));
    }
    return pid;
}

static int accepts(int set, int listener)
{
    int count = 0;
    for (;;) {
        struct epoll_event event;
        int one, ready = epoll_wait(set, &event, 1, LONG);
        if (ready < 1)
            return 100;
        while ((one = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
            char what = 0;
            while (recv(one, &what, 1, 0) < 1)
                usleep(100);
            if (what == 'q')
                return count;
            count++;
            close(one);
        }
    }
}

static void two_processes(void)
{
    int listener = listening(), set = epoll_create1(0), status, sum = 0;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    add(set, listener, EPOLLIN, 1, "a listener in a set of two processes");
    for (int at = 0; at < 2; at++)
        child(accepts, set, listener);
    for (int at = 0; at < 20; at++) {
        int one = connected(listener);
        char rest;
        put(one, "x");
        if (recv(one, &rest, 1, 0) != 0)
            say("not taken");
        close(one);
    }
    for (int at = 0; at < 2; at++) {
        int one = connected(listener);
        put(one, "q");
        int pid = wait(&status);
        if (pid < 0 || !WIFEXITED(status))
            say("a child has failed");
        sum += WEXITSTATUS(status);
        close(one);
    }
    say("both have taken %d", sum);
    close(set);
    close(listener);
}

static int reads(int set, int fd)
{
    told("a child", set, LONG);
    get("a child", fd);
    return 7;
}

static void inherited(void)
{
    int one, other, status, set = epoll_create1(0), ends[2];
    connection(&one, &other);
    must(pipe(ends), "pipe");
    add(set, one, EPOLLIN, 5, "a connection in a set");
    add(set, ends[0], EPOLLIN, 6, "a pipe, too");
    pid_t pid = child(reads, set, one);
    put(other, "to the child");
    waitpid(pid, &status, 0);
    came("its end", WEXITSTATUS(status));
    told("the parent, nothing", set, SHORT);
    put(other, "to the parent");
    told("the parent", set, LONG);
    get("the parent", one);
    must(write(ends[1], "p", 1), "write");
    told("its pipe", set, LONG);
}

int main(int count, char **words)
{
    begin(count, words);
    sets_in_sets();
    edges();
    two_processes();
    inherited();
    return 0;
}
