//! replies: many replies leave in one message. Small results are copied behind each other into one
//! block, large ones are linked in with their header in their headroom.

use super::header::{self, SUCCESS_LEN};
use super::marking::{self, MARK_LEN};
use millstream_msg::{Msg, MsgList, NoMem, Pool};
use millstream_onc::message::{self, Outcome};
use millstream_onc::xdr::{Encoder, Fault};

/// Replies of a connection that leave together.
#[derive(Debug, Default)]
pub struct Replies {
    /// In order; whole but for the last block, which is `open`.
    ready: MsgList,
    open: Option<Msg>,
}

impl Replies {
    /// None.
    pub const fn new() -> Self {
        Self { ready: MsgList::new(), open: None }
    }

    /// Octets that are ready to leave.
    pub fn len(&self) -> usize {
        self.ready.bytes() as usize + self.open.as_ref().map_or(0, Msg::len)
    }

    /// Nothing is ready to leave.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.open.is_none()
    }

    /// Adds the reply of a call that went well. `more` are expected behind it: room is made for
    /// them.
    ///
    /// # Errors
    /// The results are given back without memory for the header.
    pub fn success(
        &mut self,
        xid: u32,
        results: Option<Msg>,
        more: usize,
        pool: &mut Pool,
    ) -> Result<(), Option<Msg>> {
        let len = results.as_ref().map_or(0, Msg::len);
        let mut octets = [0; MARK_LEN + SUCCESS_LEN + COPY_MAX];
        octets[..MARK_LEN].copy_from_slice(&marking::mark((SUCCESS_LEN + len) as u32, true));
        octets[MARK_LEN..HEADER].copy_from_slice(&header::success(xid));
        let Some(mut results) = results else {
            return self.write(&octets[..HEADER], more, pool).map_err(|NoMem| None);
        };
        if len > COPY_MAX || (more == 0 && self.is_empty() && results.headroom() >= HEADER) {
            let Ok(front) = results.prepend(pool, HEADER) else { return Err(Some(results)) };
            front.copy_from_slice(&octets[..HEADER]);
            self.seal();
            self.ready.push(results);
            return Ok(());
        }
        results.copy_out(0, &mut octets[HEADER..HEADER + len]);
        if self.write(&octets[..HEADER + len], more, pool).is_err() {
            return Err(Some(results));
        }
        pool.note_compacted(len);
        pool.spend(results);
        Ok(())
    }

    /// Adds a reply that went well before: header and results as they were.
    ///
    /// # Errors
    /// No memory; nothing was added.
    pub fn again(&mut self, reply: &[&[u8]], pool: &mut Pool) -> Result<(), NoMem> {
        let len: usize = reply.iter().map(|part| part.len()).sum();
        let mut octets = [0; MARK_LEN + super::drc::REPLY_MAX];
        octets[..MARK_LEN].copy_from_slice(&marking::mark(len as u32, true));
        let mut end = MARK_LEN;
        for part in reply {
            octets[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        self.write(&octets[..end], 0, pool)
    }

    /// Adds the reply of a call that went wrong.
    ///
    /// # Errors
    /// No memory; nothing was added.
    pub fn refusal(&mut self, xid: u32, why: Outcome, pool: &mut Pool) -> Result<(), NoMem> {
        let mut reply = refusal(xid, why, pool)?;
        let len = reply.len();
        let mut octets = [0; MARK_LEN + REFUSAL_MAX];
        octets[..MARK_LEN].copy_from_slice(&marking::mark(len as u32, true));
        reply.copy_out(0, &mut octets[MARK_LEN..]);
        reply.truncate(0);
        pool.spend(reply);
        self.write(&octets[..MARK_LEN + len], 0, pool)
    }

    /// All that is ready, as one message.
    pub fn take(&mut self) -> Option<Msg> {
        self.seal();
        marking::join(&mut self.ready)
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.ready.push(open);
        }
    }

    /// Writes octets behind what is there.
    fn write(&mut self, octets: &[u8], more: usize, pool: &mut Pool) -> Result<(), NoMem> {
        let room = self.open.as_ref().map_or(0, Msg::tailroom);
        if room < octets.len() {
            let wanted = (octets.len() * (more + 1)).min(BLOCK_MAX).max(octets.len());
            let block = pool.alloc(0, wanted).or_else(|NoMem| pool.alloc(0, octets.len()))?;
            let full = self.open.replace(block);
            full.into_iter().for_each(|full| self.ready.push(full));
        }
        let Some(open) = &mut self.open else { return Err(NoMem) };
        open.spare_mut()[..octets.len()].copy_from_slice(octets);
        open.commit(octets.len());
        Ok(())
    }
}

/// The reply of a call that went wrong, without mark.
///
/// # Errors
/// No memory.
pub fn refusal(xid: u32, why: Outcome, pool: &mut Pool) -> Result<Msg, NoMem> {
    let mut to = Encoder::new(pool, MARK_LEN, REFUSAL_MAX).map_err(|_: Fault| NoMem)?;
    // It fits into the block: nothing is left to fail.
    let written = message::encode_reply(&mut to, xid, why);
    let reply = to.finish();
    written.map_err(|_| NoMem)?;
    Ok(reply)
}

const HEADER: usize = MARK_LEN + SUCCESS_LEN;
/// Longest results that are copied: a block of their own costs more.
const COPY_MAX: usize = 256;
/// Longest reply of a call that went wrong: a range of versions.
const REFUSAL_MAX: usize = 32;
/// Most octets of a block that replies are copied into: those of a large cell.
const BLOCK_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;
    use std::vec::Vec;

    fn bytes(msg: &Msg) -> Vec<u8> {
        let mut out = std::vec![0; msg.len()];
        msg.copy_out(0, &mut out);
        out
    }

    fn reply(xid: u32, results: &[u8]) -> Vec<u8> {
        let mark = marking::mark((SUCCESS_LEN + results.len()) as u32, true);
        [&mark[..], &header::success(xid), results].concat()
    }

    #[test]
    fn many_small_replies_leave_in_one_message_of_one_block() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut replies = Replies::new();
        let mut want = Vec::new();
        for xid in 0..1000u32 {
            let results = (xid % 3 > 0).then(|| pool.copy_from(64, &xid.to_be_bytes()).unwrap());
            want.extend(reply(xid, results.as_ref().map_or(&[], |msg| msg.first())));
            replies.success(xid, results, 999 - xid as usize, &mut pool).unwrap();
        }
        let msg = replies.take().unwrap();
        assert_eq!(bytes(&msg), want);
        assert!(msg.blocks().count() <= 2, "{}", msg.blocks().count());
        assert!(replies.is_empty() && replies.take().is_none());
    }

    #[test]
    fn a_single_reply_gets_its_header_in_the_headroom_of_its_results() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut replies = Replies::new();
        for len in [4, 5000] {
            let results = pool.copy_from(64, &std::vec![7; len]).unwrap();
            let at = results.first().as_ptr();
            let before = pool.stats();
            replies.success(1, Some(results), 0, &mut pool).unwrap();
            let msg = replies.take().unwrap();
            assert_eq!(bytes(&msg), reply(1, &std::vec![7; len]));
            assert_eq!(msg.first()[HEADER..].as_ptr(), at);
            let after = pool.stats();
            assert_eq!(
                after.copied_bytes + after.compacted_bytes,
                before.copied_bytes + before.compacted_bytes
            );
        }
    }

    #[test]
    fn large_results_between_small_ones_are_linked_in_order() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut replies = Replies::new();
        let mut want = Vec::new();
        for (xid, len) in [(1, 4), (2, 3000), (3, 0), (4, 256), (5, 257)] {
            let octets = std::vec![xid as u8; len];
            want.extend(reply(xid, &octets));
            let results = (len > 0).then(|| pool.copy_from(64, &octets).unwrap());
            replies.success(xid, results, 4, &mut pool).unwrap();
        }
        replies.refusal(6, Outcome::ProgMismatch { low: 1, high: 2 }, &mut pool).unwrap();
        let header = refusal(6, Outcome::ProgMismatch { low: 1, high: 2 }, &mut pool).unwrap();
        want.extend(marking::mark(32, true));
        want.extend(bytes(&header));
        replies.again(&[b"as it ", b"was!!!"], &mut pool).unwrap();
        want.extend([&marking::mark(12, true)[..], b"as it was!!!"].concat());
        assert_eq!(replies.len(), want.len());
        assert_eq!(bytes(&replies.take().unwrap()), want);
    }

    #[test]
    fn without_memory_the_results_come_back() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut replies = Replies::new();
        // Linked in, without headroom: the header needs a block.
        let results = pool.copy_from(0, &[7; 1000]).unwrap();
        pool.fail_nth(1);
        let results = replies.success(1, Some(results), 0, &mut pool).unwrap_err().unwrap();
        assert_eq!((results.len(), replies.is_empty()), (1000, true));
        pool.fail_none();
        replies.success(1, Some(results), 0, &mut pool).unwrap();
        assert_eq!(bytes(&replies.take().unwrap()), reply(1, &[7; 1000]));
    }
}
