/* stropts.h: STREAMS, as in System V Release 4 and POSIX (XSR). Link with -lmillstream. */

#ifndef MILLSTREAM_STROPTS_H
#define MILLSTREAM_STROPTS_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int t_scalar_t;
typedef unsigned int t_uscalar_t;

/* Commands of ioctl: streamio(7). */
#define STR ('S' << 8)
#define I_NREAD (STR | 1)
#define I_PUSH (STR | 2)
#define I_POP (STR | 3)
#define I_LOOK (STR | 4)
#define I_FLUSH (STR | 5)
#define I_SRDOPT (STR | 6)
#define I_GRDOPT (STR | 7)
#define I_STR (STR | 8)
#define I_SETSIG (STR | 9)
#define I_GETSIG (STR | 10)
#define I_FIND (STR | 11)
#define I_LINK (STR | 12)
#define I_UNLINK (STR | 13)
#define I_RECVFD (STR | 14)
#define I_PEEK (STR | 15)
#define I_FDINSERT (STR | 16)
#define I_SENDFD (STR | 17)
#define I_SWROPT (STR | 19)
#define I_GWROPT (STR | 20)
#define I_LIST (STR | 21)
#define I_PLINK (STR | 22)
#define I_PUNLINK (STR | 23)
#define I_FLUSHBAND (STR | 28)
#define I_CKBAND (STR | 29)
#define I_GETBAND (STR | 30)
#define I_ATMARK (STR | 31)
#define I_SETCLTIME (STR | 32)
#define I_GETCLTIME (STR | 33)
#define I_CANPUT (STR | 34)

/*
 * Names of modules, without their zero. System V has 8; names of the stack's modules are longer,
 * and a program that is compiled with this header has room for them.
 */
#define FMNAMESZ 31

/* I_FLUSH. */
#define FLUSHR 0x01
#define FLUSHW 0x02
#define FLUSHRW 0x03

/* I_SETSIG. */
#define S_INPUT 0x0001
#define S_HIPRI 0x0002
#define S_OUTPUT 0x0004
#define S_MSG 0x0008
#define S_ERROR 0x0010
#define S_HANGUP 0x0020
#define S_RDNORM 0x0040
#define S_WRNORM S_OUTPUT
#define S_RDBAND 0x0080
#define S_WRBAND 0x0100
#define S_BANDURG 0x0200

/* I_SRDOPT. */
#define RNORM 0x0000
#define RMSGD 0x0001
#define RMSGN 0x0002
#define RPROTDAT 0x0004
#define RPROTDIS 0x0008
#define RPROTNORM 0x0010

/* I_SWROPT. */
#define SNDZERO 0x0001
#define SNDPIPE 0x0002

/* I_ATMARK. */
#define ANYMARK 0x01
#define LASTMARK 0x02

/* I_UNLINK. */
#define MUXID_ALL (-1)

/* getmsg and putmsg, I_PEEK. */
#define RS_HIPRI 1

/* getpmsg and putpmsg. */
#define MSG_HIPRI 0x01
#define MSG_ANY 0x02
#define MSG_BAND 0x04

/* What getmsg and getpmsg return. */
#define MORECTL 1
#define MOREDATA 2

struct strbuf {
	int maxlen; /* room of the buffer */
	int len;    /* bytes that are there, -1 for none */
	char *buf;
};

struct strioctl {
	int ic_cmd;
	int ic_timout; /* seconds; 0 as usual, -1 for ever */
	int ic_len;
	char *ic_dp;
};

struct strpeek {
	struct strbuf ctlbuf;
	struct strbuf databuf;
	t_uscalar_t flags;
};

struct strfdinsert {
	struct strbuf ctlbuf;
	struct strbuf databuf;
	t_uscalar_t flags;
	int fildes;
	int offset;
};

struct strrecvfd {
	int fd;
	uid_t uid;
	gid_t gid;
	char fill[8];
};

struct bandinfo {
	unsigned char bi_pri;
	int bi_flag;
};

struct str_mlist {
	char l_name[FMNAMESZ + 1];
};

struct str_list {
	int sl_nmods;
	struct str_mlist *sl_modlist;
};

int getmsg(int fd, struct strbuf *ctl, struct strbuf *data, int *flags);
int getpmsg(int fd, struct strbuf *ctl, struct strbuf *data, int *band, int *flags);
int putmsg(int fd, const struct strbuf *ctl, const struct strbuf *data, int flags);
int putpmsg(int fd, const struct strbuf *ctl, const struct strbuf *data, int band, int flags);
int isastream(int fd);
int ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif

#endif
