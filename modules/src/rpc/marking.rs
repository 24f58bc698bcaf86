//! marking: octets of a connection become records, and records get their mark (RFC 5531, section
//! 11): a word with the length of a fragment, and whether it is the last one, in front of each.
//!
//! A record that came whole stays where it is in its message. One that came in fragments or in
//! pieces is put together by linking their blocks; where these are mostly empty (a peer that sends
//! one octet at a time) they are compacted, so that a record holds memory in proportion to its
//! length. No other octet is copied.

use millstream_msg::{Block, Msg, MsgList, NoMem, Pool};

/// What of a record has come.
#[derive(Debug)]
pub struct Marking {
    limits: Limits,
    /// Octets of a mark that has not come whole, and how many.
    mark: [u8; MARK_LEN],
    mark_octets: u8,
    /// A fragment is under way, and it is the last one.
    inside: bool,
    last: bool,
    /// Octets of the fragment that are to come.
    left: u32,
    /// Fragments of the record, that under way included.
    fragments: u32,
    /// Of these, empty ones.
    empty: u32,
    /// Octets of fragments that are complete.
    complete: u32,
    /// Octets held.
    octets: u32,
    /// Pieces that were looked at whether they waste memory; and those that were not.
    settled: MsgList,
    fresh: MsgList,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest record. Octets, without marks.
    pub record: u32,
    /// Most fragments of a record.
    pub fragments: u32,
    /// Most fragments of a record without an octet.
    pub empty: u32,
}

impl Limits {
    /// A write of 1 MiB with its header; fragments of 16 octets on the average of that.
    pub const DEFAULT: Self = Self { record: (1 << 20) + 8192, fragments: 1 << 16, empty: 64 };
}

/// What a step has found.
#[derive(Debug)]
pub enum Found {
    /// The first so many octets of the input are a record; its mark is gone.
    Here(usize),
    /// A record, put together; the input is behind it.
    Joined(Msg),
    /// The input is used up, within a record or between two.
    More,
}

/// Why a peer is not listened to any more. Nothing of what it sends can be told apart from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The record is longer than allowed: so many octets, of those that are announced.
    TooLong(u64),
    /// It has more fragments than allowed.
    Fragments,
    /// It has more empty fragments than allowed.
    Empty,
}

/// What a step could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The peer has broken a limit.
    Fault(Fault),
    /// No window was left to cut the input. The same step can be tried again.
    NoMem,
}

impl From<NoMem> for Stop {
    fn from(NoMem: NoMem) -> Self {
        Self::NoMem
    }
}

impl Marking {
    /// Between two records.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            mark: [0; MARK_LEN],
            mark_octets: 0,
            inside: false,
            last: false,
            left: 0,
            fragments: 0,
            empty: 0,
            complete: 0,
            octets: 0,
            settled: MsgList::new(),
            fresh: MsgList::new(),
        }
    }

    /// What a peer may send from now on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Octets of a record that has not come whole.
    pub const fn held(&self) -> u32 {
        self.octets
    }

    /// Has a record begun that has not come whole?
    pub const fn is_within(&self) -> bool {
        self.fragments > 0 || self.mark_octets > 0
    }

    /// Looks for the end of a record in the input, which stays where it is as long as no octet of
    /// it is taken: [`Found::Here`] leaves the record to whoever asked.
    ///
    /// # Shapes
    /// [`Found::More`] takes all of the input, so that `None` is left.
    ///
    /// # Errors
    /// See [`Stop`]. What is held stays; after a fault only [`Marking::clear`] is of use.
    #[inline]
    pub fn step(&mut self, input: &mut Option<Msg>, pool: &mut Pool) -> Result<Found, Stop> {
        if let Some(msg) = input
            && !self.is_within()
            && let Some(&[a, b, c, d]) = msg.first().first_chunk()
            && let (len, true) = parse([a, b, c, d])
            && len <= self.limits.record
            && len as usize + MARK_LEN <= msg.len()
        {
            msg.trim_front(MARK_LEN);
            return Ok(Found::Here(len as usize));
        }
        self.step_slowly(input, pool)
    }

    /// A record that was found ([`Found::Here`]) stays in the input for another time: the next step
    /// finds it again.
    pub const fn unread(&mut self, len: usize) {
        (self.inside, self.last, self.left, self.fragments) = (true, true, len as u32, 1);
    }

    fn step_slowly(&mut self, input: &mut Option<Msg>, pool: &mut Pool) -> Result<Found, Stop> {
        loop {
            if !self.inside && !self.begin(input, pool).map_err(Stop::Fault)? {
                return Ok(Found::More);
            }
            let Some(msg) = input else { return Ok(Found::More) };
            let take = msg.len().min(self.left as usize);
            let ends = take == self.left as usize;
            if ends && self.last && self.octets == 0 {
                self.reset();
                return Ok(Found::Here(take));
            }
            if take == 0 && !msg.is_empty() {
                // An empty fragment: there is nothing to cut off.
            } else if take < msg.len() {
                let rest = msg.split_off(pool, take)?;
                let piece = input.replace(rest);
                piece.into_iter().for_each(|piece| self.hold(piece, pool));
            } else if let Some(piece) = input.take() {
                self.hold(piece, pool);
            }
            self.left -= take as u32;
            if ends {
                (self.inside, self.complete) = (false, self.octets);
            }
            if ends && self.last {
                let record = self.join();
                self.reset();
                if let Some(record) = record {
                    return Ok(Found::Joined(record));
                }
            }
        }
    }

    /// Takes a mark off the input; false when that ends before it does, and is used up.
    fn begin(&mut self, input: &mut Option<Msg>, pool: &mut Pool) -> Result<bool, Fault> {
        let Some(msg) = input.take() else { return Ok(false) };
        let have = usize::from(self.mark_octets);
        let got = msg.copy_out(0, &mut self.mark[have..]);
        self.mark_octets += got as u8;
        let rest = behind(msg, got, pool);
        if usize::from(self.mark_octets) == MARK_LEN || !rest.is_empty() {
            *input = Some(rest);
        } else {
            pool.spend(rest);
        }
        if usize::from(self.mark_octets) < MARK_LEN {
            return Ok(false);
        }
        self.mark_octets = 0;
        let (len, last) = parse(self.mark);
        let sum = u64::from(self.octets) + u64::from(len);
        self.fragments += 1;
        self.empty += u32::from(len == 0);
        if sum > u64::from(self.limits.record) {
            return Err(Fault::TooLong(sum));
        }
        if self.fragments > self.limits.fragments {
            return Err(Fault::Fragments);
        }
        if self.empty > self.limits.empty {
            return Err(Fault::Empty);
        }
        (self.inside, self.last, self.left) = (true, last, len);
        Ok(true)
    }

    fn hold(&mut self, piece: Msg, pool: &mut Pool) {
        if piece.is_empty() {
            return pool.spend(piece);
        }
        self.octets += piece.len() as u32;
        self.fresh.push(piece);
        if self.fresh.len() >= FRESH_MAX
            && let Some(joined) = join(&mut self.fresh)
        {
            self.settled.push(joined.compacted(pool));
        }
    }

    /// All that is held as one message.
    fn join(&mut self) -> Option<Msg> {
        self.settled.append(&mut self.fresh);
        join(&mut self.settled)
    }

    fn reset(&mut self) {
        (self.inside, self.left, self.fragments, self.empty) = (false, 0, 0, 0);
        (self.complete, self.octets) = (0, 0);
    }

    /// Gives up what has come of a record: what is held of it.
    pub fn clear(&mut self) -> Option<Msg> {
        let held = self.join();
        self.mark_octets = 0;
        self.reset();
        held
    }

    /// What has come of a record, as it could have come: fragments that are complete as one, then
    /// that under way, each with its mark. Nothing is held then.
    ///
    /// # Errors
    /// No memory for a mark or to cut; what is held stays.
    pub fn give_back(&mut self, pool: &mut Pool) -> Result<Option<Msg>, NoMem> {
        let under_way = (self.octets - self.complete) + self.left;
        let mut behind = match (self.inside, self.mark_octets) {
            (true, _) => Some(pool.copy_from(0, &mark(under_way, self.last))?),
            (false, 0) => None,
            (false, n) => Some(pool.copy_from(0, &self.mark[..usize::from(n)])?),
        };
        let complete = self.fragments > u32::from(self.inside);
        let mut whole = match complete.then(|| pool.copy_from(0, &mark(self.complete, false))) {
            Some(made) => Some(made.inspect_err(|_| spend(behind.take(), pool))?),
            None => None,
        };
        if let Some(mut held) = self.join() {
            let cut = self.complete as usize;
            if cut == 0 {
                link(&mut behind, held);
            } else if cut < held.len() {
                match held.split_off(pool, cut) {
                    Ok(rest) => link(&mut behind, rest),
                    Err(NoMem) => {
                        self.settled.push(held);
                        spend(behind, pool);
                        spend(whole, pool);
                        return Err(NoMem);
                    }
                }
                link(&mut whole, held);
            } else {
                link(&mut whole, held);
            }
        }
        self.mark_octets = 0;
        self.reset();
        if let Some(behind) = behind {
            link(&mut whole, behind);
        }
        Ok(whole)
    }
}

/// The mark of a fragment.
#[inline]
pub const fn mark(len: u32, last: bool) -> [u8; MARK_LEN] {
    (len | if last { LAST } else { 0 }).to_be_bytes()
}

/// Length of a fragment, and whether it is the last one of its record.
#[inline]
pub const fn parse(mark: [u8; MARK_LEN]) -> (u32, bool) {
    let word = u32::from_be_bytes(mark);
    (word & !LAST, word & LAST != 0)
}

/// What is behind the first `n` octets, which are freed.
#[inline]
pub fn behind(mut msg: Msg, mut n: usize, pool: &mut Pool) -> Msg {
    while let Some(len) = msg.blocks().next().map(Block::len)
        && n > 0
        && n >= len
    {
        match msg.unlink() {
            (front, Some(rest)) => {
                pool.spend(front);
                (msg, n) = (rest, n - len);
            }
            (front, None) => {
                msg = front;
                break;
            }
        }
    }
    msg.trim_front(n);
    msg
}

fn link(front: &mut Option<Msg>, behind: Msg) {
    match front {
        Some(front) => front.link(behind),
        None => *front = Some(behind),
    }
}

fn spend(msg: Option<Msg>, pool: &mut Pool) {
    if let Some(msg) = msg {
        pool.spend(msg);
    }
}

/// Links messages in order. From the end: a link walks to the end of what it links to.
pub(super) fn join(list: &mut MsgList) -> Option<Msg> {
    let mut reversed = MsgList::new();
    while let Some(msg) = list.pop() {
        reversed.push_front(msg);
    }
    let mut joined = reversed.pop();
    while let Some(mut front) = reversed.pop() {
        if let Some(behind) = joined.take() {
            front.link(behind);
        }
        joined = Some(front);
    }
    joined
}

/// Octets of a mark.
pub const MARK_LEN: usize = 4;
const LAST: u32 = 1 << 31;
/// Pieces that may waste memory: 256 KiB when each is an octet in the cell of a frame. Compacted,
/// so many of one octet take half of a cell of 256.
const FRESH_MAX: usize = 128;

#[cfg(test)]
mod tests;
