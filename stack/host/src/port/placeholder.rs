//! Placeholders: socket pairs of the kernel. The program has one end as a descriptor; the kernel
//! tells at ours when nobody has that any more, in whatever process.

use super::Ports;
use millstream_core::{Errno, Perimeter};
use millstream_port::hello::{FDS_MAX, send};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_cookie;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

/// Those that stand for a socket, by cookie: our end, and the socket.
#[derive(Debug, Default)]
pub(super) struct Placeholders(HashMap<u64, (OwnedFd, u32)>);

/// Mark of a placeholder in the set of what is rare.
pub(super) const PLACEHOLDER: u64 = 1 << 63;

/// One pair: the program's end, its cookie, our end.
fn pair() -> rustix::io::Result<(OwnedFd, u64, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (theirs, ours) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let cookie = socket_cookie(&theirs)?;
    Ok((theirs, cookie, ours))
}

impl Placeholders {
    /// Our end of one that stands for something.
    pub(super) fn ours(&self, cookie: u64) -> Option<&OwnedFd> {
        self.0.get(&cookie).map(|(ours, _)| ours)
    }

    /// How many of these somebody has: that the last copy was closed may not have been told yet.
    fn count_open(&self, cookies: &[u64]) -> usize {
        let is_open = |ours: &OwnedFd| {
            let mut asked = [PollFd::new(ours, PollFlags::empty())];
            let now = poll(&mut asked, Some(&Timespec::default()));
            now.is_err() || !asked[0].revents().contains(PollFlags::HUP)
        };
        cookies.iter().filter(|cookie| self.ours(**cookie).is_some_and(is_open)).count()
    }

    /// What is waited for at our end.
    pub(super) fn watch(&self, rare: &OwnedFd, cookie: u64, flags: EventFlags) {
        let data = EventData::new_u64(PLACEHOLDER | cookie);
        // It is in the set for as long as it stands for something.
        let _not_there = self.ours(cookie).map(|ours| epoll::modify(rare, ours, data, flags));
    }
}

impl Ports {
    /// Makes some and sends them; their cookies.
    pub(super) fn make_placeholders(&mut self, at: usize, count: i64) -> Result<Vec<u64>, Errno> {
        let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
        // Those that stand for nothing are as many as there may be sockets, at most.
        let left = client.layout.slots.saturating_sub(client.placeholders.len());
        let count = usize::try_from(count).unwrap_or(0).min(FDS_MAX).min(left);
        let pairs = (0..count).map(|_| pair()).collect::<Result<Vec<_>, _>>();
        let pairs = pairs.map_err(|_| Errno::ENOBUFS)?;
        if pairs.is_empty() {
            return Err(Errno(EMFILE));
        }
        let cookies: Vec<u64> = pairs.iter().map(|(_, cookie, _)| *cookie).collect();
        let bytes: Vec<u8> = cookies.iter().flat_map(|cookie| cookie.to_ne_bytes()).collect();
        let theirs: Vec<_> = pairs.iter().map(|(theirs, ..)| theirs.as_fd()).collect();
        // A program that does not take them gets no more.
        send(client.connection.as_fd(), &bytes, &theirs).map_err(|_| Errno::ENOBUFS)?;
        let ours = pairs.into_iter().map(|(_, cookie, ours)| (cookie, ours));
        client.placeholders.extend(ours);
        Ok(cookies)
    }

    /// One of a program's stands for a socket from now on.
    pub(super) fn tie(&mut self, at: usize, key: u32, cookie: u64) -> Result<(), Errno> {
        let client = self.clients[at].as_mut().ok_or(Errno::EBADF)?;
        let served = self.served.get_mut(key as usize).and_then(Option::as_mut);
        let served = served.ok_or(Errno::EINVAL)?;
        // One for each program that has it, at most.
        if self.placeholders.count_open(&served.cookies) >= served.users.len() {
            return Err(Errno::EINVAL);
        }
        let ours = client.placeholders.remove(&cookie).ok_or(Errno::EINVAL)?;
        // The end is always told; octets are written there by who does not know what it is.
        let data = EventData::new_u64(PLACEHOLDER | cookie);
        epoll::add(&self.rare, &ours, data, EventFlags::IN).map_err(|_| Errno::ENOBUFS)?;
        served.cookies.push(cookie);
        served.fresh.retain(|(of, _)| *of != at);
        self.placeholders.0.insert(cookie, (ours, key));
        Ok(())
    }

    /// What a placeholder stands for.
    pub(super) fn of_placeholder(&self, cookie: u64) -> Option<u32> {
        self.placeholders.0.get(&cookie).map(|(_, key)| *key)
    }

    /// Nobody has a placeholder any more: with the last one programs that have the socket have it
    /// no longer.
    pub(super) fn last_copy_closed(&mut self, core: &mut Perimeter, cookie: u64) {
        let Some(key) = self.forget_placeholder(cookie) else { return };
        let Some(served) = self.get_mut(key) else { return };
        served.cookies.retain(|other| *other != cookie);
        if !served.cookies.is_empty() {
            return;
        }
        self.no_longer_unattended(key);
        self.retire(core, key);
        let Some(served) = self.get_mut(key) else { return };
        // Who has just received it will have a placeholder of its own.
        let fresh = served.fresh.clone();
        for (client, slot) in std::mem::replace(&mut served.users, fresh.clone()) {
            if !fresh.contains(&(client, slot)) {
                self.drop_slot(client, slot, key);
            }
        }
        if fresh.is_empty() {
            self.finish(core, key);
        }
    }

    /// It stands for nothing any more.
    pub(super) fn forget_placeholder(&mut self, cookie: u64) -> Option<u32> {
        let (ours, key) = self.placeholders.0.remove(&cookie)?;
        // Ours alone: closing takes it out of the set, too.
        drop(ours);
        Some(key)
    }
}

/// Too many of a program's own.
const EMFILE: i32 = 24;
