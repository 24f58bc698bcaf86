//! fault: a line that loses, repeats and damages frames, or breaks, by a seed.

use super::BadWrap;
use millstream_core::{Caps, Device, Errno, Formats, Rng};
use millstream_modules::impair::units::{self, ONE};
use millstream_msg::offload::{Can, finish};
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};

/// A device with faults. The same frames and seed give the same faults.
///
/// The stack finishes super-frames before them and those of the device are cut, so that each packet
/// has a fate of its own. A damaged frame has its checksums filled in first: whoever receives it
/// can find out.
#[derive(Debug)]
pub struct Fault<D> {
    device: D,
    faults: Faults,
    rng: Rng,
    /// Copies of what is sent.
    copies: Pool,
    /// Frames of both directions until the device breaks.
    left: u64,
    /// What fate has decided of the first frame of the backlog.
    decided: bool,
    dropped: u64,
}

/// How bad the line is; see [`Faults::parse`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Share of frames lost, in billionths; so below.
    drop: u32,
    /// Share of frames that come twice.
    duplicate: u32,
    /// Share of frames with one bit flipped, behind the link header.
    corrupt: u32,
    /// Frames of both directions after which the device fails with EIO.
    fail_after: Option<u64>,
    seed: u64,
}

impl Faults {
    /// From parameters: `drop`, `duplicate` and `corrupt` take shares (0.1%), `fail-after` a number
    /// of frames, `seed` a number (0 if it is not given).
    ///
    /// # Errors
    /// A sentence with what is taken.
    pub fn parse(params: &[(&str, &str)]) -> Result<Self, BadWrap> {
        let mut faults = Self::default();
        for &(key, value) in params {
            let bad = |want| BadWrap(format!("{key}={value}: write {want}"));
            let share = || units::share(value).ok_or_else(|| bad("a share such as 0.1%"));
            match key {
                "drop" => faults.drop = share()?,
                "duplicate" => faults.duplicate = share()?,
                "corrupt" => faults.corrupt = share()?,
                "fail-after" => {
                    faults.fail_after = Some(value.parse().map_err(|_| bad("a number of frames"))?);
                }
                "seed" => faults.seed = units::seed(value).ok_or_else(|| bad("a number"))?,
                _ => return Err(BadWrap(format!("fault has no parameter {key}: {KNOWN}"))),
            }
        }
        Ok(faults)
    }
}

const KNOWN: &str = "there are drop, duplicate, corrupt, fail-after and seed";

impl<D: Device> Fault<D> {
    /// Puts faults on the line of `device`.
    pub fn new(device: D, faults: Faults) -> Self {
        let rng = Rng::new(faults.seed);
        let left = faults.fail_after.unwrap_or(u64::MAX);
        let copies = Pool::new(PoolConfig::TINY);
        Self { device, faults, rng, copies, left, decided: false, dropped: 0 }
    }

    /// Fate of one frame. Each draws as often, so that shares do not change each other's frames.
    fn draw(&mut self) -> Fate {
        let mut chance = |share: u32| self.rng.below(ONE) < u64::from(share);
        let (drop, duplicate) = (chance(self.faults.drop), chance(self.faults.duplicate));
        let corrupt = chance(self.faults.corrupt);
        Fate { drop, duplicate, flip: corrupt.then_some(self.rng.next_u64()) }
    }

    /// One frame fewer until the device breaks; false when it has.
    fn alive(&mut self) -> bool {
        if self.faults.fail_after.is_none() {
            return true;
        }
        let alive = self.left > 0;
        self.left = self.left.saturating_sub(1);
        alive
    }
}

#[derive(Clone, Copy, Debug)]
struct Fate {
    drop: bool,
    duplicate: bool,
    /// Chooses the bit.
    flip: Option<u64>,
}

impl<D: Device> Device for Fault<D> {
    /// Every frame comes finished.
    fn caps(&self) -> Caps {
        Caps { can: Can::NOTHING, ..self.device.caps() }
    }

    fn formats(&self) -> Formats {
        self.device.formats()
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut came = MsgList::new();
        let count = self.device.recv(pool, &mut came, budget)?;
        let mut packets = MsgList::new();
        for frame in came {
            if finish(frame, 14, Can::NOTHING, pool, &mut packets).is_err() {
                self.dropped += 1;
            }
        }
        while let Some(mut packet) = packets.pop() {
            if !self.alive() {
                self.dropped += 1 + packets.len() as u64;
                return Err(Errno::EIO);
            }
            let fate = self.draw();
            if fate.drop {
                self.dropped += 1;
                pool.free(packet);
                continue;
            }
            if let Some(choice) = fate.flip {
                packet = flipped(packet, choice, pool);
            }
            let copy = fate.duplicate.then(|| packet.dup(pool).ok()).flatten();
            out.push(packet);
            copy.into_iter().for_each(|copy| out.push(copy));
        }
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        while let Some(mut frame) = batch.pop() {
            let mut copy = None;
            if !std::mem::take(&mut self.decided) {
                if !self.alive() {
                    batch.push_front(frame);
                    return Err(Errno::EIO);
                }
                let fate = self.draw();
                if fate.drop {
                    self.dropped += 1;
                    continue;
                }
                if let Some(choice) = fate.flip {
                    frame = flipped(frame, choice, &mut self.copies);
                }
                copy = fate.duplicate.then(|| frame.dup(&mut self.copies).ok()).flatten();
            }
            let mut one: MsgList = [frame].into_iter().collect();
            let outcome = self.device.send(&mut one);
            if let Some(back) = one.pop() {
                self.decided = true;
                batch.push_front(back);
                return outcome;
            }
            outcome?;
            if let Some(copy) = copy {
                one.push(copy);
                // A line that is full does not take it twice.
                self.device.send(&mut one)?;
            }
        }
        Ok(())
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped) + self.device.take_dropped()
    }
}

/// The frame with one bit flipped behind its link header; as it is if it has nothing there, or
/// when there is no memory.
fn flipped(mut frame: Msg, choice: u64, pool: &mut Pool) -> Msg {
    let Some(room) = frame.len().checked_sub(14).filter(|room| *room > 0) else { return frame };
    let place = 14 + (choice >> 3) as usize % room;
    let mut bytes = vec![0; frame.len()];
    frame.copy_out(0, &mut bytes);
    bytes[place] ^= 1 << (choice & 7);
    if let Ok(copy) = pool.copy_from(crate::HEADROOM, &bytes) {
        // Without CSUM_OK: nobody has looked at the checksums as they are now.
        pool.free(std::mem::replace(&mut frame, copy));
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{loopback, pair};

    const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

    fn pool() -> Pool {
        Pool::new(PoolConfig { small: 4000, ..PoolConfig::TINY })
    }

    fn faults(line: &str) -> Faults {
        let params: Vec<_> = line.split(' ').map(|word| word.split_once('=').unwrap()).collect();
        Faults::parse(&params).unwrap()
    }

    fn frames(pool: &mut Pool, numbers: std::ops::Range<u32>) -> MsgList {
        let frame = |n: u32| {
            let mut bytes = vec![0; 60];
            bytes[20..24].copy_from_slice(&n.to_be_bytes());
            pool.copy_from(0, &bytes).unwrap()
        };
        numbers.map(frame).collect()
    }

    fn number(frame: &Msg) -> u32 {
        u32::from_be_bytes(*frame.first()[20..].first_chunk().unwrap())
    }

    /// What comes of 1,000 frames sent into a loopback with faults, with all the bytes.
    fn after(line: &str) -> Vec<Vec<u8>> {
        let mut pool = pool();
        let mut device = Fault::new(loopback(1500, MACS[0]), faults(line));
        let (mut out, mut came) = (MsgList::new(), Vec::new());
        for at in 0..50 {
            let mut batch = frames(&mut pool, at * 20..at * 20 + 20);
            device.send(&mut batch).unwrap();
            device.recv(&mut pool, &mut out, 100).unwrap();
            for frame in std::mem::take(&mut out) {
                came.push(frame.first().to_vec());
                pool.free(frame);
            }
        }
        came
    }

    #[test]
    fn without_faults_every_frame_comes_once_in_order() {
        let came = after("seed=7");
        let numbers = came.iter().map(|f| u32::from_be_bytes(*f[20..].first_chunk().unwrap()));
        assert!(numbers.eq(0..1000));
    }

    #[test]
    fn the_seed_decides_and_shares_are_kept() {
        assert_eq!(after("drop=10% corrupt=5% seed=7"), after("drop=10% corrupt=5% seed=7"));
        assert_ne!(after("drop=10% seed=7"), after("drop=10% seed=8"));
        // Down and up: 0.9 of 0.9 of them.
        let left = after("drop=10% seed=7").len();
        assert!((770..=850).contains(&left), "{left}");
        let twice = after("duplicate=10% seed=7").len();
        assert!((1150..=1270).contains(&twice), "{twice}");
        assert_eq!(after("drop=100%").len(), 0);
    }

    #[test]
    fn a_damaged_frame_differs_in_one_bit_behind_its_link_header() {
        let mut pool = pool();
        let (end, mut other) = pair(1500, MACS);
        let mut device = Fault::new(end, faults("corrupt=100% seed=7"));
        for n in 0..100 {
            let mut batch = frames(&mut pool, n..n + 1);
            let sent = batch.front().unwrap().first().to_vec();
            device.send(&mut batch).unwrap();
            let mut out = MsgList::new();
            other.recv(&mut pool, &mut out, 8).unwrap();
            let came = out.pop().unwrap();
            let bits = |at: usize| (sent[at] ^ came.first()[at]).count_ones();
            assert_eq!((0..14).map(bits).sum::<u32>(), 0);
            assert_eq!((0..60).map(bits).sum::<u32>(), 1);
            pool.free(came);
        }
    }

    #[test]
    fn it_breaks_after_so_many_frames_and_gives_the_rest_back() {
        let mut pool = pool();
        let mut device = Fault::new(loopback(1500, MACS[0]), faults("fail-after=5"));
        let mut batch = frames(&mut pool, 0..3);
        assert_eq!(device.send(&mut batch), Ok(()));
        let mut out = MsgList::new();
        assert_eq!(device.recv(&mut pool, &mut out, 8), Err(Errno::EIO));
        assert!(out.iter().map(number).eq(0..2), "what came before is kept");
        let mut batch = frames(&mut pool, 3..5);
        assert_eq!((device.send(&mut batch), batch.len()), (Err(Errno::EIO), 2));
    }

    #[test]
    fn a_frame_of_the_backlog_meets_its_fate_once() {
        let mut pool = pool();
        let (end, mut other) = pair(1500, MACS);
        let mut device = Fault::new(end, faults("drop=50% seed=7"));
        // The pair takes 1,000; then one at a time, each offered again and again.
        let mut batch = frames(&mut pool, 0..3000);
        device.send(&mut batch).unwrap();
        let mut came = 0;
        while !batch.is_empty() {
            for _ in 0..3 {
                device.send(&mut batch).unwrap();
            }
            let mut out = MsgList::new();
            came += other.recv(&mut pool, &mut out, 1).unwrap();
            out.for_each(|frame| pool.free(frame));
        }
        let in_all = came + other.waiting();
        assert!((1400..=1600).contains(&in_all), "{in_all}");
        assert_eq!(device.take_dropped(), 3000 - in_all as u64);
    }

    #[test]
    fn frames_come_finished_so_that_each_packet_has_a_fate() {
        let device = Fault::new(loopback(1500, MACS[0]), faults("drop=1%"));
        assert_eq!(device.caps().can, Can::NOTHING);
    }
}
