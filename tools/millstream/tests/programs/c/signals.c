/* Signals that come while a call waits. */
#include "common.h"

static volatile sig_atomic_t caught;
static int to_wake = -1;

static void handler(int number)
{
    (void)number;
    caught++;
    if (to_wake >= 0 && write(to_wake, "!", 1) < 0)
        caught += 100;
}

static void handle(int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigemptyset(&action.sa_mask);
    must(sigaction(SIGUSR1, &action, NULL), "sigaction");
}

struct target {
    pthread_t thread;
    pid_t id;
};

static void *sends(void *data)
{
    struct target *target = data;
    asleep(target->id);
    pthread_kill(target->thread, SIGUSR1);
    return NULL;
}

/* The call is interrupted once it sleeps. */
static pthread_t interrupt(void)
{
    static struct target target;
    pthread_t thread;
    caught = 0;
    target = (struct target){.thread = pthread_self(), .id = self()};
    pthread_create(&thread, NULL, sends, &target);
    return thread;
}

#define INTERRUPTED(what, call)                                                                    \
    do {                                                                                           \
        pthread_t thread = interrupt();                                                            \
        came(what, call);                                                                          \
        pthread_join(thread, NULL);                                                                \
        say("%s: caught %d", what, (int)caught);                                                   \
    } while (0)

static void calls(void)
{
    int one, other, listener = listening(), set = epoll_create1(0);
    char text[8];
    struct epoll_event event = {.events = EPOLLIN};
    connection(&one, &other);
    must(epoll_ctl(set, EPOLL_CTL_ADD, one, &event), "add");
    struct pollfd asked = {.fd = one, .events = POLLIN};
    fd_set bits;
    FD_ZERO(&bits);
    FD_SET(one, &bits);
    struct msghdr head = {.msg_iov = &(struct iovec){text, 8}, .msg_iovlen = 1};
    INTERRUPTED("recv", recv(one, text, 8, 0));
    INTERRUPTED("read", read(one, text, 8));
    INTERRUPTED("recvmsg", recvmsg(one, &head, 0));
    INTERRUPTED("accept", accept(listener, NULL, NULL));
    INTERRUPTED("poll", poll(&asked, 1, LONG));
    INTERRUPTED("select", select(one + 1, &bits, NULL, NULL, NULL));
    INTERRUPTED("epoll_wait", epoll_wait(set, &event, 1, LONG));
    close(one);
    close(other);
    close(listener);
    close(set);
}

static void restarted(void)
{
    int one, other;
    char text[8];
    connection(&one, &other);
    handle(SA_RESTART);
    to_wake = other;
    INTERRUPTED("recv goes on", recv(one, text, 8, 0));
    INTERRUPTED("read goes on", read(one, text, 8));
    struct pollfd asked = {.fd = one, .events = POLLIN};
    INTERRUPTED("poll does not", poll(&asked, 1, LONG));
    get("what the handler sent", one);
    to_wake = -1;
    struct timeval limit = {.tv_sec = 30};
    must(setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    INTERRUPTED("recv with a limit does not", recv(one, text, 8, 0));
    close(one);
    close(other);
}

static void masked(void)
{
    int one, other;
    sigset_t all, none, before;
    connection(&one, &other);
    sigemptyset(&none);
    sigemptyset(&all);
    sigaddset(&all, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    caught = 0;
    pthread_kill(pthread_self(), SIGUSR1);
    struct pollfd asked = {.fd = one, .events = POLLIN};
    came("poll, blocked", poll(&asked, 1, SHORT));
    say("caught %d", (int)caught);
    struct timespec limit = {.tv_sec = 30};
    came("ppoll, let through", ppoll(&asked, 1, &limit, &none));
    say("caught %d", (int)caught);
    pthread_kill(pthread_self(), SIGUSR1);
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(set, EPOLL_CTL_ADD, one, &event), "add");
    came("epoll_pwait, let through", epoll_pwait(set, &event, 1, LONG, &none));
    say("caught %d", (int)caught);
    put(other, "x");
    came("epoll_pwait", epoll_pwait(set, &event, 1, LONG, &all));
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(one);
    close(other);
    close(set);
}

/* A timer that goes off all the time disturbs no octet. */
static void *feeds(void *to)
{
    sigset_t all;
    char piece[1000];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    memset(piece, 'y', sizeof piece);
    for (int at = 0; at < 1000; at++)
        if (send(*(int *)to, piece, sizeof piece, MSG_NOSIGNAL) != (ssize_t)sizeof piece)
            say("not sent");
    return NULL;
}

static void alarms(void)
{
    int one, other;
    long sum = 0, some;
    char piece[700];
    pthread_t thread;
    struct sigaction action = {.sa_handler = handler, .sa_flags = 0};
    struct itimerval often = {{0, 700}, {0, 700}}, never = {{0, 0}, {0, 0}};
    connection(&one, &other);
    must(sigaction(SIGVTALRM, &action, NULL), "sigaction");
    must(sigaction(SIGPROF, &action, NULL), "sigaction");
    pthread_create(&thread, NULL, feeds, &other);
    setitimer(ITIMER_PROF, &often, NULL);
    while (sum < 1000000) {
        some = recv(one, piece, sizeof piece, 0);
        if (some > 0)
            sum += some;
        else if (some == 0 || errno != EINTR) {
            came("recv", some);
            break;
        }
    }
    setitimer(ITIMER_PROF, &never, NULL);
    pthread_join(thread, NULL);
    say("received among alarms: %ld", sum);
}

static void broken(void)
{
    int one, other;
    connection(&one, &other);
    struct sigaction action = {.sa_handler = handler};
    must(sigaction(SIGPIPE, &action, NULL), "sigaction");
    caught = 0;
    shutdown(one, SHUT_WR);
    came("write after the end", write(one, "x", 1));
    say("SIGPIPE: %d", (int)caught);
    came("send after the end", send(one, "x", 1, MSG_NOSIGNAL));
    say("SIGPIPE: %d", (int)caught);
    close(one);
    close(other);
}

int main(int count, char **words)
{
    begin(count, words);
    handle(0);
    calls();
    restarted();
    handle(0);
    masked();
    alarms();
    broken();
    return 0;
}
