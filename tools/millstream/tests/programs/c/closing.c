/* Descriptors that are closed, copied over and changed while others use them. */
#include "common.h"

static int used;
static volatile pid_t thread_id;

static void *receives(void *what)
{
    thread_id = self();
    get(what, used);
    return NULL;
}

static void *accepts(void *what)
{
    thread_id = self();
    came(what, accept(used, NULL, NULL));
    return NULL;
}

static pthread_t begun(void *(*what)(void *), int fd, const char *name)
{
    pthread_t thread;
    used = fd;
    thread_id = 0;
    pthread_create(&thread, NULL, what, (void *)name);
    while (!thread_id)
        usleep(100);
    asleep(thread_id);
    return thread;
}

static void by_another_thread(void)
{
    int one, other;
    connection(&one, &other);
    pthread_t thread = begun(receives, one, "recv of what is closed");
    came("close", close(one));
    put(other, "late");
    pthread_join(thread, NULL);
    get("the other end", other);
    close(other);
    connection(&one, &other);
    thread = begun(receives, one, "recv of what is shut down");
    int done = shutdown(one, SHUT_RD);
    pthread_join(thread, NULL);
    came("shutdown", done);
    close(one);
    close(other);
    int listener = listening();
    thread = begun(accepts, listener, "accept of what is shut down");
    done = shutdown(listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    came("shutdown", done);
    close(listener);
}

static void copied(void)
{
    int one, other, ends[2];
    char text[8] = "";
    connection(&one, &other);
    must(pipe(ends), "pipe");
    int copy = dup(one);
    came("dup2 to itself", dup2(one, one) == one);
    came("close", close(one));
    put(copy, "by the copy");
    get("recv", other);
    came("dup2 over", dup2(ends[1], copy) == copy);
    get("the end", other);
    must(write(copy, "pipe", 4), "write");
    came("read", read(ends[0], text, 8));
    say("%s", text);
    close(other);
    connection(&one, &other);
    came("dup3", dup3(one, copy, O_CLOEXEC) == copy);
    came("F_GETFD", fcntl(copy, F_GETFD));
    came("F_GETFD", fcntl(one, F_GETFD));
    came("dup3 to itself", dup3(one, one, 0));
    int high = fcntl(one, F_DUPFD, 200);
    came("F_DUPFD", high >= 200);
    close(one);
    close(copy);
    put(high, "high");
    get("recv", other);
    came("read of what is closed", read(one, text, 1));
    came("dup of what is closed", dup(one));
    close(high);
    get("the end", other);
    close(other);
}

static void flags(void)
{
    int one, other;
    char text[8];
    connection(&one, &other);
    int copy = dup(one);
    came("F_GETFL", (fcntl(one, F_GETFL) & O_NONBLOCK) != 0);
    came("F_SETFL", fcntl(copy, F_SETFL, O_RDWR | O_NONBLOCK));
    came("F_GETFL", (fcntl(one, F_GETFL) & O_NONBLOCK) != 0);
    came("recv", recv(one, text, 8, 0));
    int off = 0;
    came("FIONBIO", ioctl(one, FIONBIO, &off));
    came("F_GETFL", (fcntl(copy, F_GETFL) & O_NONBLOCK) != 0);
    came("recv, not waiting", recv(one, text, 8, MSG_DONTWAIT));
    struct timeval limit = {.tv_usec = 20000};
    must(setsockopt(one, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "SO_RCVTIMEO");
    came("recv, for a while", recv(copy, text, 8, 0));
    close(one);
    close(copy);
    close(other);
    int unconnected = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    came("F_GETFD", fcntl(unconnected, F_GETFD));
    came("F_GETFL", (fcntl(unconnected, F_GETFL) & O_NONBLOCK) != 0);
    struct sockaddr_in to = at(1);
    int error = connect(unconnected, (struct sockaddr *)&to, sizeof to);
    if (error < 0 && errno == EINPROGRESS) {
        struct pollfd asked = {.fd = unconnected, .events = POLLOUT};
        poll(&asked, 1, LONG);
        socklen_t len = sizeof errno;
        getsockopt(unconnected, SOL_SOCKET, SO_ERROR, &errno, &len);
    }
    came("connect to nobody", -1);
    close(unconnected);
}

static void ranges(void)
{
    int one, other, third, fourth;
    connection(&one, &other);
    connection(&third, &fourth);
    came("close_range, marks", close_range(third, third, 4));
    came("F_GETFD", fcntl(third, F_GETFD));
    put(third, "still here");
    get("recv", fourth);
    came("close_range", close_range(3, ~0U, 0));
    came("F_GETFD", fcntl(one, F_GETFD));
    connection(&one, &other);
    put(one, "anew");
    get("recv", other);
    closefrom(3);
    came("F_GETFD", fcntl(other, F_GETFD));
    connection(&one, &other);
    put(one, "once more");
    get("recv", other);
    for (int fd = 3; fd < 2000; fd++)
        close(fd);
    connection(&one, &other);
    put(one, "the last");
    get("recv", other);
    close(one);
    close(other);
}

int main(int count, char **words)
{
    begin(count, words);
    by_another_thread();
    copied();
    flags();
    ranges();
    return 0;
}
