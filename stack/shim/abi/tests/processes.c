/* processes.c: streams in children and after exec, in threads, and calls that signals end. */
#include "want.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* The stack is in another process: children have it, too. */
static int beside;

static int ended_with(pid_t child)
{
    int status = 0;
    WANT(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void forked(void)
{
    int fd = opened("/dev/echo");
    char buf[16];
    pid_t child = fork();
    if (child == 0) {
        if (!beside)
            _exit(write(fd, "x", 1) == -1 && errno == ENETDOWN ? 0 : 1);
        struct strbuf c = { 0, 3, "ctl" }, d = { 0, 5, "child" };
        _exit(isastream(fd) == 1 && putmsg(fd, &c, &d, 0) == 0 ? 0 : 1);
    }
    WANT(ended_with(child) == 0);
    if (beside) {
        struct strbuf c = { 8, 0, buf }, d = { 8, 0, buf + 8 };
        int flags = 0;
        WANT(getmsg(fd, &c, &d, &flags) == 0 && c.len == 3 && d.len == 5);
    }
    /* What a child has closed is the parent's still. */
    WANT(write(fd, "mine", 4) == 4 && read(fd, buf, 8) == 4 && close(fd) == 0);
}

static void executed(const char *self)
{
    int fd = opened("/dev/echo");
    char number[16], buf[16];
    snprintf(number, sizeof number, "%d", fd);
    pid_t child = fork();
    if (child == 0) {
        execl(self, self, "after-exec", number, (char *)NULL);
        _exit(9);
    }
    WANT(ended_with(child) == 0);
    WANT(read(fd, buf, 16) == 4 && !memcmp(buf, "exec", 4) && close(fd) == 0);
}

static int after_exec(const char *number)
{
    int fd = atoi(number);
    return isastream(fd) == 1 && write(fd, "exec", 4) == 4 ? 0 : 1;
}

enum { THREADS = 4, ROUNDS = 200 };

/* Each thread has a stream of its own, and all share one. */
static void *busy(void *shared)
{
    int own = opened("/dev/echo");
    char buf[8];
    for (int round = 0; round < ROUNDS; round++) {
        WANT(write(own, "own", 3) == 3 && read(own, buf, 8) == 3);
        struct strbuf d = { 0, 4, (char *)&round };
        WANT(putmsg(*(int *)shared, NULL, &d, 0) == 0);
        struct strbuf got = { 8, 0, buf };
        int flags = 0;
        WANT(getmsg(*(int *)shared, NULL, &got, &flags) == 0 && got.len == 4);
    }
    WANT(close(own) == 0);
    return NULL;
}

static void threads(void)
{
    int shared = opened("/dev/echo");
    pthread_t all[THREADS];
    for (int at = 0; at < THREADS; at++)
        WANT(pthread_create(&all[at], NULL, busy, &shared) == 0);
    for (int at = 0; at < THREADS; at++)
        WANT(pthread_join(all[at], NULL) == 0);
    WANT(close(shared) == 0);
}

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

static pthread_t main_thread;
static volatile int over;

/* Sends signals until the call that they are to end has ended: one may come too early. */
static void *signals(void *unused)
{
    (void)unused;
    struct timespec moment = { 0, 20000000 };
    while (!over) {
        nanosleep(&moment, NULL);
        pthread_kill(main_thread, SIGUSR1);
    }
    return NULL;
}

static void interrupted(void)
{
    int fd = opened("/dev/echo"), ends[2], flags;
    char buf[8];
    struct strbuf data = { 8, 0, buf };
    struct sigaction action = { .sa_handler = note };
    struct strrecvfd got;
    WANT(sigaction(SIGUSR1, &action, NULL) == 0 && ms_pipe(ends) == 0);
    WANT(ioctl(fd, I_PUSH, "testmod") == 0);
    main_thread = pthread_self();
    pthread_t other;
    WANT(pthread_create(&other, NULL, signals, NULL) == 0);
    flags = 0;
    FAILS(getmsg(fd, NULL, &data, &flags), EINTR);
    WANT(caught == SIGUSR1);
    FAILS(read(fd, buf, 8), EINTR);
    FAILS(ioctl(ends[0], I_RECVFD, &got), EINTR);
    FAILS(asks(fd, HOLD, -1, 0, NULL), EINTR);
    over = 1;
    WANT(pthread_join(other, NULL) == 0);
    /* The answer that nobody waited for is nobody's. */
    WANT(asks(fd, RELEASE, 0, 0, NULL) == 1 && asks(fd, ECHO_CMD, 0, 2, buf) == 2);
    WANT(close(fd) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void *writes(void *fd)
{
    struct timespec moment = { 0, 50000000 };
    nanosleep(&moment, NULL);
    WANT(write(*(int *)fd, "woken", 5) == 5);
    return NULL;
}

/* Who sleeps in getmsg and in poll is woken by another thread. */
static void woken(void)
{
    int fd = opened("/dev/echo"), flags = 0;
    char buf[8];
    struct strbuf data = { 8, 0, buf };
    struct pollfd in = { fd, POLLIN, 0 };
    pthread_t other;
    WANT(pthread_create(&other, NULL, writes, &fd) == 0);
    WANT(getmsg(fd, NULL, &data, &flags) == 0 && data.len == 5);
    WANT(pthread_join(other, NULL) == 0);
    WANT(pthread_create(&other, NULL, writes, &fd) == 0);
    WANT(poll(&in, 1, 30000) == 1 && in.revents == POLLIN && read(fd, buf, 8) == 5);
    WANT(pthread_join(other, NULL) == 0 && close(fd) == 0);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return after_exec(argv[2]);
    beside = getenv("MILLSTREAM_PORT") != NULL;
    signal(SIGPIPE, SIG_IGN);
    forked();
    if (beside)
        executed(argv[0]);
    threads();
    woken();
    interrupted();
    puts("done");
    return 0;
}
