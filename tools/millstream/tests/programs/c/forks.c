/* Processes that fork while their threads are busy with sockets. */
#include "common.h"

static volatile int over;

/* Octets to and fro, sets and sockets that come and go. */
static void *busy(void *data)
{
    (void)data;
    while (!over) {
        int one, other, set = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET};
        connection(&one, &other);
        epoll_ctl(set, EPOLL_CTL_ADD, one, &event);
        for (int at = 0; at < 20; at++) {
            char text[4];
            put(other, "x");
            epoll_wait(set, &event, 1, LONG);
            recv(one, text, sizeof text, 0);
        }
        close(set);
        close(one);
        close(other);
    }
    return NULL;
}

static int child(int listener)
{
    alarm(60);
    int set = epoll_create1(0), one = connected(listener);
    struct epoll_event event = {.events = EPOLLOUT};
    if (epoll_ctl(set, EPOLL_CTL_ADD, one, &event) < 0 || epoll_wait(set, &event, 1, LONG) != 1)
        return 1;
    put(one, "c");
    return 0;
}

/* What a child of vfork does to its descriptors is not its parent's. */
static void another_program(void)
{
    int one, other, status;
    connection(&one, &other);
    pid_t pid = vfork();
    if (pid == 0) {
        dup2(one, 1);
        close(one);
        close(other);
        execl("/bin/echo", "echo", "of another program", NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    came("its end", status);
    get("what it said", other);
    put(one, "still here");
    get("of the parent", other);
    close(one);
    get("the end", other);
    close(other);
}

int main(int count, char **words)
{
    enum { THREADS = 3, CHILDREN = 40 };
    pthread_t threads[THREADS];
    int failed = 0, heard = 0, status;
    begin(count, words);
    int listener = listening();
    for (int at = 0; at < THREADS; at++)
        pthread_create(&threads[at], NULL, busy, NULL);
    for (int at = 0; at < CHILDREN; at++) {
        char octet = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(child(listener));
        int one = accept(listener, NULL, NULL);
        heard += recv(one, &octet, 1, 0) == 1 && octet == 'c';
        close(one);
        waitpid(pid, &status, 0);
        failed += !WIFEXITED(status) || WEXITSTATUS(status);
    }
    over = 1;
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    another_program();
    say("heard %d, failed %d", heard, failed);
    return 0;
}
