//! `Reassembly`: data of a connection that came before what precedes it, joined without a copy.
//!
//! **Overlap.** What came first stays: a peer cannot replace octets that are here already.
//!
//! **Memory.** Charged by truesize, the records included; pieces that use less than a quarter of
//! their memory, and small ones behind others with room, are copied (counted as compaction).
//!
//! **Cost.** A segment costs a binary search over the runs, of which there are 1,024 at most, and
//! the runs that it joins; each of those is joined once.

mod recent;
mod run;

use super::seq::{Range, Seq};
use alloc::collections::VecDeque;
use millstream_msg::{Msg, MsgFlags, MsgList, Offload, Pool};
use recent::Recent;
use run::Run;

/// Octets beyond RCV.NXT.
#[derive(Debug, Default)]
pub struct Reassembly {
    /// By sequence number; no two touch.
    runs: VecDeque<Run>,
    recent: Recent,
    octets: u32,
    /// Bytes of memory of all runs, without the records.
    truesize: u32,
    #[cfg(test)]
    steps: usize,
}

/// What became of a segment's data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Octets that were kept.
    pub taken: u32,
    /// The first octets that were here already: what a D-SACK reports (RFC 2883).
    pub duplicate: Option<Range>,
    /// Why octets were not kept that were not here.
    pub refused: Option<Refused>,
}

/// Why data was dropped; the peer sends it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The limit of memory is reached.
    Memory,
    /// There are as many runs as can be.
    Runs,
    /// The pool has no window to cut the segment with.
    NoMem,
}

impl Reassembly {
    /// Octets held.
    pub const fn len(&self) -> u32 {
        self.octets
    }

    /// True without octets.
    pub const fn is_empty(&self) -> bool {
        self.octets == 0
    }

    /// Bytes of memory held.
    pub fn truesize(&self) -> u32 {
        self.truesize + self.runs.len() as u32 * RUN
    }

    /// The held ranges, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = Range> {
        self.runs.iter().map(Run::range)
    }

    /// Takes the data of a segment that begins at `seq`. `limit` is that of
    /// [`Reassembly::truesize`], which one message may pass by as much as it is cut.
    pub fn insert(
        &mut self,
        seq: Seq,
        mut msg: Msg,
        rcv_nxt: Seq,
        pool: &mut Pool,
        limit: u32,
    ) -> Inserted {
        let range = Range::new(seq, seq.add(msg.len() as u32));
        let from = seq.latest(rcv_nxt.earliest(range.end));
        let mut done = Inserted::default();
        done.repeated(seq, from);
        msg.trim_front(from.since(seq) as usize);
        let first = self.runs.partition_point(|run| run.range().end.before(from));
        let behind = self.runs.partition_point(|run| !run.range().start.after(range.end));
        self.count_steps(first, behind);
        done.refused = self.refusal(first, behind, Range::new(from, range.end), &msg, limit);
        if msg.is_empty() || done.refused.is_some() {
            pool.spend(msg);
            return done;
        }
        msg.set_flags(MsgFlags::empty());
        msg.set_offload(Offload::NONE);
        self.join(first..behind, from, msg, pool, &mut done);
        done
    }

    /// The run that holds octet `rcv_nxt`, from there on, as messages in order, and the number
    /// behind it. What is before is freed.
    pub fn take(&mut self, rcv_nxt: Seq, pool: &mut Pool) -> Option<(MsgList, Seq)> {
        while self.runs.front().is_some_and(|run| !run.range().start.after(rcv_nxt)) {
            let run = self.runs.pop_front()?;
            let Range { start, end } = run.range();
            self.octets -= run.range().len();
            self.truesize -= run.truesize();
            self.recent.before(rcv_nxt.latest(end));
            let mut list = run.into_list();
            if end.after(rcv_nxt) {
                trim(&mut list, rcv_nxt.since(start), pool);
                return Some((list, end));
            }
            free(list, pool);
        }
        None
    }

    /// The ranges for a SACK option (RFC 2018 section 4): the one that holds the latest arrival
    /// first, then those before. Returns how many there are.
    pub fn blocks(&self, out: &mut [Range; 4]) -> usize {
        self.recent.copy_to(out)
    }

    /// Drops data from the far end until at most `to` bytes of memory are held; returns the
    /// octets. The peer was told of them, but keeps them until they are acknowledged (RFC 2018
    /// section 8). Costs a walk over the last run that stays.
    pub fn prune(&mut self, to: u32, pool: &mut Pool) -> u32 {
        let before = self.octets;
        while self.truesize() > to
            && let Some(mut last) = self.runs.pop_back()
        {
            self.octets -= last.range().len();
            self.truesize -= last.truesize();
            last.keep(to.saturating_sub(self.truesize() + RUN), pool);
            self.recent.until(last.range().end);
            if !last.is_empty() {
                self.octets += last.range().len();
                self.truesize += last.truesize();
                self.runs.push_back(last);
                break;
            }
        }
        before - self.octets
    }

    /// Frees everything.
    pub fn clear(&mut self, pool: &mut Pool) {
        for run in self.runs.drain(..) {
            free(run.into_list(), pool);
        }
        self.runs.shrink_to(RUNS_KEPT);
        self.recent = Recent::default();
        (self.octets, self.truesize) = (0, 0);
    }

    fn refusal(
        &self,
        first: usize,
        behind: usize,
        range: Range,
        msg: &Msg,
        limit: u32,
    ) -> Option<Refused> {
        let held = first < behind && self.runs[first].holds(range);
        if held {
            None
        } else if self.truesize() as usize + msg.truesize() + RUN as usize > limit as usize {
            Some(Refused::Memory)
        } else if first == behind && self.runs.len() >= RUNS_MAX {
            Some(Refused::Runs)
        } else {
            None
        }
    }

    /// Makes one run of the message, which begins at `at`, and the runs that it touches.
    fn join(
        &mut self,
        touched: core::ops::Range<usize>,
        mut at: Seq,
        msg: Msg,
        pool: &mut Pool,
        done: &mut Inserted,
    ) {
        let end = at.add(msg.len() as u32);
        let (mut grown, mut joined, mut rest) = (Run::default(), touched.start, Some(msg));
        while joined < touched.end {
            let held = self.runs[joined].range();
            if at.before(held.start) {
                let gap = rest.take().map(|msg| cut(msg, held.start.since(at), pool));
                let Some(Ok((piece, behind))) = gap else {
                    done.refused = Some(Refused::NoMem);
                    break;
                };
                done.taken += grown.push(at, piece, pool);
                (at, rest) = (held.start, behind);
            }
            let repeated = held.end.earliest(end);
            if let Some(msg) = rest.as_mut().filter(|_| repeated.after(at)) {
                done.repeated(at, repeated);
                msg.trim_front(repeated.since(at) as usize);
                at = repeated;
            }
            let run = core::mem::take(&mut self.runs[joined]);
            self.truesize -= run.truesize();
            grown.append(run);
            joined += 1;
        }
        match rest {
            Some(msg) if msg.is_empty() => pool.spend(msg),
            Some(msg) => done.taken += grown.push(at, msg, pool),
            None => {}
        }
        self.octets += done.taken;
        self.settle(touched.start..joined, grown);
    }

    /// Puts a run in the place of those that were joined to it.
    fn settle(&mut self, joined: core::ops::Range<usize>, grown: Run) {
        if grown.is_empty() {
            return;
        }
        self.recent.arrived(grown.range());
        self.truesize += grown.truesize();
        if joined.is_empty() {
            self.runs.insert(joined.start, grown);
        } else {
            self.runs[joined.start] = grown;
            self.runs.drain(joined.start + 1..joined.end);
        }
    }

    /// What an insertion costs: the probes, the runs that it joins, the records that it moves.
    #[cfg(test)]
    fn count_steps(&mut self, first: usize, behind: usize) {
        let moved = first.min(self.runs.len() - first);
        self.steps += 2 * (self.runs.len() + 1).ilog2() as usize + (behind - first) + moved;
    }

    #[cfg(not(test))]
    const fn count_steps(&self, _first: usize, _behind: usize) {}
}

impl Inserted {
    /// Octets `from..to` were here. The first range counts, as long as it can be: a D-SACK has
    /// one.
    fn repeated(&mut self, from: Seq, to: Seq) {
        if from == to {
            return;
        }
        match &mut self.duplicate {
            None => self.duplicate = Some(Range::new(from, to)),
            Some(range) if range.end == from => range.end = to,
            Some(_) => {}
        }
    }
}

/// The first `n` bytes and the rest, if there is one. On failure the message is gone.
fn cut(mut msg: Msg, n: u32, pool: &mut Pool) -> Result<(Msg, Option<Msg>), ()> {
    if n as usize >= msg.len() {
        return Ok((msg, None));
    }
    match msg.split_off(pool, n as usize) {
        Ok(rest) => Ok((msg, Some(rest))),
        Err(_) => {
            pool.spend(msg);
            Err(())
        }
    }
}

/// Removes the first `n` octets of a list that has more.
fn trim(list: &mut MsgList, mut n: u32, pool: &mut Pool) {
    while n > 0
        && let Some(mut msg) = list.pop()
    {
        let here = n.min(msg.len() as u32);
        n -= here;
        if here as usize == msg.len() {
            pool.spend(msg);
        } else {
            msg.trim_front(here as usize);
            list.push_front(msg);
        }
    }
}

fn free(mut list: MsgList, pool: &mut Pool) {
    while let Some(msg) = list.pop() {
        pool.spend(msg);
    }
}

/// Bytes of a run's record.
const RUN: u32 = size_of::<Run>() as u32;

/// A window of 6 MiB in segments of 1,460 bytes, of which a fifth is lost in no order, has 860
/// runs. Moving half of the records takes less time than the segment's way through the stack.
const RUNS_MAX: usize = 1024;

/// Records that an empty one keeps.
const RUNS_KEPT: usize = 16;

#[cfg(test)]
mod tests;
