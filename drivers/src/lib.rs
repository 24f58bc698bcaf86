//! Drivers: tap, pair, pcap_file; interface set-up over netlink; namespaces.

mod ifname;
pub mod netlink;
pub mod netns;
mod sys;
pub mod tun;

pub use ifname::BadName;
