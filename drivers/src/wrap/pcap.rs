//! pcap: a pcapng recording of all frames that a device has read or taken.

use super::one_by_one;
use millstream_core::{Caps, Device, Errno, Formats};
use millstream_modules::capture::Comment;
use millstream_modules::pcapng::{self, Direction, LinkType, Packet, Section};
use millstream_msg::{Msg, MsgList, Pool};
use std::io::{BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

/// A device whose frames are recorded, both ways, on one pcapng interface of its name.
///
/// It writes in the thread that runs the stack, when the device has no more to read, and at the
/// end. What the file does not take is counted as lost at its end; traffic goes on. Frames go out
/// one by one, not merged; a super-frame is recorded whole and its comment says so.
pub struct Pcap<D> {
    device: D,
    file: File,
}

/// The recording.
struct File {
    writer: BufWriter<Box<dyn Write + Send>>,
    /// The block that is being made.
    block: Vec<u8>,
    recorded: u64,
    lost: u64,
    /// Something waits to be written out.
    dirty: bool,
}

/// Longest frame recorded.
const SNAPLEN: u32 = 256 * 1024;

impl<D: Device> Pcap<D> {
    /// Records the frames of `device`, which is called `name`.
    pub fn new(device: D, name: &str, file: impl Write + Send + 'static) -> Self {
        let writer = BufWriter::new(Box::new(file) as Box<dyn Write + Send>);
        let mut file = File { writer, block: Vec::new(), recorded: 0, lost: 0, dirty: false };
        let application = concat!("millstream ", env!("CARGO_PKG_VERSION"));
        let section = Section { application, ..Section::default() };
        pcapng::section_header(&mut file.block, &section);
        pcapng::interface(&mut file.block, name, LinkType::Ethernet, SNAPLEN);
        file.write();
        Self { device, file }
    }
}

impl<D: Device> Device for Pcap<D> {
    fn caps(&self) -> Caps {
        self.device.caps()
    }

    fn formats(&self) -> Formats {
        self.device.formats()
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let before = out.len();
        let outcome = self.device.recv(pool, out, budget);
        for frame in out.iter().skip(before) {
            self.file.make(frame, Direction::Inbound);
            self.file.write_packet();
        }
        if outcome != Ok(budget) {
            self.file.write_out();
        }
        outcome
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let file = std::cell::RefCell::new(&mut self.file);
        let look = |frame: &Msg| file.borrow_mut().make(frame, Direction::Outbound);
        one_by_one(&mut self.device, batch, look, |()| file.borrow_mut().write_packet())
    }

    fn take_dropped(&mut self) -> u64 {
        self.device.take_dropped()
    }
}

impl File {
    /// Makes the block of a frame.
    fn make(&mut self, frame: &Msg, direction: Direction) {
        self.block.clear();
        let comment = Comment::of(frame);
        let packet = Packet {
            interface: 0,
            time_ns: now_ns(),
            original_len: frame.len() as u32,
            direction,
            comment: comment.as_str(),
        };
        let captured = frame.len().min(SNAPLEN as usize);
        pcapng::packet(&mut self.block, &packet, captured, |bytes| {
            frame.copy_out(0, bytes);
        });
    }

    fn write_packet(&mut self) {
        self.recorded += 1;
        if !self.write() {
            self.lost += 1;
        }
    }

    /// Writes the block; false when the file does not take it.
    fn write(&mut self) -> bool {
        self.dirty = true;
        self.writer.write_all(&self.block).is_ok()
    }

    fn write_out(&mut self) {
        if std::mem::take(&mut self.dirty) {
            // What is still in the buffer is tried again.
            let _full = self.writer.flush();
        }
    }
}

/// Writes the end of the file.
impl Drop for File {
    fn drop(&mut self) {
        self.block.clear();
        pcapng::statistics(&mut self.block, 0, now_ns(), self.recorded, self.lost);
        self.write();
        self.write_out();
    }
}

impl<D: std::fmt::Debug> std::fmt::Debug for Pcap<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = &self.file;
        let mut text = f.debug_struct("Pcap");
        text.field("device", &self.device).field("recorded", &file.recorded).finish()
    }
}

/// Nanoseconds since 1970.
fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pace, PcapFile, loopback};
    use millstream_msg::PoolConfig;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn both_directions_are_recorded_and_can_be_replayed() {
        let name = format!("millstream-wrap-{}.pcapng", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut pool = Pool::new(PoolConfig::TINY);
        let file = std::fs::File::create(&path).unwrap();
        let mut device = Pcap::new(loopback(1500, MAC), "lo0", file);
        let mut batch: MsgList = (0..3_u8).map(|i| pool.copy_from(0, &[i; 60]).unwrap()).collect();
        device.send(&mut batch).unwrap();
        let mut out = MsgList::new();
        assert_eq!(device.recv(&mut pool, &mut out, 2), Ok(2));
        assert_eq!(device.recv(&mut pool, &mut out, 2), Ok(1));
        // Written out as soon as there is nothing more to read: a reader need not wait for the end.
        let so_far = std::fs::metadata(&path).unwrap().len();
        assert!(so_far > 6 * 60, "{so_far}");
        drop(device);
        let mut replay = PcapFile::new(MAC, 1500).replaying(&path, Pace::Fast).unwrap();
        let mut out = MsgList::new();
        assert_eq!(replay.recv(&mut pool, &mut out, 99), Ok(6));
        assert!(out.map(|msg| msg.first()[0]).eq([0, 1, 2, 0, 1, 2]));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_full_disk_does_not_stop_frames() {
        let mut pool = Pool::new(PoolConfig::TINY);
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut device = Pcap::new(loopback(1500, MAC), "lo0", full);
        let mut out = MsgList::new();
        for _ in 0..20 {
            let mut batch: MsgList = [pool.copy_from(0, &[7; 1500]).unwrap()].into_iter().collect();
            device.send(&mut batch).unwrap();
            assert_eq!(device.recv(&mut pool, &mut out, 8), Ok(1));
        }
        assert_eq!(out.len(), 20);
        assert!(format!("{device:?}").contains("recorded: 40"));
    }
}
