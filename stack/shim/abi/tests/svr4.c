/* svr4.c: what the manual pages of System V Release 4 say, tried on the device echo. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/uio.h>
#include <unistd.h>

#define MUST(so) \
	do { \
		if (!(so)) { \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #so, strerror(errno)); \
			exit(1); \
		} \
	} while (0)

#define REFUSED(call, number) MUST((call) == -1 && errno == (number))

static char control[64], data[64];
static struct strbuf ctl = {sizeof control, 0, control}, dat = {sizeof data, 0, data};

static struct strbuf part(const char *text) {
	struct strbuf part = {0, (int)strlen(text), (char *)text};
	return part;
}

static void messages(int fd) {
	struct strbuf c = part("control"), d = part("data");
	int flags = 0, band = 0;
	MUST(putmsg(fd, &c, &d, 0) == 0);
	MUST(getmsg(fd, &ctl, &dat, &flags) == 0);
	MUST(flags == 0 && ctl.len == 7 && dat.len == 4);
	MUST(memcmp(control, "control", 7) == 0 && memcmp(data, "data", 4) == 0);
	/* A part that is not there has the length -1. */
	MUST(putmsg(fd, NULL, &d, 0) == 0);
	MUST(getmsg(fd, &ctl, &dat, &flags) == 0 && ctl.len == -1 && dat.len == 4);
	/* What does not fit stays. */
	dat.maxlen = 3;
	MUST(putmsg(fd, NULL, &d, 0) == 0);
	MUST(getmsg(fd, &ctl, &dat, &flags) == MOREDATA && dat.len == 3);
	MUST(getmsg(fd, &ctl, &dat, &flags) == 0 && dat.len == 1 && data[0] == 'a');
	dat.maxlen = sizeof data;
	/* High priority overtakes, and so does a band. */
	MUST(putmsg(fd, NULL, &d, 0) == 0);
	MUST(putpmsg(fd, NULL, &d, 3, MSG_BAND) == 0);
	MUST(putmsg(fd, &c, NULL, RS_HIPRI) == 0);
	flags = MSG_ANY;
	MUST(getpmsg(fd, &ctl, &dat, &band, &flags) == 0 && flags == MSG_HIPRI && ctl.len == 7);
	flags = MSG_ANY;
	band = 0;
	MUST(getpmsg(fd, &ctl, &dat, &band, &flags) == 0 && flags == MSG_BAND && band == 3);
	flags = MSG_ANY;
	band = 0;
	MUST(getpmsg(fd, &ctl, &dat, &band, &flags) == 0 && flags == MSG_BAND && band == 0);
	REFUSED(putmsg(fd, NULL, &d, RS_HIPRI), EINVAL);
	REFUSED(putpmsg(fd, &c, NULL, 1, MSG_HIPRI), EINVAL);
}

static void bytes(int fd) {
	struct iovec pieces[2] = {{"ab", 2}, {"cd", 2}};
	struct pollfd asked = {fd, POLLIN | POLLOUT, 0};
	MUST(poll(&asked, 1, 0) == 1 && asked.revents == POLLOUT);
	MUST(write(fd, "hello", 5) == 5);
	asked.events = POLLIN;
	MUST(poll(&asked, 1, 10000) == 1 && asked.revents == POLLIN);
	MUST(read(fd, data, sizeof data) == 5 && memcmp(data, "hello", 5) == 0);
	MUST(writev(fd, pieces, 2) == 4);
	MUST(read(fd, data, sizeof data) == 4 && memcmp(data, "abcd", 4) == 0);
	MUST(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	REFUSED(read(fd, data, sizeof data), EAGAIN);
	MUST(fcntl(fd, F_SETFL, 0) == 0);
}

static void modules(int fd) {
	struct str_mlist names[4];
	struct str_list list = {4, names};
	char name[FMNAMESZ + 1];
	REFUSED(ioctl(fd, I_LOOK, name), EINVAL);
	MUST(ioctl(fd, I_PUSH, "null") == 0 && ioctl(fd, I_PUSH, "count") == 0);
	MUST(ioctl(fd, I_LOOK, name) == 0 && strcmp(name, "count") == 0);
	MUST(ioctl(fd, I_FIND, "null") == 1);
	MUST(ioctl(fd, I_LIST, NULL) == 3 && ioctl(fd, I_LIST, &list) == 0);
	MUST(list.sl_nmods == 3 && strcmp(names[0].l_name, "count") == 0);
	MUST(strcmp(names[1].l_name, "null") == 0 && strcmp(names[2].l_name, "echo") == 0);
	MUST(ioctl(fd, I_POP, 0) == 0 && ioctl(fd, I_POP, 0) == 0);
	REFUSED(ioctl(fd, I_POP, 0), EINVAL);
	REFUSED(ioctl(fd, I_PUSH, "nobody"), EINVAL);
}

static void questions(int fd) {
	struct strbuf d = part("12345");
	struct strpeek peek = {{sizeof control, 0, control}, {sizeof data, 0, data}, 0};
	int number = 0;
	MUST(putmsg(fd, NULL, &d, 0) == 0);
	MUST(ioctl(fd, I_NREAD, &number) == 1 && number == 5);
	MUST(ioctl(fd, I_PEEK, &peek) == 1 && peek.databuf.len == 5 && peek.ctlbuf.len == -1);
	MUST(memcmp(data, "12345", 5) == 0);
	MUST(ioctl(fd, I_CKBAND, 0) == 1 && ioctl(fd, I_CKBAND, 1) == 0);
	MUST(ioctl(fd, I_GETBAND, &number) == 0 && number == 0);
	MUST(ioctl(fd, I_CANPUT, 0) == 1);
	MUST(ioctl(fd, I_FLUSH, FLUSHRW) == 0 && ioctl(fd, I_NREAD, &number) == 0);
	REFUSED(ioctl(fd, I_FLUSH, 0), EINVAL);
	MUST(ioctl(fd, I_SRDOPT, RMSGD) == 0 && ioctl(fd, I_GRDOPT, &number) == 0);
	MUST((number & RMSGD) != 0 && ioctl(fd, I_SRDOPT, RNORM) == 0);
}

int main(void) {
	int fd = open("/dev/echo", O_RDWR), copy, pipe_fd[2];
	MUST(fd >= 0 && isastream(fd) == 1);
	MUST(pipe(pipe_fd) == 0 && isastream(pipe_fd[0]) == 0);
	REFUSED(isastream(999), EBADF);
	REFUSED(putmsg(pipe_fd[1], NULL, &dat, 0), ENOSTR);
	REFUSED(open("/dev/nobody", O_RDWR), ENOENT);
	messages(fd);
	bytes(fd);
	modules(fd);
	questions(fd);
	/* A copy keeps the stream open. */
	MUST((copy = dup(fd)) >= 0 && close(fd) == 0);
	MUST(write(copy, "x", 1) == 1 && read(copy, data, 1) == 1 && close(copy) == 0);
	REFUSED(read(copy, data, 1), EBADF);
	puts("done");
	return 0;
}
