//! replies: many replies leave in one message. Small results are copied behind each other into one
//! block, large ones are linked in with their header in their headroom.

use super::drc::Reply;
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
        let mark = marking::mark((SUCCESS_LEN + len) as u32, true);
        let header = header::success(xid);
        let Some(mut results) = results else {
            return self.write([&mark, &header], more, pool).map_err(|NoMem| None);
        };
        if len > COPY_MAX || (more == 0 && self.is_empty() && results.headroom() >= HEADER) {
            let Ok(front) = results.prepend(pool, HEADER) else { return Err(Some(results)) };
            front[..MARK_LEN].copy_from_slice(&mark);
            front[MARK_LEN..].copy_from_slice(&header);
            self.linked(results);
            return Ok(());
        }
        let written = match results.first() {
            octets if octets.len() == len => self.write([&mark, &header, octets], more, pool),
            _ => {
                let mut octets = [0; COPY_MAX];
                results.copy_out(0, &mut octets[..len]);
                self.write([&mark, &header, &octets[..len]], more, pool)
            }
        };
        if written.is_err() {
            return Err(Some(results));
        }
        pool.note_compacted(len);
        pool.spend(results);
        Ok(())
    }

    /// Adds the reply of a call whose results `write` writes, who also says whether it went well:
    /// otherwise nothing is added. `more` are expected behind it.
    ///
    /// # Shapes
    /// Octets of the record, with its mark; 0 when nothing was added.
    ///
    /// # Errors
    /// No memory; nothing was asked.
    #[inline]
    pub fn record<T>(
        &mut self,
        xid: u32,
        more: usize,
        pool: &mut Pool,
        write: impl FnOnce(&mut Encoder<'_>) -> (T, bool),
    ) -> Result<(T, usize), NoMem> {
        let wanted = ((HEADER + SMALL) * (more + 1)).clamp(HEADER + COPY_MAX, BLOCK_MAX);
        let mut open = self.room(HEADER + ROOM, wanted, pool)?;
        let start = open.len();
        let room = open.spare_mut();
        // That of no results: it is put right when there are some.
        room[..MARK_LEN].copy_from_slice(&marking::mark(SUCCESS_LEN as u32, true));
        room[MARK_LEN..HEADER].copy_from_slice(&header::success(xid));
        open.commit(HEADER);
        let mut to = Encoder::behind(open, pool);
        let (told, well) = write(&mut to);
        if !well {
            to.truncate(0);
        }
        let len = HEADER + to.len();
        let mut written = to.finish();
        if !well {
            written.truncate(start);
            self.open = Some(written);
            return Ok((told, 0));
        }
        if len > HEADER
            && let Some(front) = written.first_mut()
        {
            let mark = marking::mark((len - MARK_LEN) as u32, true);
            front[start..start + MARK_LEN].copy_from_slice(&mark);
        }
        if written.first().len() == start + len {
            self.open = Some(written);
        } else {
            self.ready.push(written);
        }
        Ok((told, len))
    }

    /// Adds records that are whole.
    pub fn linked(&mut self, records: Msg) {
        self.seal();
        self.ready.push(records);
    }

    /// Adds a reply that was given before, if it was one.
    ///
    /// # Errors
    /// No memory; nothing was added.
    pub fn again(&mut self, xid: u32, reply: Reply<'_>, pool: &mut Pool) -> Result<(), NoMem> {
        match reply {
            Reply::Octets([front, rest]) => {
                let mark = marking::mark((front.len() + rest.len()) as u32, true);
                self.write([&mark, front, rest], 0, pool)
            }
            Reply::Results(results) => {
                let results = results.dup(pool)?;
                self.success(xid, Some(results), 0, pool).map_err(|results| {
                    results.into_iter().for_each(|results| pool.spend(results));
                    NoMem
                })
            }
        }
    }

    /// Adds the reply of a call that went wrong.
    ///
    /// # Errors
    /// No memory; nothing was added.
    pub fn refusal(&mut self, xid: u32, why: Outcome, pool: &mut Pool) -> Result<(), NoMem> {
        let reply = refusal(xid, why, pool)?;
        let len = reply.len();
        let mark = marking::mark(len as u32, true);
        let written = self.write([&mark, reply.first()], 0, pool);
        pool.spend(reply);
        written
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
    fn write<const N: usize>(
        &mut self,
        parts: [&[u8]; N],
        more: usize,
        pool: &mut Pool,
    ) -> Result<(), NoMem> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut open = self.room(len, (len * (more + 1)).min(BLOCK_MAX), pool)?;
        let mut room = open.spare_mut();
        for part in parts {
            let (here, behind) = room.split_at_mut(part.len());
            here.copy_from_slice(part);
            room = behind;
        }
        open.commit(len);
        self.open = Some(open);
        Ok(())
    }

    /// The block that is written to, to be put back: it has room for `len` octets, of `wanted` when
    /// it is new.
    #[inline]
    fn room(&mut self, len: usize, wanted: usize, pool: &mut Pool) -> Result<Msg, NoMem> {
        if let Some(open) = self.open.take_if(|open| open.tailroom() >= len) {
            return Ok(open);
        }
        let new = pool.alloc(0, wanted.max(len)).or_else(|NoMem| pool.alloc(0, len))?;
        self.seal();
        Ok(new)
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
/// Octets of results that a block has room for at least, where it is not known how many come.
const ROOM: usize = 128;
/// Octets of results that are expected then.
const SMALL: usize = 16;
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
        replies.again(7, Reply::Octets([b"as it ", b"was!!!"]), &mut pool).unwrap();
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
