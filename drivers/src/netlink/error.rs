//! error: what the kernel refused becomes a sentence that names the interface, the cause and a way
//! out.

use super::prefix::BadPrefix;
use crate::ifname::BadName;
use rustix::io::Errno;
use std::io;

/// Why an interface, an address or a route was not changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetlinkError {
    /// No netlink socket.
    #[error(
        "cannot open a netlink socket: {cause}; look for a seccomp filter or a limit on open files"
    )]
    Open {
        /// What socket(2) said.
        cause: io::Error,
    },
    /// No such interface here.
    #[error(
        "there is no interface {name} in this network namespace: create it first, or enter the \
         namespace that has it"
    )]
    NoInterface {
        /// The interface asked for.
        name: String,
    },
    /// EPERM.
    #[error(
        "no right to {what} {name}: run as root, give CAP_NET_ADMIN, or work in a user \
         namespace of your own"
    )]
    NoRight {
        /// The operation, as a verb phrase.
        what: &'static str,
        /// Interface or route.
        name: String,
    },
    /// Any other refusal.
    #[error("cannot {what} {name}: {cause}{}{}", if .said.is_some() {": "} else {""},
        .said.as_deref().unwrap_or_default())]
    Refused {
        /// The operation, as a verb phrase.
        what: &'static str,
        /// Interface or route.
        name: String,
        /// The errno of the kernel.
        cause: io::Error,
        /// The kernel's own words (NETLINK_EXT_ACK), if it gave any.
        said: Option<String>,
    },
    /// An answer that is no netlink message or lacks a part.
    #[error("cannot {what} {name}: the kernel's answer is malformed; please report its version")]
    Malformed {
        /// The operation, as a verb phrase.
        what: &'static str,
        /// Interface or route.
        name: String,
    },
    /// A text that cannot name an interface.
    #[error(transparent)]
    BadName(#[from] BadName),
    /// A text that is no address with prefix length.
    #[error(transparent)]
    BadPrefix(#[from] BadPrefix),
}

impl NetlinkError {
    pub(super) fn open(errno: Errno) -> Self {
        Self::Open { cause: errno.into() }
    }

    /// The errno of the kernel, where there is one.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Open { cause } | Self::Refused { cause, .. } => cause.raw_os_error(),
            Self::NoInterface { .. } => Some(libc::ENODEV),
            Self::NoRight { .. } => Some(libc::EPERM),
            Self::Malformed { .. } | Self::BadName(_) | Self::BadPrefix(_) => None,
        }
    }
}

/// A failed request, before it is known to what it belonged.
#[derive(Debug)]
pub(super) enum Refusal {
    Kernel(Errno, Option<String>),
    Malformed,
}

impl Refusal {
    pub(super) fn from_raw(errno: i32, said: Option<String>) -> Self {
        Self::Kernel(Errno::from_raw_os_error(errno), said)
    }

    pub(super) fn about(self, what: &'static str, name: &str) -> NetlinkError {
        let name = name.to_owned();
        match self {
            Self::Kernel(Errno::NODEV, None) => NetlinkError::NoInterface { name },
            Self::Kernel(Errno::PERM, None) => NetlinkError::NoRight { what, name },
            Self::Kernel(errno, said) => {
                NetlinkError::Refused { what, name, cause: errno.into(), said }
            }
            Self::Malformed => NetlinkError::Malformed { what, name },
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_interface_the_errno_and_the_kernels_words() {
        let said = Some("mtu greater than device maximum".to_owned());
        let error = Refusal::from_raw(libc::EINVAL, said).about("set the MTU of", "tap0");
        assert_eq!(
            error.to_string(),
            "cannot set the MTU of tap0: Invalid argument (os error 22): \
             mtu greater than device maximum"
        );
        let error = Refusal::from_raw(libc::EBUSY, None).about("move", "tap0");
        assert_eq!(error.to_string(), "cannot move tap0: Device or resource busy (os error 16)");
    }

    #[test]
    fn a_missing_interface_and_a_missing_right_say_what_to_do() {
        let error = Refusal::from_raw(libc::ENODEV, None).about("switch on", "tap7").to_string();
        assert!(error.contains("no interface tap7") && error.contains("create it first"));
        let error = Refusal::from_raw(libc::EPERM, None).about("switch on", "tap7").to_string();
        assert!(error.contains("switch on tap7") && error.contains("CAP_NET_ADMIN"));
    }
}
