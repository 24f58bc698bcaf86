//! Drivers: tap, raw, pair, loopback, pcap_file; devices that wrap devices; interface set-up over
//! netlink; namespaces.

mod ifname;
mod interface;
mod line;
mod merge;
pub mod netlink;
pub mod netns;
mod pair;
mod pcap_file;
mod ping;
mod raw;
mod sys;
mod tap;
pub mod tun;
mod vnet;
mod wrap;

pub use ifname::BadName;
pub use interface::interfaces;
pub use line::HEADROOM;
pub use pair::{PairEnd, loopback, pair};
pub use pcap_file::{Pace, PcapFile, PcapFileError};
pub use ping::KernelPing;
pub use raw::{Raw, RawError};
pub use tap::Tap;
pub use wrap::{BadWrap, Fault, Faults, Pcap, Trace, Wrap, WrapError};
