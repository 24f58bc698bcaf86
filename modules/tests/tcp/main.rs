//! tcp as a black box: what RFC 9293 and its relatives demand, one test for each demand, against
//! peers played by the test in virtual time. `stack/docs/tcp.md` maps demands to tests.

mod acceptance;
mod bad_input;
mod closing;
mod extensions;
mod header;
mod icmp;
mod info;
mod initial_number;
mod keepalive;
mod kit;
mod opening;
mod pacing;
mod parameters;
mod queues;
mod receiving;
mod recorded;
mod retransmission;
mod sending;
mod urgent;
mod users;
mod windows;
