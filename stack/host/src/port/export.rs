//! Octets of a connection go through its placeholder: for who reads and writes the descriptor and
//! knows of nothing else. Each is copied by the kernel twice more than in a ring.

use super::Ports;
use super::served::{Served, What};
use crate::socket::Kind;
use millstream_core::{Errno, Perimeter};
use millstream_port::Ready;
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::os::fd::OwnedFd;

/// Octets that wait to be sent and were taken from a placeholder: the rest waits there.
const UNSENT_MAX: usize = 64 << 10;

/// Octets taken from a placeholder at once.
const PIECE: usize = 16 << 10;

/// A connection that no program has, and somebody a placeholder of, has so long until it is
/// exported: a child may be about to adopt it, for which its own rings are faster.
const UNATTENDED_NS: u64 = 200_000_000;

impl Ports {
    /// Something has happened at our end of a placeholder.
    pub(super) fn at_placeholder(&mut self, core: &mut Perimeter, cookie: u64, seen: EventFlags) {
        let Some(key) = self.of_placeholder(cookie) else { return };
        let is_closed = seen.contains(EventFlags::HUP);
        // That of a socket that nobody has used so is closed with nothing in it.
        let is_used = !is_closed || self.has_octets(key);
        if is_used && seen.intersects(EventFlags::IN | EventFlags::RDHUP) {
            // What is no connection takes what it can: a datagram is what was written at once.
            let _no_connection = self.export(core, key);
            self.pull(core, key, is_closed);
        }
        if is_closed {
            return self.last_copy_closed(core, cookie);
        }
        if seen.contains(EventFlags::OUT) {
            self.push(core, key);
        }
    }

    /// From now on octets of a connection go through its placeholder.
    pub(super) fn export(&mut self, core: &mut Perimeter, key: u32) -> Result<(), Errno> {
        let served = self.get_mut(key).ok_or(Errno::EBADF)?;
        if served.exported {
            return Ok(());
        }
        // Of several placeholders none has all octets.
        let is_tied = served.cookies.len() == 1;
        let socket = served.socket().ok_or(Errno::EOPNOTSUPP)?;
        if !is_tied || socket.outlook(core).is_none() {
            return Err(Errno::EOPNOTSUPP);
        }
        served.exported = true;
        self.retire(core, key);
        // Whoever waits for it is to look there from now on.
        self.show(core, key, Ready::IN | Ready::OUT);
        self.push(core, key);
        Ok(())
    }

    /// Sends what was written to a placeholder. Of one that is closed `all` of it.
    fn pull(&mut self, core: &mut Perimeter, key: u32, all: bool) {
        let Some((served, ours)) = self.exported(key) else { return };
        let mut piece = [0; PIECE];
        loop {
            if !all && served.unsent.len() >= UNSENT_MAX {
                break;
            }
            match recv(ours, &mut piece[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => {
                    served.shut = !std::mem::replace(&mut served.pulled_all, true);
                    break;
                }
                Ok((_, len)) => take_in(core, served, &piece[..len]),
                Err(_) => break,
            }
        }
        self.outward(core, key);
        self.watch_placeholder(key);
    }

    /// Writes to the placeholder what was received.
    pub(super) fn push(&mut self, core: &mut Perimeter, key: u32) {
        let Some((served, ours)) = self.exported(key) else { return };
        let mut piece = [0; PIECE];
        while served.exported && !served.pushed_all {
            let len = served.unstash(core, &mut piece, true);
            let is_over = len == 0 && {
                let What::Socket(socket) = &mut served.what else { return };
                match socket.take_data(core) {
                    Some(msg) => {
                        served.held = Some(msg);
                        continue;
                    }
                    None => socket.outlook(core).is_none_or(|seen| seen.contains(Ready::IN)),
                }
            };
            if len == 0 {
                if is_over {
                    served.pushed_all = true;
                    // Nobody may be there to hear of it.
                    let _gone = shutdown(ours, Shutdown::Write);
                }
                break;
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match send(ours, &piece[..len], flags) {
                Ok(sent) => {
                    served.unstash(core, &mut piece[..sent], false);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                // Nobody reads any more.
                Err(_) => {
                    served.unstash(core, &mut piece[..len], false);
                }
            }
        }
        self.watch_placeholder(key);
    }

    /// Nobody has it but through its placeholder: after a while it is exported.
    pub(super) fn attend(&mut self, core: &Perimeter, key: u32) {
        let at = core.now() + UNATTENDED_NS;
        if self.get(key).is_some_and(|served| !served.exported) {
            self.unattended.push_back((at, key));
        }
    }

    /// A program that has closed a socket and makes a call finds it closed: the end of its
    /// placeholder may not have been told yet.
    pub(super) fn bury(&mut self, core: &mut Perimeter) {
        let keys = self.unattended.iter().map(|(_, key)| *key);
        let cookies: Vec<u64> =
            keys.filter_map(|key| self.get(key)?.cookies.first().copied()).collect();
        for cookie in cookies {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let Some(ours) = self.placeholders.ours(cookie) else { continue };
            let mut asked = [PollFd::new(ours, PollFlags::IN)];
            if poll(&mut asked, Some(&now)).is_ok_and(|told| told > 0) {
                let seen = EventFlags::from_bits_retain(asked[0].revents().bits().into());
                self.at_placeholder(core, cookie, seen);
            }
        }
    }

    /// It was closed, or somebody has it again.
    pub(super) fn no_longer_unattended(&mut self, key: u32) {
        // Most are closed soon: it is among the last.
        if let Some(at) = self.unattended.iter().rposition(|(_, of)| *of == key) {
            self.unattended.remove(at);
        }
    }

    /// Exports those that nobody has adopted.
    pub(super) fn step_unattended(&mut self, core: &mut Perimeter) {
        let now = core.now();
        while let Some((_, key)) = self.unattended.pop_front_if(|(at, _)| *at <= now) {
            if self.get(key).is_some_and(|served| served.users.is_empty()) {
                // Of what is no connection there is nothing to read.
                let _no_connection = self.export(core, key);
            }
        }
    }

    /// What is waited for at our end: octets while there is room for them, room while octets wait.
    fn watch_placeholder(&self, key: u32) {
        let Some(served) = self.get(key) else { return };
        let Some(&cookie) = served.cookies.first() else { return };
        let takes = !served.pulled_all && served.unsent.len() < UNSENT_MAX;
        let gives = served.exported && !served.pushed_all && served.waiting() > 0;
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, takes);
        flags.set(EventFlags::OUT, gives);
        self.placeholders.watch(&self.rare, cookie, flags);
    }

    /// Room was made for what is written to a placeholder.
    pub(super) fn pull_again(&mut self, core: &mut Perimeter, key: u32) {
        if self.get(key).is_some_and(|served| served.exported && !served.pulled_all) {
            self.pull(core, key, false);
        }
    }

    /// Something was written to the placeholder, or it was used before.
    fn has_octets(&self, key: u32) -> bool {
        let Some(served) = self.get(key) else { return false };
        let cookie = served.cookies.first();
        let ours = cookie.and_then(|cookie| self.placeholders.ours(*cookie));
        let peek = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        let first = ours.and_then(|ours| recv(ours, &mut [0; 1][..], peek).ok());
        served.exported || first.is_some_and(|(_, len)| len > 0)
    }

    fn exported(&mut self, key: u32) -> Option<(&mut Served, &OwnedFd)> {
        let served = self.served.get_mut(key as usize)?.as_mut()?;
        let ours = self.placeholders.ours(*served.cookies.first()?)?;
        Some((served, ours))
    }
}

/// Octets that were written to a placeholder.
fn take_in(core: &mut Perimeter, served: &mut Served, data: &[u8]) {
    match &mut served.what {
        What::Socket(socket) if socket.kind() == Kind::Datagram => {
            // It is lost, as a datagram may be.
            let _lost = socket.send_to(core, data, None);
        }
        _ if served.exported => served.unsent.extend(data),
        _ => {}
    }
}
