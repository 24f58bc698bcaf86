/* Octets that go by no function that a library can stand before. */
#include "common.h"

static long raw(long number, long a, long b, long c)
{
    long done;
#if defined(__x86_64__)
    __asm__ volatile("syscall"
                     : "=a"(done)
                     : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    done = x0;
#endif
    return done;
}

static void files(void)
{
    int one, other;
    char line[64];
    connection(&one, &other);
    put(other, "first\nsec");
    FILE *in = fdopen(one, "r"), *out = fdopen(dup(one), "w");
    say("fgets: %s", fgets(line, sizeof line, in) ? strtok(line, "\n") : "none");
    put(other, "ond\n42 words\n");
    say("fgets: %s", fgets(line, sizeof line, in) ? strtok(line, "\n") : "none");
    int number = 0;
    came("fscanf", fscanf(in, "%d %63s", &number, line));
    say("%d %s", number, line);
    fprintf(out, "%s %d\n", "answer", 7);
    fflush(out);
    get("fprintf", other);
    struct pollfd asked = {.fd = one, .events = POLLIN | POLLOUT};
    came("poll", poll(&asked, 1, LONG));
    say("%s", events_of(asked.revents));
    put(one, "by send");
    get("send", other);
    put(other, "x");
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    came("getpeername", getpeername(one, (struct sockaddr *)&name, &len));
    say("fgetc: %c", fgetc(in) == '\n' ? fgetc(in) : '?');
    shutdown(other, SHUT_WR);
    say("fgetc: %d", fgetc(in));
    fputs("last", out);
    fclose(out);
    fclose(in);
    get("the last", other);
    get("the end", other);
    close(other);
}

static void printed(void)
{
    int one, other;
    connection(&one, &other);
    came("dprintf", dprintf(one, "%s-%d", "printed", 1));
    get("dprintf", other);
    put(other, "back");
    get("back", one);
    shutdown(one, SHUT_WR);
    get("the end", other);
    put(other, "after the end");
    get("after the end", one);
    close(one);
    close(other);
}

static void by_number(void)
{
    int one, other;
    char text[16] = "";
    connection(&one, &other);
    came("SYS_write", syscall(SYS_write, one, "number", 6));
    get("SYS_write", other);
    put(other, "read me");
    arrived(one, 7);
    came("SYS_read", syscall(SYS_read, one, text, sizeof text));
    say("%s", text);
    came("SYS_getpid", syscall(SYS_getpid) == getpid());
    came("SYS_read of none", syscall(SYS_read, -1, text, 1));
    came("SYS_close", syscall(SYS_close, one));
    get("SYS_close", other);
    close(other);
}

static void unseen(void)
{
    int one, other;
    char text[16] = "";
    connection(&one, &other);
    came("a write", raw(SYS_write, one, (long)"unseen", 6));
    get("a write", other);
    put(other, "seen");
    came("a read", raw(SYS_read, one, (long)text, sizeof text));
    say("%s", text);
    put(one, "send");
    get("send", other);
    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    came("add", epoll_ctl(set, EPOLL_CTL_ADD, one, &event));
    put(other, "event");
    came("epoll_wait", epoll_wait(set, &event, 1, LONG));
    get("recv", one);
    raw(SYS_close, one, 0, 0);
    get("the end", other);
    close(other);
}

static void watched(void)
{
    int one, other, set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    connection(&one, &other);
    came("add", epoll_ctl(set, EPOLL_CTL_ADD, one, &event));
    came("a write", raw(SYS_write, one, (long)"in a set", 8));
    get("a write", other);
    put(other, "event");
    came("epoll_wait", epoll_wait(set, &event, 1, LONG));
    get("recv", one);
    came("epoll_wait", epoll_wait(set, &event, 1, SHORT));
    close(one);
    close(other);
}

/* Many octets, both ways, from and to who knows nothing. */
static void *pours(void *to)
{
    static char piece[10000];
    memset(piece, 'x', sizeof piece);
    for (int at = 0; at < 100; at++)
        for (size_t done = 0; done < sizeof piece;) {
            long some = raw(SYS_write, *(int *)to, (long)piece, sizeof piece - done);
            if (some <= 0)
                return NULL;
            done += some;
        }
    return NULL;
}

static void many(void)
{
    int one, other;
    long sum = 0, some;
    char piece[4096];
    pthread_t thread;
    connection(&one, &other);
    pthread_create(&thread, NULL, pours, &one);
    while (sum < 1000000 && (some = recv(other, piece, sizeof piece, 0)) > 0)
        sum += some;
    pthread_join(thread, NULL);
    say("written: %ld", sum);
    pthread_create(&thread, NULL, pours, &other);
    sum = 0;
    while (sum < 1000000 && (some = raw(SYS_read, one, (long)piece, sizeof piece)) > 0)
        sum += some;
    pthread_join(thread, NULL);
    say("read: %ld", sum);
    close(one);
    close(other);
}

int main(int count, char **words)
{
    begin(count, words);
    files();
    printed();
    by_number();
    unseen();
    watched();
    many();
    return 0;
}
