/* answers.c: modules that answer at once, late or never, and that copy the caller's memory. */
#include "want.h"
#include <pthread.h>
#include <time.h>

static int stream;

/* Answers what the first thread waits for, once that is held. */
static void *errors(void *unused)
{
    (void)unused;
    struct timespec moment = { 0, 50000000 };
    nanosleep(&moment, NULL);
    /* On the stream itself an ioctl would wait for its turn. */
    struct strbuf data = { 0, 1, "x" };
    WANT(putmsg(stream, NULL, &data, 0) == 0);
    return NULL;
}

static void at_once(void)
{
    int fd = tested(), number = EBUSY;
    char data[64] = "hello";
    struct strioctl ask = { ECHO_CMD, 0, 5, data };
    WANT(ioctl(fd, I_STR, &ask) == 5 && ask.ic_len == 5 && !memcmp(data, "hello", 5));
    FAILS(asks(fd, REFUSE, 0, sizeof number, &number), EBUSY);
    number = EAGAIN;
    FAILS(asks(fd, REFUSE, 0, sizeof number, &number), EAGAIN);
    number = 0;
    FAILS(asks(fd, REFUSE, 0, sizeof number, &number), EINVAL);
    WANT(asks(fd, TWICE, 0, 0, NULL) == 1);
    /* The second answer was to nobody. */
    WANT(asks(fd, ECHO_CMD, 0, 5, data) == 5);
    FAILS(asks(fd, 0x1234, 0, 0, NULL), EINVAL);
    FAILS(asks(fd, I_LINK, 0, 0, NULL), EINVAL);
    FAILS(asks(fd, ECHO_CMD, -2, 0, NULL), EINVAL);
    FAILS(asks(fd, ECHO_CMD, 0, -1, NULL), EINVAL);
    FAILS(asks(fd, ECHO_CMD, 0, (1 << 16) + 1, data), EINVAL);
    FAILS(asks(fd, ECHO_CMD, 0, 5, NULL), EFAULT);
    FAILS(ioctl(fd, I_STR, NULL), EFAULT);
    static char much[1 << 16];
    memset(much, 'm', sizeof much);
    ask = (struct strioctl){ ECHO_CMD, 0, sizeof much, much };
    WANT(ioctl(fd, I_STR, &ask) == sizeof much && ask.ic_len == sizeof much);
    WANT(close(fd) == 0);
}

static void late(void)
{
    stream = tested();
    char data[4];
    time_t before = time(NULL);
    /* Nobody answers within a second. */
    FAILS(asks(stream, HOLD, 1, 0, NULL), ETIME);
    WANT(time(NULL) - before < 60);
    /* The late answer is not the next one's. */
    WANT(asks(stream, RELEASE, 0, 0, NULL) == 1);
    WANT(asks(stream, ECHO_CMD, 0, 2, data) == 2);
    /* Data goes on while an answer is waited for. */
    pthread_t other;
    WANT(pthread_create(&other, NULL, errors, NULL) == 0);
    FAILS(asks(stream, HOLD, 1, 0, NULL), ETIME);
    WANT(pthread_join(other, NULL) == 0 && read(stream, data, 4) == 1);
    WANT(close(stream) == 0);
}

static void *pops(void *unused)
{
    (void)unused;
    struct timespec moment = { 0, 50000000 };
    nanosleep(&moment, NULL);
    return (void *)(long)ioctl(stream, I_POP, 0);
}

/* A module that leaves answers what it holds: later than at once, within the time. */
static void within_the_time(void)
{
    stream = tested();
    pthread_t other;
    void *popped;
    WANT(pthread_create(&other, NULL, pops, NULL) == 0);
    FAILS(asks(stream, HOLD, 60, 0, NULL), EINVAL);
    WANT(pthread_join(other, &popped) == 0 && popped == NULL);
    WANT(close(stream) == 0);
}

static void *hold(void *done)
{
    *(int *)done = asks(stream, HOLD, 60, 0, NULL) == -1 ? errno : 0;
    return NULL;
}

/* M_ERROR from another's request ends the wait. */
static void ended(void)
{
    int ends[2];
    WANT(ms_pipe(ends) == 0 && ioctl(ends[0], I_PUSH, "testmod") == 0);
    stream = ends[0];
    int done = 0;
    pthread_t other;
    WANT(pthread_create(&other, NULL, hold, &done) == 0);
    struct timespec moment = { 0, 50000000 };
    nanosleep(&moment, NULL);
    WANT(close(ends[1]) == 0 && pthread_join(other, NULL) == 0);
    WANT(done == ENXIO || done == EPIPE);
    WANT(close(ends[0]) == 0);
}

static void copied(void)
{
    int fd = tested();
    struct {
        unsigned len;
        char text[60];
    } turn = { 5, "abcde" };
    WANT(ioctl(fd, REVERSE, &turn) == 5 && !memcmp(turn.text, "edcba", 5));
    FAILS(ioctl(fd, REVERSE, NULL), EFAULT);
    FAILS(ioctl(fd, REVERSE, (void *)-1), EFAULT);
    turn.len = 1 << 20;
    FAILS(ioctl(fd, REVERSE, &turn), EMSGSIZE);
    /* What cannot be written to is not. */
    static const struct {
        unsigned len;
        char text[4];
    } fixed = { 4, "abcd" };
    FAILS(ioctl(fd, REVERSE, &fixed), EFAULT);
    turn.len = 5;
    WANT(ioctl(fd, REVERSE, &turn) == 5 && !memcmp(turn.text, "abcde", 5));
    FAILS(ioctl(fd, 0x1234, &turn), EINVAL);
    WANT(close(fd) == 0);
}

int main(void)
{
    at_once();
    late();
    within_the_time();
    ended();
    copied();
    puts("done");
    return 0;
}
