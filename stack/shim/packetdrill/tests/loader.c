/* Loads the library as packetdrill does, and plays short scripts against it. Exits with 0 when all
 * went as written; else says at which line it did not. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

struct packetdrill_interface {
    void *userdata;
    void (*free)(void *);
    int (*socket)(void *, int, int, int);
    int (*bind)(void *, int, const struct sockaddr *, socklen_t);
    int (*listen)(void *, int, int);
    int (*accept)(void *, int, struct sockaddr *, socklen_t *);
    int (*connect)(void *, int, const struct sockaddr *, socklen_t);
    ssize_t (*read)(void *, int, void *, size_t);
    ssize_t (*readv)(void *, int, const struct iovec *, int);
    ssize_t (*recv)(void *, int, void *, size_t, int);
    ssize_t (*recvfrom)(void *, int, void *, size_t, int, struct sockaddr *, socklen_t *);
    ssize_t (*recvmsg)(void *, int, struct msghdr *, int);
    ssize_t (*write)(void *, int, const void *, size_t);
    ssize_t (*writev)(void *, int, const struct iovec *, int);
    ssize_t (*send)(void *, int, const void *, size_t, int);
    ssize_t (*sendto)(void *, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
    ssize_t (*sendmsg)(void *, int, const struct msghdr *, int);
    int (*fcntl)(void *, int, int, ...);
    int (*ioctl)(void *, int, unsigned long, ...);
    int (*close)(void *, int);
    int (*shutdown)(void *, int, int);
    int (*getsockopt)(void *, int, int, int, void *, socklen_t *);
    int (*setsockopt)(void *, int, int, int, const void *, socklen_t);
    int (*poll)(void *, struct pollfd *, nfds_t, int);
    int (*netdev_send)(void *, const void *, size_t);
    int (*netdev_receive)(void *, void *, size_t *, long long *);
    int (*usleep)(void *, useconds_t);
    int (*gettimeofday)(void *, struct timeval *, struct timezone *);
    int (*epoll_create)(void *, int);
    int (*epoll_ctl)(void *, int, int, int, struct epoll_event *);
    int (*epoll_wait)(void *, int, struct epoll_event *, int, int);
    int (*pipe)(void *, int[2]);
    int (*splice)(void *, int, loff_t *, int, loff_t *, size_t, unsigned int);
};

static struct packetdrill_interface p;
#define U p.userdata
#define WANT(what)                                                                                \
    do {                                                                                          \
        errno = 0;                                                                                \
        if (!(what)) {                                                                            \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno);                  \
            exit(1);                                                                              \
        }                                                                                         \
    } while (0)

/* The peer: one connection, written by hand. */
#define PEER "192.0.2.1"
#define US "192.168.0.1"
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct segment {
    int flags, window, length, options_length;
    unsigned int seq, ack, sum_ok;
    unsigned short from, to;
    unsigned char options[40], data[1500];
    long long us;
};

static unsigned int sum(const unsigned char *data, size_t length, unsigned int so_far)
{
    for (size_t i = 0; i < length; i++)
        so_far += i % 2 ? data[i] : data[i] << 8;
    return so_far;
}

static unsigned short folded(unsigned int sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static unsigned int pseudo(const unsigned char *ip, size_t length)
{
    return sum(ip + 12, 8, 6 + length);
}

static void put32(unsigned char *at, unsigned int value)
{
    value = htonl(value);
    memcpy(at, &value, 4);
}

static unsigned int get32(const unsigned char *at)
{
    unsigned int value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static void put16(unsigned char *at, unsigned int value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static unsigned int get16(const unsigned char *at)
{
    return at[0] << 8 | at[1];
}

static void inject(const struct segment *s)
{
    unsigned char packet[2000] = { 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6 };
    unsigned char *tcp = packet + 20;
    size_t header = 20 + s->options_length, length = header + s->length;
    put16(packet + 2, 20 + length);
    inet_pton(AF_INET, PEER, packet + 12);
    inet_pton(AF_INET, US, packet + 16);
    put16(packet + 10, ~folded(sum(packet, 20, 0)));
    put16(tcp, s->from);
    put16(tcp + 2, s->to);
    put32(tcp + 4, s->seq);
    put32(tcp + 8, s->ack);
    tcp[12] = header / 4 << 4;
    tcp[13] = s->flags;
    put16(tcp + 14, s->window);
    memcpy(tcp + 20, s->options, s->options_length);
    memcpy(tcp + header, s->data, s->length);
    put16(tcp + 16, ~folded(sum(tcp, length, pseudo(packet, length))));
    WANT(p.netdev_send(U, packet, 20 + length) == 0);
}

/* The next segment that leaves; length -1 when none ever will. */
static struct segment next(void)
{
    unsigned char packet[65536];
    size_t length = sizeof packet;
    struct segment s = { 0 };
    WANT(p.netdev_receive(U, packet, &length, &s.us) == 0);
    if (length == 0) {
        s.length = -1;
        return s;
    }
    WANT(packet[0] == 0x45 && packet[9] == 6 && get16(packet + 2) == length);
    unsigned char *tcp = packet + 20;
    size_t header = (tcp[12] >> 4) * 4;
    s.sum_ok = folded(sum(tcp, length - 20, pseudo(packet, length - 20))) == 0xffff;
    s.from = get16(tcp);
    s.to = get16(tcp + 2);
    s.seq = get32(tcp + 4);
    s.ack = get32(tcp + 8);
    s.flags = tcp[13];
    s.window = get16(tcp + 14);
    s.options_length = header - 20;
    memcpy(s.options, tcp + 20, s.options_length);
    s.length = length - 20 - header;
    memcpy(s.data, tcp + header, s.length);
    return s;
}

static long long now(void)
{
    struct timeval tv;
    WANT(p.gettimeofday(U, &tv, NULL) == 0);
    return tv.tv_sec * 1000000LL + tv.tv_usec;
}

static struct sockaddr_in at(const char *host, int port)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
    inet_pton(AF_INET, host, &addr.sin_addr);
    return addr;
}

#define ADDR(a) (struct sockaddr *)&(a), sizeof(a)

/* mss 1460, nop, nop, sackOK, nop, wscale 7, as packetdrill's scripts have it. */
static const unsigned char OFFER[] = { 2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7 };

static struct segment reply(const struct segment *to, int flags)
{
    return (struct segment){ .from = to->to, .to = to->from, .flags = flags, .window = 1000,
        .seq = to->ack, .ack = to->seq + to->length + !!(to->flags & (SYN | FIN)) };
}

/* A listener, a handshake, and what was accepted. */
static int server(struct segment *last)
{
    int listener = p.socket(U, AF_INET, SOCK_STREAM, IPPROTO_TCP), one = 1;
    struct sockaddr_in local = at(US, 8080), peer;
    socklen_t length = sizeof peer;
    WANT(listener >= 0);
    WANT(p.setsockopt(U, listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    WANT(p.bind(U, listener, ADDR(local)) == 0);
    WANT(p.listen(U, listener, 1) == 0);
    struct segment syn = { .from = 33000, .to = 8080, .flags = SYN, .seq = 100, .window = 32792,
        .options_length = sizeof OFFER };
    memcpy(syn.options, OFFER, sizeof OFFER);
    long long before = now();
    inject(&syn);
    struct segment answer = next();
    WANT(answer.sum_ok && answer.flags == (SYN | ACK) && answer.ack == 101 && answer.us == before);
    WANT(answer.options_length == 12 && memcmp(answer.options, OFFER, 8) == 0);
    WANT(answer.options[8] == 1 && answer.options[9] == 3 && answer.options[11] == 8);
    WANT(p.usleep(U, 100000) == 0 && now() == before + 100000);
    struct segment ack = reply(&answer, ACK);
    inject(&ack);
    int fd = p.accept(U, listener, (struct sockaddr *)&peer, &length);
    WANT(fd >= 0 && fd != listener && length == sizeof peer && ntohs(peer.sin_port) == 33000);
    WANT(p.close(U, listener) == 0);
    *last = ack;
    return fd;
}

static void data_both_ways(int fd, struct segment ack)
{
    char buf[4000];
    struct segment in = ack;
    in.flags = ACK | PSH;
    in.length = 1000;
    memset(in.data, 'x', 1000);
    WANT(p.recv(U, fd, buf, sizeof buf, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    inject(&in);
    int octets = 0;
    WANT(p.ioctl(U, fd, FIONREAD, &octets) == 0 && octets == 1000);
    struct iovec parts[] = { { buf, 300 }, { buf + 300, 3700 } };
    WANT(p.readv(U, fd, parts, 2) == 1000 && buf[0] == 'x' && buf[999] == 'x');
    struct segment out = next();
    WANT(out.flags == ACK && out.length == 0 && out.ack == in.seq + 1000);

    /* Two segments of 1460 and one of 80 leave at once; the first is lost and comes again. */
    memset(buf, 'y', sizeof buf);
    long long before = now();
    WANT(p.write(U, fd, buf, 3000) == 3000);
    struct segment first = next(), second = next(), third = next();
    WANT(first.length == 1460 && second.length == 1460 && third.length == 80);
    WANT(first.us == before && third.us == before && third.data[79] == 'y');
    struct segment again = next();
    WANT(again.us > before && (again.seq == first.seq || again.seq == third.seq));
    again = third;
    again = reply(&again, ACK);
    inject(&again);

    struct tcp_info info;
    socklen_t length = sizeof info;
    WANT(p.getsockopt(U, fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
    WANT(length > 100 && info.tcpi_state == 1 && info.tcpi_unacked == 0);
    WANT(info.tcpi_snd_cwnd >= 10 && info.tcpi_snd_mss == 1460 && info.tcpi_rtt > 0);
    WANT(info.tcpi_options & TCPI_OPT_SACK && info.tcpi_options & TCPI_OPT_WSCALE);
}

static void waiting(int fd, struct segment ack)
{
    struct pollfd poll = { .fd = fd, .events = POLLIN | POLLOUT };
    WANT(p.poll(U, &poll, 1, 0) == 1 && poll.revents == POLLOUT);
    int set = p.epoll_create(U, 1);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 }, told[4];
    WANT(set >= 0 && p.epoll_ctl(U, set, EPOLL_CTL_ADD, fd, &event) == 0);
    WANT(p.epoll_ctl(U, set, EPOLL_CTL_ADD, fd, &event) == -1 && errno == EEXIST);
    WANT(p.epoll_wait(U, set, told, 4, 0) == 0);
    struct segment in = ack;
    in.seq += 1000;
    in.flags = ACK;
    in.length = 3;
    memcpy(in.data, "hel", 3);
    inject(&in);
    WANT(p.epoll_wait(U, set, told, 4, -1) == 1);
    WANT(told[0].events == EPOLLIN && told[0].data.u64 == 77);
    event.events = EPOLLIN | EPOLLET;
    WANT(p.epoll_ctl(U, set, EPOLL_CTL_MOD, fd, &event) == 0);
    WANT(p.epoll_wait(U, set, told, 4, 0) == 1 && p.epoll_wait(U, set, told, 4, 0) == 0);
    char buf[10];
    WANT(p.recv(U, fd, buf, 10, MSG_PEEK) == 3 && p.read(U, fd, buf, 10) == 3);
    /* What comes after all was read is an edge, though nobody has looked in between. */
    in.seq += 3;
    in.length = 2;
    memcpy(in.data, "lo", 2);
    inject(&in);
    WANT(p.epoll_wait(U, set, told, 4, 0) == 1 && told[0].events == EPOLLIN);
    WANT(p.epoll_wait(U, set, told, 4, 0) == 0);
    WANT(p.read(U, fd, buf + 3, 7) == 2);
    WANT(memcmp(buf, "hello", 5) == 0 && p.close(U, set) == 0);
    WANT(p.fcntl(U, fd, F_GETFL) == O_RDWR);
    WANT(p.fcntl(U, fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    WANT(p.read(U, fd, buf, 10) == -1 && errno == EAGAIN);
    WANT(p.fcntl(U, fd, F_SETFL, O_RDWR) == 0);
}

struct blocked {
    int fd, result, error;
    long long at;
};

static void *connects(void *arg)
{
    struct blocked *blocked = arg;
    struct sockaddr_in peer = at(PEER, 8081);
    blocked->result = p.connect(U, blocked->fd, ADDR(peer));
    blocked->error = errno;
    blocked->at = now();
    return NULL;
}

static void *reads(void *arg)
{
    struct blocked *blocked = arg;
    char buf[100];
    blocked->result = p.read(U, blocked->fd, buf, 100);
    blocked->error = errno;
    blocked->at = now();
    return NULL;
}

/* A call in another thread blocks, really, until the script goes on. */
static void blocking(void)
{
    struct blocked call = { .fd = p.socket(U, AF_INET, SOCK_STREAM, 0) };
    pthread_t thread;
    long long before = now();
    WANT(call.fd >= 0 && pthread_create(&thread, NULL, connects, &call) == 0);
    struct segment syn;
    do
        syn = next(); /* until the other thread has begun */
    while (syn.length == -1);
    WANT(syn.flags == SYN && syn.to == 8081);
    WANT(p.usleep(U, 50000) == 0);
    struct segment answer = reply(&syn, SYN | ACK);
    answer.options_length = sizeof OFFER;
    memcpy(answer.options, OFFER, sizeof OFFER);
    answer.seq = 5000;
    inject(&answer);
    WANT(pthread_join(thread, NULL) == 0 && call.result == 0);
    WANT(call.at >= before + 50000);
    struct segment ack = next();
    WANT(ack.flags == ACK && ack.ack == 5001);

    struct timeval limit = { 2, 0 };
    WANT(p.setsockopt(U, call.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    before = now();
    WANT(pthread_create(&thread, NULL, reads, &call) == 0);
    call.at = 0;
    while (pthread_tryjoin_np(thread, NULL) == EBUSY)
        WANT(p.usleep(U, 1000000) == 0);
    WANT(call.result == -1 && call.error == EAGAIN && call.at >= before + 2000000);

    struct segment reset = reply(&ack, RST | ACK);
    reset.seq = 5001;
    inject(&reset);
    char octet;
    WANT(p.read(U, call.fd, &octet, 1) == -1 && errno == ECONNRESET);
    WANT(p.close(U, call.fd) == 0);
}

static void pipes(int fd, struct segment ack)
{
    int ends[2];
    WANT(p.pipe(U, ends) == 0);
    struct segment in = ack;
    in.seq += 1005;
    in.flags = ACK;
    in.length = 4;
    memcpy(in.data, "back", 4);
    inject(&in);
    WANT(p.splice(U, fd, NULL, ends[1], NULL, 100, 0) == 4);
    while (next().ack != in.seq + 4)
        ;
    WANT(p.splice(U, ends[0], NULL, fd, NULL, 100, 0) == 4);
    struct segment out = next();
    WANT(out.length == 4 && memcmp(out.data, "back", 4) == 0);
    WANT(p.splice(U, fd, NULL, fd, NULL, 1, 0) == -1 && errno == EINVAL);
    WANT(p.close(U, ends[0]) == 0 && p.close(U, ends[1]) == 0);
    struct segment got = reply(&out, ACK);
    inject(&got);
}

static void closing(int fd)
{
    WANT(p.shutdown(U, fd, SHUT_WR) == 0);
    struct segment fin = next();
    WANT(fin.flags == (FIN | ACK));
    struct segment end = reply(&fin, FIN | ACK);
    inject(&end);
    struct segment last = next();
    WANT(last.flags == ACK && last.ack == end.seq + 1);
    struct pollfd poll = { .fd = fd, .events = POLLIN | POLLRDHUP };
    WANT(p.poll(U, &poll, 1, 0) == 1);
    WANT(poll.revents == (POLLIN | POLLRDHUP | POLLHUP));
    char octet;
    WANT(p.read(U, fd, &octet, 1) == 0);
    WANT(p.write(U, fd, &octet, 1) == -1 && errno == EPIPE);
    WANT(p.close(U, fd) == 0);
    WANT(p.close(U, fd) == -1 && errno == EBADF);
    WANT(p.read(U, fd, &octet, 1) == -1 && errno == EBADF);
    /* TIME-WAIT ends without a packet: there is nothing more to come. */
    WANT(next().length == -1);
}

int main(int argc, char **argv)
{
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
    void (*init)(const char *, struct packetdrill_interface *);
    struct segment ack;
    if (argc < 3 || !library) {
        fprintf(stderr, "%s\n", argc < 3 ? "loader LIBRARY FLAGS" : dlerror());
        return 2;
    }
    init = dlsym(library, "packetdrill_interface_init");
    WANT(init);
    init(argv[2], &p);
    WANT(U);
    int fd = server(&ack);
    data_both_ways(fd, ack);
    waiting(fd, ack);
    pipes(fd, ack);
    closing(fd);
    blocking();
    p.free(U);
    return 0;
}
