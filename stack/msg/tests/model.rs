//! Random operations on several messages against a naive model: a vector of blocks, each a kind
//! and its bytes. All messages are compared after each step, so that a write which a duplicate
//! could see is found; at the end all cells are back.

use millstream_msg::{
    Band, Free, Kind, Level, Msg, MsgFlags, MsgList, Offload, Pool, PoolConfig, PullupError,
};
use proptest::prelude::*;

type Blocks = Vec<(Kind, Vec<u8>)>;

/// A message and what it should be.
struct Pair {
    msg: Msg,
    blocks: Blocks,
    band: Band,
    flags: MsgFlags,
    csum_start: Option<u16>,
}

/// One step: what, on which message, with which numbers.
type Step = (u8, usize, usize, u8);

const KINDS: [Kind; 3] = [Kind::Data, Kind::Proto, Kind::PcProto];

/// Few enough cells that refusals are common.
const POOR: PoolConfig =
    PoolConfig { small: 24, frame: 8, large: 2, bare: 12, external: 4, reserve_256th: 0 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn messages_behave_as_vectors_of_blocks(
        rich: bool,
        steps in
            proptest::collection::vec((0..21_u8, 0..8_usize, 0..700_usize, any::<u8>()), 1..60),
    ) {
        let mut world = World::new(if rich { PoolConfig::TINY } else { POOR });
        for step in steps {
            world.step(step);
            world.pairs.iter().for_each(check);
        }
        world.end();
    }

    #[test]
    fn lists_behave_as_vectors_of_messages(
        steps in proptest::collection::vec((0..8_u8, 0..6_usize), 1..60),
    ) {
        list_steps(&steps);
    }
}

struct World {
    pool: Pool,
    pairs: Vec<Pair>,
    /// Memory that is lent as foreign, and not written here.
    foreign: Vec<u8>,
}

impl World {
    fn new(config: PoolConfig) -> Self {
        Self { pool: Pool::new(config), pairs: Vec::new(), foreign: (0..=255).collect() }
    }

    fn step(&mut self, (op, which, n, value): Step) {
        if op < 4 || self.pairs.is_empty() {
            return self.make(op, n, value);
        }
        let at = which % self.pairs.len();
        let pool = &mut self.pool;
        let pair = &mut self.pairs[at];
        let len = pair.msg.len();
        match op {
            4 => pair.append(pool, &vec![value; n]),
            5 => pair.prepend(pool, n % 80, value),
            6 => pair.trim_front(n % (len + 1)),
            7 => pair.truncate(n % (len + 1)),
            8 => pair.adjust(n as isize - 350),
            9 => pair.pullup(pool, n),
            10 => pair.make_writable(pool, n, value),
            11 => pair.mark(value, n),
            12 => self.dup(at),
            13 => self.copy(at),
            14 => self.split(at, n % (len + 1)),
            15 => self.slice(at, n % (len + 1), value),
            16 => self.link(at),
            17 => self.unlink(at),
            18 => self.pulled_up(at, n),
            19 => self.compact(at),
            _ => self.free(at, value),
        }
    }

    /// A new message: allocated, copied, wrapped or foreign.
    fn make(&mut self, op: u8, n: usize, value: u8) {
        let bytes: Vec<u8> = (0..n).map(|i| value.wrapping_add(i as u8)).collect();
        let (made, bytes) = match op {
            0 => (self.pool.alloc(n, n), Vec::new()),
            1 => (self.pool.wrap_bytes(bytes.clone().into()), bytes),
            2 => {
                let part = self.foreign[usize::from(value)..].to_vec();
                let base = self.foreign.as_mut_ptr().wrapping_add(usize::from(value));
                // SAFETY: `foreign` lives as long as the pool and its messages.
                (unsafe { self.pool.wrap_foreign(base, part.len(), Free::None) }, part)
            }
            _ => (self.pool.copy_from(usize::from(value), &bytes), bytes),
        };
        let Ok(mut msg) = made else { return };
        let kind = KINDS[usize::from(value) % KINDS.len()];
        msg.set_kind(kind);
        self.push(msg, vec![(kind, bytes)], Band(0), MsgFlags::empty(), None);
    }

    fn push(&mut self, msg: Msg, blocks: Blocks, band: Band, flags: MsgFlags, csum: Option<u16>) {
        self.pairs.push(Pair { msg, blocks, band, flags, csum_start: csum });
    }

    fn dup(&mut self, at: usize) {
        let p = &self.pairs[at];
        let Ok(dup) = p.msg.dup(&mut self.pool) else { return };
        assert!(p.msg.first_mut_is_refused());
        self.push(dup, p.blocks.clone(), p.band, p.flags, p.csum_start);
    }

    fn copy(&mut self, at: usize) {
        let p = &self.pairs[at];
        let (headroom, tailroom) = (p.msg.headroom(), p.msg.tailroom());
        let Ok(copy) = p.msg.copy(&mut self.pool) else { return };
        assert!(copy.is_unique());
        assert!(copy.headroom() >= headroom && copy.tailroom() >= tailroom);
        self.push(copy, p.blocks.clone(), p.band, p.flags, p.csum_start);
    }

    fn split(&mut self, at: usize, n: usize) {
        let p = &mut self.pairs[at];
        let Ok(rest) = p.msg.split_off(&mut self.pool, n) else { return };
        let behind = observed(&rest);
        let (front, back) = split(&p.blocks, n);
        assert_eq!((flat(&observed(&p.msg)), flat(&behind)), (flat(&front), flat(&back)));
        p.blocks = observed(&p.msg);
        let (band, flags) = (p.band, p.flags);
        if rest.is_empty() {
            return self.push(rest, behind, band, flags.without(ends()), None);
        }
        p.flags = flags.without(ends());
        self.push(rest, behind, band, flags, None);
    }

    fn slice(&mut self, at: usize, from: usize, value: u8) {
        let p = &self.pairs[at];
        let len = (p.msg.len() - from).min(usize::from(value) * 4);
        let Ok(slice) = p.msg.slice(&mut self.pool, from, len) else { return };
        let (front, _) = split(&p.blocks, from + len);
        let (_, middle) = split(&front, from);
        assert_eq!(flat(&observed(&slice)), flat(&middle));
        let flags = if from + len < p.msg.len() { p.flags.without(ends()) } else { p.flags };
        let blocks = observed(&slice);
        self.push(slice, blocks, p.band, flags, None);
    }

    fn link(&mut self, at: usize) {
        if self.pairs.len() < 2 {
            return;
        }
        let behind = self.pairs.remove(at);
        let before = (at + 1) % self.pairs.len();
        let p = &mut self.pairs[before];
        p.msg.link(behind.msg);
        p.blocks.extend(behind.blocks);
    }

    fn unlink(&mut self, at: usize) {
        let mut p = self.pairs.remove(at);
        let (first, rest) = p.msg.unlink();
        assert_eq!(rest.is_some(), p.blocks.len() > 1);
        let behind = p.blocks.split_off(1);
        let mut flags = p.flags;
        if let Some(rest) = rest {
            let back = if rest.is_empty() { flags.without(ends()) } else { flags };
            flags = if rest.is_empty() { flags } else { flags.without(ends()) };
            self.push(rest, behind, p.band, back, None);
        }
        self.push(first, p.blocks, p.band, flags, p.csum_start);
    }

    fn pulled_up(&mut self, at: usize, n: usize) {
        let p = &self.pairs[at];
        match p.msg.pulled_up(&mut self.pool, n) {
            Ok(msg) => {
                assert!(msg.first().len() >= n);
                assert_eq!(flat(&observed(&msg)), flat(&p.blocks));
                let blocks = observed(&msg);
                self.push(msg, blocks, p.band, p.flags, p.csum_start);
            }
            Err(error) => assert!(error == PullupError::NoMem || run(&p.blocks) < n),
        }
    }

    fn compact(&mut self, at: usize) {
        let mut p = self.pairs.remove(at);
        let before = p.msg.truesize();
        p.msg = p.msg.compacted(&mut self.pool);
        assert!(p.msg.truesize() <= before);
        p.resync();
        self.pairs.push(p);
    }

    fn free(&mut self, at: usize, value: u8) {
        let p = self.pairs.remove(at);
        match value % 4 {
            0 => drop(p.msg),
            1 => match p.msg.into_bytes() {
                Ok(bytes) => assert_eq!(bytes, p.blocks[0].1),
                Err(msg) => {
                    assert!(msg.blocks().count() > 1 || msg.blocks().any(|b| b.is_foreign()));
                }
            },
            _ => self.pool.free(p.msg),
        }
    }

    fn end(mut self) {
        for (i, pair) in self.pairs.drain(..).enumerate() {
            if i % 2 == 0 { drop(pair.msg) } else { self.pool.free(pair.msg) }
        }
        self.pool.run_deferred();
        let s = self.pool.stats();
        let out = [s.small, s.frame, s.large, s.bare, s.external].map(|counts| counts.out);
        assert_eq!(out, [0; 5]);
        assert_eq!(self.pool.level(), Level::Low);
    }
}

impl Pair {
    fn append(&mut self, pool: &mut Pool, bytes: &[u8]) {
        if self.msg.append(pool, bytes).is_ok() {
            self.blocks.last_mut().unwrap().1.extend(bytes);
            self.resync();
        }
    }

    fn prepend(&mut self, pool: &mut Pool, n: usize, value: u8) {
        if let Ok(room) = self.msg.prepend(pool, n) {
            room.fill(value);
            self.blocks[0].1.splice(..0, vec![value; n]);
            self.csum_start = self.csum_start.map(|start| start + n as u16);
            self.resync();
        }
    }

    fn trim_front(&mut self, n: usize) {
        self.msg.trim_front(n);
        let first = self.blocks[0].1.len();
        remove_front(&mut self.blocks, n);
        if n > first && self.blocks[0].1.is_empty() && self.blocks.len() > 1 {
            self.blocks.remove(0);
        }
        self.csum_start = self.csum_start.and_then(|start| start.checked_sub(n as u16));
    }

    fn truncate(&mut self, len: usize) {
        self.msg.truncate(len);
        self.blocks = split_at_first(&self.blocks, len);
    }

    fn adjust(&mut self, n: isize) {
        let run = run(&self.blocks);
        let done = self.msg.adjust(n);
        assert_eq!(done, n.unsigned_abs() <= run);
        if !done {
        } else if n >= 0 {
            remove_front(&mut self.blocks, n as usize);
            self.csum_start = self.csum_start.and_then(|start| start.checked_sub(n as u16));
        } else {
            remove_end(&mut self.blocks, n.unsigned_abs());
        }
    }

    fn pullup(&mut self, pool: &mut Pool, n: usize) {
        match self.msg.pullup(pool, n) {
            Ok(()) => assert!(self.msg.first().len() >= n),
            Err(PullupError::Short) => assert!(run(&self.blocks) < n),
            Err(PullupError::NoMem) => {}
        }
        self.resync();
    }

    fn make_writable(&mut self, pool: &mut Pool, n: usize, value: u8) {
        match self.msg.make_writable(pool, n) {
            Ok(bytes) => {
                bytes.fill(value);
                let bytes = self.blocks.iter_mut().flat_map(|(_, bytes)| bytes);
                bytes.take(n).for_each(|byte| *byte = value);
            }
            Err(PullupError::Short) => assert!(run(&self.blocks) < n),
            Err(PullupError::NoMem) => {}
        }
        self.resync();
    }

    fn mark(&mut self, value: u8, n: usize) {
        self.band = Band(value);
        self.flags = if value.is_multiple_of(2) { ends() } else { MsgFlags::CSUM_OK };
        self.csum_start = Some(n as u16);
        self.msg.set_band(self.band);
        self.msg.set_flags(self.flags);
        let offload = Offload { needs_csum: true, csum_start: n as u16, ..Offload::NONE };
        self.msg.set_offload(offload);
    }

    /// Takes the borders between blocks from the message, once the bytes and kinds are right.
    fn resync(&mut self) {
        let seen = observed(&self.msg);
        assert_eq!(flat(&seen), flat(&self.blocks));
        self.blocks = seen;
    }
}

trait Shared {
    fn first_mut_is_refused(&self) -> bool;
}

impl Shared for Msg {
    fn first_mut_is_refused(&self) -> bool {
        self.headroom() == 0 && self.tailroom() == 0 && !self.blocks().any(|b| b.is_unique())
    }
}

fn check(pair: &Pair) {
    let Pair { msg, blocks, .. } = pair;
    assert_eq!(&observed(msg), blocks);
    let data = blocks.iter().filter(|(kind, _)| *kind == Kind::Data);
    assert_eq!(msg.data_len(), data.map(|(_, bytes)| bytes.len()).sum::<usize>());
    assert_eq!(msg.len(), flat(blocks).len());
    assert_eq!((msg.band(), msg.flags()), (pair.band, pair.flags));
    assert_eq!(msg.run_len(), run(blocks));
    let request = msg.offload();
    assert_eq!(request.needs_csum.then_some(request.csum_start), pair.csum_start);
}

fn observed(msg: &Msg) -> Blocks {
    let mut at = 0;
    msg.blocks()
        .map(|block| {
            let mut bytes = vec![0; block.len()];
            assert_eq!(msg.copy_out(at, &mut bytes), block.len());
            assert!(block.as_slice().is_none_or(|slice| slice == bytes));
            at += block.len();
            (block.kind(), bytes)
        })
        .collect()
}

fn ends() -> MsgFlags {
    MsgFlags::MARK.with(MsgFlags::DELIM)
}

fn flat(blocks: &Blocks) -> Vec<(Kind, u8)> {
    blocks.iter().flat_map(|(kind, bytes)| bytes.iter().map(|byte| (*kind, *byte))).collect()
}

/// Bytes of the leading run of one kind.
fn run(blocks: &Blocks) -> usize {
    let kind = blocks[0].0;
    blocks.iter().take_while(|b| b.0 == kind).map(|b| b.1.len()).sum()
}

/// adjmsg from the front: emptied blocks go, except the first.
fn remove_front(blocks: &mut Blocks, mut n: usize) {
    let taken = n.min(blocks[0].1.len());
    blocks[0].1.drain(..taken);
    n -= taken;
    while n > 0 {
        let taken = n.min(blocks[1].1.len());
        blocks[1].1.drain(..taken);
        n -= taken;
        if blocks[1].1.is_empty() {
            blocks.remove(1);
        }
    }
}

/// adjmsg from the end of the leading run: emptied blocks go, except the first.
fn remove_end(blocks: &mut Blocks, mut n: usize) {
    let kind = blocks[0].0;
    let mut at = blocks.iter().take_while(|b| b.0 == kind).count();
    while n > 0 {
        at -= 1;
        let bytes = &mut blocks[at].1;
        let taken = n.min(bytes.len());
        bytes.truncate(bytes.len() - taken);
        n -= taken;
        if taken > 0 && bytes.is_empty() && at > 0 {
            blocks.remove(at);
        }
    }
}

/// The blocks up to byte `len`, without those behind the first that ends there.
fn split_at_first(blocks: &Blocks, len: usize) -> Blocks {
    let mut front = Blocks::new();
    let mut left = len;
    for (kind, bytes) in blocks {
        let n = left.min(bytes.len());
        front.push((*kind, bytes[..n].to_vec()));
        left -= n;
        if left == 0 {
            break;
        }
    }
    front
}

/// Bytes before and behind `n`.
fn split(blocks: &Blocks, n: usize) -> (Blocks, Blocks) {
    let mut left = n;
    let cut = |(kind, bytes): &(Kind, Vec<u8>)| {
        let at = left.min(bytes.len());
        left -= at;
        ((*kind, bytes[..at].to_vec()), (*kind, bytes[at..].to_vec()))
    };
    blocks.iter().map(cut).unzip()
}

fn list_steps(steps: &[(u8, usize)]) {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut list = MsgList::new();
    let mut model: Vec<u32> = Vec::new();
    for (stamp, &(op, n)) in (0_u32..).zip(steps) {
        let mut msg = pool.copy_from(0, &[0; 3]).unwrap();
        msg.set_stamp(stamp);
        match op {
            0 | 1 => {
                list.push(msg);
                model.push(stamp);
            }
            2 => {
                list.push_front(msg);
                model.insert(0, stamp);
            }
            3 => {
                list.insert_before(msg, |m| m.stamp() % 6 == n as u32);
                let at = model.iter().position(|s| s % 6 == n as u32).unwrap_or(model.len());
                model.insert(at, stamp);
            }
            4 => {
                let first = list.pop().map(|m| m.stamp());
                assert_eq!(first, (!model.is_empty()).then(|| model.remove(0)));
            }
            5 => {
                let taken = list.extract(|m| m.stamp() % 6 > n as u32);
                let wanted = model.extract_if(.., |s| *s % 6 > n as u32);
                assert!(taken.map(|m| m.stamp()).eq(wanted));
            }
            6 => {
                let mut front = list.split_front(n);
                assert_eq!(front.len(), n.min(model.len()));
                front.append(&mut list);
                assert!(list.is_empty() && list.bytes() == 0);
                list = front;
            }
            _ => {
                let mut other: MsgList = [msg].into_iter().collect();
                list.append(&mut other);
                model.push(stamp);
            }
        }
        assert!(list.iter().map(Msg::stamp).eq(model.iter().copied()));
        assert_eq!(list.front().map(Msg::stamp), model.first().copied());
        assert_eq!((list.len(), list.bytes() as usize), (model.len(), model.len() * 3));
    }
    drop(list);
    assert_eq!(pool.stats().small.out, 0);
}
