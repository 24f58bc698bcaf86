//! `Run`: octets without a gap.

use super::super::seq::{Range, Seq};
use millstream_msg::{Msg, MsgList, Pool};

#[derive(Debug, Default)]
pub(super) struct Run {
    range: Range,
    /// Bytes of memory of the messages.
    truesize: u32,
    list: MsgList,
    /// Behind those of the list; none in an empty run only.
    last: Option<Msg>,
}

impl Run {
    pub(super) const fn range(&self) -> Range {
        self.range
    }

    pub(super) const fn truesize(&self) -> u32 {
        self.truesize
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// Is all of it here?
    pub(super) const fn holds(&self, range: Range) -> bool {
        !range.start.before(self.range.start) && !range.end.after(self.range.end)
    }

    /// Adds a message at the end, which is `at` unless the run is empty; returns its length.
    pub(super) fn push(&mut self, at: Seq, msg: Msg, pool: &mut Pool) -> u32 {
        let len = msg.len() as u32;
        if self.is_empty() {
            self.range = Range::new(at, at);
        }
        self.range.end = at.add(len);
        if let Some(last) = self.last.as_mut().filter(|_| len <= SMALL)
            && last.tailroom() >= msg.len()
        {
            msg.copy_out(0, &mut last.spare_mut()[..msg.len()]);
            last.commit(msg.len());
            pool.note_compacted(msg.len());
            pool.spend(msg);
            return len;
        }
        let msg = msg.compacted(pool);
        self.truesize += msg.truesize() as u32;
        if let Some(before) = self.last.replace(msg) {
            self.list.push(before);
        }
        len
    }

    /// Adds a run that begins where this one ends, unless this one is empty.
    pub(super) fn append(&mut self, mut other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.range.end = other.range.end;
        self.truesize += other.truesize;
        if let Some(last) = core::mem::replace(&mut self.last, other.last) {
            self.list.push(last);
        }
        self.list.append(&mut other.list);
    }

    /// Keeps what fits into `to` bytes of memory, from the beginning.
    pub(super) fn keep(&mut self, to: u32, pool: &mut Pool) {
        let mut all = core::mem::take(self);
        let start = all.range.start;
        let mut rest = core::mem::take(&mut all).into_list();
        self.range = Range::new(start, start);
        while let Some(msg) = rest.pop() {
            let truesize = msg.truesize() as u32;
            if self.truesize + truesize > to {
                pool.spend(msg);
                break;
            }
            self.truesize += truesize;
            self.range.end = self.range.end.add(msg.len() as u32);
            if let Some(before) = self.last.replace(msg) {
                self.list.push(before);
            }
        }
        super::free(rest, pool);
    }

    /// The messages in order.
    pub(super) fn into_list(mut self) -> MsgList {
        if let Some(last) = self.last {
            self.list.push(last);
        }
        self.list
    }
}

/// Messages up to here are copied behind others: the copy costs less than a cell of 384 bytes.
const SMALL: u32 = 256;
