/* millstream.h: what libmillstream has beside STREAMS. See stropts.h. */

#ifndef MILLSTREAM_H
#define MILLSTREAM_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Has the stack inside this program, as these words describe it: "tap mill0 host 10.9.0.1/24 addr
 * 10.9.0.2/24". 0, or -1 with EINVAL for what is no description, and EISCONN when the program has
 * a stack already. The stack starts with the first stream or socket.
 */
int ms_start(const char *plan);

/*
 * Uses the stack whose port is at a path: the socket NAME.port that millstream up makes. As
 * ms_start.
 */
int ms_attach(const char *path);

/* A pipe of two streams. pipe(2) stays the kernel's. */
int ms_pipe(int ends[2]);

#ifdef __cplusplus
}
#endif

#endif
