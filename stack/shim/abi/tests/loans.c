/* loans.c: buffers of the stack, filled and sent from where they lie, and back when nobody needs
 * them any more; and what comes of those who do not keep to that. */
#include "want.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#define LOST(what, number) WANT((what) == NULL && errno == (number))

/* So many are under way, soon. */
static void under_way(int count)
{
    struct timespec moment = { 0, 2000000 };
    for (int tries = 0; ms_lent() != count; tries++) {
        WANT(tries < 15000);
        nanosleep(&moment, NULL);
    }
}

static void streams(void)
{
    int fd = opened("/dev/echo");
    char buf[16], *lent = ms_loan(5000);
    WANT(lent != NULL && ms_lent() == 0);
    memcpy(lent, "from there", 10);
    memset(lent + 10, '.', 4990);
    WANT(ms_send_loaned(fd, lent, 10) == 0);
    /* It waits at the head, and is the stack's until it is read. */
    under_way(1);
    FAILS(ms_return(lent), EINVAL);
    FAILS(ms_send_loaned(fd, lent, 10), EINVAL);
    WANT(read(fd, buf, 16) == 10 && !memcmp(buf, "from there", 10));
    under_way(0);
    FAILS(ms_return(lent), EINVAL);
    WANT(close(fd) == 0);
}

static void misuse(void)
{
    int fd = opened("/dev/echo"), kernel[2];
    char own[64], *lent = ms_loan(64);
    WANT(lent != NULL && pipe(kernel) == 0);
    LOST(ms_loan(0), EINVAL);
    LOST(ms_loan((size_t)-1), EINVAL);
    LOST(ms_loan((1 << 16) + 1), EINVAL);
    FAILS(ms_send_loaned(fd, own, 8), EINVAL);
    FAILS(ms_send_loaned(fd, NULL, 8), EINVAL);
    FAILS(ms_send_loaned(fd, lent + 1, 8), EINVAL);
    FAILS(ms_send_loaned(fd, lent, 0), EINVAL);
    FAILS(ms_send_loaned(fd, lent, 1 << 20), EINVAL);
    FAILS(ms_send_loaned(kernel[1], lent, 8), ENOSTR);
    FAILS(ms_send_loaned(-1, lent, 8), ENOSTR);
    FAILS(ms_return(own), EINVAL);
    FAILS(ms_return(NULL), EINVAL);
    FAILS(ms_return(lent + 1), EINVAL);
    FAILS(ms_return((void *)8), EINVAL);
    WANT(ms_return(lent) == 0);
    FAILS(ms_return(lent), EINVAL);
    FAILS(ms_send_loaned(fd, lent, 8), EINVAL);
    WANT(ms_lent() == 0);
    /* A stream that fails takes none: it stays on loan. */
    int bad = tested();
    fail(bad, EPROTO);
    WANT((lent = ms_loan(64)) != NULL);
    FAILS(ms_send_loaned(bad, lent, 8), EPROTO);
    WANT(ms_send_loaned(fd, lent, 8) == 0 && read(fd, own, 64) == 8);
    under_way(0);
    WANT(close(bad) == 0 && close(fd) == 0 && close(kernel[0]) == 0 && close(kernel[1]) == 0);
}

/* All there is, and all back. */
static void all(void)
{
    static char *lent[4096];
    for (int round = 0; round < 2; round++) {
        int count = 0;
        while (count < 4096 && (lent[count] = ms_loan(1 << 16)) != NULL)
            count++;
        WANT(count > 8 && count < 4096);
        LOST(ms_loan(1 << 16), ENOBUFS);
        while (count-- > 0)
            WANT(ms_return(lent[count]) == 0);
    }
}

static void full(void)
{
    int fd = opened("/dev/echo"), sent = 0;
    char buf[64];
    WANT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    char *lent;
    /* Flow control refuses one: it stays on loan, and goes when there is room. */
    while ((lent = ms_loan(4096)) != NULL && ms_send_loaned(fd, lent, 4096) == 0)
        WANT(++sent < 1000);
    WANT(lent != NULL && ms_lent() == sent);
    int number = ms_send_loaned(fd, lent, 4096) == -1 ? errno : 0;
    WANT(number == EAGAIN);
    WANT(ioctl(fd, I_FLUSH, FLUSHRW) == 0);
    under_way(0);
    WANT(ms_send_loaned(fd, lent, 4) == 0 && read(fd, buf, 64) == 4);
    /* What nobody reads comes back with its stream. */
    WANT((lent = ms_loan(16)) != NULL && ms_send_loaned(fd, lent, 16) == 0 && close(fd) == 0);
    under_way(0);
}

/* Octets of a connection come back when they are acknowledged. */
static void sockets(void)
{
    static char all[1 << 16];
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(0x0a070001) } };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = socket(AF_INET, SOCK_STREAM, 0);
    WANT(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 1) == 0);
    WANT(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    char *lent = ms_loan(1 << 16);
    WANT(lent != NULL);
    FAILS(ms_send_loaned(one, lent, 8), ENOSTR);
    WANT(connect(one, (struct sockaddr *)&at, len) == 0);
    int other = accept(listener, NULL, NULL);
    WANT(other >= 0 && send(one, "first ", 6, 0) == 6);
    for (int i = 0; i < 1 << 16; i++)
        lent[i] = (char)(i % 251);
    WANT(ms_send_loaned(one, lent, 1 << 16) == 0 && send(one, " last", 5, 0) == 5);
    WANT(recv(other, all, 6, MSG_WAITALL) == 6 && !memcmp(all, "first ", 6));
    WANT(recv(other, all, sizeof all, MSG_WAITALL) == sizeof all);
    for (int i = 0; i < 1 << 16; i++)
        WANT(all[i] == (char)(i % 251));
    WANT(recv(other, all, 5, MSG_WAITALL) == 5 && !memcmp(all, " last", 5));
    under_way(0);
    WANT(close(other) == 0 && close(one) == 0 && close(listener) == 0);

    /* Datagrams. */
    int here = socket(AF_INET, SOCK_DGRAM, 0), there = socket(AF_INET, SOCK_DGRAM, 0);
    at.sin_port = 0;
    WANT(bind(here, (struct sockaddr *)&at, len) == 0);
    WANT(getsockname(here, (struct sockaddr *)&at, &len) == 0);
    WANT(connect(there, (struct sockaddr *)&at, len) == 0);
    WANT((lent = ms_loan(1000)) != NULL && memcpy(lent, "datagram", 8));
    WANT(ms_send_loaned(there, lent, 1000) == 0);
    WANT(recv(here, all, sizeof all, 0) == 1000 && !memcmp(all, "datagram", 8));
    under_way(0);
    WANT(close(here) == 0 && close(there) == 0);
}

enum { THREADS = 4, ROUNDS = 100 };

static void *busy(void *unused)
{
    (void)unused;
    int fd = opened("/dev/echo");
    char buf[64];
    for (int round = 0; round < ROUNDS; round++) {
        char *lent = ms_loan(64);
        WANT(lent != NULL);
        memset(lent, round, 64);
        WANT(ms_send_loaned(fd, lent, 64) == 0 && read(fd, buf, 64) == 64 && buf[63] == round);
        WANT((lent = ms_loan(64)) != NULL && ms_return(lent) == 0);
    }
    WANT(close(fd) == 0);
    return NULL;
}

static void threads(void)
{
    pthread_t all[THREADS];
    for (int at = 0; at < THREADS; at++)
        WANT(pthread_create(&all[at], NULL, busy, NULL) == 0);
    for (int at = 0; at < THREADS; at++)
        WANT(pthread_join(all[at], NULL) == 0);
    under_way(0);
}

int main(void)
{
    streams();
    misuse();
    all();
    full();
    sockets();
    threads();
    puts("done");
    return 0;
}
