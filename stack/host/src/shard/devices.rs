//! devices: what a shard does with its devices: opens, reads and waits for them.

use super::{Notice, Shard};
use crate::device::{DeviceFd, DeviceSlot};
use millstream_core::{Device, Errno, NodeId, StreamId};
use std::io;
use std::sync::atomic::Ordering;

/// Guests in a row after which one looks at the devices. Who asks and waits for an answer has
/// looked before.
const GUESTS: u32 = 4;

impl Shard {
    /// Opens a stream on a device.
    ///
    /// # Errors
    /// The kernel's, when the descriptor cannot be waited for.
    pub fn open_device(
        &mut self,
        name: &str,
        device: Box<dyn Device>,
        fd: DeviceFd,
    ) -> io::Result<StreamId> {
        let token = self.devices.len() as u64;
        let (stream, driver) = self.core.open_device(name, device);
        let known = (name.to_owned(), driver);
        match DeviceSlot::new(&self.inlet.poller, token, known, fd) {
            Ok(slot) => {
                self.devices.push(slot);
                Ok(stream)
            }
            Err(error) => {
                // Nothing has come to it yet: it closes at once.
                let _closed = self.core.close(stream);
                Err(error)
            }
        }
    }

    /// Names of the devices that are in order.
    pub fn live_devices(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter(|slot| !slot.gone).map(|slot| slot.name.as_str())
    }

    pub(super) fn core_has_work(&self) -> bool {
        self.devices.iter().any(|slot| slot.hot && slot.is_open())
    }

    pub(super) fn device_ready(&mut self, at: usize, readable: bool, writable: bool) {
        if writable && self.devices[at].write {
            self.devices[at].write = false;
            self.update_interest(at);
            self.core.writable(self.devices[at].driver);
        }
        if readable {
            self.poll_device(at);
        }
    }

    /// For a guest while nobody leads: looks at the devices now and then, so that one that has no
    /// need to wait, because it only sends, does without the shard's thread. True when it has.
    pub(crate) fn look(&mut self) -> bool {
        self.unlooked += 1;
        if self.unlooked < GUESTS {
            return false;
        }
        for at in 0..self.devices.len() {
            self.poll_device(at);
        }
        (self.unlooked, self.unsettled) = (0, true);
        true
    }

    /// Reads from a device; how many frames.
    pub(super) fn poll_device(&mut self, at: usize) -> usize {
        self.unlooked = 0;
        let slot = &mut self.devices[at];
        if !slot.is_open() {
            return 0;
        }
        let asked = slot.portion();
        let count = self.core.poll(slot.driver, asked);
        slot.took(count, asked);
        count
    }

    /// Reads again from devices that had more than was taken, and from those that no descriptor
    /// tells of, or nobody waits for.
    pub(super) fn poll_hot(&mut self) -> bool {
        let mut any = false;
        for at in 0..self.devices.len() {
            let slot = &mut self.devices[at];
            let asked = slot.is_asked();
            if asked && slot.write && !slot.gone {
                slot.write = false;
                let driver = slot.driver;
                self.core.writable(driver);
            }
            if asked || self.inlet.poller.polling || self.devices[at].hot {
                any |= self.poll_device(at) > 0;
            }
        }
        any
    }

    pub(super) fn set_interest(&mut self, driver: NodeId, change: impl FnOnce(&mut DeviceSlot)) {
        if let Some(at) = self.devices.iter().position(|slot| slot.driver == driver) {
            change(&mut self.devices[at]);
            self.update_interest(at);
        }
    }

    fn update_interest(&mut self, at: usize) {
        let slot = &self.devices[at];
        if slot.gone {
            return;
        }
        if let Err(e) = slot.update_interest(&self.inlet.poller) {
            let errno = Errno(e.raw_os_error().unwrap_or(Errno::EIO.0));
            self.device_gone(self.devices[at].driver, errno);
        }
    }

    pub(super) fn device_gone(&mut self, driver: NodeId, errno: Errno) {
        let Some(slot) = self.devices.iter_mut().find(|slot| slot.driver == driver) else { return };
        slot.close(&self.inlet.poller);
        self.notices.push(Notice::DeviceGone { name: slot.name.clone(), errno });
        // Its thread passes the notice on, and may be asleep while another one leads.
        self.inlet.notices.store(true, Ordering::Release);
        self.inlet.poller.ring_alarm();
    }
}
