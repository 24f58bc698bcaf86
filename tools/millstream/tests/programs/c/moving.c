/* Octets between files, pipes and sockets; many datagrams at once; functions that check. */
#include "common.h"
#include <sys/sendfile.h>

ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);
int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);

static void files(void)
{
    int one, other;
    char path[] = "movingXXXXXX";
    int file = mkstemp(path);
    must(file, "mkstemp");
    unlink(path);
    must(write(file, "0123456789", 10), "write");
    connection(&one, &other);
    off_t from = 3;
    came("sendfile", sendfile(one, file, &from, 4));
    came("offset", from);
    get("recv", other);
    lseek(file, 8, SEEK_SET);
    came("sendfile to the end", sendfile(one, file, NULL, 100));
    came("place", lseek(file, 0, SEEK_CUR));
    get("recv", other);
    came("sendfile of nothing", sendfile(one, file, NULL, 100));
    came("sendfile of a socket", sendfile(one, other, NULL, 1));
    came("sendfile of nothing open", sendfile(one, -1, NULL, 1));
    came("pread", pread(one, path, 1, 0));
    came("lseek", lseek(one, 0, SEEK_SET));
    close(file);
    close(one);
    close(other);
}

static void pipes(void)
{
    int one, other, ends[2];
    char text[16] = "";
    connection(&one, &other);
    must(pipe(ends), "pipe");
    must(write(ends[1], "by a pipe", 9), "write");
    came("splice to a socket", splice(ends[0], NULL, one, NULL, 100, 0));
    get("recv", other);
    put(other, "to a pipe");
    arrived(one, 9);
    came("splice from a socket", splice(one, NULL, ends[1], NULL, 5, 0));
    came("read", read(ends[0], text, 16));
    say("%s", text);
    came("splice the rest", splice(one, NULL, ends[1], NULL, 100, 0));
    fcntl(one, F_SETFL, O_NONBLOCK);
    came("splice of nothing", splice(one, NULL, ends[1], NULL, 100, 0));
    fcntl(one, F_SETFL, 0);
    loff_t from = 0;
    came("splice with a place", splice(one, &from, ends[1], NULL, 1, 0));
    came("splice without a pipe", splice(one, NULL, other, NULL, 1, 0));
    shutdown(other, SHUT_WR);
    came("splice of the end", splice(one, NULL, ends[1], NULL, 100, 0));
    close(one);
    close(other);
}

static void datagrams(void)
{
    enum { MANY = 4 };
    int to = bound(SOCK_DGRAM), from = bound(SOCK_DGRAM);
    struct sockaddr_in name = name_of(to), names[MANY];
    struct mmsghdr out[MANY] = {0}, in[MANY] = {0};
    struct iovec pieces[MANY][2], rooms[MANY];
    char text[MANY][8] = {"a", "bb", "ccc", "dddd"}, room[MANY][8];
    memset(room, 0, sizeof room);
    for (int at = 0; at < MANY; at++) {
        pieces[at][0] = (struct iovec){text[at], at + 1};
        pieces[at][1] = (struct iovec){"!", 1};
        out[at].msg_hdr = (struct msghdr){
            .msg_name = &name, .msg_namelen = sizeof name, .msg_iov = pieces[at], .msg_iovlen = 2};
        rooms[at] = (struct iovec){room[at], at == 3 ? 2 : 7};
        in[at].msg_hdr = (struct msghdr){.msg_name = &names[at],
                                         .msg_namelen = sizeof names[at],
                                         .msg_iov = &rooms[at],
                                         .msg_iovlen = 1};
    }
    came("sendmmsg", sendmmsg(from, out, MANY, 0));
    say("%u %u", out[0].msg_len, out[3].msg_len);
    struct timespec limit = {.tv_sec = 30};
    came("recvmmsg", recvmmsg(to, in, 2, 0, &limit));
    say("%s %s", room[0], room[1]);
    came("recvmmsg, for one", recvmmsg(to, in + 2, 2, MSG_WAITFORONE, NULL));
    say("%s %s %u%s", room[2], room[3], in[3].msg_len,
        in[3].msg_hdr.msg_flags & MSG_TRUNC ? " cut" : "");
    say("from the sender: %d", names[2].sin_port == name_of(from).sin_port);
    came("recvmmsg, not waiting", recvmmsg(to, in, 1, MSG_DONTWAIT, NULL));
    came("sendmmsg of none", sendmmsg(from, out, 0, 0));
    close(to);
    close(from);
}

static void vectors(void)
{
    int one, other;
    char first[3] = "", second[9] = "";
    struct iovec out[] = {{"ab", 2}, {"", 0}, {"cdef", 4}}, in[] = {{first, 2}, {second, 8}};
    connection(&one, &other);
    came("writev", writev(one, out, 3));
    arrived(other, 6);
    came("readv", readv(other, in, 2));
    say("%s %s", first, second);
    came("writev of none", writev(one, out, 0));
    came("send of nothing", send(one, "", 0, 0));
    came("read of nothing", read(one, first, 0));
    close(one);
    close(other);
}

static void checked(void)
{
    int one, other, status;
    char text[8] = "";
    connection(&one, &other);
    put(other, "check");
    came("__read_chk", __read_chk(one, text, 1, 8));
    came("__recv_chk", __recv_chk(one, text, 1, 8, 0));
    came("__recvfrom_chk", __recvfrom_chk(one, text, 1, 8, 0, NULL, NULL));
    struct pollfd asked = {.fd = one, .events = POLLIN};
    came("__poll_chk", __poll_chk(&asked, 1, LONG, sizeof asked));
    came("__ppoll_chk", __ppoll_chk(&asked, 1, NULL, NULL, sizeof asked));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(2);
        __recv_chk(one, text, 9, 8, 0);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    came("what does not fit", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    close(one);
    close(other);
}

int main(int count, char **words)
{
    begin(count, words);
    files();
    pipes();
    datagrams();
    vectors();
    checked();
    return 0;
}
