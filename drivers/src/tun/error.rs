//! error: the errno of opening or setting a TAP becomes one sentence with the cause and the remedy.

use super::flags::TapFlags;
use crate::ifname::BadName;
use rustix::io::Errno;
use std::io;

/// Why a TAP interface could not be opened or set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TapError {
    /// /dev/net/tun is not there.
    #[error(
        "there is no usable /dev/net/tun ({cause}): load the driver (modprobe tun), make the node \
         (mkdir -p /dev/net && mknod /dev/net/tun c 10 200), or start the container with --device \
         /dev/net/tun"
    )]
    NoDevice {
        /// What open(2) said.
        cause: io::Error,
    },
    /// /dev/net/tun may not be opened.
    #[error(
        "no right to open /dev/net/tun ({cause}): run as root, let your user read and write the \
         node, or start the container with --device /dev/net/tun"
    )]
    DeviceForbidden {
        /// What open(2) said.
        cause: io::Error,
    },
    /// The interface may not be made or attached to.
    #[error(
        "no right to make or open the TAP {name}: run as root, give CAP_NET_ADMIN, or make the TAP \
         beforehand for your user: ip tuntap add dev {name} mode tap user $USER"
    )]
    NoRight {
        /// The interface asked for.
        name: String,
    },
    /// Somebody else is attached.
    #[error("another program holds the TAP {name}: end that program or choose another name")]
    Busy {
        /// The interface asked for.
        name: String,
    },
    /// The name is taken by something else.
    #[error(
        "the name {name} belongs to an interface that is not a TAP: choose another name, or delete \
         that interface (ip link del {name}) if nobody needs it"
    )]
    NotATap {
        /// The interface asked for.
        name: String,
    },
    /// The kernel does not know a flag.
    #[error(
        "this kernel's TAP driver does not know {missing}: use a newer kernel or do without it"
    )]
    TooOld {
        /// The flags that were wanted and are not there.
        missing: TapFlags,
    },
    /// Any other refusal.
    #[error("cannot {what} the TAP {name}: {cause}")]
    Refused {
        /// The operation, as a verb phrase.
        what: &'static str,
        /// The interface.
        name: String,
        /// The errno of the kernel.
        cause: io::Error,
    },
    /// A text that cannot name an interface.
    #[error(transparent)]
    BadName(#[from] BadName),
}

impl TapError {
    /// A failed open(2) of /dev/net/tun.
    pub(super) fn from_open(errno: Errno) -> Self {
        let cause = errno.into();
        match errno {
            Errno::NOENT | Errno::NXIO | Errno::NODEV | Errno::NOTDIR => Self::NoDevice { cause },
            Errno::PERM | Errno::ACCESS => Self::DeviceForbidden { cause },
            _ => Self::Refused { what: "open /dev/net/tun for", name: "driver".to_owned(), cause },
        }
    }

    /// A failed TUNSETIFF.
    pub(super) fn from_attach(name: &str, errno: Errno) -> Self {
        let name = name.to_owned();
        match errno {
            Errno::PERM | Errno::ACCESS => Self::NoRight { name },
            Errno::BUSY => Self::Busy { name },
            Errno::INVAL => Self::NotATap { name },
            // The node is of something else.
            Errno::NOTTY => Self::NoDevice { cause: errno.into() },
            _ => Self::Refused { what: "make or open", name, cause: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_names_modprobe_mknod_and_the_container() {
        let opened = [Errno::NOENT, Errno::NXIO, Errno::NODEV].map(TapError::from_open);
        for error in opened.into_iter().chain([TapError::from_attach("tap0", Errno::NOTTY)]) {
            let text = error.to_string();
            for word in ["modprobe tun", "mknod /dev/net/tun c 10 200", "--device /dev/net/tun"] {
                assert!(text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn a_missing_right_names_root_the_capability_and_the_tap_made_beforehand() {
        for errno in [Errno::PERM, Errno::ACCESS] {
            assert!(TapError::from_open(errno).to_string().contains("run as root"));
            let text = TapError::from_attach("tap3", errno).to_string();
            let command = "ip tuntap add dev tap3 mode tap user $USER";
            for word in ["run as root", "CAP_NET_ADMIN", command] {
                assert!(text.contains(word), "{text}");
            }
        }
    }

    #[test]
    fn a_name_in_use_and_a_name_of_something_else_are_told_apart() {
        let text = TapError::from_attach("tap3", Errno::BUSY).to_string();
        assert!(text.starts_with("another program holds the TAP tap3"), "{text}");
        let text = TapError::from_attach("eth0", Errno::INVAL).to_string();
        assert!(text.starts_with("the name eth0 belongs to an interface that is not a TAP"));
    }

    #[test]
    fn a_missing_flag_is_named() {
        let text = TapError::TooOld { missing: TapFlags::VNET_HEADER }.to_string();
        assert!(text.contains("does not know VNET_HEADER"), "{text}");
    }
}
