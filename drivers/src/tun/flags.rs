//! flags: the IFF_* and TUN_F_* bits of a TAP interface as sets with names.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitXor};

/// How an interface is attached: a set of IFF_* bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TapFlags(u16);

impl TapFlags {
    /// Plain Ethernet frames, one queue.
    pub const NONE: Self = Self(0);
    /// A virtio_net_hdr in front of each frame; condition of every offload.
    pub const VNET_HEADER: Self = Self(libc::IFF_VNET_HDR as u16);
    /// The interface can be opened several times; each descriptor is a queue.
    pub const MULTI_QUEUE: Self = Self(libc::IFF_MULTI_QUEUE as u16);
    /// The interface outlives its descriptors. Read only: see `TapFd::set_persistent`.
    pub const PERSISTENT: Self = Self(libc::IFF_PERSIST as u16);
    /// What may be asked for when attaching.
    pub(super) const SETTABLE: Self = Self(Self::VNET_HEADER.0 | Self::MULTI_QUEUE.0);

    /// Keeps the bits that have a name here.
    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits & (Self::SETTABLE.0 | Self::PERSISTENT.0))
    }

    /// As `from_bits`, from the form of TUNGETFEATURES.
    pub(super) const fn from_bits_u32(bits: u32) -> Self {
        Self::from_bits(bits as u16) // All IFF_* with a name are in the lower half.
    }

    /// The set as the kernel writes it.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set less `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitXor for TapFlags {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

/// Which unfinished frames an interface hands over and accepts: a set of TUN_F_* bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TapOffloads(u32);

impl TapOffloads {
    /// Finished frames only.
    pub const NONE: Self = Self(0);
    /// The checksum of TCP or UDP is left to the other side.
    pub const CSUM: Self = Self(libc::TUN_F_CSUM);
    /// TCP over IPv4 above the MTU; the kernel takes it only together with `CSUM`, as all below.
    pub const TSO4: Self = Self(libc::TUN_F_TSO4);
    /// TCP over IPv6 above the MTU.
    pub const TSO6: Self = Self(libc::TUN_F_TSO6);
    /// `TSO4` and `TSO6` also for segments with CWR (RFC 3168).
    pub const TSO_ECN: Self = Self(libc::TUN_F_TSO_ECN);
    /// UDP above the MTU, both families: the kernel (6.2 and later) refuses one without the other.
    pub const USO: Self = Self(libc::TUN_F_USO4 | libc::TUN_F_USO6);
    /// All of these.
    pub const ALL: Self =
        Self(Self::CSUM.0 | Self::TSO4.0 | Self::TSO6.0 | Self::TSO_ECN.0 | Self::USO.0);

    /// The set as the kernel writes it.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// This set less `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Union, intersection and text of a set.
macro_rules! set_operations {
    ($set:ident: $($name:ident)*) => {
        impl BitOr for $set {
            type Output = Self;

            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitAnd for $set {
            type Output = Self;

            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        impl fmt::Display for $set {
            /// The names joined by `+`, or `NONE`.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let named = [$((stringify!($name), Self::$name)),*];
                let mut separator = "";
                for (name, _) in named.iter().filter(|(_, one)| self.contains(*one)) {
                    write!(f, "{separator}{name}")?;
                    separator = "+";
                }
                if separator.is_empty() { f.write_str("NONE") } else { Ok(()) }
            }
        }
    };
}

set_operations!(TapFlags: VNET_HEADER MULTI_QUEUE PERSISTENT);
set_operations!(TapOffloads: CSUM TSO4 TSO6 TSO_ECN USO);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_written_by_their_names() {
        assert_eq!(TapOffloads::ALL.to_string(), "CSUM+TSO4+TSO6+TSO_ECN+USO");
        assert_eq!(TapOffloads::NONE.to_string(), "NONE");
        assert_eq!(TapOffloads::ALL.without(TapOffloads::USO).bits(), 0x0f);
        assert_eq!((TapFlags::VNET_HEADER | TapFlags::PERSISTENT).bits(), 0x4800);
    }

    #[test]
    fn bits_without_a_name_are_not_kept() {
        assert_eq!(TapFlags::from_bits(0xffff).bits(), 0x4900);
        assert!(!TapFlags::VNET_HEADER.contains(TapFlags::MULTI_QUEUE));
        assert!(TapFlags::VNET_HEADER.contains(TapFlags::NONE));
    }
}
