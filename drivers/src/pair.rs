//! pair: two devices joined back to back. What one sends the other receives, whole. A loopback is
//! one joined to itself.

use millstream_core::{Caps, Device, Errno, Format, Formats};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool};
use std::sync::{Arc, Mutex, PoisonError};

/// One end of a pair. Messages are handed over, not copied; super-frames stay whole.
#[derive(Debug)]
pub struct PairEnd {
    caps: Caps,
    inward: Arc<Lane>,
    outward: Arc<Lane>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    frames: Mutex<MsgList>,
    /// Called after frames were put in: wakes the receiver's host.
    bell: Mutex<Option<Bell>>,
}

struct Bell(Box<dyn Fn() + Send>);

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bell")
    }
}

/// Frames that a direction holds at most; then the sender keeps its backlog. As a TAP's queue.
const FRAMES_MAX: usize = 1000;

/// Two joined ends with this MTU and these addresses.
pub fn pair(mtu: u16, macs: [[u8; 6]; 2]) -> (PairEnd, PairEnd) {
    let lanes = [Arc::new(Lane::default()), Arc::new(Lane::default())];
    let [a, b] = macs.map(|mac| Caps { mtu, mac, can: Can::ALL });
    let first = PairEnd { caps: a, inward: lanes[0].clone(), outward: lanes[1].clone() };
    let [inward, outward] = [lanes[1].clone(), lanes[0].clone()];
    (first, PairEnd { caps: b, inward, outward })
}

/// An end joined to itself: what it sends comes back, whole and in order.
pub fn loopback(mtu: u16, mac: [u8; 6]) -> PairEnd {
    let lane = Arc::new(Lane::default());
    PairEnd { caps: Caps { mtu, mac, can: Can::ALL }, inward: lane.clone(), outward: lane }
}

impl PairEnd {
    /// Restricts what the end does for frames it sends, as an interface without offloads would.
    #[must_use]
    pub fn with_offloads(mut self, can: Can) -> Self {
        self.caps.can = can;
        self
    }

    /// Calls `bell` whenever frames have come in for this end, or a full direction has room.
    pub fn set_bell(&self, bell: impl Fn() + Send + 'static) {
        *lock(&self.inward.bell) = Some(Bell(Box::new(bell)));
    }

    /// Wakes the host of the other end.
    fn ring(&self) {
        if let Some(bell) = &*lock(&self.outward.bell) {
            (bell.0)();
        }
    }

    /// Frames waiting for this end.
    pub fn waiting(&self) -> usize {
        lock(&self.inward.frames).len()
    }
}

impl Device for PairEnd {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn formats(&self) -> Formats {
        Formats::of(Format::Frames)
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let (mut batch, was_full) = {
            let mut frames = lock(&self.inward.frames);
            let was_full = frames.len() >= FRAMES_MAX;
            (frames.split_front(budget), was_full)
        };
        let count = batch.len();
        out.append(&mut batch);
        // The other end has backlog: it is woken as by frames, and offers it again.
        if was_full {
            self.ring();
        }
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        {
            let mut frames = lock(&self.outward.frames);
            let room = FRAMES_MAX.saturating_sub(frames.len());
            frames.append(&mut batch.split_front(room));
        }
        self.ring();
        Ok(())
    }
}

/// A panic in another thread leaves a list whole: every operation on it is one call.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;

    #[test]
    fn frames_cross_in_order_and_a_full_direction_leaves_backlog() {
        let mut pool = Pool::new(PoolConfig { small: 2000, ..PoolConfig::TINY });
        let (mut a, mut b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let mut batch: MsgList =
            (0..1100_u32).map(|i| pool.copy_from(0, &i.to_be_bytes()).unwrap()).collect();
        a.send(&mut batch).unwrap();
        assert_eq!((batch.len(), b.waiting()), (100, 1000));
        let mut out = MsgList::new();
        assert_eq!(b.recv(&mut pool, &mut out, 32).unwrap(), 32);
        let last = out.iter().last().unwrap().first();
        assert_eq!(last, 31_u32.to_be_bytes());
    }

    #[test]
    fn what_a_loopback_sends_comes_back_and_rings() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut end = loopback(1500, [2, 0, 0, 0, 0, 1]);
        let rings = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = rings.clone();
        end.set_bell(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        let mut batch: MsgList = (0..3_u8).map(|i| pool.copy_from(0, &[i]).unwrap()).collect();
        end.send(&mut batch).unwrap();
        let mut out = MsgList::new();
        assert_eq!(end.recv(&mut pool, &mut out, 8).unwrap(), 3);
        assert!(out.map(|msg| msg.first()[0]).eq(0..3));
        assert_eq!(rings.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[test]
    fn a_sender_with_backlog_is_woken_when_there_is_room() {
        let mut pool = Pool::new(PoolConfig { small: 2000, ..PoolConfig::TINY });
        let (mut a, mut b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let rings = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = rings.clone();
        a.set_bell(move || {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        });
        let mut batch: MsgList = (0..1001).map(|_| pool.copy_from(0, b"x").unwrap()).collect();
        a.send(&mut batch).unwrap();
        let mut out = MsgList::new();
        b.recv(&mut pool, &mut out, 1).unwrap();
        b.recv(&mut pool, &mut out, 1).unwrap();
        assert_eq!(rings.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
