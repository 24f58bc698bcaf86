//! Each call: of octets in the rings, of all else by asking the stack.

use super::Client;
use super::data::Tried;
use crate::address;
use crate::lane::{Request, op};
use crate::layout::{CHANGED, POLLS};
use crate::slot::EXPORTED;
use crate::streamio::Asked;
use crate::{Changes, Cookie, Errno, Id, Partial, Priority, Ready, Received, Sockets, Want};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

/// MSG_OOB.
const OOB: i32 = 1;
/// MSG_PEEK.
const PEEK: i32 = 2;
/// MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL, MSG_MORE, MSG_TRUNC, MSG_CMSG_CLOEXEC: those who wait
/// do something about them, or nobody.
const HARMLESS: i32 = 0x40 | 0x100 | 0x4000 | 0x8000 | 0x20 | 0x4000_0000;
/// Octets that one call sends, and that one answer brings.
const DATA_MAX: usize = 1 << 16;
/// A thread that waits for a stack that polls sleeps only after so long: twice what waking it takes
/// where that is slow.
const LINGERS: Duration = Duration::from_micros(50);
/// POLLNVAL.
const NO_SOCKET: Ready = Ready(0x20);

impl Client {
    fn tell(&self, op: u32, id: Id, args: [i64; 4], pieces: &[&[u8]]) -> Result<[i64; 3], Errno> {
        let request = Request { op, id: id.0, args };
        Ok(self.call(request, pieces, &mut [])?.values)
    }

    fn ask_address(&self, op: u32, id: Id) -> Result<SocketAddr, Errno> {
        let mut out = [0; address::LEN];
        self.call(Request { op, id: id.0, args: [0; 4] }, &[], &mut out)?;
        Ok(address::of_bytes(&out).ok_or(Errno::EPROTO)?.0)
    }

    fn ask_send(
        &self,
        id: Id,
        pieces: &[IoSlice<'_>],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        let to = to.map(address::to_bytes);
        let mut all: Vec<&[u8]> = to.iter().map(|to| &to[..]).collect();
        let mut left = DATA_MAX;
        for piece in pieces {
            let some = piece.len().min(left);
            all.push(&piece[..some]);
            left -= some;
        }
        let whole = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if to.is_some() && whole > DATA_MAX {
            return Err(Errno::EMSGSIZE);
        }
        let args = [flags.into(), to.is_some().into(), 0, 0];
        Ok(self.tell(op::SEND, id, args, &all)?[0] as usize)
    }

    fn ask_recv(&self, id: Id, out: &mut [u8], flags: i32) -> Result<Received, Errno> {
        let room = out.len().min(DATA_MAX);
        let mut bytes = vec![0; address::LEN + room];
        let args = [flags.into(), room as i64, 0, 0];
        let request = Request { op: op::RECV, id: id.0, args };
        let reply = self.call(request, &[], &mut bytes)?;
        let [len, whole, has_from] = reply.values;
        let len = usize::try_from(len).unwrap_or(0).min(room);
        out[..len].copy_from_slice(&bytes[address::LEN..address::LEN + len]);
        let from = address::of_bytes(&bytes).filter(|_| has_from != 0).map(|(from, _)| from);
        Ok(Received { len, whole: usize::try_from(whole).unwrap_or(len), from })
    }
}

impl Sockets for Client {
    fn socket(&self, domain: i32, kind: i32, protocol: i32) -> Result<Id, Errno> {
        let args = [domain.into(), kind.into(), protocol.into(), 0];
        Ok(Id(self.tell(op::SOCKET, Id(0), args, &[])?[0] as u32))
    }

    fn bind(&self, id: Id, local: SocketAddr) -> Result<(), Errno> {
        self.tell(op::BIND, id, [0; 4], &[&address::to_bytes(local)]).map(drop)
    }

    fn listen(&self, id: Id, backlog: i32) -> Result<(), Errno> {
        self.tell(op::LISTEN, id, [backlog.into(), 0, 0, 0], &[]).map(drop)
    }

    fn connect(&self, id: Id, peer: SocketAddr) -> Result<(), Errno> {
        self.tell(op::CONNECT, id, [0; 4], &[&address::to_bytes(peer)]).map(drop)
    }

    fn accept(&self, id: Id) -> Result<(Id, SocketAddr), Errno> {
        let mut out = [0; address::LEN];
        let reply = self.call(Request { op: op::ACCEPT, id: id.0, args: [0; 4] }, &[], &mut out)?;
        let (peer, _) = address::of_bytes(&out).ok_or(Errno::EPROTO)?;
        Ok((Id(reply.values[0] as u32), peer))
    }

    fn send_pieces(
        &self,
        id: Id,
        pieces: &[IoSlice<'_>],
        flags: i32,
        to: Option<SocketAddr>,
    ) -> Result<usize, Errno> {
        if flags & !(OOB | HARMLESS) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if flags & OOB == 0
            && let Tried::Done(done) = self.put(id, pieces)
        {
            return done;
        }
        self.ask_send(id, pieces, flags, to)
    }

    fn recv(&self, id: Id, out: &mut [u8], flags: i32) -> Result<Received, Errno> {
        if flags & !(OOB | PEEK | HARMLESS) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if flags & OOB == 0
            && let Tried::Done(done) = self.take(id, out, flags & PEEK != 0)
        {
            return done.map(|len| Received { len, whole: len, from: None });
        }
        let asked = self.ask_recv(id, out, flags);
        // Rings may have been given meanwhile, with the octets in them.
        if asked == Err(Errno::EAGAIN)
            && flags & OOB == 0
            && let Tried::Done(done) = self.take(id, out, flags & PEEK != 0)
        {
            return done.map(|len| Received { len, whole: len, from: None });
        }
        asked
    }

    fn shutdown(&self, id: Id, how: i32) -> Result<(), Errno> {
        self.tell(op::SHUTDOWN, id, [how.into(), 0, 0, 0], &[]).map(drop)
    }

    fn close(&self, id: Id) -> Result<(), Errno> {
        let (at, slot) = self.slot(id).ok_or(Errno::EBADF)?;
        let generation = id.0 >> 16;
        // One of two threads that close it has closed it.
        if slot.closed().swap(generation, Ordering::AcqRel) == generation {
            return Err(Errno::EBADF);
        }
        self.kick(at);
        Ok(())
    }

    fn local_addr(&self, id: Id) -> Result<SocketAddr, Errno> {
        self.ask_address(op::LOCAL_ADDR, id)
    }

    fn peer_addr(&self, id: Id) -> Result<SocketAddr, Errno> {
        self.ask_address(op::PEER_ADDR, id)
    }

    fn set_option(&self, id: Id, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.tell(op::SET_OPTION, id, [level.into(), name.into(), 0, 0], &[value]).map(drop)
    }

    fn option(&self, id: Id, level: i32, name: i32, value: &mut [u8]) -> Result<usize, Errno> {
        let args = [level.into(), name.into(), 0, 0];
        Ok(self.call(Request { op: op::OPTION, id: id.0, args }, &[], value)?.len)
    }

    fn readable(&self, id: Id) -> Result<usize, Errno> {
        match self.filled(id) {
            Some(filled) => Ok(filled),
            None => Ok(self.tell(op::READABLE, id, [0; 4], &[])?[0] as usize),
        }
    }

    fn ready(&self, id: Id) -> Ready {
        self.seen(id)
    }

    fn changes(&self, id: Id) -> Changes {
        // That the stack is gone is a change, too.
        let gone = u32::from(self.is_known_gone()) << 31;
        self.slot(id).map_or(Changes::default(), |(_, slot)| Changes {
            inward: slot.inward().load(Ordering::SeqCst) ^ gone,
            outward: slot.outward().load(Ordering::SeqCst) ^ gone,
        })
    }

    fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn linger(&self) {
        if self.memory.u32_at(POLLS).load(Ordering::Relaxed) == 0 {
            return;
        }
        let end = Instant::now() + LINGERS;
        while self.bits(CHANGED).is_empty() && Instant::now() < end {
            // Whom it waits for may want the same core.
            std::thread::yield_now();
        }
    }

    fn sleeps(&self) {
        self.sleepers().fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn wakes(&self) {
        self.sleepers().fetch_sub(1, Ordering::SeqCst);
    }

    fn changed(&self, out: &mut Vec<Id>) -> bool {
        self.take_changed(out);
        true
    }

    fn arm(&self, id: Id, events: Ready) -> Ready {
        if let Some((at, slot)) = self.slot(id) {
            let always = Ready::ERR | Ready::HUP;
            let before = slot.armed().swap((events | always).0, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if events.contains(Ready::EDGES) && !Ready(before).contains(Ready::EDGES) {
                self.kick(at);
            }
        }
        self.seen(id).only(events | Ready::ERR | Ready::HUP | NO_SOCKET)
    }

    fn disarm(&self, id: Id) {
        if let Some((_, slot)) = self.slot(id) {
            slot.armed().store(0, Ordering::SeqCst);
        }
    }

    fn silence(&self) {
        // Empty means that nobody rang.
        let _not_rung = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    fn lifeline(&self) -> Option<BorrowedFd<'_>> {
        Some(self.connection.as_fd())
    }

    fn is_gone(&self) -> bool {
        Self::is_gone(self)
    }

    fn export(&self, id: Id) -> Result<(), Errno> {
        self.tell(op::EXPORT, id, [0; 4], &[]).map(drop)
    }

    fn is_exported(&self, id: Id) -> bool {
        self.slot(id).is_some_and(|(_, slot)| slot.state().load(Ordering::Acquire) & EXPORTED != 0)
    }

    fn placeholder(&self) -> Result<(OwnedFd, Cookie), Errno> {
        self.take_placeholder()
    }

    fn tie(&self, id: Id, cookie: Cookie) -> Result<(), Errno> {
        self.tell(op::TIE, id, [cookie.0 as i64, 0, 0, 0], &[]).map(drop)
    }

    fn adopt(&self, cookie: Cookie) -> Result<Id, Errno> {
        let args = [cookie.0 as i64, 0, 0, 0];
        Ok(Id(self.tell(op::ADOPT, Id(0), args, &[])?[0] as u32))
    }

    fn open(&self, device: &str) -> Result<Id, Errno> {
        Ok(Id(self.tell(op::OPEN, Id(0), [0; 4], &[device.as_bytes()])?[0] as u32))
    }

    fn putmsg(
        &self,
        id: Id,
        control: Option<&[u8]>,
        data: Option<&[u8]>,
        priority: Priority,
    ) -> Result<(), Errno> {
        let len = |part: Option<&[u8]>| part.map_or(-1, |part| part.len() as i64);
        let band = match priority {
            Priority::High => -1,
            Priority::Band(band) => band.into(),
        };
        let parts = [control.unwrap_or_default(), data.unwrap_or_default()];
        let sent = self.tell(op::PUTMSG, id, [len(control), len(data), band, 0], &parts);
        sent.map(drop).map_err(|errno| if errno == Errno::EMSGSIZE { Errno::ERANGE } else { errno })
    }

    fn getmsg(
        &self,
        id: Id,
        want: Want,
        control: Option<&mut [u8]>,
        data: Option<&mut [u8]>,
    ) -> Result<Option<Partial>, Errno> {
        let room = |part: &Option<&mut [u8]>| part.as_ref().map_or(-1, |part| part.len() as i64);
        let want = match want {
            Want::Any => -2,
            Want::High => -1,
            Want::Band(band) => band.0.into(),
        };
        let mut bytes = vec![0; DATA_MAX + (1 << 10)];
        let args = [want, room(&control), room(&data), 0];
        let request = Request { op: op::GETMSG, id: id.0, args };
        let [flags, control_len, data_len] = self.call(request, &[], &mut bytes)?.values;
        if flags < 0 {
            return Ok(None);
        }
        let mut at = 0;
        for (part, len) in [(control, control_len), (data, data_len)] {
            let (Some(part), Ok(len)) = (part, usize::try_from(len)) else { continue };
            let len = len.min(part.len()).min(bytes.len() - at);
            part[..len].copy_from_slice(&bytes[at..at + len]);
            at += len;
        }
        let len = |len: i64| usize::try_from(len).ok();
        Ok(Some(Partial {
            control: len(control_len),
            data: len(data_len),
            more_control: flags & 1 != 0,
            more_data: flags & 2 != 0,
            high: flags & 4 != 0,
            band: millstream_msg::Band((flags >> 8) as u8),
        }))
    }

    fn read(&self, id: Id, out: &mut [u8]) -> Result<usize, Errno> {
        let args = [out.len() as i64, 0, 0, 0];
        Ok(self.call(Request { op: op::READ, id: id.0, args }, &[], out)?.len)
    }

    fn write(&self, id: Id, data: &[u8]) -> Result<usize, Errno> {
        let data = &data[..data.len().min(DATA_MAX)];
        Ok(self.tell(op::WRITE, id, [0; 4], &[data])?[0] as usize)
    }

    fn ask(
        &self,
        id: Id,
        cmd: u32,
        arg: i64,
        input: &[u8],
        out: &mut [u8],
    ) -> Result<Asked, Errno> {
        let request = Request { op: op::IOCTL, id: id.0, args: [cmd.into(), arg, 0, 0] };
        let reply = self.call(request, &[input], out)?;
        Asked::of_values(reply.values, reply.len).ok_or(Errno::EPROTO)
    }

    fn pipe(&self) -> Result<(Id, Id), Errno> {
        let [one, other, _] = self.tell(op::PIPE, Id(0), [0; 4], &[])?;
        Ok((Id(one as u32), Id(other as u32)))
    }

    fn lend(&self, len: usize) -> Result<NonNull<u8>, Errno> {
        let len = i64::try_from(len).map_err(|_| Errno::EINVAL)?;
        let [at, ..] = self.tell(op::LEND, Id(0), [len, 0, 0, 0], &[])?;
        let at = usize::try_from(at).ok().and_then(|at| self.memory.address(at));
        at.ok_or(Errno::EPROTO)
    }

    fn send_lent(&self, id: Id, at: NonNull<u8>, len: usize) -> Result<(), Errno> {
        let at = self.memory.offset(at).ok_or(Errno::EINVAL)?;
        let len = i64::try_from(len).map_err(|_| Errno::EINVAL)?;
        self.tell(op::SEND_LENT, id, [at as i64, len, 0, 0], &[]).map(drop)
    }

    fn take_back(&self, at: NonNull<u8>) -> Result<(), Errno> {
        let at = self.memory.offset(at).ok_or(Errno::EINVAL)?;
        self.tell(op::TAKE_BACK, Id(0), [at as i64, 0, 0, 0], &[]).map(drop)
    }

    fn lent(&self) -> Result<usize, Errno> {
        Ok(self.tell(op::LENT, Id(0), [0; 4], &[])?[0] as usize)
    }
}
