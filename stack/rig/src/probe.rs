//! A device whose other end is the test: frames go in and out by method calls.

use millstream_core::{Caps, Device, Errno, Formats};
use millstream_msg::offload::Can;
use millstream_msg::{Msg, MsgList, Pool};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The device and the test's handle of it: clones share one state.
///
/// ```
/// use millstream_core::{Config, Perimeter};
/// use millstream_msg::{Pool, PoolConfig};
/// use millstream_rig::Probe;
///
/// let pool = Pool::new(PoolConfig::TINY);
/// let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
/// let probe = Probe::new();
/// let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
///
/// let frame = p.pool().copy_from(0, b"in").unwrap();
/// probe.arrive(frame);
/// p.poll(driver, 32);
/// p.turn(0, 1000);
/// let got = p.getmsg(stream).unwrap().unwrap();
/// assert_eq!(got.data.unwrap().first(), b"in");
///
/// p.write(stream, b"out").unwrap();
/// p.turn(0, 1000);
/// assert_eq!(probe.sent_bytes(), [b"out"]);
/// ```
#[derive(Clone, Debug)]
pub struct Probe(Arc<Mutex<Wire>>);

#[derive(Debug)]
struct Wire {
    caps: Caps,
    formats: Formats,
    arrived: MsgList,
    sent: MsgList,
    /// Frames that `send` still takes; `None` for no limit.
    room: Option<usize>,
    failure: Option<Errno>,
}

impl Probe {
    /// A device with an MTU of 1500 that does all offloads.
    pub fn new() -> Self {
        Self::with_caps(Caps { mtu: 1500, mac: [2, 0, 0, 0, 0, 1], can: Can::ALL })
    }

    /// A device with these properties.
    pub fn with_caps(caps: Caps) -> Self {
        Self(Arc::new(Mutex::new(Wire {
            caps,
            formats: Formats::ANY,
            arrived: MsgList::new(),
            sent: MsgList::new(),
            room: None,
            failure: None,
        })))
    }

    /// What the driver says of the messages of this device (see `Device::formats`).
    #[must_use]
    pub fn with_formats(self, formats: Formats) -> Self {
        self.wire().formats = formats;
        self
    }

    /// A frame from the wire: the next `recv` returns it.
    pub fn arrive(&self, frame: Msg) {
        self.wire().arrived.push(frame);
    }

    /// Frames that arrived and were not read yet.
    pub fn waiting(&self) -> usize {
        self.wire().arrived.len()
    }

    /// Blocks of the frames that arrived and were not read, and of those sent and not taken.
    pub fn holds(&self) -> usize {
        let wire = self.wire();
        wire.arrived.iter().chain(wire.sent.iter()).map(|msg| msg.blocks().count()).sum()
    }

    /// Takes the frames that were sent, in order.
    pub fn sent(&self) -> MsgList {
        std::mem::take(&mut self.wire().sent)
    }

    /// Takes the frames that were sent, as bytes.
    pub fn sent_bytes(&self) -> Vec<Vec<u8>> {
        self.sent().map(|msg| bytes_of(&msg)).collect()
    }

    /// From now on `send` takes so many frames and leaves the rest as backlog; `None`: all.
    /// Tell the perimeter with `writable` when there is room again.
    pub fn set_room(&self, frames: Option<usize>) {
        self.wire().room = frames;
    }

    /// Every further call fails with this error.
    pub fn fail(&self, errno: Errno) {
        self.wire().failure = Some(errno);
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        // A test that panicked elsewhere has the better message.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Device for Probe {
    fn caps(&self) -> Caps {
        self.wire().caps
    }

    fn formats(&self) -> Formats {
        self.wire().formats
    }

    fn recv(&mut self, _: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let mut wire = self.wire();
        if let Some(errno) = wire.failure {
            return Err(errno);
        }
        let mut frames = wire.arrived.split_front(budget);
        let count = frames.len();
        out.append(&mut frames);
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let mut wire = self.wire();
        if let Some(errno) = wire.failure {
            return Err(errno);
        }
        let count = wire.room.unwrap_or(usize::MAX).min(batch.len());
        if let Some(room) = &mut wire.room {
            *room -= count;
        }
        let mut taken = batch.split_front(count);
        wire.sent.append(&mut taken);
        Ok(())
    }
}

/// All bytes of a message.
pub(crate) fn bytes_of(msg: &Msg) -> Vec<u8> {
    let mut bytes = vec![0; msg.len()];
    msg.copy_out(0, &mut bytes);
    bytes
}
