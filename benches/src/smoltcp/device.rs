//! device: any of our devices as one of smoltcp, for frames in one block: checksums are neither
//! computed nor looked at. Frames are taken and handed over in batches, as our own driver does.

use ::smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use ::smoltcp::time::Instant;
use millstream_msg::{Msg, MsgList, Pool, PoolConfig};

/// A device of ours, with a pool for its frames.
#[derive(Debug)]
pub struct OverDevice<D> {
    device: D,
    pool: Pool,
    received: MsgList,
    sent: MsgList,
}

/// Frames taken at once.
const BATCH: usize = 32;

impl<D: millstream_core::Device> OverDevice<D> {
    /// Over `device`.
    pub fn new(device: D) -> Self {
        let pool = Pool::new(PoolConfig::STACK);
        Self { device, pool, received: MsgList::new(), sent: MsgList::new() }
    }

    /// Hands over what was sent since the last time.
    pub fn flush(&mut self) {
        // A pair does not fail; what it has no room for stays.
        let _never = self.device.send(&mut self.sent);
    }
}

impl<D: millstream_core::Device> Device for OverDevice<D> {
    type RxToken<'a>
        = Received
    where
        D: 'a;
    type TxToken<'a>
        = Sending<'a>
    where
        D: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sending<'_>)> {
        let Self { device, pool, received, sent } = self;
        if received.is_empty() {
            device.recv(pool, received, BATCH).ok()?;
        }
        let frame = received.pop()?;
        Some((Received { frame }, Sending { pool, sent }))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sending<'_>> {
        Some(Sending { pool: &mut self.pool, sent: &mut self.sent })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 14 + usize::from(self.device.caps().mtu);
        caps.checksum = ChecksumCapabilities::ignored();
        caps
    }
}

/// A frame that has come.
#[derive(Debug)]
pub struct Received {
    frame: Msg,
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.frame.first())
    }
}

/// The place of a frame that goes.
#[derive(Debug)]
pub struct Sending<'a> {
    pool: &'a mut Pool,
    sent: &'a mut MsgList,
}

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        match self.pool.alloc(0, len) {
            Ok(mut frame) if frame.tailroom() >= len => {
                let result = f(&mut frame.spare_mut()[..len]);
                frame.commit(len);
                self.sent.push(frame);
                result
            }
            // Without memory, or too long for one block: lost, as on a wire.
            _ => f(&mut vec![0; len]),
        }
    }
}
