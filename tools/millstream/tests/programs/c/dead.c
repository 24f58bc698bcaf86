/* What waits, and what never waits, when the stack of a program is killed. The second word is where
 * nobody answers whoever connects. */
#include "common.h"

enum { MODES = 13 };
static const char *names[MODES] = {
    "recv", "accept", "connect",   "poll",      "select",     "epoll_wait", "edges",
    "nested", "send", "busy recv", "busy poll", "busy epoll", "recvfrom",
};
static char results[MODES][80];
static volatile pid_t ids[MODES];
static int full;

static void result(int mode, long value, unsigned events)
{
    snprintf(results[mode], sizeof results[mode], "%s: %s%s", names[mode],
             value < 0 ? strerrorname_np(errno) : value > 0 ? "ready" : "0",
             value > 0 ? events_of(events) : "");
}

static int set_with(int fd, unsigned events)
{
    struct epoll_event event = {.events = events};
    int set = epoll_create1(0);
    must(set, "epoll_create1");
    must(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    return set;
}

static void *waits(void *data)
{
    int mode = (int)(long)data, one, other;
    char text[4096] = "";
    long value = 0;
    struct epoll_event event = {0};
    connection(&one, &other);
    struct pollfd asked = {.fd = one, .events = POLLIN};
    int listener = listening(), datagrams = bound(SOCK_DGRAM);
    int set = set_with(one, EPOLLIN | (mode == 6 ? EPOLLET : 0));
    int outer = set_with(set, EPOLLIN);
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(one, &bits);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(full)};
    inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
    int third = socket(AF_INET, SOCK_STREAM, 0);
    ids[mode] = self();
    switch (mode) {
    case 0: value = recv(one, text, 1, 0); break;
    case 1: value = accept(listener, NULL, NULL); break;
    case 2: value = connect(third, (struct sockaddr *)&to, sizeof to); break;
    case 3: value = poll(&asked, 1, -1); event.events = asked.revents; break;
    case 4: value = select(one + 1, &bits, NULL, NULL, NULL); event.events = EPOLLIN; break;
    case 5:
    case 6: value = epoll_wait(set, &event, 1, -1); break;
    case 7: value = epoll_wait(outer, &event, 1, -1); break;
    case 8:
        while ((value = send(one, text, sizeof text, MSG_NOSIGNAL)) > 0)
            ;
        break;
    case 9:
        while ((value = recv(one, text, 1, MSG_DONTWAIT)) < 0 && errno == EAGAIN)
            ;
        break;
    case 10:
        while ((value = poll(&asked, 1, 0)) == 0)
            ;
        event.events = asked.revents;
        break;
    case 11:
        while ((value = epoll_wait(set, &event, 1, 0)) == 0)
            ;
        break;
    case 12: value = recvfrom(datagrams, text, 1, 0, NULL, NULL); break;
    }
    result(mode, value, event.events);
    return NULL;
}

static int anew(void)
{
    struct sockaddr_in to = at(7);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int done = connect(fd, (struct sockaddr *)&to, sizeof to);
    int why = errno;
    close(fd);
    errno = why;
    return done;
}

int main(int count, char **words)
{
    pthread_t threads[MODES];
    begin(count, words);
    full = atoi(words[2]);
    for (int at = 0; at < 6; at++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(full)};
        inet_pton(AF_INET, "10.9.0.1", &to.sin_addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fd, (struct sockaddr *)&to, sizeof to);
    }
    for (long at = 0; at < MODES; at++)
        pthread_create(&threads[at], NULL, waits, (void *)at);
    for (int at = 0; at < MODES; at++) {
        while (!ids[at])
            usleep(1000);
        if (at < 9 || at == 12)
            asleep(ids[at]);
    }
    say("ready");
    for (int at = 0; at < MODES; at++) {
        pthread_join(threads[at], NULL);
        say("%s", results[at]);
    }
    came("a new socket", anew());
    pid_t pid = fork();
    if (pid == 0) {
        came("of a child", anew());
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return 0;
}
