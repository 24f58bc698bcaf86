/* millstream.h: what libmillstream has beside STREAMS, see stropts.h.
 * Made by `cargo xtask headers` from the source of the library. Link with -lmillstream. */

#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Has the stack inside this program, as these words describe it: "tap mill0 host 10.9.0.1/24 addr
 * 10.9.0.2/24". 0, or -1 with EINVAL for what is no description, and EISCONN when the program has
 * a stack already. The stack starts with the first stream or socket.
 */
int ms_start(const char *plan);

/**
 * Uses the stack whose port is at a path: the socket NAME.port that millstream up makes. As
 * ms_start.
 */
int ms_attach(const char *path);

/**
 * A pipe of two streams; 0, or -1 and errno. pipe(2) stays the kernel's.
 */
int ms_pipe(int *ends);

/**
 * A buffer of at least len bytes, at most 65536, for the program to fill and to send without a
 * copy; it is the program's until it is sent or returned. NULL with EINVAL, or ENOBUFS when no
 * more is left: what was sent is free again when it is acknowledged, or read.
 */
void *ms_loan(size_t len);

/**
 * Sends the first len bytes of a buffer from where they lie: as a message of a stream, as bytes of
 * a connection, as a datagram to the peer. The buffer is the stack's from then on, and not to be
 * written to. 0, or -1: EINVAL for what is not on loan, or shorter; ENOSTR for what is no stream
 * or socket of the stack; else as putmsg and send say, without a signal. After -1 it is on loan as
 * before.
 */
int ms_send_loaned(int fd, void *buffer, size_t len);

/**
 * Gives a buffer back that was not sent. 0, or -1 with EINVAL for what is not on loan.
 */
int ms_return(void *buffer);

/**
 * How many buffers were sent and are not free again; -1 and errno without a stack.
 */
int ms_lent(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MILLSTREAM_H */
