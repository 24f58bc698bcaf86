//! The addresses of the interface itself: which it answers for, announces and defends (RFC 5227).

use super::packet::can_be_a_host;
use core::net::Ipv4Addr;

/// Why an address was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// No station can have it.
    NotAHost,
    /// The prefix is longer than 32 bits.
    PrefixLength,
    /// The interface has [`ADDRESSES_MAX`] already.
    Full,
}

#[derive(Clone, Copy, Debug)]
struct Own {
    address: Ipv4Addr,
    mask: u32,
    announcements_left: u8,
    announce_at: u64,
    /// No defence before then (RFC 5227 section 2.4).
    quiet_until: u64,
}

impl Own {
    fn on_link(&self, other: Ipv4Addr) -> bool {
        (u32::from(self.address) ^ u32::from(other)) & self.mask == 0
    }
}

/// Addresses of one interface.
#[derive(Debug, Default)]
pub(super) struct Addresses([Option<Own>; ADDRESSES_MAX]);

impl Addresses {
    /// Adds an address, to be announced now and by [`Addresses::due`].
    pub(super) fn add(
        &mut self,
        address: Ipv4Addr,
        prefix_len: u8,
        now: u64,
    ) -> Result<(), AddressError> {
        if !can_be_a_host(address) {
            return Err(AddressError::NotAHost);
        }
        if prefix_len > 32 {
            return Err(AddressError::PrefixLength);
        }
        self.remove(address);
        let slot = self.0.iter_mut().find(|a| a.is_none()).ok_or(AddressError::Full)?;
        *slot = Some(Own {
            address,
            mask: u32::MAX.checked_shl(32 - u32::from(prefix_len)).unwrap_or(0),
            announcements_left: ANNOUNCEMENTS - 1,
            announce_at: now + ANNOUNCE_INTERVAL_NS,
            quiet_until: 0,
        });
        Ok(())
    }

    pub(super) fn remove(&mut self, address: Ipv4Addr) {
        for slot in &mut self.0 {
            if slot.is_some_and(|own| own.address == address) {
                *slot = None;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub(super) fn has(&self, address: Ipv4Addr) -> bool {
        self.0.iter().flatten().any(|own| own.address == address)
    }

    pub(super) fn on_link(&self, address: Ipv4Addr) -> bool {
        self.0.iter().flatten().any(|own| own.on_link(address))
    }

    /// The address to ask for `target` with.
    pub(super) fn source_for(&self, target: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut own = self.0.iter().flatten();
        let first = own.clone().next()?;
        Some(own.find(|own| own.on_link(target)).unwrap_or(first).address)
    }

    /// Whether an address that somebody else uses is defended now: once per interval, so that
    /// two stations that both defend do not storm (RFC 5227 section 2.4, choice c).
    pub(super) fn defend(&mut self, address: Ipv4Addr, now: u64) -> bool {
        let own = self.0.iter_mut().flatten().find(|own| own.address == address);
        let Some(own) = own.filter(|own| own.quiet_until <= now) else { return false };
        own.quiet_until = now + DEFEND_INTERVAL_NS;
        true
    }

    /// An address whose next announcement is due, which counts as sent.
    pub(super) fn due(&mut self, now: u64) -> Option<Ipv4Addr> {
        let mut own = self.0.iter_mut().flatten();
        let own = own.find(|own| own.announcements_left > 0 && own.announce_at <= now)?;
        own.announcements_left -= 1;
        own.announce_at = now + ANNOUNCE_INTERVAL_NS;
        Some(own.address)
    }

    /// When the next announcement is due.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let waiting = self.0.iter().flatten().filter(|own| own.announcements_left > 0);
        waiting.map(|own| own.announce_at).min()
    }
}

/// Addresses of one interface: a few subnets on one link.
pub const ADDRESSES_MAX: usize = 8;

const SECOND: u64 = 1_000_000_000;
/// ANNOUNCE_NUM and ANNOUNCE_INTERVAL of RFC 5227.
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL_NS: u64 = 2 * SECOND;
/// DEFEND_INTERVAL of RFC 5227.
const DEFEND_INTERVAL_NS: u64 = 10 * SECOND;
