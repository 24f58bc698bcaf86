//! batch: many calls of a connection in one message, and their replies in one. Only who has asked
//! for it with [`R_BATCHES`], an M_CTL of this number and 1 (0: no more), gets calls this way.
//!
//! | word at | R_CALLS_IND, up | R_REPLIES_REQ, down |
//! |---|---|---|
//! | 4 | number of calls | number of replies |
//! | 8 | transport | |
//! | 12, 16 | address of the peer | |
//! | 20, 24 | our address | |
//!
//! Entries of four words follow at [`ENTRIES_AT`], so that the block of the calls becomes that of
//! their replies:
//!
//! | | of a call | of a reply |
//! |---|---|---|
//! | 0 | call | call |
//! | 4 | where its header begins | status, as in R_REPLY_REQ |
//! | 8 | octets of the header | low; of a success the octets of its record |
//! | 12 | octets of header and arguments | high |
//!
//! The data of R_CALLS_IND are the records as they came, all in the first block; the module has
//! found their headers sound. Those of R_REPLIES_REQ are the records of the successes, each with
//! mark and header, in the order of their entries; they leave as they are.

use super::primitive::{self, put_words, word};
use millstream_core::tpi::ADDR_MAX;
use millstream_onc::message::Outcome;

/// Calls of the peer: they want replies, in R_REPLIES_REQ or each in an R_REPLY_REQ.
pub const R_CALLS_IND: u32 = 0x5206;
/// Replies to them.
pub const R_REPLIES_REQ: u32 = 0x5207;
/// M_CTL, down: calls may come up in batches, or not.
pub const R_BATCHES: u32 = 0x5208;

/// Octets in front of the entries.
pub const ENTRIES_AT: usize = 28 + 2 * ADDR_MAX;
/// Octets of an entry.
pub const ENTRY: usize = 16;

/// A call of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallEntry {
    /// Names it in its reply.
    pub call: u32,
    /// Where its header begins.
    pub at: usize,
    /// Octets of the header.
    pub header: usize,
    /// Octets of header and arguments.
    pub len: usize,
}

impl CallEntry {
    /// Entry `n` of a block; `None` behind the last.
    #[inline]
    pub fn read(block: &[u8], n: usize) -> Option<Self> {
        let [call, at, header, len] = entry(block, n)?;
        Some(Self { call, at: at as usize, header: header as usize, len: len as usize })
    }

    /// Writes it over the first octets of `out`.
    ///
    /// # Panics
    /// When there are less than [`ENTRY`].
    #[inline]
    pub fn write(self, out: &mut [u8]) {
        put_words(out, [self.call, self.at as u32, self.header as u32, self.len as u32]);
    }
}

/// A reply of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyEntry {
    /// The call.
    pub call: u32,
    /// How it has ended; `None`: without a reply.
    pub outcome: Option<Outcome>,
    /// Octets of the record of a success, with its mark.
    pub len: usize,
}

impl ReplyEntry {
    /// Entry `n` of a block; `None` behind the last, and for a status that is none.
    #[inline]
    pub fn read(block: &[u8], n: usize) -> Option<Self> {
        let [call, status, low, high] = entry(block, n)?;
        let outcome = primitive::outcome([status, low, high])?;
        let len = if outcome == Some(Outcome::Success) { low as usize } else { 0 };
        Some(Self { call, outcome, len })
    }

    /// Writes it over entry `n` of a block.
    ///
    /// # Panics
    /// When there is no such entry.
    #[inline]
    pub fn write(self, block: &mut [u8], n: usize) {
        let [status, low, high] = primitive::status(self.outcome);
        let low = if self.outcome == Some(Outcome::Success) { self.len as u32 } else { low };
        put_words(&mut block[ENTRIES_AT + n * ENTRY..], [self.call, status, low, high]);
    }
}

/// Makes the block one of so many replies; its octets.
///
/// # Panics
/// When it has not so many entries.
pub fn replies(block: &mut [u8], count: usize) -> usize {
    put_words(block, [R_REPLIES_REQ, count as u32]);
    let len = ENTRIES_AT + count * ENTRY;
    assert!(len <= block.len(), "an entry for each reply");
    len
}

/// Calls or replies of a block.
#[inline]
pub fn count(block: &[u8]) -> usize {
    let told = word(block, 4).unwrap_or_default() as usize;
    told.min(block.len().saturating_sub(ENTRIES_AT) / ENTRY)
}

#[inline]
fn entry(block: &[u8], n: usize) -> Option<[u32; 4]> {
    let octets = block.get(ENTRIES_AT + n * ENTRY..)?.first_chunk::<ENTRY>()?;
    let at = |at| word(octets, at).unwrap_or_default();
    Some([at(0), at(4), at(8), at(12)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_onc::AuthStat;

    #[test]
    fn an_entry_reads_as_it_was_written_and_none_behind_the_last() {
        let mut block = [0; ENTRIES_AT + 2 * ENTRY];
        let call = CallEntry { call: 7, at: 4, header: 40, len: 44 };
        call.write(&mut block[ENTRIES_AT + ENTRY..]);
        assert_eq!(CallEntry::read(&block, 1), Some(call));
        assert_eq!(CallEntry::read(&block, 2), None);
        let outcomes = [
            (Some(Outcome::Success), 32),
            (Some(Outcome::ProgMismatch { low: 2, high: 4 }), 0),
            (Some(Outcome::AuthError(AuthStat::TooWeak)), 0),
            (None, 0),
        ];
        for (outcome, len) in outcomes {
            let reply = ReplyEntry { call: 9, outcome, len };
            reply.write(&mut block, 0);
            assert_eq!(ReplyEntry::read(&block, 0), Some(reply));
        }
        put_words(&mut block[ENTRIES_AT + 4..], [99]);
        assert_eq!(ReplyEntry::read(&block, 0), None, "no such status");
    }

    #[test]
    fn a_block_has_no_more_entries_than_octets() {
        let mut block = [0; ENTRIES_AT + 2 * ENTRY + 3];
        assert_eq!(replies(&mut block, 2), ENTRIES_AT + 2 * ENTRY);
        assert_eq!((word(&block, 0), count(&block)), (Some(R_REPLIES_REQ), 2));
        put_words(&mut block[4..], [1000]);
        assert_eq!(count(&block), 2);
        assert_eq!(count(&block[..9]), 0);
    }
}
