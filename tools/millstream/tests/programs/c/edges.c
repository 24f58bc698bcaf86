/* Edges of epoll: one for each arrival, whether or not what came before was read. */
#include "common.h"

static int set;

static void watch(int op, int fd, unsigned events, const char *what)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    came(what, epoll_ctl(set, op, fd, &event));
}

static void told(const char *what, int wait)
{
    struct epoll_event event;
    int count = epoll_wait(set, &event, 1, wait);
    say("%s: %d%s", what, count, count > 0 ? events_of(event.events) : "");
}

static void octets(void)
{
    int one, other;
    connection(&one, &other);
    watch(EPOLL_CTL_ADD, one, EPOLLIN | EPOLLET, "add IN");
    told("nothing", 0);
    put(other, "a");
    told("first", LONG);
    told("not again", SHORT);
    put(other, "b");
    told("second, the first unread", LONG);
    told("not again", SHORT);
    arrived(one, 2);
    get("both", one);
    told("read", SHORT);
    watch(EPOLL_CTL_MOD, one, EPOLLIN | EPOLLOUT | EPOLLET, "mod IN OUT");
    told("room", LONG);
    told("not again", SHORT);
    put(other, "c");
    told("octets and room", LONG);
    watch(EPOLL_CTL_MOD, one, EPOLLOUT | EPOLLET, "mod OUT");
    told("room", LONG);
    put(other, "d");
    arrived(one, 2);
    told("octets are no room", SHORT);
    watch(EPOLL_CTL_MOD, one, EPOLLIN | EPOLLRDHUP | EPOLLET, "mod IN RDHUP");
    told("octets", LONG);
    shutdown(other, SHUT_WR);
    told("the end", LONG);
    told("not again", SHORT);
    watch(EPOLL_CTL_MOD, one, EPOLLIN | EPOLLRDHUP, "mod level");
    told("level", LONG);
    told("level again", LONG);
    close(one);
    told("closed", SHORT);
    close(other);
}

static void once(void)
{
    int one, other;
    connection(&one, &other);
    watch(EPOLL_CTL_ADD, one, EPOLLIN | EPOLLONESHOT, "add once");
    put(other, "a");
    told("once", LONG);
    put(other, "b");
    arrived(one, 2);
    told("not again", SHORT);
    watch(EPOLL_CTL_MOD, one, EPOLLIN | EPOLLONESHOT, "mod once");
    told("once more", LONG);
    told("not again", SHORT);
    watch(EPOLL_CTL_DEL, one, 0, "del");
    watch(EPOLL_CTL_DEL, one, 0, "del again");
    watch(EPOLL_CTL_MOD, one, EPOLLIN, "mod what is not there");
    watch(EPOLL_CTL_ADD, one, EPOLLIN, "add");
    watch(EPOLL_CTL_ADD, one, EPOLLIN, "add again");
    close(one);
    close(other);
}

static void exclusive(void)
{
    int one, other, first = set;
    connection(&one, &other);
    watch(EPOLL_CTL_ADD, one, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, "exclusive and once");
    watch(EPOLL_CTL_ADD, one, EPOLLIN | EPOLLEXCLUSIVE, "exclusive");
    watch(EPOLL_CTL_MOD, one, EPOLLIN, "mod of exclusive");
    watch(EPOLL_CTL_MOD, one, EPOLLIN | EPOLLEXCLUSIVE, "mod to exclusive");
    set = epoll_create1(0);
    watch(EPOLL_CTL_ADD, one, EPOLLIN | EPOLLEXCLUSIVE, "in another set");
    put(other, "a");
    told("one of them", LONG);
    close(set);
    set = first;
    close(one);
    close(other);
}

static void listeners(void)
{
    int listener = listening();
    watch(EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLET, "add a listener");
    told("nobody", SHORT);
    int one = connected(listener);
    told("a connection", LONG);
    told("not again", SHORT);
    int two = connected(listener);
    told("another, the first waits", LONG);
    int taken = accept(listener, NULL, NULL);
    close(taken);
    close(one);
    close(two);
    close(listener);
}

static void datagrams(void)
{
    int here = bound(SOCK_DGRAM), there = bound(SOCK_DGRAM);
    struct sockaddr_in name = name_of(here);
    must(connect(there, (struct sockaddr *)&name, sizeof name), "connect");
    watch(EPOLL_CTL_ADD, here, EPOLLIN | EPOLLET, "add datagrams");
    put(there, "one");
    told("a datagram", LONG);
    told("not again", SHORT);
    put(there, "two");
    told("another, the first unread", LONG);
    get("first", here);
    told("read", SHORT);
    get("second", here);
    close(here);
    close(there);
}

int main(int count, char **words)
{
    begin(count, words);
    set = epoll_create1(EPOLL_CLOEXEC);
    must(set, "epoll_create1");
    octets();
    once();
    exclusive();
    listeners();
    datagrams();
    return 0;
}
