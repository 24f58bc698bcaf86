//! arp: passes all frames but ARP's; fills the station's address into IPv4 frames on their way
//! down, answers for its own addresses, learns and ages those of others.
//!
//! Between `ip` and the driver of one interface. The state is an [`Engine`], the table of stations
//! is in `cache`, the format in `packet` (RFC 826, RFC 1122 section 2.3.2, RFC 5227).

use crate::actions::reasons;

mod cache;
mod engine;
mod module;
mod own;
pub mod packet;

pub use cache::{
    LIVE_MAX, PENDING_MESSAGES_MAX, PENDING_TOTAL_TRUESIZE_MAX, PENDING_TRUESIZE_MAX,
    UNRESOLVED_MAX,
};
pub use engine::{Engine, Stats};
pub use module::Arp;
pub use own::{ADDRESSES_MAX, AddressError};

reasons! {
    /// Why `arp` dropped a frame.
    pub enum ArpDrop {
        /// The frame is shorter than its Ethernet header.
        ShortFrame => "arp_short_frame",
        /// Shorter than an ARP packet.
        Truncated => "arp_truncated",
        /// Not for Ethernet.
        HardwareType => "arp_hardware_type",
        /// Not for IPv4.
        ProtocolType => "arp_protocol_type",
        /// Address lengths that are not 6 and 4.
        AddressLength => "arp_address_length",
        /// Neither request nor reply (reverse ARP is refused here).
        Opcode => "arp_opcode",
        /// The sender's station is zero or a group.
        SenderMac => "arp_sender_mac",
        /// The sender's address is none that a host can have.
        SenderAddress => "arp_sender_address",
        /// Our own frame came back.
        OwnFrame => "arp_own_frame",
        /// Another station uses one of our addresses (RFC 5227 section 2.4).
        Conflict => "arp_conflict",
        /// Asks for an address of somebody else.
        NotForUs => "arp_not_for_us",
        /// A reply that nobody asked for.
        Unsolicited => "arp_unsolicited",
        /// Changes a station's address right after it was confirmed.
        TooSoon => "arp_too_soon",
        /// The sender is not on this link.
        OffLink => "arp_off_link",
        /// Waited for an address; newer frames took its place.
        QueueFull => "arp_queue_full",
        /// Waited for an address; others took the entry's place.
        Evicted => "arp_evicted",
        /// The host did not answer.
        HostUnreachable => "arp_host_unreachable",
        /// The interface has no address to ask with.
        NoAddress => "arp_no_address",
        /// No message cell was left.
        NoMem => "arp_no_mem",
    }
}

#[cfg(test)]
mod tests;
