//! Octets of a program that the stack sends from where they lie: they are messages until they are
//! acknowledged, and only then does the program have the place back, in order.
#![allow(unsafe_code)]

use crate::Memory;
use crate::ring::Ring;
use millstream_msg::{Free, Msg, NoMem, Pool};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The stack's side of a ring for sending.
#[derive(Debug)]
pub struct Lender {
    home: Arc<Home>,
    ring: Ring,
    /// Pieces that are out or whose turn has not come, in order: where each ends, and its place in
    /// [`Home::back`]; none of a piece that was copied.
    out: VecDeque<(u32, Option<usize>)>,
    /// Places of `back` in use.
    used: u64,
    /// All before this count is the program's again.
    released: u32,
}

/// What messages refer to. It outlives the port while one of them is under way.
#[derive(Debug)]
struct Home {
    /// Keeps the octets mapped.
    memory: Arc<Memory>,
    back: [AtomicBool; PIECES],
    returned: Arc<Returned>,
    key: u32,
    /// It is on the list, and nobody has looked since.
    told: AtomicBool,
}

/// Names of what has got something back.
#[derive(Debug, Default)]
pub struct Returned {
    any: AtomicBool,
    keys: Mutex<Vec<u32>>,
}

/// One message's share.
struct Loan {
    home: Arc<Home>,
    at: usize,
}

/// Messages of one ring at once.
const PIECES: usize = 64;

impl Lender {
    /// Of a ring, which has the name `key` among those that `returned` tells of.
    pub fn new(memory: Arc<Memory>, ring: Ring, key: u32, returned: Arc<Returned>) -> Self {
        let back = [const { AtomicBool::new(false) }; PIECES];
        let home = Home { memory, back, returned, key, told: AtomicBool::new(false) };
        Self { home: Arc::new(home), ring, out: VecDeque::new(), used: 0, released: 0 }
    }

    /// The ring.
    pub fn ring(&self) -> Ring {
        self.ring
    }

    /// One more message may be made.
    pub fn can_lend(&self) -> bool {
        self.used != u64::MAX
    }

    /// Messages under way.
    pub fn lent(&self) -> u32 {
        self.used.count_ones()
    }

    /// Makes a message of octets from a count on, which must not reach over the ring's end, and
    /// gives it to `send`; if that refuses it, nothing has happened.
    ///
    /// # Errors
    /// [`NoMem`]; within, what `send` says.
    ///
    /// # Panics
    /// When no more may be made.
    pub fn lend<P: AsPool, E>(
        &mut self,
        pool: &mut P,
        from: u32,
        len: u32,
        send: impl FnOnce(&mut P, Msg) -> Result<(), (E, Msg)>,
    ) -> Result<Result<(), E>, NoMem> {
        let at = self.used.trailing_ones() as usize;
        assert!(at < PIECES, "asked before whether one may be made");
        let (place, run) = self.ring.place(from);
        assert!(len as usize <= run, "within the ring");
        self.home.back[at].store(false, Ordering::Relaxed);
        let loan = Box::into_raw(Box::new(Loan { home: self.home.clone(), at }));
        let free = Free::Fn(give_back, loan.cast());
        let base = self.home.memory.span(place, len as usize);
        // SAFETY: the octets stay mapped while the loan is out, which has the memory; giving back
        // takes no lock but the list's own, for a moment, and may be done by any thread.
        let msg = unsafe { pool.pool().wrap_foreign(base, len as usize, free) }?;
        match send(pool, msg) {
            Ok(()) => {
                self.used |= 1 << at;
                self.out.push_back((from.wrapping_add(len), Some(at)));
                Ok(Ok(()))
            }
            Err((error, msg)) => {
                // The only one: it is given back here.
                drop(msg);
                Ok(Err(error))
            }
        }
    }

    /// Octets up to this count were copied: their place is free when all before is.
    pub fn copied(&mut self, to: u32) {
        self.out.push_back((to, None));
    }

    /// Up to where the place is the program's again.
    pub fn collect(&mut self) -> u32 {
        self.home.told.store(false, Ordering::SeqCst);
        while let Some(&(end, at)) = self.out.front() {
            if let Some(at) = at {
                if !self.home.back[at].load(Ordering::Acquire) {
                    break;
                }
                self.used &= !(1 << at);
            }
            self.released = end;
            self.out.pop_front();
        }
        self.released
    }
}

/// Who has a pool of messages.
pub trait AsPool {
    /// The pool.
    fn pool(&mut self) -> &mut Pool;
}

impl AsPool for Pool {
    fn pool(&mut self) -> &mut Pool {
        self
    }
}

impl AsPool for millstream_core::Perimeter {
    fn pool(&mut self) -> &mut Pool {
        Self::pool(self)
    }
}

impl Returned {
    /// Calls `look` with each that has got something back since the last call.
    pub fn take(&self, look: impl FnMut(u32)) {
        if !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let keys = std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        keys.into_iter().for_each(look);
    }

    /// Something of this name has come back.
    pub fn tell(&self, key: u32) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.any.store(true, Ordering::Release);
    }
}

/// The free routine of a message.
fn give_back(loan: *mut ()) {
    // SAFETY: made by `lend` from a box, and called once (`Free::Fn`).
    let loan = unsafe { Box::from_raw(loan.cast::<Loan>()) };
    let home = &loan.home;
    home.back[loan.at].store(true, Ordering::Release);
    if !home.told.swap(true, Ordering::SeqCst) {
        home.returned.tell(home.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::PoolConfig;

    fn lender() -> (Lender, Arc<Returned>, Pool) {
        let memory = Arc::new(Memory::make("lend", 8192).unwrap());
        let returned = Arc::new(Returned::default());
        let ring = Ring { at: 4096, size: 4096 };
        ring.write(&memory, 0, b"onetwothree");
        let pool = Pool::new(PoolConfig { external: 128, ..PoolConfig::TINY });
        (Lender::new(memory, ring, 5, returned.clone()), returned, pool)
    }

    fn lend(lender: &mut Lender, pool: &mut Pool, from: u32, len: u32) -> Msg {
        let mut kept = None;
        let lent = lender.lend::<_, ()>(pool, from, len, |_, msg| {
            kept = Some(msg);
            Ok(())
        });
        lent.unwrap().unwrap();
        kept.unwrap()
    }

    fn bytes(msg: &Msg) -> Vec<u8> {
        let mut out = vec![0; msg.len()];
        msg.copy_out(0, &mut out);
        out
    }

    #[test]
    fn a_place_is_free_again_when_all_before_it_are() {
        let (mut lender, returned, mut pool) = lender();
        let one = lend(&mut lender, &mut pool, 0, 3);
        let two = lend(&mut lender, &mut pool, 3, 3);
        lender.copied(11);
        assert_eq!((bytes(&one), bytes(&two)), (b"one".to_vec(), b"two".to_vec()));
        drop(two);
        assert_eq!((lender.collect(), lender.lent()), (0, 2));
        pool.free(one);
        pool.run_deferred();
        let mut told = Vec::new();
        returned.take(|key| told.push(key));
        assert_eq!(told, [5, 5]);
        assert_eq!((lender.collect(), lender.lent()), (11, 0));
    }

    #[test]
    fn a_message_that_is_refused_was_never_made() {
        let (mut lender, _, mut pool) = lender();
        let refused = lender.lend(&mut pool, 0, 3, |_, msg| Err(("no", msg)));
        assert_eq!(refused, Ok(Err("no")));
        assert_eq!((lender.collect(), lender.lent()), (0, 0));
        drop(lend(&mut lender, &mut pool, 0, 3));
        assert_eq!(lender.collect(), 3);
    }

    #[test]
    fn messages_outlive_the_port() {
        let (mut lender, returned, mut pool) = lender();
        let one = lend(&mut lender, &mut pool, 0, 3);
        drop((lender, returned));
        assert_eq!(bytes(&one), b"one");
        drop(one);
    }

    #[test]
    fn there_is_an_end_to_lending() {
        let (mut lender, _, mut pool) = lender();
        let mut all = Vec::new();
        while lender.can_lend() {
            all.push(lend(&mut lender, &mut pool, 0, 1));
        }
        assert_eq!(all.len(), PIECES);
        all.clear();
        lender.collect();
        assert!(lender.can_lend());
    }
}
