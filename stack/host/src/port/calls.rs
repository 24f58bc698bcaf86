//! Calls that programs make, one at a time each, and that are answered at once.

mod streams;

use super::Ports;
use super::served::{Served, What};
use crate::buffers::{Buffers, To};
use crate::socket::{Kind, Socket};
use millstream_core::{Errno, Perimeter};
use millstream_port::lane::{Request, op};
use millstream_port::{MOVED, Ready, address};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// Numbers and bytes of an answer.
pub(super) type Answer = Result<([i64; 3], Vec<u8>), Errno>;

/// A call of a program.
pub(super) struct Call<'a> {
    /// The program.
    pub(super) at: usize,
    pub(super) request: Request,
    pub(super) input: &'a [u8],
}

impl Ports {
    /// Answers the call that a program has made.
    pub(super) fn answer(&mut self, core: &mut Perimeter, at: usize) {
        let Some(client) = &mut self.clients[at] else { return };
        let (number, call) = client.lane().take();
        client.last_call = number;
        let Some((request, input)) = call else {
            return self.faulty.push((at, super::Fault::Call));
        };
        if matches!(request.op, op::BIND | op::LISTEN) {
            self.bury(core);
        }
        let answer = self.call(core, &Call { at, request, input: &input });
        let Some(client) = &self.clients[at] else { return };
        let answer = answer.as_ref().map(|(values, bytes)| (*values, &bytes[..]));
        client.lane().answer(number, answer.map_err(|errno| *errno));
    }

    fn call(&mut self, core: &mut Perimeter, call: &Call<'_>) -> Answer {
        let Call { at, request: Request { op, args, .. }, .. } = *call;
        match op {
            op::SOCKET => {
                let number = |at: usize| i32::try_from(args[at]).map_err(|_| Errno::EINVAL);
                let kind = Kind::of(number(0)?, number(1)?, number(2)?)?;
                let transports = self.transports;
                let make =
                    |core: &mut Perimeter| Socket::open(core, transports, kind).map(What::Socket);
                Ok(id(self.add(core, at, make)?))
            }
            op::PLACEHOLDER => {
                let cookies = self.make_placeholders(at, args[0])?;
                let bytes = cookies.iter().flat_map(|cookie| cookie.to_ne_bytes()).collect();
                Ok(([cookies.len() as i64, 0, 0], bytes))
            }
            op::ADOPT => self.adopt(core, at, args[0] as u64).map(id),
            op::OPEN | op::PIPE => self.open(core, call),
            op::LEND | op::TAKE_BACK | op::LENT => {
                let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
                lend(core, &mut client.buffers, op, args[0])
            }
            _ => {
                let client = self.client(at).ok_or(Errno::EBADF)?;
                let (_, key) = client.named(call.request.id).ok_or(Errno::EBADF)?;
                let answer = self.call_of(core, key, call);
                self.show(core, key, Ready::empty());
                answer
            }
        }
    }

    /// A call about a socket or stream.
    fn call_of(&mut self, core: &mut Perimeter, key: u32, call: &Call<'_>) -> Answer {
        let Request { op, args, .. } = call.request;
        match op {
            op::TIE => self.tie(call.at, key, args[0] as u64).map(|()| nothing()),
            op::ACCEPT => self.accept(core, key, call.at),
            op::BIND | op::CONNECT | op::LISTEN => self.place(core, key, call),
            op::EXPORT => self.export(core, key).map(|()| nothing()),
            op::SEND | op::RECV | op::SHUTDOWN | op::READABLE if self.has_moved(key) => Err(MOVED),
            // What came first lies in the ring, since the program looked: it looks again.
            op::RECV if args[0] & OOB == 0 && self.ring_holds(key) => Err(Errno::EAGAIN),
            op::SHUTDOWN => self.shutdown(core, key, args[0]),
            op::SEND_LENT => self.send_lent(core, key, call),
            op::PUTMSG | op::GETMSG | op::READ | op::WRITE | op::IOCTL => {
                self.stream_call(core, key, call)
            }
            _ => {
                self.outward(core, key);
                let served = self.get_mut(key).ok_or(Errno::EBADF)?;
                match op {
                    op::SEND => send(core, served, call),
                    op::RECV => recv(core, served, args),
                    _ => plain(core, served, call),
                }
            }
        }
    }

    /// Adds what `make` opens to what a program has; its number.
    pub(super) fn add(
        &mut self,
        core: &mut Perimeter,
        at: usize,
        make: impl FnOnce(&mut Perimeter) -> Result<What, Errno>,
    ) -> Result<u32, Errno> {
        let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
        let key = self.free.pop().unwrap_or_else(|| {
            self.served.push(None);
            (self.served.len() - 1) as u32
        });
        let Some(slot) = client.take_slot(key) else {
            self.free.push(key);
            return Err(EMFILE);
        };
        let id = client.id(slot);
        match make(core) {
            Ok(what) => {
                let mut served = Served::new(what);
                served.users.push((at, slot));
                self.by_stream.insert(served.stream(), key);
                self.served[key as usize] = Some(served);
                self.show(core, key, Ready::empty());
                Ok(id)
            }
            Err(errno) => {
                client.give_slot_back(slot);
                self.free.push(key);
                Err(errno)
            }
        }
    }

    /// The program shares what a placeholder stands for.
    fn adopt(&mut self, core: &mut Perimeter, at: usize, cookie: u64) -> Result<u32, Errno> {
        let key = self.of_placeholder(cookie).ok_or(Errno::EBADF)?;
        let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.ok_or(Errno::EBADF)?;
        if let Some((_, slot)) = served.users.iter().find(|(of, _)| *of == at) {
            return Ok(client.id(*slot));
        }
        let slot = client.take_slot(key).ok_or(EMFILE)?;
        let id = client.id(slot);
        served.users.push((at, slot));
        // Two that have it ask for each octet.
        self.no_longer_unattended(key);
        self.retire(core, key);
        self.show_anew(core, key);
        Ok(id)
    }

    fn accept(&mut self, core: &mut Perimeter, key: u32, at: usize) -> Answer {
        let transports = self.transports;
        let mut from = None;
        // The listener is out while its connection is put in.
        let mut served = self.served.get_mut(key as usize).and_then(Option::take);
        let accepted = self.add(core, at, |core| {
            let listener = served.as_mut().and_then(Served::socket).ok_or(Errno::EOPNOTSUPP)?;
            let (socket, peer) = listener.accept(core, transports)?;
            from = Some(peer);
            Ok(What::Socket(socket))
        });
        if let Some(place) = self.served.get_mut(key as usize) {
            *place = served;
        }
        let (accepted, from) = (accepted?, from.ok_or(Errno::EPROTO)?);
        Ok(([accepted.into(), 0, 0], address::to_bytes(from).to_vec()))
    }

    /// Calls that may take a port.
    fn place(&mut self, core: &mut Perimeter, key: u32, call: &Call<'_>) -> Answer {
        let most = self.quota.ports;
        let client = self.clients[call.at].as_mut().ok_or(Errno::EBADF)?;
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.ok_or(Errno::EBADF)?;
        if served.port_of.is_none() && client.ports >= most {
            return Err(Errno::ENOBUFS);
        }
        let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
        let to = || address::of_bytes(call.input).map(|(to, _)| to).ok_or(Errno::EINVAL);
        let done = match call.request.op {
            op::BIND => socket.bind(core, to()?),
            op::LISTEN => socket.listen(core, call.request.args[0].clamp(1, 4096) as i32),
            _ => socket.connect(core, to()?),
        };
        if matches!(done, Ok(()) | Err(Errno::EINPROGRESS)) && served.port_of.is_none() {
            served.port_of = Some(call.at);
            client.ports += 1;
        }
        done.map(|()| nothing())
    }

    /// Sends a buffer that the program has on loan.
    fn send_lent(&mut self, core: &mut Perimeter, key: u32, call: &Call<'_>) -> Answer {
        // In its turn: first what is in the ring.
        self.outward(core, key);
        let [at, len] = [call.request.args[0], call.request.args[1]].map(usize::try_from);
        let (at, len) = (at.map_err(|_| Errno::EINVAL)?, len.map_err(|_| Errno::EINVAL)?);
        let client = self.clients[call.at].as_mut().ok_or(Errno::EBADF)?;
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.ok_or(Errno::EBADF)?;
        let sent = if served.blocks_sending() {
            Err(Errno::EAGAIN)
        } else {
            let to = match &mut served.what {
                What::Stream(stream) => To::Stream(*stream),
                What::Socket(socket) => To::Socket(socket),
            };
            client.buffers.send(core, to, at, len)
        };
        served.awaits_room |= sent == Err(Errno::EAGAIN);
        sent.map(|()| nothing())
    }

    /// Octets that came are in the program's ring.
    fn ring_holds(&self, key: u32) -> bool {
        let line = self.get(key).and_then(|served| served.line.as_ref());
        line.is_some_and(|line| {
            let client = self.client(line.client);
            client.is_some_and(|client| {
                client.slot(line.slot).taken().load(Ordering::Acquire) as u32 != line.received
            })
        })
    }

    /// Its octets go through the placeholder.
    fn has_moved(&self, key: u32) -> bool {
        self.get(key).is_some_and(|served| served.exported)
    }

    fn shutdown(&mut self, core: &mut Perimeter, key: u32, how: i64) -> Answer {
        self.outward(core, key);
        let served = self.get_mut(key).ok_or(Errno::EBADF)?;
        let how = i32::try_from(how).map_err(|_| Errno::EINVAL)?;
        let under_way = !served.unsent.is_empty() || served.has_unsubmitted();
        let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
        if !under_way || !(1..=2).contains(&how) {
            return socket.shutdown(core, how).map(|()| nothing());
        }
        // Nothing more is written; what was, goes first.
        socket.peer_addr(core)?;
        if how == 2 {
            socket.shutdown(core, 0)?;
        }
        served.shut = true;
        Ok(nothing())
    }
}

/// `send(2)` of who has no ring.
fn send(core: &mut Perimeter, served: &mut Served, call: &Call<'_>) -> Answer {
    let [flags, has_to, ..] = call.request.args;
    let (to, data) = match has_to {
        0 => (None, call.input),
        _ => {
            let (to, data) = address::of_bytes(call.input).ok_or(Errno::EINVAL)?;
            (Some(to), data)
        }
    };
    let urgent = flags & OOB != 0;
    let waits = served.blocks_sending();
    let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
    let sent = match socket.kind() {
        Kind::Datagram if urgent => return Err(Errno::EOPNOTSUPP),
        Kind::Datagram => socket.send_to(core, data, to)?,
        // In its turn.
        Kind::Stream if waits => return Err(Errno::EAGAIN),
        Kind::Stream if urgent => {
            socket.send_urgent(core, data)?;
            data.len()
        }
        Kind::Stream => socket.send(core, &[data])?,
    };
    Ok(([sent as i64, 0, 0], Vec::new()))
}

/// `recv(2)` of who has no ring.
fn recv(core: &mut Perimeter, served: &mut Served, [flags, room, ..]: [i64; 4]) -> Answer {
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?.min(RECV_MAX);
    let keep = flags & PEEK != 0;
    let mut out = vec![0; room];
    let stashed = if flags & OOB == 0 { served.unstash(core, &mut out, keep) } else { 0 };
    if stashed > 0 {
        out.truncate(stashed);
        return Ok(received(&out, stashed, None));
    }
    let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
    if socket.kind() == Kind::Datagram {
        let (whole, from) = socket.recv_from(core, &mut out, keep)?;
        out.truncate(whole);
        return Ok(received(&out, whole, Some(from)));
    }
    let len = if flags & OOB != 0 {
        *out.first_mut().ok_or(Errno::EINVAL)? = socket.take_urgent(core)?;
        1
    } else if keep {
        socket.peek(core, &mut out)?
    } else {
        socket.recv(core, &mut out)?
    };
    Ok(received(&out[..len], len, None))
}

fn received(data: &[u8], whole: usize, from: Option<SocketAddr>) -> ([i64; 3], Vec<u8>) {
    let address = from.map_or([0; address::LEN], address::to_bytes);
    let values = [data.len() as i64, whole as i64, i64::from(from.is_some())];
    (values, [&address[..], data].concat())
}

/// Calls that ask or set something.
fn plain(core: &mut Perimeter, served: &mut Served, call: &Call<'_>) -> Answer {
    let [level, name, ..] = call.request.args;
    let (level, name) = (level as i32, name as i32);
    let waiting = served.waiting();
    if let (op::SET_OPTION, SOCKET, LINGER) = (call.request.op, level, name) {
        served.abrupt = call.input.len() == 8
            && call.input[..4].iter().any(|byte| *byte != 0)
            && call.input[4..].iter().all(|byte| *byte == 0);
    }
    let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
    match call.request.op {
        op::LOCAL_ADDR => Ok(bytes(&address::to_bytes(socket.local_addr(core)))),
        op::PEER_ADDR => Ok(bytes(&address::to_bytes(socket.peer_addr(core)?))),
        op::SET_OPTION => socket.set_option(core, level, name, call.input).map(|()| nothing()),
        op::OPTION => Ok(bytes(&socket.option(core, level, name)?)),
        op::READABLE => Ok(([(waiting + socket.readable(core)) as i64, 0, 0], Vec::new())),
        _ => Err(Errno::EINVAL),
    }
}

/// Calls about buffers.
fn lend(core: &mut Perimeter, buffers: &mut Buffers, op: u32, arg: i64) -> Answer {
    let arg = usize::try_from(arg).map_err(|_| Errno::EINVAL)?;
    let value = match op {
        op::LEND => buffers.lend(core, arg)?.at,
        op::TAKE_BACK => buffers.take_back(arg).map(|()| 0)?,
        _ => buffers.sent(core),
    };
    Ok(([value as i64, 0, 0], Vec::new()))
}

fn id(id: u32) -> ([i64; 3], Vec<u8>) {
    ([id.into(), 0, 0], Vec::new())
}

fn nothing() -> ([i64; 3], Vec<u8>) {
    ([0; 3], Vec::new())
}

fn bytes(bytes: &[u8]) -> ([i64; 3], Vec<u8>) {
    ([bytes.len() as i64, 0, 0], bytes.to_vec())
}

/// Beyond the program's share.
pub(super) const EMFILE: Errno = Errno(24);
/// MSG_OOB.
const OOB: i64 = 1;
/// MSG_PEEK.
const PEEK: i64 = 2;
/// SOL_SOCKET.
const SOCKET: i32 = 1;
/// SO_LINGER.
const LINGER: i32 = 13;
/// Octets that an answer carries: a datagram.
const RECV_MAX: usize = 1 << 16;
