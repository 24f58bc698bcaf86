//! poll: what is possible at descriptors: `poll(2)` and `epoll(7)`.

use crate::calls::Calls;
use crate::table::Thing;
use millstream::Errno;
use millstream::port::{Changes, Ready, Sockets};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The set of an epoll descriptor.
#[derive(Debug, Default)]
pub(crate) struct Epoll(Mutex<BTreeMap<i32, Interest>>);

#[derive(Clone, Copy, Debug)]
struct Interest {
    /// EPOLLIN and so on, EPOLLET, EPOLLONESHOT.
    events: u32,
    data: u64,
    /// What was there when it was looked at last: an edge is what was not, or a change since.
    seen: Seen,
}

/// What is possible at a descriptor, and how often that has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    events: u32,
    changes: Changes,
}

/// What `epoll_wait` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) events: u32,
    pub(crate) data: u64,
}

impl Epoll {
    /// `epoll_ctl(2)`.
    ///
    /// # Errors
    /// EEXIST, ENOENT, EINVAL.
    pub(crate) fn change(&self, op: i32, fd: i32, events: u32, data: u64) -> Result<(), Errno> {
        let mut set = self.set();
        match (op, set.contains_key(&fd)) {
            (libc::EPOLL_CTL_ADD, true) => return Err(Errno::EEXIST),
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, false) => return Err(Errno::ENOENT),
            (libc::EPOLL_CTL_DEL, true) => drop(set.remove(&fd)),
            (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, _) => {
                set.insert(fd, Interest { events, data, seen: Seen::default() });
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The descriptor was closed.
    pub(crate) fn forget(&self, fd: i32) {
        self.set().remove(&fd);
    }

    /// What is to be told now, of at most `most` descriptors.
    fn look(&self, most: usize, ready: impl Fn(i32, u32) -> Seen) -> Vec<Told> {
        let mut told = Vec::new();
        for (&fd, interest) in &mut *self.set() {
            let always = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            let asked = interest.events & !(EDGE | ONCE);
            if asked == 0 || told.len() == most {
                continue;
            }
            let now = ready(fd, asked | always);
            let same = interest.events & EDGE != 0 && now.changes == interest.seen.changes;
            let new = if same { now.events & !interest.seen.events } else { now.events };
            interest.seen = now;
            if new != 0 {
                told.push(Told { events: now.events, data: interest.data });
                if interest.events & ONCE != 0 {
                    interest.events = ONCE;
                }
            }
        }
        told
    }

    fn set(&self) -> MutexGuard<'_, BTreeMap<i32, Interest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Calls {
    /// Those of `asked` that are possible; POLLNVAL for what is no descriptor.
    pub(crate) fn ready(&self, fd: i32, asked: u32) -> u32 {
        match self.table.get(fd) {
            Ok(Thing::Socket(id, _)) => {
                let asked = Ready(asked) | Ready::ERR | Ready::HUP;
                self.world.sockets.ready(id).only(asked).0
            }
            Ok(Thing::Reader(pipe)) => asked & if pipe.peek(1).is_ok() { IN } else { 0 },
            Ok(Thing::Writer(pipe)) => asked & if pipe.room() > 0 { OUT } else { 0 },
            Ok(Thing::Epoll(_)) => 0,
            Err(_) => libc::POLLNVAL as u32,
        }
    }

    /// Changes towards something being possible at a socket: each is an edge.
    fn changes(&self, fd: i32) -> Changes {
        match self.table.get(fd) {
            Ok(Thing::Socket(id, _)) => self.world.sockets.changes(id),
            _ => Changes::default(),
        }
    }

    /// `poll(2)`: fills in what there is, and says of how many. Negative `timeout_ms`: for ever.
    pub(crate) fn poll(&self, fds: &mut [libc::pollfd], timeout_ms: i32) -> usize {
        let deadline = self.until(timeout_ms);
        let found = self.world.wait(deadline, || {
            for fd in &mut *fds {
                let asked = fd.events as u16 as u32;
                fd.revents = if fd.fd < 0 { 0 } else { self.ready(fd.fd, asked) as i16 };
            }
            match fds.iter().filter(|fd| fd.revents != 0).count() {
                0 => Err(Errno::EAGAIN),
                count => Ok(count),
            }
        });
        found.unwrap_or(0)
    }

    /// `epoll_wait(2)`.
    ///
    /// # Errors
    /// EBADF, EINVAL when it is no set.
    pub(crate) fn epoll_wait(
        &self,
        fd: i32,
        most: usize,
        timeout_ms: i32,
    ) -> Result<Vec<Told>, Errno> {
        let epoll = self.table.epoll(fd)?;
        let found = self.world.wait(self.until(timeout_ms), || {
            let told = epoll.look(most, |fd, asked| Seen {
                changes: self.changes(fd),
                events: self.ready(fd, asked),
            });
            if told.is_empty() { Err(Errno::EAGAIN) } else { Ok(told) }
        });
        Ok(found.unwrap_or_default())
    }

    fn until(&self, timeout_ms: i32) -> Option<u64> {
        let ms = u64::try_from(timeout_ms).ok()?;
        Some(self.world.now() + ms * 1_000_000)
    }
}

const EDGE: u32 = libc::EPOLLET as u32;
const ONCE: u32 = libc::EPOLLONESHOT as u32;
const IN: u32 = libc::POLLIN as u32;
const OUT: u32 = libc::POLLOUT as u32;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(events: u32) -> Seen {
        Seen { events, ..Seen::default() }
    }

    #[test]
    fn a_level_is_told_each_time_and_an_edge_once() {
        let epoll = Epoll::default();
        epoll.change(libc::EPOLL_CTL_ADD, 3, IN, 30).unwrap();
        epoll.change(libc::EPOLL_CTL_ADD, 4, IN | EDGE, 40).unwrap();
        let both = [Told { events: IN, data: 30 }, Told { events: IN, data: 40 }];
        assert_eq!(epoll.look(9, |_, _| seen(IN)), both);
        assert_eq!(epoll.look(9, |_, _| seen(IN)), both[..1]);
        assert_eq!(epoll.look(9, |_, _| seen(0)), []);
        assert_eq!(epoll.look(9, |_, _| seen(IN)), both);
    }

    #[test]
    fn more_of_what_was_there_is_an_edge() {
        let epoll = Epoll::default();
        epoll.change(libc::EPOLL_CTL_ADD, 4, IN | EDGE, 40).unwrap();
        let one = [Told { events: IN, data: 40 }];
        assert_eq!(epoll.look(9, |_, _| seen(IN)), one);
        let changes = Changes { inward: 1, outward: 0 };
        assert_eq!(epoll.look(9, |_, _| Seen { events: IN, changes }), one);
        assert_eq!(epoll.look(9, |_, _| Seen { events: IN, changes }), []);
    }

    #[test]
    fn one_shot_is_told_once_until_it_is_set_again() {
        let epoll = Epoll::default();
        epoll.change(libc::EPOLL_CTL_ADD, 3, IN | ONCE, 1).unwrap();
        assert_eq!(epoll.look(9, |_, _| seen(IN)).len(), 1);
        assert_eq!(epoll.look(9, |_, _| seen(IN)).len(), 0);
        epoll.change(libc::EPOLL_CTL_MOD, 3, IN | ONCE, 2).unwrap();
        assert_eq!(epoll.look(9, |_, _| seen(IN)), [Told { events: IN, data: 2 }]);
    }

    #[test]
    fn a_set_is_changed_as_epoll_ctl_says() {
        let epoll = Epoll::default();
        assert_eq!(epoll.change(libc::EPOLL_CTL_MOD, 3, IN, 0), Err(Errno::ENOENT));
        assert_eq!(epoll.change(libc::EPOLL_CTL_DEL, 3, IN, 0), Err(Errno::ENOENT));
        assert_eq!(epoll.change(libc::EPOLL_CTL_ADD, 3, IN, 0), Ok(()));
        assert_eq!(epoll.change(libc::EPOLL_CTL_ADD, 3, IN, 0), Err(Errno::EEXIST));
        assert_eq!(epoll.change(9, 3, IN, 0), Err(Errno::EINVAL));
        assert_eq!(epoll.change(libc::EPOLL_CTL_DEL, 3, IN, 0), Ok(()));
        assert_eq!(epoll.look(9, |_, _| seen(IN)), []);
    }
}
