//! tcp: TCP (RFC 9293) between users above and `ip` below, as plain functions on plain state.
//!
//! A segment from `ip` becomes a [`Segment`]; [`Table`] says whose it is; `input` takes it into
//! the connection's [`Tcb`]. When all segments of a batch have been taken, `output` sends what
//! each connection may send then: data from its [`SendQueue`], as far as `loss` lets it, and one
//! acknowledgement for all that came. [`Engine`] holds connections, listeners and users together;
//! [`Tcp`] is its face. No address family is assumed.

use crate::actions::reasons;

pub mod autotune;
mod build;
mod carry;
pub mod congestion;
pub mod cookie;
pub mod ends;
mod engine;
mod env;
mod input;
pub mod isn;
pub mod limits;
mod listener;
pub mod loss;
mod mux;
pub mod options;
mod output;
pub mod reasm;
mod segment;
pub mod sendq;
pub mod seq;
pub mod table;
mod tcb;
mod timers;
mod tunables;
mod user;

pub use cookie::Cookies;
pub use ends::Ends;
pub use engine::{Above, Engine, FlowView, SocketView, T_EXPORT_REQ, T_IMPORT_REQ, names};
pub use isn::Secret;
pub use limits::Limits;
pub(crate) use mux::VERSION;
pub use mux::{INFO, Tcp};
pub use options::Options;
pub use reasm::Reassembly;
pub use segment::{Flags, Segment};
pub use sendq::SendQueue;
pub use seq::{Range, Seq};
pub use table::Table;
pub use tcb::{Settings, State, Tcb};

reasons! {
    /// Why `tcp` dropped a segment or a message, or did not send one.
    pub enum TcpDrop {
        /// Shorter than a TCP header.
        Short => "tcp_short",
        /// Its data offset is below 5 or beyond the segment.
        Offset => "tcp_offset",
        /// The checksum is wrong.
        Checksum => "tcp_checksum",
        /// From or to port 0.
        PortZero => "tcp_port_zero",
        /// One of its ends is a group, a broadcast address or nobody.
        NoHost => "tcp_no_host",
        /// Nobody has its ends, and nobody listens: answered by RST.
        NoListener => "tcp_no_listener",
        /// It belongs to a connection that is not there: answered by RST.
        NoConnection => "tcp_no_connection",
        /// It is no SYN where one must come first.
        NoSyn => "tcp_no_syn",
        /// No acknowledgement, where every segment has one.
        NoAck => "tcp_no_ack",
        /// It acknowledges what was not sent, or something very old.
        BadAck => "tcp_bad_ack",
        /// It lies outside the window.
        OutOfWindow => "tcp_out_of_window",
        /// Its timestamp is older than one that came (PAWS).
        Paws => "tcp_paws",
        /// RST, which ends what it is for.
        Reset => "tcp_reset",
        /// RST in the window, but not at its edge: the peer is asked.
        RstChallenged => "tcp_rst_challenged",
        /// SYN on a connection that stands: the peer is asked.
        SynChallenged => "tcp_syn_challenged",
        /// SYN that came before: answered again.
        SynAgain => "tcp_syn_again",
        /// The peer was asked often enough.
        ChallengeLimit => "tcp_challenge_limit",
        /// RST in TIME-WAIT, which it must not end (RFC 1337).
        TimeWait => "tcp_time_wait",
        /// Data for a user who has left: answered by RST.
        NobodyReads => "tcp_nobody_reads",
        /// As many connections wait to be accepted as may.
        AcceptQueueFull => "tcp_accept_queue_full",
        /// As many handshakes are under way as may.
        SynQueueFull => "tcp_syn_queue_full",
        /// There are as many sockets as can be.
        TableFull => "tcp_table_full",
        /// Data out of order beyond what may be kept.
        OutOfOrderMemory => "tcp_out_of_order_memory",
        /// ICMP about a connection that is not there.
        IcmpForNobody => "tcp_icmp_for_nobody",
        /// ICMP about a segment that is not under way (RFC 5927).
        IcmpOutOfWindow => "tcp_icmp_out_of_window",
        /// A request of the user that does not parse.
        BadRequest => "tcp_bad_request",
        /// Data of a user whose connection is over.
        Gone => "tcp_gone",
        /// More octets than a segment takes.
        TooBig => "tcp_too_big",
        /// No message cell was left.
        NoMem => "tcp_no_mem",
    }
}
