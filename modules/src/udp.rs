//! udp: datagrams between ports, as plain functions on plain state (RFC 768, RFC 1122 section
//! 4.1).
//!
//! Up: [`View::parse`] on a packet from `ip`, [`Table::lookup`] or [`Table::deliver`] for whom it
//! is, [`View::into_payload`]. Down: [`build::send`]. No address family is assumed.

use crate::actions::reasons;

pub mod build;
mod engine;
mod mux;
pub mod table;
pub mod view;

pub use engine::{Engine, option};
pub use mux::Udp;
pub use table::{BindError, EndpointId, Table};
pub use view::View;

reasons! {
    /// Why `udp` dropped a datagram.
    pub enum UdpDrop {
        /// Shorter than a UDP header.
        Short => "udp_short",
        /// Its length is below 8 or beyond the packet.
        Length => "udp_length",
        /// The checksum is wrong.
        Checksum => "udp_checksum",
        /// No checksum, where the family demands one (RFC 8200 section 8.1).
        NoChecksum => "udp_no_checksum",
        /// To port 0.
        PortZero => "udp_port_zero",
        /// Nobody is bound to the port: answered by ICMP port unreachable.
        NoPort => "udp_no_port",
        /// To many, and nobody here wants it.
        NoListener => "udp_no_listener",
        /// The reader's queue is full.
        QueueFull => "udp_queue_full",
        /// More bytes than a datagram takes, or a super-datagram of too many.
        TooBig => "udp_too_big",
        /// A request of the user that does not parse.
        BadRequest => "udp_bad_request",
        /// The user has no address yet.
        NotBound => "udp_not_bound",
        /// The user has no peer and named none.
        NoDestination => "udp_no_destination",
        /// No message cell was left.
        NoMem => "udp_no_mem",
    }
}

/// Bytes of a UDP header.
pub const HEADER_LEN: usize = 8;
