//! error: the errno of opening a raw socket becomes one sentence with the cause and the remedy.

use crate::ifname::BadName;
use crate::netlink::NetlinkError;
use rustix::io::Errno;
use std::io;

/// Why an interface could not be taken by a raw socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawError {
    /// EPERM of socket(2).
    #[error(
        "no right to open a raw socket on {name}: run as root (sudo), give CAP_NET_RAW, or work \
         in a network of your own, made by: unshare -Urn"
    )]
    NoRight {
        /// The interface asked for.
        name: String,
    },
    /// No such interface here.
    #[error("there is no interface {name} in this network namespace; there are: {known}")]
    NoInterface {
        /// The interface asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// IFF_UP is off.
    #[error("the interface {name} is down: switch it on (ip link set {name} up)")]
    Down {
        /// The interface asked for.
        name: String,
    },
    /// Frames of this interface have no Ethernet header.
    #[error(
        "the interface {name} does not carry Ethernet frames: choose a network card, one end of a \
         veth pair, or a bridge"
    )]
    NotEthernet {
        /// The interface asked for.
        name: String,
    },
    /// Any other refusal.
    #[error("cannot {what} {name}: {cause}")]
    Refused {
        /// The operation, as a verb phrase.
        what: &'static str,
        /// The interface.
        name: String,
        /// The errno of the kernel.
        cause: io::Error,
    },
    /// The interface could not be asked about, or changes of it not be followed.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A text that cannot name an interface.
    #[error(transparent)]
    BadName(#[from] BadName),
}

impl RawError {
    pub(super) fn new(what: &'static str, name: &str, errno: Errno) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::PERM | Errno::ACCESS => Self::NoRight { name },
            Errno::NETDOWN => Self::Down { name },
            _ => Self::Refused { what, name, cause: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let text = |errno| RawError::new("bind a raw socket to", "eth0", errno).to_string();
        let right = text(Errno::PERM);
        assert!(right.contains("sudo") && right.contains("unshare -Urn"), "{right}");
        assert!(text(Errno::NETDOWN).contains("ip link set eth0 up"));
        assert_eq!(
            text(Errno::NOMEM),
            "cannot bind a raw socket to eth0: Cannot allocate memory (os error 12)"
        );
        let known = "lo, eth0".to_owned();
        let text = RawError::NoInterface { name: "eth7".to_owned(), known }.to_string();
        assert!(text.contains("no interface eth7") && text.ends_with("lo, eth0"), "{text}");
    }
}
