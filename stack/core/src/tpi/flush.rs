//! Bits of an M_FLUSH message: flags, and a band when the third is set.

use millstream_msg::Band;

/// FLUSHR: read queues.
pub const READ: u8 = 1;
/// FLUSHW: write queues.
pub const WRITE: u8 = 2;
/// FLUSHBAND: only the band in the second byte.
pub const BAND: u8 = 4;

/// Bits and band.
pub fn parse(bytes: &[u8]) -> (u8, Option<Band>) {
    match *bytes {
        [bits, band, ..] if bits & BAND != 0 => (bits, Some(Band(band))),
        [bits, ..] => (bits, None),
        [] => (0, None),
    }
}
