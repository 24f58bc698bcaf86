//! pcap_file: a device whose line is a recording. Frames of one file come in, frames sent are
//! written to another.
//!
//! Reads pcap and pcapng of link type Ethernet. Frames come at the distances at which they were
//! recorded, or as fast as they are taken.

use millstream_core::{Caps, Device, Errno};
use millstream_msg::offload::Can;
use millstream_msg::{MsgList, Pool};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, PcapError};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Replays one recording and makes another.
pub struct PcapFile {
    caps: Caps,
    replay: Option<Replay>,
    record: Option<PcapWriter<BufWriter<File>>>,
    start: Instant,
    dropped: u64,
}

/// Whether frames come in at the distances of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As recorded.
    Recorded,
    /// As fast as they are taken.
    Fast,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PcapFileError {
    /// It could not be opened or made.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        cause: std::io::Error,
    },
    /// It is neither pcap nor pcapng, or is cut off in its header.
    #[error("{} is no recording: {cause}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        cause: PcapError,
    },
    /// It holds something else than Ethernet frames.
    #[error("{} holds {link:?}, not Ethernet frames", path.display())]
    LinkType {
        /// The file.
        path: PathBuf,
        /// What it holds.
        link: DataLink,
    },
}

struct Replay {
    frames: Frames,
    pace: Pace,
    /// Time stamp of the first frame.
    first: Option<Duration>,
    /// Read and not yet due.
    next: Option<(Duration, Vec<u8>)>,
}

enum Frames {
    Pcap(Box<PcapReader<BufReader<File>>>),
    /// With the time resolution of each interface, as its option says.
    PcapNg(Box<PcapNgReader<BufReader<File>>>, Vec<u8>),
}

/// Bytes of the block type that begins a pcapng file.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Longest frame recorded.
const SNAPLEN: u32 = 256 * 1024;

impl PcapFile {
    /// A device that replays nothing and records nothing: frames sent are gone.
    pub fn new(mac: [u8; 6], mtu: u16) -> Self {
        let caps = Caps { mtu, mac, can: Can::NOTHING };
        Self { caps, replay: None, record: None, start: Instant::now(), dropped: 0 }
    }

    /// Replays the frames of a file.
    ///
    /// # Errors
    /// See [`PcapFileError`].
    pub fn replaying(mut self, path: &Path, pace: Pace) -> Result<Self, PcapFileError> {
        let io = |cause| PcapFileError::Io { path: path.to_owned(), cause };
        let format = |cause| PcapFileError::Format { path: path.to_owned(), cause };
        let mut file = File::open(path).map_err(io)?;
        let mut magic = [0; 4];
        let seen = file.read(&mut magic).map_err(io)?;
        file.rewind().map_err(io)?;
        let file = BufReader::new(file);
        let frames = if magic[..seen] == PCAPNG_MAGIC {
            Frames::PcapNg(Box::new(PcapNgReader::new(file).map_err(format)?), Vec::new())
        } else {
            let reader = PcapReader::new(file).map_err(format)?;
            let link = reader.header().datalink;
            if link != DataLink::ETHERNET {
                return Err(PcapFileError::LinkType { path: path.to_owned(), link });
            }
            Frames::Pcap(Box::new(reader))
        };
        self.replay = Some(Replay { frames, pace, first: None, next: None });
        self.start = Instant::now();
        Ok(self)
    }

    /// Records the frames sent, as pcap with nanoseconds. A file that is there is replaced.
    ///
    /// # Errors
    /// See [`PcapFileError`].
    pub fn recording(mut self, path: &Path) -> Result<Self, PcapFileError> {
        let io = |cause| PcapFileError::Io { path: path.to_owned(), cause };
        let format = |cause| PcapFileError::Format { path: path.to_owned(), cause };
        let file = BufWriter::new(File::create(path).map_err(io)?);
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            snaplen: SNAPLEN,
            ts_resolution: pcap_file::TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        self.record = Some(PcapWriter::with_header(file, header).map_err(format)?);
        Ok(self)
    }

    /// True when every frame of the recording has come in.
    pub fn is_at_end(&self) -> bool {
        self.replay.is_none()
    }
}

impl Replay {
    /// The next frame with its time since the first one; `None` at the end. A recording that is
    /// cut off ends there.
    fn read(&mut self) -> Option<(Duration, Vec<u8>)> {
        let (stamp, frame) = self.frames.read()?;
        let first = *self.first.get_or_insert(stamp);
        Some((stamp.saturating_sub(first), frame))
    }
}

impl Frames {
    fn read(&mut self) -> Option<(Duration, Vec<u8>)> {
        match self {
            Self::Pcap(reader) => {
                let packet = reader.next_packet()?.ok()?;
                Some((packet.timestamp, packet.data.into_owned()))
            }
            Self::PcapNg(reader, resolutions) => loop {
                match reader.next_block()?.ok()? {
                    Block::InterfaceDescription(interface) => {
                        let stated = interface.options.iter().find_map(|option| match option {
                            InterfaceDescriptionOption::IfTsResol(code) => Some(*code),
                            _ => None,
                        });
                        resolutions.push(stated.unwrap_or(MICROSECONDS));
                    }
                    Block::EnhancedPacket(packet) => {
                        let of = resolutions.get(packet.interface_id as usize);
                        let stamp = in_units(packet.timestamp, *of.unwrap_or(&MICROSECONDS));
                        return Some((stamp, packet.data.into_owned()));
                    }
                    Block::SimplePacket(packet) => {
                        return Some((Duration::ZERO, packet.data.into_owned()));
                    }
                    _ => {}
                }
            },
        }
    }
}

/// The reader takes every time stamp for nanoseconds; what it counts is in `if_tsresol`: a power
/// of 10, or of 2 with the top bit set.
fn in_units(as_nanos: Duration, code: u8) -> Duration {
    let count = as_nanos.as_nanos();
    let per_second = match code {
        0..=18 => 10_u128.pow(u32::from(code)),
        0x80..=0xbf => 1 << (code & 0x7f),
        // Finer than any clock: taken for nanoseconds.
        _ => 1_000_000_000,
    };
    let nanos = (count % per_second) * 1_000_000_000 / per_second;
    Duration::new((count / per_second) as u64, nanos as u32)
}

/// `if_tsresol` of interfaces that do not state it.
const MICROSECONDS: u8 = 6;

impl Device for PcapFile {
    fn caps(&self) -> Caps {
        self.caps
    }

    fn recv(&mut self, pool: &mut Pool, out: &mut MsgList, budget: usize) -> Result<usize, Errno> {
        let elapsed = self.start.elapsed();
        let mut count = 0;
        while count < budget {
            let Some(replay) = &mut self.replay else { break };
            let Some((due, frame)) = replay.next.take().or_else(|| replay.read()) else {
                self.replay = None;
                break;
            };
            if replay.pace == Pace::Recorded && due > elapsed {
                replay.next = Some((due, frame));
                break;
            }
            match pool.copy_from(crate::HEADROOM, &frame) {
                Ok(msg) => out.push(msg),
                Err(_) => self.dropped += 1,
            }
            count += 1;
        }
        Ok(count)
    }

    fn send(&mut self, batch: &mut MsgList) -> Result<(), Errno> {
        let stamp = self.start.elapsed();
        let mut flat = Vec::new();
        while let Some(frame) = batch.pop() {
            let Some(writer) = &mut self.record else { continue };
            flat.resize(frame.len(), 0);
            frame.copy_out(0, &mut flat);
            let packet = PcapPacket::new(stamp, frame.len() as u32, &flat);
            // A full disk: what does not fit is counted, the stack goes on.
            if writer.write_packet(&packet).is_err() {
                self.dropped += 1;
            }
        }
        Ok(())
    }

    fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

impl std::fmt::Debug for PcapFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PcapFile")
            .field("replays", &self.replay.is_some())
            .field("records", &self.record.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("millstream-{}-{name}", std::process::id()))
    }

    #[test]
    fn what_was_recorded_is_replayed_in_order() {
        let path = temporary("replay.pcap");
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut recorder = PcapFile::new(MAC, 1500).recording(&path).unwrap();
        let mut batch: MsgList = (0..5_u8).map(|i| pool.copy_from(0, &[i; 60]).unwrap()).collect();
        recorder.send(&mut batch).unwrap();
        drop(recorder);
        let mut device = PcapFile::new(MAC, 1500).replaying(&path, Pace::Fast).unwrap();
        let mut out = MsgList::new();
        assert_eq!(device.recv(&mut pool, &mut out, 3).unwrap(), 3);
        assert_eq!(device.recv(&mut pool, &mut out, 3).unwrap(), 2);
        assert_eq!(device.recv(&mut pool, &mut out, 3).unwrap(), 0);
        assert!(device.is_at_end());
        let firsts: Vec<u8> = out.map(|msg| msg.first()[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn time_stamps_count_in_the_units_of_their_interface() {
        let count = Duration::from_nanos(3_000_500);
        assert_eq!(in_units(count, 6), Duration::from_micros(3_000_500));
        assert_eq!(in_units(count, 9), count);
        assert_eq!(in_units(Duration::from_nanos(3 << 10), 0x8a), Duration::from_secs(3));
    }

    #[test]
    fn a_file_that_is_no_recording_or_is_not_there_is_refused_with_its_name() {
        let path = temporary("text.pcap");
        std::fs::write(&path, "no recording at all, but long enough to be one").unwrap();
        let error = PcapFile::new(MAC, 1500).replaying(&path, Pace::Fast).unwrap_err();
        assert!(error.to_string().contains("is no recording"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = PcapFile::new(MAC, 1500).replaying(&path, Pace::Fast).unwrap_err();
        assert!(error.to_string().contains("text.pcap"), "{error}");
        let error = PcapFile::new(MAC, 1500).recording(Path::new("/nowhere/x")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x: "), "{error}");
    }

    #[test]
    fn a_recording_cut_off_in_a_frame_ends_there() {
        let path = temporary("cut.pcap");
        let mut pool = Pool::new(PoolConfig::TINY);
        let mut recorder = PcapFile::new(MAC, 1500).recording(&path).unwrap();
        let mut batch: MsgList = (0..2_u8).map(|i| pool.copy_from(0, &[i; 60]).unwrap()).collect();
        recorder.send(&mut batch).unwrap();
        drop(recorder);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
        let mut device = PcapFile::new(MAC, 1500).replaying(&path, Pace::Fast).unwrap();
        let mut out = MsgList::new();
        assert_eq!(device.recv(&mut pool, &mut out, 9).unwrap(), 1);
        std::fs::remove_file(path).unwrap();
    }
}
