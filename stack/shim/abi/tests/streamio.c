/* streamio.c: each command of streamio(7) with what it gives and how it fails. */
#include "want.h"
#include <sys/ioctl.h>

static void modules(void)
{
    int fd = opened("/dev/echo"), plain = open("/dev/null", O_RDWR);
    char name[FMNAMESZ + 1], longer[FMNAMESZ + 10];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    FAILS(ioctl(fd, I_PUSH, NULL), EFAULT);
    FAILS(ioctl(fd, I_PUSH, longer), EINVAL);
    FAILS(ioctl(fd, I_PUSH, "nobody"), EINVAL);
    FAILS(ioctl(fd, I_PUSH, "echo-of-nobody"), EINVAL);
    FAILS(ioctl(fd, I_POP, 0), EINVAL);
    FAILS(ioctl(fd, I_LOOK, name), EINVAL);
    /* A name of more than 8 letters is whole everywhere. */
    WANT(ioctl(fd, I_PUSH, "null") == 0 && ioctl(fd, I_PUSH, "testmod") == 0);
    FAILS(ioctl(fd, I_LOOK, NULL), EFAULT);
    WANT(ioctl(fd, I_LOOK, name) == 0 && !strcmp(name, "testmod"));
    FAILS(ioctl(fd, I_FIND, NULL), EFAULT);
    FAILS(ioctl(fd, I_FIND, longer), EINVAL);
    FAILS(ioctl(fd, I_FIND, "nobody"), EINVAL);
    WANT(ioctl(fd, I_FIND, "null") == 1 && ioctl(fd, I_FIND, "count") == 0);
    struct str_mlist names[8];
    struct str_list list = { 8, names };
    WANT(ioctl(fd, I_LIST, NULL) == 3);
    WANT(ioctl(fd, I_LIST, &list) == 0 && list.sl_nmods == 3);
    WANT(!strcmp(names[0].l_name, "testmod") && !strcmp(names[2].l_name, "echo"));
    list.sl_nmods = 1;
    WANT(ioctl(fd, I_LIST, &list) == 0 && list.sl_nmods == 1);
    list.sl_nmods = 0;
    FAILS(ioctl(fd, I_LIST, &list), EINVAL);
    list.sl_nmods = 2, list.sl_modlist = NULL;
    FAILS(ioctl(fd, I_LIST, &list), EFAULT);
    int pushed = 2;
    while (ioctl(fd, I_PUSH, "null") == 0)
        pushed++;
    WANT(pushed > 3 && ioctl(fd, I_PUSH, "null") == -1 && errno == EINVAL);
    while (pushed-- > 0)
        WANT(ioctl(fd, I_POP, 0) == 0);
    FAILS(ioctl(fd, I_POP, 0), EINVAL);
    /* What is no stream is the kernel's. */
    WANT(ioctl(plain, I_PUSH, "null") == -1 && errno == ENOTTY);
    FAILS(ioctl(-1, I_PUSH, "null"), EBADF);
    WANT(close(plain) == 0 && close(fd) == 0);
}

static void reading(void)
{
    int fd = opened("/dev/echo"), number = -7;
    char buf[32];
    struct strbuf ctl = { 0, 3, "ctl" }, data = { 0, 5, "12345" };
    WANT(ioctl(fd, I_NREAD, &number) == 0 && number == 0);
    FAILS(ioctl(fd, I_NREAD, NULL), EFAULT);
    FAILS(ioctl(fd, I_GETBAND, &number), ENODATA);
    WANT(putmsg(fd, &ctl, &data, 0) == 0 && putpmsg(fd, NULL, &data, 7, MSG_BAND) == 0);
    WANT(ioctl(fd, I_NREAD, &number) == 2 && number == 5);
    WANT(ioctl(fd, FIONREAD, &number) == 0 && number == 5);
    WANT(ioctl(fd, I_GETBAND, &number) == 0 && number == 7);
    FAILS(ioctl(fd, I_GETBAND, NULL), EFAULT);
    WANT(ioctl(fd, I_CKBAND, 7) == 1 && ioctl(fd, I_CKBAND, 6) == 0);
    FAILS(ioctl(fd, I_CKBAND, -1), EINVAL);
    FAILS(ioctl(fd, I_CKBAND, 256), EINVAL);
    WANT(ioctl(fd, I_CANPUT, 0) == 1 && ioctl(fd, I_CANPUT, 255) == 1);
    WANT(ioctl(fd, I_CANPUT, -1) == 1);
    FAILS(ioctl(fd, I_CANPUT, 256), EINVAL);
    FAILS(ioctl(fd, I_CANPUT, -2), EINVAL);
    WANT(ioctl(fd, I_ATMARK, ANYMARK) == 0 && ioctl(fd, I_ATMARK, LASTMARK) == 0);
    FAILS(ioctl(fd, I_ATMARK, 0), EINVAL);
    FAILS(ioctl(fd, I_ATMARK, 4), EINVAL);

    char one[8], two[8];
    struct strpeek peek = { { 8, 0, one }, { 3, 0, two }, 0 };
    WANT(ioctl(fd, I_PEEK, &peek) == 1 && peek.ctlbuf.len == -1 && peek.databuf.len == 3);
    WANT(!memcmp(two, "123", 3) && peek.flags == 0);
    peek.flags = RS_HIPRI;
    WANT(ioctl(fd, I_PEEK, &peek) == 0);
    peek.flags = 5;
    FAILS(ioctl(fd, I_PEEK, &peek), EINVAL);
    FAILS(ioctl(fd, I_PEEK, NULL), EFAULT);
    peek.flags = 0, peek.databuf.buf = NULL;
    FAILS(ioctl(fd, I_PEEK, &peek), EFAULT);
    peek.databuf.buf = two, peek.databuf.maxlen = -1;
    WANT(ioctl(fd, I_PEEK, &peek) == 1 && peek.databuf.len == -1);

    /* I_SRDOPT: 5 octets of band 7 wait, then 5 with a control part. */
    FAILS(ioctl(fd, I_SRDOPT, RMSGD | RMSGN), EINVAL);
    FAILS(ioctl(fd, I_SRDOPT, 0x1000), EINVAL);
    FAILS(ioctl(fd, I_GRDOPT, NULL), EFAULT);
    WANT(ioctl(fd, I_GRDOPT, &number) == 0 && (number & 3) == RNORM);
    WANT(read(fd, buf, 32) == 5);
    FAILS(read(fd, buf, 32), EBADMSG);
    WANT(ioctl(fd, I_SRDOPT, RMSGN | RPROTDAT) == 0);
    WANT(ioctl(fd, I_GRDOPT, &number) == 0 && number & RMSGN && number & RPROTDAT);
    WANT(read(fd, buf, 32) == 8 && !memcmp(buf, "ctl12345", 8));
    WANT(putmsg(fd, &ctl, &data, 0) == 0);
    WANT(ioctl(fd, I_SRDOPT, RMSGD | RPROTDIS) == 0);
    WANT(read(fd, buf, 2) == 2 && !memcmp(buf, "12", 2));
    WANT(ioctl(fd, I_NREAD, &number) == 0);
    WANT(ioctl(fd, I_SRDOPT, RNORM | RPROTNORM) == 0);
    WANT(close(fd) == 0);
}

static void settings(void)
{
    int fd = opened("/dev/echo"), number = -7;
    char buf[8];
    FAILS(ioctl(fd, I_FLUSH, 0), EINVAL);
    FAILS(ioctl(fd, I_FLUSH, 4), EINVAL);
    WANT(write(fd, "gone", 4) == 4 && ioctl(fd, I_FLUSH, FLUSHR) == 0);
    WANT(ioctl(fd, I_NREAD, &number) == 0);
    WANT(ioctl(fd, I_FLUSH, FLUSHW) == 0 && ioctl(fd, I_FLUSH, FLUSHRW) == 0);
    struct strbuf data = { 0, 1, "x" };
    WANT(putpmsg(fd, NULL, &data, 2, MSG_BAND) == 0 && putmsg(fd, NULL, &data, 0) == 0);
    struct bandinfo band = { 2, FLUSHR };
    WANT(ioctl(fd, I_FLUSHBAND, &band) == 0 && ioctl(fd, I_NREAD, &number) == 1);
    band.bi_flag = 0;
    FAILS(ioctl(fd, I_FLUSHBAND, &band), EINVAL);
    FAILS(ioctl(fd, I_FLUSHBAND, NULL), EFAULT);
    WANT(read(fd, buf, 8) == 1);

    FAILS(ioctl(fd, I_SWROPT, 0x100), EINVAL);
    FAILS(ioctl(fd, I_GWROPT, NULL), EFAULT);
    WANT(ioctl(fd, I_GWROPT, &number) == 0 && number == SNDZERO);
    WANT(write(fd, "", 0) == 0 && ioctl(fd, I_NREAD, &number) == 1 && number == 0);
    WANT(read(fd, buf, 8) == 0);
    WANT(ioctl(fd, I_SWROPT, 0) == 0 && ioctl(fd, I_GWROPT, &number) == 0 && number == 0);
    WANT(write(fd, "", 0) == 0 && ioctl(fd, I_NREAD, &number) == 0);

    FAILS(ioctl(fd, I_SETSIG, 0x8000), EINVAL);
    FAILS(ioctl(fd, I_SETSIG, 0), EINVAL);
    FAILS(ioctl(fd, I_GETSIG, &number), EINVAL);
    WANT(ioctl(fd, I_SETSIG, S_INPUT | S_HANGUP) == 0);
    FAILS(ioctl(fd, I_GETSIG, NULL), EFAULT);
    WANT(ioctl(fd, I_GETSIG, &number) == 0 && number == (S_INPUT | S_HANGUP));
    WANT(ioctl(fd, I_SETSIG, 0) == 0);

    WANT(ioctl(fd, I_GETCLTIME, &number) == 0 && number == 15000);
    number = 20;
    WANT(ioctl(fd, I_SETCLTIME, &number) == 0);
    number = 0;
    WANT(ioctl(fd, I_GETCLTIME, &number) == 0 && number == 20);
    number = -1;
    FAILS(ioctl(fd, I_SETCLTIME, &number), EINVAL);
    FAILS(ioctl(fd, I_SETCLTIME, NULL), EFAULT);
    FAILS(ioctl(fd, I_GETCLTIME, NULL), EFAULT);
    FAILS(ioctl(fd, 'S' << 8 | 99, 0), EINVAL);
    WANT(close(fd) == 0);
}

static void passed(void)
{
    int ends[2], fd = opened("/dev/echo"), kernel[2];
    char buf[8];
    struct strrecvfd got;
    WANT(ms_pipe(ends) == 0 && pipe(kernel) == 0);
    FAILS(ioctl(ends[0], I_SENDFD, -1), EBADF);
    FAILS(ioctl(ends[0], I_SENDFD, kernel[0]), EINVAL);
    FAILS(ioctl(fd, I_SENDFD, ends[0]), EINVAL);
    FAILS(ioctl(fd, I_RECVFD, NULL), EFAULT);
    WANT(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    FAILS(ioctl(ends[1], I_RECVFD, &got), EAGAIN);
    WANT(write(ends[0], "data", 4) == 4);
    FAILS(ioctl(ends[1], I_RECVFD, &got), EBADMSG);
    WANT(ioctl(ends[0], I_SENDFD, fd) == 0 && read(ends[1], buf, 8) == 4);
    FAILS(read(ends[1], buf, 8), EBADMSG);
    struct pollfd in = { ends[1], POLLIN, 0 };
    WANT(poll(&in, 1, 10000) == 1);
    /* What is under way is open, though its sender has closed it. */
    WANT(write(fd, "left", 4) == 4 && close(fd) == 0);
    memset(&got, 0, sizeof got);
    WANT(ioctl(ends[1], I_RECVFD, &got) == 0 && got.uid == geteuid() && got.gid == getegid());
    WANT(isastream(got.fd) == 1 && read(got.fd, buf, 8) == 4 && !memcmp(buf, "left", 4));
    WANT(write(got.fd, "back", 4) == 4 && read(got.fd, buf, 8) == 4);
    /* The same stream twice. */
    fd = got.fd;
    WANT(ioctl(ends[0], I_SENDFD, fd) == 0 && ioctl(ends[1], I_RECVFD, &got) == 0);
    WANT(got.fd != fd && write(fd, "one", 3) == 3 && read(got.fd, buf, 8) == 3);
    WANT(close(fd) == 0 && write(got.fd, "two", 3) == 3 && read(got.fd, buf, 8) == 3);
    /* One that nobody takes goes with the pipe. */
    WANT(ioctl(ends[0], I_SENDFD, got.fd) == 0 && close(got.fd) == 0);
    WANT(close(ends[1]) == 0 && read(ends[0], buf, 8) == 0);
    FAILS(ioctl(ends[0], I_SENDFD, ends[0]), ENXIO);
    WANT(close(ends[0]) == 0 && close(kernel[0]) == 0 && close(kernel[1]) == 0);
}

static void links(void)
{
    int mux = opened("/dev/mux"), below = opened("/dev/echo"), ends[2], number;
    char buf[8];
    WANT(ms_pipe(ends) == 0);
    FAILS(ioctl(mux, I_LINK, -1), EBADF);
    FAILS(ioctl(mux, I_LINK, STDERR_FILENO), EINVAL);
    FAILS(ioctl(mux, I_LINK, mux), EINVAL);
    FAILS(ioctl(below, I_LINK, mux), EINVAL);
    FAILS(ioctl(ends[0], I_LINK, below), EINVAL);
    int id = ioctl(mux, I_LINK, below);
    WANT(id > 0);
    FAILS(ioctl(mux, I_LINK, below), EINVAL);
    FAILS(read(below, buf, 1), EINVAL);
    FAILS(ioctl(below, I_NREAD, &number), EINVAL);
    FAILS(ioctl(below, I_GETBAND, &number), EINVAL);
    FAILS(ioctl(below, I_STR, &(struct strioctl){ ECHO_CMD, 0, 0, NULL }), EINVAL);
    struct pollfd linked = { below, POLLIN, 0 };
    WANT(poll(&linked, 1, 0) == 1 && linked.revents & POLLNVAL);
    FAILS(ioctl(mux, I_PUNLINK, id), EINVAL);
    FAILS(ioctl(mux, I_UNLINK, id + 1), EINVAL);
    WANT(ioctl(mux, I_UNLINK, MUXID_ALL) == 0);
    WANT(write(below, "mine", 4) == 4 && read(below, buf, 8) == 4);
    id = ioctl(mux, I_PLINK, below);
    WANT(id > 0 && close(mux) == 0);
    /* I_PLINK survives its maker. */
    FAILS(write(below, "x", 1), EINVAL);
    mux = opened("/dev/mux");
    WANT(ioctl(mux, I_PUNLINK, id) == 0 && write(below, "mine", 4) == 4);
    WANT(read(below, buf, 8) == 4);
    /* I_LINK does not: the stack undoes it when it has noticed the close. */
    WANT(ioctl(mux, I_LINK, below) > 0 && close(mux) == 0);
    for (int tries = 0; write(below, "free", 4) != 4; tries++) {
        WANT(tries < 15000);
        poll(NULL, 0, 2);
    }
    WANT(read(below, buf, 8) == 4);
    WANT(close(below) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

static void inserts(void)
{
    int fd = opened("/dev/echo"), other = opened("/dev/echo");
    char ctl[16] = { 0 }, buf[32];
    struct strfdinsert insert = { { 0, 16, ctl }, { 0, 4, "data" }, 0, other, 4 };
    WANT(ioctl(fd, I_FDINSERT, &insert) == 0);
    struct strbuf c = { 32, 0, buf }, d = { 8, 0, ctl };
    int flags = 0, named;
    WANT(getmsg(fd, &c, &d, &flags) == 0 && c.len == 16 && d.len == 4);
    memcpy(&named, buf + 4, 4);
    WANT(named != 0);
    FAILS(ioctl(fd, I_FDINSERT, NULL), EFAULT);
    insert.offset = 3;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.offset = 16;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.offset = -4;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.offset = 4, insert.fildes = STDERR_FILENO;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.fildes = -1;
    WANT(ioctl(fd, I_FDINSERT, &insert) == -1 && (errno == EBADF || errno == EINVAL));
    insert.fildes = other, insert.flags = 9;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.flags = 0, insert.ctlbuf.len = -1;
    FAILS(ioctl(fd, I_FDINSERT, &insert), EINVAL);
    insert.ctlbuf.len = 1 << 20;
    FAILS(ioctl(fd, I_FDINSERT, &insert), ERANGE);
    WANT(close(other) == 0 && close(fd) == 0);
}

/* After M_ERROR each command that is of the failed side gives its number. */
static void failed(void)
{
    int fd = tested(), number;
    char buf[8], name[FMNAMESZ + 1];
    struct strpeek peek = { { 8, 0, buf }, { 8, 0, buf }, 0 };
    fail(fd, EPROTO);
    FAILS(read(fd, buf, 8), EPROTO);
    FAILS(write(fd, "x", 1), EPROTO);
    FAILS(putmsg(fd, NULL, &(struct strbuf){ 0, 1, "x" }, 0), EPROTO);
    FAILS(ioctl(fd, I_PUSH, "null"), EPROTO);
    FAILS(ioctl(fd, I_POP, 0), EPROTO);
    FAILS(ioctl(fd, I_LOOK, name), EPROTO);
    FAILS(ioctl(fd, I_NREAD, &number), EPROTO);
    FAILS(ioctl(fd, I_PEEK, &peek), EPROTO);
    FAILS(ioctl(fd, I_CKBAND, 0), EPROTO);
    FAILS(ioctl(fd, I_FLUSH, FLUSHRW), EPROTO);
    FAILS(asks(fd, ECHO_CMD, 0, 0, NULL), EPROTO);
    struct pollfd in = { fd, POLLIN, 0 };
    WANT(poll(&in, 1, 0) == 1 && in.revents & POLLERR);
    WANT(close(fd) == 0);

    fd = tested();
    WANT(write(fd, "last", 4) == 4);
    hang_up(fd);
    WANT(read(fd, buf, 8) == 4 && read(fd, buf, 8) == 0);
    FAILS(write(fd, "x", 1), ENXIO);
    FAILS(ioctl(fd, I_PUSH, "null"), ENXIO);
    FAILS(ioctl(fd, I_POP, 0), ENXIO);
    FAILS(ioctl(fd, I_FLUSH, FLUSHR), ENXIO);
    FAILS(asks(fd, ECHO_CMD, 0, 0, NULL), ENXIO);
    WANT(ioctl(fd, I_LOOK, name) == 0 && !strcmp(name, "testmod"));
    WANT(ioctl(fd, I_FIND, "testmod") == 1 && ioctl(fd, I_LIST, NULL) == 2);
    WANT(ioctl(fd, I_GRDOPT, &number) == 0);
    struct strbuf c = { 8, 5, buf }, d = { 8, 5, buf };
    int flags = 0;
    WANT(getmsg(fd, &c, &d, &flags) == 0 && c.len == 0 && d.len == 0 && flags == 0);
    struct pollfd hung = { fd, POLLIN | POLLOUT, 0 };
    WANT(poll(&hung, 1, 0) == 1 && hung.revents & POLLHUP && !(hung.revents & POLLOUT));
    WANT(close(fd) == 0);
}

int main(void)
{
    modules();
    reading();
    settings();
    passed();
    links();
    inserts();
    failed();
    puts("done");
    return 0;
}
