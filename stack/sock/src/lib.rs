//! Streams and sockets of applications on a Millstream stack.
