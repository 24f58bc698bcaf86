//! table: what numbers of descriptors stand for.

use crate::poll::Epoll;
use millstream::Errno;
use millstream::port::Id;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Descriptors; the lowest number that is free is the next one.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<BTreeMap<i32, Thing>>);

/// What a descriptor stands for.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    Socket(Id, Waits),
    Epoll(Arc<Epoll>),
    /// An end of a pipe.
    Reader(Arc<Pipe>),
    Writer(Arc<Pipe>),
}

/// How long calls on a socket wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// O_NONBLOCK: not at all.
    pub(crate) not: bool,
    /// SO_RCVTIMEO, microseconds; 0: for ever.
    pub(crate) receive_us: u64,
    /// SO_SNDTIMEO, as above.
    pub(crate) send_us: u64,
}

/// Octets between the ends of a pipe, 64 KiB at most.
#[derive(Debug, Default)]
pub(crate) struct Pipe(Mutex<VecDeque<u8>>);

impl Table {
    pub(crate) fn add(&self, thing: Thing) -> i32 {
        let mut table = self.table();
        let taken = |number: &i32| table.contains_key(number);
        let number = (FIRST..).find(|number| !taken(number)).unwrap_or(i32::MAX);
        table.insert(number, thing);
        number
    }

    pub(crate) fn get(&self, number: i32) -> Result<Thing, Errno> {
        self.table().get(&number).cloned().ok_or(Errno::EBADF)
    }

    /// A socket, and how long calls on it wait.
    pub(crate) fn socket(&self, number: i32) -> Result<(Id, Waits), Errno> {
        match self.get(number)? {
            Thing::Socket(id, waits) => Ok((id, waits)),
            _ => Err(Errno(libc::ENOTSOCK)),
        }
    }

    pub(crate) fn epoll(&self, number: i32) -> Result<Arc<Epoll>, Errno> {
        match self.get(number)? {
            Thing::Epoll(epoll) => Ok(epoll),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Changes how long calls wait; means nothing to what is no socket.
    pub(crate) fn set_waits(
        &self,
        number: i32,
        change: impl FnOnce(&mut Waits),
    ) -> Result<(), Errno> {
        match self.table().get_mut(&number) {
            Some(Thing::Socket(_, waits)) => change(waits),
            Some(_) => {}
            None => return Err(Errno::EBADF),
        }
        Ok(())
    }

    pub(crate) fn remove(&self, number: i32) -> Result<Thing, Errno> {
        let mut table = self.table();
        let thing = table.remove(&number).ok_or(Errno::EBADF)?;
        for other in table.values() {
            if let Thing::Epoll(epoll) = other {
                epoll.forget(number);
            }
        }
        Ok(thing)
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<i32, Thing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    /// Takes as many octets as there is room for.
    ///
    /// # Errors
    /// EAGAIN when it is full.
    pub(crate) fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        let mut octets = self.octets();
        let room = PIPE_MAX - octets.len();
        if room == 0 && !data.is_empty() {
            return Err(Errno::EAGAIN);
        }
        let taken = room.min(data.len());
        octets.extend(&data[..taken]);
        Ok(taken)
    }

    /// Room now, octets.
    pub(crate) fn room(&self) -> usize {
        PIPE_MAX - self.octets().len()
    }

    /// Up to `len` octets, which stay there.
    ///
    /// # Errors
    /// EAGAIN when there are none.
    pub(crate) fn peek(&self, len: usize) -> Result<Vec<u8>, Errno> {
        let octets = self.octets();
        if octets.is_empty() {
            return Err(Errno::EAGAIN);
        }
        Ok(octets.iter().take(len).copied().collect())
    }

    /// So many octets were read.
    pub(crate) fn consume(&self, len: usize) {
        self.octets().drain(..len);
    }

    fn octets(&self) -> MutexGuard<'_, VecDeque<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Below are the standard streams of a program.
const FIRST: i32 = 3;
/// As Linux (`pipe(7)`).
const PIPE_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe() -> Thing {
        Thing::Reader(Arc::default())
    }

    #[test]
    fn the_lowest_free_number_is_the_next_one() {
        let table = Table::default();
        assert_eq!([table.add(pipe()), table.add(pipe()), table.add(pipe())], [3, 4, 5]);
        table.remove(4).unwrap();
        assert_eq!(table.add(pipe()), 4);
    }

    #[test]
    fn a_number_that_stands_for_nothing_is_no_descriptor() {
        let table = Table::default();
        assert_eq!(table.get(3).unwrap_err(), Errno::EBADF);
        assert_eq!(table.remove(3).unwrap_err(), Errno::EBADF);
        table.add(pipe());
        assert_eq!(table.socket(3).unwrap_err(), Errno(libc::ENOTSOCK));
        assert_eq!(table.epoll(3).unwrap_err(), Errno::EINVAL);
    }

    #[test]
    fn a_pipe_holds_what_linux_would_and_gives_it_in_order() {
        let pipe = Pipe::default();
        assert_eq!(pipe.peek(1), Err(Errno::EAGAIN));
        assert_eq!(pipe.write(&[1; 60_000]), Ok(60_000));
        assert_eq!(pipe.write(&[2; 60_000]), Ok(5_536));
        assert_eq!(pipe.write(&[3]), Err(Errno::EAGAIN));
        pipe.consume(59_999);
        assert_eq!(pipe.peek(3), Ok(vec![1, 2, 2]));
        assert_eq!(pipe.room(), 65_536 - 5_537);
    }
}
