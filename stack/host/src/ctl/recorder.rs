//! recorder: the boundaries of a running stack are recorded into a connection. After the answer the
//! connection carries pcapng, until the client closes its side; then the file is brought to its
//! end.

use super::answer::{Asked, resolve};
use super::sink::{self, Blocks};
use crate::inlet::Handle;
use millstream_modules::boundaries::Boundaries;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A recording for a connection. Dropping it ends the recording.
#[derive(Debug)]
pub(super) struct Recorder {
    handle: Handle,
    taken: Arc<AtomicBool>,
    blocks: Blocks,
    stopped: bool,
}

/// The client's end is looked for so often while nothing is recorded.
const PAUSE: Duration = Duration::from_millis(50);

/// Fewer bytes have no headers.
const SNAPLEN_MIN: usize = 14;
/// What readers of recordings accept (`MAXIMUM_SNAPLEN` of libpcap).
const SNAPLEN_MAX: usize = 262_144;

impl Recorder {
    /// Records these streams, or all when there are none.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn start(
        asked: &Asked,
        streams: Vec<String>,
        snaplen: usize,
    ) -> Result<Self, String> {
        if !(SNAPLEN_MIN..=SNAPLEN_MAX).contains(&snaplen) {
            return Err(format!("snaplen {snaplen}: bytes from {SNAPLEN_MIN} to {SNAPLEN_MAX}"));
        }
        if asked.recording.swap(true, Ordering::AcqRel) {
            return Err("another program captures from this stack: one can at a time".to_owned());
        }
        let (sink, blocks) = sink::channel();
        let (handle, taken) = (asked.handle.clone(), asked.recording.clone());
        // From here on its end gives the place back.
        let recorder = Self { handle, taken, blocks, stopped: false };
        let name = asked.name.clone();
        asked.change(move |core| {
            let ids = streams.iter().map(|stream| resolve(core, stream));
            let ids = ids.collect::<Result<Vec<_>, _>>()?;
            let ids = (!ids.is_empty()).then_some(ids);
            core.start_spy(ids, Box::new(Boundaries::new(sink, &name, snaplen)));
            Ok(serde_json::Value::Null)
        })?;
        Ok(recorder)
    }

    /// Writes what is recorded until the client closes its side or leaves.
    pub(super) fn run(mut self, stream: &mut UnixStream) -> io::Result<()> {
        let mut batch = Vec::new();
        loop {
            let over = self.blocks.take(&mut batch, PAUSE);
            stream.write_all(&batch)?;
            batch.clear();
            if over {
                return Ok(());
            }
            if has_closed(stream) {
                self.stop();
            }
        }
    }

    /// The spy writes the figures of the interfaces as it goes, and with it goes the sink.
    fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) {
            // A stack that has stopped has dropped its spy.
            let _gone = self.handle.call(|shard| drop(shard.core().stop_spy()));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop();
        self.taken.store(false, Ordering::Release);
    }
}

/// The client sends nothing while it records: whatever can be read is its end.
fn has_closed(stream: &UnixStream) -> bool {
    let mut byte = [0; 1];
    let read = recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
    !matches!(read, Err(Errno::AGAIN | Errno::INTR))
}
