//! sink: blocks of a recording pass from the shard to a file. The shard never waits: what the
//! writer has no room for is lost, and counted by who sent it.

use millstream_modules::capture::Sink;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Opens files of recordings, each with a thread that writes it.
#[derive(Clone)]
pub struct Writers {
    notify: Notify,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// Bytes between the shard and the writer: some 60 super-frames. Twice that is allocated.
const BUFFER: usize = 4 << 20;

/// After a failed write the next one is tried after this time.
const PAUSE: Duration = Duration::from_secs(1);

impl Writers {
    /// Tells `notify`, in a sentence, when a recording has a gap and when it goes on.
    pub fn new(notify: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { notify: Arc::new(notify), threads: Arc::default() }
    }

    /// Makes the file, only for its user to read; an old one of that name is emptied.
    ///
    /// # Errors
    /// A sentence.
    pub fn open(&self, path: &str) -> Result<Box<dyn Sink>, String> {
        let refused = |e: std::io::Error| {
            format!("cannot write the recording {path}: {e}; choose a file that the stack may make")
        };
        // A pipe without a reader would block: NONBLOCK makes it an error. Files ignore it.
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(refused)?;
        let shared = Arc::new(Shared::default());
        shared.lock().full.reserve_exact(BUFFER);
        let writer = Writer {
            file,
            path: Path::new(path).to_owned(),
            written: 0,
            shared: shared.clone(),
            notify: self.notify.clone(),
        };
        let named = std::thread::Builder::new().name("recording".to_owned());
        let thread = named.spawn(move || writer.run()).map_err(refused)?;
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(Box::new(FileSink { shared }))
    }

    /// Waits until all is written. The sinks must have been dropped.
    pub fn finish(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A writer that panicked has lost its recording; the others have not.
            let _panicked = thread.join();
        }
    }
}

/// A sink without a file, and the place where its blocks are taken.
pub(super) fn channel() -> (Box<dyn Sink>, Blocks) {
    let shared = Arc::new(Shared::default());
    shared.lock().full.reserve_exact(BUFFER);
    (Box::new(FileSink { shared: shared.clone() }), Blocks { shared })
}

/// Where the blocks of a sink are taken.
#[derive(Debug)]
pub(super) struct Blocks {
    shared: Arc<Shared>,
}

impl Blocks {
    /// Swaps what came for an empty buffer, after waiting so long for the first block. True when
    /// nothing more will come.
    pub(super) fn take(&self, batch: &mut Vec<u8>, time: Duration) -> bool {
        let state = self.shared.lock();
        let idle = |state: &mut State| state.full.is_empty() && !state.closed;
        let waited = self.shared.changed.wait_timeout_while(state, time, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        std::mem::swap(batch, &mut state.full);
        state.closed
    }
}

impl std::fmt::Debug for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writers").field("threads", &self.threads).finish()
    }
}

#[derive(Debug)]
struct FileSink {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// The file took no more: nothing is accepted until it does.
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Whole blocks for the writer.
    full: Vec<u8>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for FileSink {
    fn write(&mut self, block: &[u8]) -> bool {
        if self.shared.failing.load(Ordering::Relaxed) {
            return false;
        }
        // The writer holds the lock only to swap buffers.
        let mut state = self.shared.lock();
        if state.full.len() + block.len() > BUFFER {
            return false;
        }
        let was_empty = state.full.is_empty();
        state.full.extend_from_slice(block);
        drop(state);
        if was_empty {
            self.shared.changed.notify_one();
        }
        true
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    /// Bytes of whole blocks in the file.
    written: u64,
    shared: Arc<Shared>,
    notify: Notify,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BUFFER);
        loop {
            let mut state = self.shared.lock();
            while state.full.is_empty() && !state.closed {
                state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let closed = state.closed;
            std::mem::swap(&mut batch, &mut state.full);
            drop(state);
            let written = self.file.write_all(&batch);
            match written {
                Ok(()) => {
                    self.written += batch.len() as u64;
                    if self.shared.failing.swap(false, Ordering::Relaxed) {
                        let path = self.path.display();
                        (self.notify)(&format!("the recording {path} goes on, with a gap"));
                    }
                }
                Err(cause) => self.failed(&cause, batch.len()),
            }
            batch.clear();
            if closed {
                return;
            }
            if self.shared.failing.load(Ordering::Relaxed) {
                self.pause();
            }
        }
    }

    fn failed(&mut self, cause: &std::io::Error, bytes: usize) {
        // Half a block would make the rest unreadable.
        let cut = self.file.set_len(self.written);
        let _at = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.written)));
        if !self.shared.failing.swap(true, Ordering::Relaxed) {
            (self.notify)(&format!(
                "the recording {} has a gap from here on ({bytes} bytes were not written: \
                 {cause}): traffic goes on; make room, or take the capture out",
                self.path.display()
            ));
        }
    }

    /// Waits a moment or for the end, then lets one more batch through.
    fn pause(&self) {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, PAUSE, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.shared.failing.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc;

    fn writers() -> (Writers, mpsc::Receiver<String>) {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let notify = move |text: &str| drop(tell.lock().unwrap().send(text.to_owned()));
        (Writers::new(notify), told)
    }

    #[test]
    fn blocks_reach_the_file_in_order_and_only_its_user_reads_it() {
        let (writers, _) = writers();
        let path = std::env::temp_dir().join(format!("ms-sink-{}", std::process::id()));
        let mut sink = writers.open(path.to_str().unwrap()).unwrap();
        for block in 0..1000_u32 {
            assert!(sink.write(&block.to_be_bytes()));
        }
        drop(sink);
        writers.finish();
        let expected: Vec<u8> = (0..1000_u32).flat_map(u32::to_be_bytes).collect();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_made_is_refused_with_its_path() {
        let (writers, _) = writers();
        let Err(text) = writers.open("/nowhere/at/all.pcapng") else { panic!("it was made") };
        assert!(text.contains("/nowhere/at/all.pcapng") && text.contains("choose"), "{text}");
    }

    #[test]
    fn a_full_disk_is_told_once_and_refuses_blocks_without_stopping() {
        let (writers, told) = writers();
        let mut sink = writers.open("/dev/full").unwrap();
        assert!(sink.write(b"block"));
        let text = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(text.contains("/dev/full") && text.contains("5 bytes were not written"), "{text}");
        assert!(!sink.write(b"block"));
        drop(sink);
        writers.finish();
    }
}
