/* Threads that are cancelled while a call waits, and what they leave. */
#include "common.h"

static int one, other, listener, set;
static volatile pid_t thread_id;
static volatile int cleaned;

static void clean(void *data)
{
    (void)data;
    cleaned++;
}

enum what { RECV, READ, RECVMSG, ACCEPT, POLL, SELECT, EPOLL, CONNECT_ALL };
static const char *names[] = {"recv", "read", "recvmsg", "accept", "poll", "select", "epoll_wait"};

static void *waits(void *data)
{
    char text[8];
    struct epoll_event event;
    struct pollfd asked = {.fd = one, .events = POLLIN};
    struct msghdr head = {.msg_iov = &(struct iovec){text, 8}, .msg_iovlen = 1};
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(one, &bits);
    pthread_cleanup_push(clean, NULL);
    thread_id = self();
    switch (*(enum what *)data) {
    case RECV:
        recv(one, text, 8, 0);
        break;
    case READ:
        if (read(one, text, 8) < 0)
            break;
        break;
    case RECVMSG:
        recvmsg(one, &head, 0);
        break;
    case ACCEPT:
        accept(listener, NULL, NULL);
        break;
    case POLL:
        poll(&asked, 1, LONG);
        break;
    case SELECT:
        select(one + 1, &bits, NULL, NULL, NULL);
        break;
    case EPOLL:
        epoll_wait(set, &event, 1, LONG);
        break;
    default:
        break;
    }
    pthread_cleanup_pop(0);
    return NULL;
}

int main(int count, char **words)
{
    begin(count, words);
    connection(&one, &other);
    listener = listening();
    set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(set, EPOLL_CTL_ADD, one, &event), "add");
    for (enum what what = RECV; what < CONNECT_ALL; what++) {
        pthread_t thread;
        void *end = NULL;
        thread_id = cleaned = 0;
        pthread_create(&thread, NULL, waits, &what);
        while (!thread_id)
            usleep(100);
        asleep(thread_id);
        pthread_cancel(thread);
        pthread_join(thread, &end);
        say("%s: %s, cleaned %d", names[what], end == PTHREAD_CANCELED ? "cancelled" : "not",
            (int)cleaned);
    }
    put(other, "and all works");
    came("epoll_wait", epoll_wait(set, &event, 1, LONG));
    get("recv", one);
    put(one, "both ways");
    get("recv", other);
    int third = connected(listener);
    came("accept", accept(listener, NULL, NULL) > 0);
    close(third);
    return 0;
}
