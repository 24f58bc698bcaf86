//! http: a server of files on a stream of `tcp` (RFC 9110, RFC 9112): requests come up, heads and
//! blocks of files go down.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `root` | path | | folder of the files; given when the module is made, fixed then |
//!
//! GET and HEAD, one range of octets, If-Modified-Since; connections are kept and requests may
//! follow one another without waiting. A folder is answered by its `index.html`. A file that fits
//! in the host's cache is lent to the stack, block by block as there is room below: no octet of it
//! is copied. What a client may cost is bounded: a head by [`REQUEST_MAX`], its time by
//! [`HEAD_NS`], an idle connection by [`IDLE_NS`], one that does not read by [`STUCK_NS`].

mod answer;
mod date;
mod files;
mod path;
mod range;
mod request;

pub use answer::Status;
pub use files::{Content, File, Files, Found, Missing, Pieces};

use super::ServiceDrop;
use super::stream::{DEADLINE, Next, Serve, info};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use answer::{About, Connection, Head};
use millstream_core::{Cx, Fields, Invalid, ModInfo, Side};
use millstream_msg::{Band, Msg, NoMem, Pool};
use path::Path;
use range::Part;
use request::Request;

/// What `http` says of itself.
pub const INFO: ModInfo = info("http", "serves files (RFC 9110)");

/// Serves one connection.
pub struct Http {
    files: Box<dyn Files>,
    root: String,
    /// The head of a request that has come in part.
    head: Vec<u8>,
    /// Octets of a request's content, still to be skipped.
    skip: u64,
    /// What of a file is still to be sent.
    body: Option<Body>,
    /// The connection ends behind this answer: what else the client sends is not looked at.
    closing: bool,
    /// No memory was left for an answer.
    starved: bool,
    waits: Option<Waits>,
    requests: u64,
    refused: u64,
    octets: u64,
}

#[derive(Debug)]
struct Body {
    content: Content,
    part: Part,
}

/// What the connection waits for, with a limit of time each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Request,
    Head,
    Room,
}

/// What a request is answered with.
struct Answer {
    status: Status,
    file: Option<(About, Content)>,
    location: Option<String>,
}

impl Http {
    /// Serves these files; `root` says what they are, for people.
    pub fn new(files: Box<dyn Files>, root: &str) -> Self {
        Self {
            files,
            root: root.into(),
            head: Vec::new(),
            skip: 0,
            body: None,
            closing: false,
            starved: false,
            waits: None,
            requests: 0,
            refused: 0,
            octets: 0,
        }
    }

    /// Answers the first request of the data, when it is whole. False: without memory, nothing was
    /// done.
    fn request(&mut self, cx: &mut Cx<'_>, data: &mut Msg) -> bool {
        if self.head.is_empty()
            && let Some(len) = request::head_len(data.first())
        {
            let done = self.answer(cx, &data.first()[..len]);
            if done {
                data.trim_front(len);
            }
            return done;
        }
        let mut head = core::mem::take(&mut self.head);
        let had = head.len();
        for chunk in data.cursor().chunks() {
            let room = REQUEST_MAX + 1 - head.len();
            head.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        cx.pool().note_copied(head.len() - had);
        let whole = request::head_len(&head);
        let done = match whole {
            Some(len) => self.answer(cx, &head[..len]),
            None if head.len() > REQUEST_MAX => self.refuse(cx, Status::FieldsTooLarge),
            None => true,
        };
        if done {
            data.trim_front(whole.unwrap_or(head.len()) - had);
        } else {
            head.truncate(had);
        }
        if !(done && whole.is_some()) {
            self.head = head;
        }
        done
    }

    /// Answers a head.
    fn answer(&mut self, cx: &mut Cx<'_>, head: &[u8]) -> bool {
        if head.len() > REQUEST_MAX {
            return self.refuse(cx, Status::FieldsTooLarge);
        }
        let request = match request::parse(head) {
            Ok(request) => request,
            Err(status) => return self.refuse(cx, status),
        };
        let connection = match (request.keep_alive, request.old) {
            (false, _) => Connection::Close,
            (true, true) => Connection::KeepAlive,
            (true, false) => Connection::GoesOn,
        };
        let answer = look_up(self.files.as_mut(), &request).unwrap_or_else(Answer::of);
        self.send_answer(cx, answer, request.head_only, connection, request.content)
    }

    /// Answers what is no request that can be served, and ends the connection: where the next
    /// request would begin is not known for sure.
    fn refuse(&mut self, cx: &mut Cx<'_>, status: Status) -> bool {
        self.send_answer(cx, Answer::of(status), false, Connection::Close, 0)
    }

    fn send_answer(
        &mut self,
        cx: &mut Cx<'_>,
        answer: Answer,
        head_only: bool,
        connection: Connection,
        content: u64,
    ) -> bool {
        let Answer { status, file, location } = answer;
        let head = Head {
            status,
            now_s: cx.wall() / 1_000_000_000,
            file: file.as_ref().map(|(about, _)| *about),
            location: location.as_deref(),
            connection,
        };
        let mut text = [0; answer::HEAD_MAX];
        let text = head.write(head_only, &mut text);
        let Ok(mut msg) = cx.pool().copy_from(0, text) else {
            self.starved = true;
            return false;
        };
        self.requests += 1;
        self.refused += u64::from(!status.is_success());
        self.skip = content;
        self.closing = connection == Connection::Close;
        let sends = !head_only && matches!(status, Status::Ok | Status::PartialContent);
        self.body = file.filter(|_| sends).map(|(about, content)| {
            let part = about.part;
            Body { content, part }
        });
        // Head and content leave together; what has no memory now follows.
        if let Some(body) = &mut self.body
            && let Some(Ok(first)) = body.next(cx.pool())
        {
            self.octets += first.len() as u64;
            msg.link(first);
        }
        cx.put(Side::Write, msg);
        true
    }

    /// Sends content while there is room. `None`: all of it is sent.
    fn flush(&mut self, cx: &mut Cx<'_>) -> Option<Next> {
        while let Some(body) = &mut self.body {
            if body.part.len == 0 {
                self.body = None;
                return None;
            }
            if !cx.canput(Side::Write, Band(0)) {
                return Some(Next::Wait);
            }
            match body.next(cx.pool()) {
                Some(Ok(piece)) => {
                    self.octets += piece.len() as u64;
                    cx.put(Side::Write, piece);
                    // Each piece may take its time.
                    self.waits = None;
                }
                Some(Err(NoMem)) => return Some(Next::Memory),
                // Its length was promised: the client has to see that it is not all.
                None => return Some(Next::Abort),
            }
        }
        None
    }

    /// Limits the time of what is waited for.
    fn watch(&mut self, cx: &mut Cx<'_>) {
        let waits = match (&self.body, self.head.is_empty() && self.skip == 0) {
            (Some(_), _) => Waits::Room,
            (None, false) => Waits::Head,
            (None, true) => Waits::Request,
        };
        if self.waits.replace(waits) != Some(waits) {
            cx.timer(DEADLINE, cx.now() + waits.limit_ns());
        }
    }
}

impl Serve for Http {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn take(&mut self, cx: &mut Cx<'_>, mut data: Msg) -> Result<(), Msg> {
        while !data.is_empty() && !self.closing {
            if self.body.is_some() && self.flush(cx).is_some() {
                return Err(data);
            }
            if self.skip > 0 {
                let skipped = self.skip.min(data.len() as u64);
                data.trim_front(skipped as usize);
                self.skip -= skipped;
                continue;
            }
            if !cx.canput(Side::Write, Band(0)) || !self.request(cx, &mut data) {
                return Err(data);
            }
            // A client that goes on asking is not idle.
            self.waits = self.waits.filter(|waits| *waits == Waits::Head && !self.head.is_empty());
        }
        cx.free(data);
        Ok(())
    }

    fn send(&mut self, cx: &mut Cx<'_>) -> Next {
        let next = self.flush(cx);
        self.watch(cx);
        match next {
            Some(next) => next,
            None if core::mem::take(&mut self.starved) => Next::Memory,
            None if self.closing => Next::End,
            None => Next::Wait,
        }
    }

    fn finish(&mut self, cx: &mut Cx<'_>) -> bool {
        self.flush(cx).is_none()
    }

    fn late(&mut self, cx: &mut Cx<'_>) -> Next {
        match self.waits {
            Some(Waits::Room) => Next::Abort,
            Some(Waits::Head) if self.skip == 0 => {
                if !cx.canput(Side::Write, Band(0)) || !self.refuse(cx, Status::RequestTimeout) {
                    return Next::Abort;
                }
                Next::End
            }
            _ => {
                self.closing = true;
                Next::End
            }
        }
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        let head = core::mem::take(&mut self.head);
        if head.is_empty() {
            return;
        }
        match cx.pool().copy_from(0, &head) {
            Ok(msg) => cx.put(Side::Read, msg),
            Err(NoMem) => cx.count_drops(ServiceDrop::NoMem, 1),
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        match key {
            "root" if value == self.root => Ok(()),
            "root" => Err(Invalid::value(key, value, "fixed when the module was made")),
            _ => Err(Invalid::unknown(key)),
        }
    }

    fn show(&self, fields: &mut Fields) {
        fields.text("root", self.root.clone());
        fields.count("requests", self.requests);
        fields.count("refused", self.refused);
        fields.count("octets", self.octets);
    }
}

impl core::fmt::Debug for Http {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Http").field("root", &self.root).field("requests", &self.requests).finish()
    }
}

impl Body {
    /// The next octets; `None` when the file has become shorter.
    fn next(&mut self, pool: &mut Pool) -> Option<Result<Msg, NoMem>> {
        let most = self.part.len.min(PIECE) as usize;
        let octets = match &mut self.content {
            Content::Here(bytes) => {
                let from = self.part.from as usize;
                bytes.slice(from..from + most)
            }
            Content::Pieces(file) => file.read(self.part.from, most)?,
        };
        let len = octets.len() as u64;
        let msg = pool.wrap_bytes(octets);
        if msg.is_ok() {
            self.part = Part { from: self.part.from + len, len: self.part.len - len };
        }
        Some(msg)
    }
}

impl Waits {
    const fn limit_ns(self) -> u64 {
        match self {
            Self::Request => IDLE_NS,
            Self::Head => HEAD_NS,
            Self::Room => STUCK_NS,
        }
    }
}

impl Answer {
    const fn of(status: Status) -> Self {
        Self { status, file: None, location: None }
    }
}

/// What a request is answered with; a status alone when there is no file.
fn look_up(files: &mut dyn Files, request: &Request<'_>) -> Result<Answer, Status> {
    let path = Path::decode(request.path)?;
    let (file, content_type) = match files.find(path.as_str())? {
        Found::File(_) if path.is_folder => return Err(Status::NotFound),
        Found::File(file) => (file, files::content_type(path.as_str())),
        Found::Folder if path.is_folder => {
            match files.find(path.child("index.html")?.as_str()) {
                Ok(Found::File(file)) => (file, files::content_type("index.html")),
                // What else is in it is nobody's business.
                Ok(Found::Folder) | Err(Missing::None) => return Err(Status::Forbidden),
                Err(why) => return Err(why.into()),
            }
        }
        Found::Folder => {
            let location = Some(path.folder_location());
            return Ok(Answer { status: Status::MovedPermanently, file: None, location });
        }
    };
    let File { len, modified_s, content } = file;
    let whole = Part { from: 0, len };
    let unchanged = request.if_modified_since.is_some_and(|since| modified_s <= since);
    let range = request.range.filter(|_| request.if_range.is_none_or(|d| d == Some(modified_s)));
    let (status, part) = match range.map(|range| range.of(len)) {
        _ if unchanged && !request.if_none_match => (Status::NotModified, whole),
        None => (Status::Ok, whole),
        Some(Some(part)) => (Status::PartialContent, part),
        Some(None) => (Status::RangeNotSatisfiable, whole),
    };
    let about = About { len, modified_s, content_type, part };
    Ok(Answer { status, file: Some((about, content)), location: None })
}

impl From<Missing> for Status {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::None => Self::NotFound,
            Missing::Forbidden => Self::Forbidden,
            Missing::Busy => Self::ServiceUnavailable,
        }
    }
}

/// Octets of the head of a request: more get 431.
pub const REQUEST_MAX: usize = 8192;
/// Octets that go down at once, of what is lent and of what is read from a disk.
const PIECE: u64 = 128 << 10;
/// A head or content that has begun is to be whole after so long.
pub const HEAD_NS: u64 = 10_000_000_000;
/// A connection without requests is kept so long.
pub const IDLE_NS: u64 = 30_000_000_000;
/// A client that takes nothing for so long is given up.
pub const STUCK_NS: u64 = 60_000_000_000;
