//! capture: what passes all boundaries of a running stack becomes a pcapng file, or a stream of
//! bytes for another program. Only whole blocks are written: the file can be read whenever the
//! capture ends, and however.

use super::{Common, Failure};
use crate::render;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Record what passes between the modules of streams, each boundary as an interface
///
/// The file is pcapng. Ctrl-C, SIGTERM or --seconds end it. capture -w - | wireshark -k -i - shows
/// it as it happens. The module capture records one place, without this program.
#[derive(Debug, clap::Args)]
pub(crate) struct Capture {
    /// Names of streams, as conf shows them; all if none is given
    streams: Vec<String>,
    /// Where to: a file, or - for standard output
    #[arg(short, long, value_name = "FILE|-")]
    write: String,
    /// Record so many bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 65_536,
        value_parser = clap::value_parser!(u32).range(14..=262_144))]
    snaplen: u32,
    /// End after so many seconds
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    seconds: Option<f64>,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Summary {
    /// Boundaries that something passed.
    interfaces: u64,
    packets: u64,
    /// Of the file.
    bytes: u64,
    /// Messages that came faster than they could be written.
    lost: u64,
}

impl Capture {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let Self { streams, write, snaplen, seconds } = self;
        if write == "-" && io::stdout().is_terminal() {
            let text = "standard output is a terminal: write -w FILE, or pipe it into a program";
            return Err(Failure::Usage(text.to_owned()));
        }
        let client = common.connect()?;
        let name = client.name().to_owned();
        // Before the file is made, so that a wrong stream does not empty an old one.
        let (mut from, other_end) = client.record(streams, snaplen as usize)?;
        let (mut to, file) = match open(&write) {
            Ok(opened) => opened,
            Err(why) => {
                leave(&mut from, &other_end);
                return Err(why);
            }
        };
        let stopped = stop_later(&other_end, seconds)?;
        let mut blocks = Blocks::default();
        let outcome = blocks.copy(&mut from, &mut to);
        let summary = blocks.summary;
        match outcome {
            Ok(()) if stopped.load(Ordering::Relaxed) => {}
            // Whoever reads the pipe has seen enough.
            Err(Failed::Write(e)) if e.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(Failed::Write(e)) => {
                leave(&mut from, &other_end);
                if let Some(file) = file {
                    // What is no plain file stays as it is.
                    let _as_it_is = file.set_len(summary.bytes);
                }
                return Err(Failure::Failed(format!(
                    "cannot write the recording {write}: {e}; {} packets were recorded until then",
                    render::count(summary.packets)
                )));
            }
            Ok(()) | Err(Failed::Read) => {
                return Err(Failure::Failed(format!(
                    "the stack {name} has gone; {} packets were recorded until then",
                    render::count(summary.packets)
                )));
            }
        }
        report(common, &write, &summary);
        Ok(())
    }
}

/// On standard error: standard output may be the recording.
fn report(common: &Common, write: &str, summary: &Summary) {
    if common.json && write != "-" {
        return render::json(summary);
    }
    let Summary { interfaces, packets, bytes, lost } = summary;
    let [packets, bytes, lost] = [packets, bytes, lost].map(|n| render::count(*n));
    let lost = if lost == "0" { String::new() } else { format!(", {lost} more were lost") };
    render::complain(&format!("{packets} packets at {interfaces} boundaries, {bytes} bytes{lost}"));
}

/// Where to write, and the file, if it is one.
fn open(write: &str) -> Result<(Box<dyn Write>, Option<File>), Failure> {
    if write == "-" {
        return Ok((Box::new(io::stdout()), None));
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(write);
    let opened = file.and_then(|file| Ok((file.try_clone()?, file)));
    let (to, file) = opened.map_err(|e| Failure::Failed(format!("cannot make {write:?}: {e}")))?;
    Ok((Box::new(to), Some(file)))
}

/// Ends a recording that cannot be written, and waits until the stack has let it go: the next one
/// finds its place free.
fn leave(from: &mut impl Read, other_end: &UnixStream) {
    let told = other_end
        .set_read_timeout(Some(LEAVE_TIME_MAX))
        .and_then(|()| other_end.shutdown(Shutdown::Write));
    // A stack that does not answer is not waited for.
    let _gone = told.and_then(|()| io::copy(from, &mut io::sink()));
}

/// A stack lets a recording go within milliseconds.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(2);

/// Tells the stack to end the recording on a signal, or after some time. A second signal ends the
/// program. True once it was told.
fn stop_later(other_end: &UnixStream, seconds: Option<f64>) -> Result<Arc<AtomicBool>, Failure> {
    let failed = |e: io::Error| Failure::Failed(format!("cannot wait for signals: {e}"));
    let mut signals =
        signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = || -> Result<_, Failure> {
        let (end, stopped) = (other_end.try_clone().map_err(failed)?, stopped.clone());
        Ok(move || {
            stopped.store(true, Ordering::Relaxed);
            // A stack that has gone needs no telling.
            let _gone = end.shutdown(Shutdown::Write);
        })
    };
    let on_signal = stop()?;
    // Both threads end with the program.
    std::thread::spawn(move || {
        for (count, _) in signals.forever().enumerate() {
            if count > 0 {
                std::process::exit(1);
            }
            on_signal();
        }
    });
    if let Some(seconds) = seconds {
        let in_time = stop()?;
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            in_time();
        });
    }
    Ok(stopped)
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.01..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.01 to 1000000".to_owned()),
    }
}

/// Passes whole blocks on.
#[derive(Default)]
struct Blocks {
    /// The beginning of a block.
    part: Vec<u8>,
    summary: Summary,
}

enum Failed {
    Read,
    Write(io::Error),
}

impl Blocks {
    fn copy(&mut self, from: &mut impl Read, to: &mut impl Write) -> Result<(), Failed> {
        let mut piece = vec![0; 1 << 16];
        loop {
            let n = match from.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Err(Failed::Read),
            };
            self.part.extend_from_slice(&piece[..n]);
            let before = self.summary.clone();
            let whole = self.whole();
            if let Err(e) = to.write_all(&self.part[..whole]).and_then(|()| to.flush()) {
                self.summary = before;
                return Err(Failed::Write(e));
            }
            self.summary.bytes += whole as u64;
            self.part.drain(..whole);
        }
    }

    /// Bytes of the whole blocks in `part`, which are counted.
    fn whole(&mut self) -> usize {
        let mut at = 0;
        while let Some(head) = self.part[at..].first_chunk::<8>() {
            let [a, b, c, d, lens @ ..] = *head;
            let len = u32::from_le_bytes(lens) as usize;
            // A block is at least its type and two lengths.
            if len < 12 || self.part.len() - at < len {
                break;
            }
            self.count(u32::from_le_bytes([a, b, c, d]), at, len);
            at += len;
        }
        at
    }

    fn count(&mut self, kind: u32, at: usize, len: usize) {
        match kind {
            1 => self.summary.interfaces += 1,
            6 => self.summary.packets += 1,
            // Interface statistics: the drops are the second option, of 8 bytes.
            5 => {
                let drops = self.part[at..at + len].get(36..44).and_then(|b| b.try_into().ok());
                self.summary.lost += drops.map_or(0, u64::from_le_bytes);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let len = 12 + body.len() as u32;
        let mut block = [kind.to_le_bytes(), len.to_le_bytes()].concat();
        block.extend(body);
        block.extend(len.to_le_bytes());
        block
    }

    #[test]
    fn only_whole_blocks_are_written_wherever_the_stream_ends() {
        let blocks = [block(0x0a0d_0d0a, &[0; 16]), block(1, &[0; 8]), block(6, &[0; 24])];
        let all = blocks.concat();
        let ends = [0, 28, 48, 84];
        for cut in 0..=all.len() {
            let mut to = Vec::new();
            assert!(Blocks::default().copy(&mut &all[..cut], &mut to).is_ok());
            let whole = ends.into_iter().filter(|end| *end <= cut).max().unwrap();
            assert_eq!(to, all[..whole], "{cut}");
        }
    }

    #[test]
    fn boundaries_packets_and_losses_are_counted() {
        let mut statistics = vec![0; 12];
        for (code, value) in [(4_u16, 5_u64), (5, 2)] {
            statistics.extend([code.to_le_bytes(), 8_u16.to_le_bytes()].concat());
            statistics.extend(value.to_le_bytes());
        }
        statistics.extend([0; 4]);
        let all = [block(1, &[]), block(6, &[]), block(6, &[]), block(5, &statistics)].concat();
        let mut blocks = Blocks::default();
        assert!(blocks.copy(&mut &all[..], &mut Vec::new()).is_ok());
        let bytes = all.len() as u64;
        assert_eq!(blocks.summary, Summary { interfaces: 1, packets: 2, bytes, lost: 2 });
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_counting() {
        let mut blocks = Blocks::default();
        let mut to = Vec::new();
        assert!(blocks.copy(&mut &[6, 0, 0, 0, 4, 0, 0, 0][..], &mut to).is_ok());
        assert!(to.is_empty() && blocks.summary.packets == 0);
    }
}
