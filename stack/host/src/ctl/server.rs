//! server: claims the name of a stack, listens on its socket, and answers in threads.

use super::answer::{Asked, Session};
use super::client::is_live;
use super::line::{LINE_MAX, Line, Lines};
use super::path::{self, Places};
use super::sink::Writers;
use super::{CtlError, Request};
use crate::inlet::Handle;
use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The socket of a stack that is about to run: its name is taken. Dropping it removes the socket.
#[derive(Debug)]
pub struct Listener {
    name: String,
    socket: UnixListener,
    file: SocketFile,
}

/// Answers for a running stack. Dropping it ends the connections and removes the socket.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    file: Option<SocketFile>,
}

/// Removes the file of a socket when dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

#[derive(Debug)]
struct Shared {
    asked: Asked,
    socket: UnixListener,
    stop: AtomicBool,
    /// Open connections by number, to shut them down.
    open: Mutex<HashMap<u64, UnixStream>>,
}

/// Connections at once; a command needs one.
const CONNECTIONS_MAX: usize = 16;

/// A connection may be silent this long between requests.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Who does not read its answer is given up after this.
const WRITE_TIME_MAX: Duration = Duration::from_secs(10);

impl Listener {
    /// Takes the name: makes the socket, in place of one that a dead stack has left.
    ///
    /// # Errors
    /// [`CtlError::Runs`] when a live stack has it; those about the folder.
    pub fn claim(name: &str) -> Result<Self, CtlError> {
        let places = Places::of_process();
        for folder in places.existing() {
            // A stack of ours may have been started with another environment.
            if is_live(&path::socket(&folder, name)?) {
                return Err(CtlError::Runs { name: name.to_owned() });
            }
        }
        Self::claim_in(&places.folder()?, name)
    }

    pub(super) fn claim_in(folder: &Path, name: &str) -> Result<Self, CtlError> {
        let path = path::socket(folder, name)?;
        let io = |what, cause| CtlError::Io { what, path: path.clone(), cause };
        // Between the look at the old socket and the new one nobody else does the same.
        let lock = std::fs::File::open(folder).map_err(|cause| io("open the folder of", cause))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|errno| io("lock the folder of", errno.into()))?;
        if is_live(&path) {
            return Err(CtlError::Runs { name: name.to_owned() });
        }
        match std::fs::remove_file(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => {
                return Err(io("remove the socket of a dead stack at", cause));
            }
            _ => {}
        }
        let socket = UnixListener::bind(&path).map_err(|cause| io("make the socket", cause))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .map_err(|cause| io("close to others the socket", cause))?;
        let file = SocketFile::at(&path).map_err(|cause| io("look at the socket", cause))?;
        Ok(Self { name: name.to_owned(), socket, file })
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Answers for this stack from now on; who came before has waited. Recordings asked for are
    /// made with `writers`.
    ///
    /// # Errors
    /// The kernel's, when no thread can be made.
    pub fn serve(self, handle: Handle, writers: Writers) -> io::Result<Server> {
        let Self { name, socket, file } = self;
        let (tracing, recording) = (Arc::default(), Arc::default());
        let since = Instant::now();
        let asked = Asked { name, handle, since, writers, tracing, recording };
        let (stop, open) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { asked, socket, stop, open });
        let theirs = shared.clone();
        std::thread::Builder::new().name("ctl".to_owned()).spawn(move || theirs.accept())?;
        Ok(Server { shared, file: Some(file) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First: who waits for its connection to close may then use the name again.
        drop(self.file.take());
        self.shared.stop.store(true, Ordering::Release);
        // Wakes accept; a socket that is broken already needs no waking.
        let _awake = rustix::net::shutdown(&self.shared.socket, rustix::net::Shutdown::Both);
    }
}

impl SocketFile {
    /// Of a socket that was just made.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let meta = path.symlink_metadata()?;
        Ok(Self { identity: (meta.dev(), meta.ino()), path: path.to_owned() })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |meta: std::fs::Metadata| (meta.dev(), meta.ino()) == self.identity;
        if self.path.symlink_metadata().is_ok_and(ours) {
            // It was there a moment ago; gone is what we want.
            let _gone = std::fs::remove_file(&self.path);
        }
    }
}

impl Shared {
    fn accept(self: Arc<Self>) {
        for number in 0.. {
            let stream = match self.socket.accept() {
                Ok((stream, _)) => stream,
                Err(_) if self.stop.load(Ordering::Acquire) => break,
                Err(_) => {
                    // Out of descriptors, or a client that left: neither goes away by hurrying.
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            };
            let mine = self.clone();
            // Without a thread the connection closes, which the client reports.
            let _no_thread = std::thread::Builder::new()
                .name("ctl-client".to_owned())
                .spawn(move || mine.connection(number, stream));
        }
        for stream in self.connections().values() {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, UnixStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, number: u64, mut stream: UnixStream) {
        // What fails here fails because the client is gone; nobody is left to be told.
        let _gone = self.admit(number, &stream).and_then(|refusal| match refusal {
            Some(sentence) => send(&mut stream, &Err(sentence)),
            None => self.converse(&mut stream),
        });
        self.connections().remove(&number);
    }

    /// Lets a connection in, or says why not.
    fn admit(&self, number: u64, stream: &UnixStream) -> io::Result<Option<String>> {
        stream.set_read_timeout(Some(IDLE_MAX))?;
        stream.set_write_timeout(Some(WRITE_TIME_MAX))?;
        let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())?.uid.as_raw();
        if let Some(refusal) = stranger(peer, rustix::process::geteuid().as_raw()) {
            return Ok(Some(refusal));
        }
        let mut open = self.connections();
        if open.len() >= CONNECTIONS_MAX {
            return Ok(Some(format!(
                "{CONNECTIONS_MAX} programs are connected to this stack: try again when one has \
                 ended"
            )));
        }
        open.insert(number, stream.try_clone()?);
        Ok(None)
    }

    fn converse(&self, stream: &mut UnixStream) -> io::Result<()> {
        let mut lines = Lines::new(stream.try_clone()?, LINE_MAX);
        let mut session = Session::default();
        loop {
            let answer = match lines.next()? {
                Line::End => return Ok(()),
                Line::TooLong => Err(format!("a request has at most {LINE_MAX} bytes")),
                Line::Text(line) => {
                    Request::parse(&line).and_then(|r| session.answer(&self.asked, r))
                }
            };
            send(stream, &answer)?;
            if let Some(recorder) = session.recorder.take() {
                return recorder.run(stream);
            }
            if session.down {
                self.asked.handle.stop();
                session.down = false;
            }
        }
    }
}

fn send(stream: &mut UnixStream, answer: &Result<Value, String>) -> io::Result<()> {
    let answer = match answer {
        Ok(value) => json!({ "ok": value }),
        Err(sentence) => json!({ "error": sentence }),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Why this user gets no answer; `None` for ourselves and root.
fn stranger(peer: u32, ours: u32) -> Option<String> {
    (peer != ours && peer != 0).then(|| {
        format!("this stack belongs to user {ours}: you are user {peer}; ask as that user or root")
    })
}

#[cfg(test)]
mod tests {
    use super::stranger;

    #[test]
    fn only_the_stacks_user_and_root_get_an_answer() {
        assert_eq!(stranger(1000, 1000), None);
        assert_eq!(stranger(0, 1000), None);
        let text = stranger(1001, 1000).unwrap();
        assert!(text.contains("belongs to user 1000: you are user 1001"), "{text}");
        assert!(stranger(1000, 0).is_some());
    }
}
