//! Buffers that a program has on loan: it fills them, and the stack sends them from where they lie.
//! They are messages until they are acknowledged; then they are free again. A program may go on
//! writing to what it has sent: then others see that, and only they.
#![allow(unsafe_code)]

use crate::Memory;
use crate::lend::{AsPool, Returned};
use crate::ring::Ring;
use millstream_core::Errno;
use millstream_msg::{Free, Msg};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is on loan of one memory. Which span is free its owner knows.
#[derive(Debug)]
pub struct Loans {
    memory: Arc<Memory>,
    /// By offset.
    out: HashMap<u32, Loan>,
    returned: Arc<Returned>,
}

#[derive(Clone, Copy, Debug)]
struct Loan {
    span: Ring,
    /// It is a message.
    sent: bool,
}

/// One message's share. The memory stays while the message is.
struct Away {
    memory: Arc<Memory>,
    returned: Arc<Returned>,
    at: u32,
    /// The message has gone its way: its end is the end of the loan.
    sent: AtomicBool,
}

impl Loans {
    /// None, of this memory.
    pub fn new(memory: Arc<Memory>) -> Self {
        Self { memory, out: HashMap::new(), returned: Arc::default() }
    }

    /// A span is on loan from now on.
    pub fn lend(&mut self, span: Ring) {
        self.out.insert(span.at as u32, Loan { span, sent: false });
    }

    /// The program gives a buffer back that it has not sent.
    ///
    /// # Errors
    /// EINVAL when none on loan begins there.
    pub fn take_back(&mut self, at: usize) -> Result<Ring, Errno> {
        let (key, loan) = self.at(at)?;
        self.out.remove(&key);
        Ok(loan.span)
    }

    /// Calls `free` with each span that was sent, and whose octets nobody needs any more.
    pub fn collect(&mut self, mut free: impl FnMut(Ring)) {
        self.returned.take(|key| {
            if let Some(loan) = self.out.remove(&key) {
                free(loan.span);
            }
        });
    }

    /// Buffers that were sent and are not back.
    pub fn sent(&self) -> usize {
        self.out.values().filter(|loan| loan.sent).count()
    }

    /// Makes a message of the first octets of a buffer and gives it to `send`; if that refuses it,
    /// the buffer is on loan as before.
    ///
    /// # Errors
    /// EINVAL when none on loan begins there, or it is shorter, or `len` is 0; ENOBUFS without
    /// messages; what `send` says.
    pub fn send<P: AsPool>(
        &mut self,
        pool: &mut P,
        (at, len): (usize, usize),
        send: impl FnOnce(&mut P, Msg) -> Result<(), (Errno, Msg)>,
    ) -> Result<(), Errno> {
        let (key, loan) = self.at(at)?;
        if len == 0 || len > loan.span.size as usize {
            return Err(Errno::EINVAL);
        }
        let (memory, returned) = (self.memory.clone(), self.returned.clone());
        let base = memory.span(at, len);
        let sent = AtomicBool::new(false);
        let away = Box::into_raw(Box::new(Away { memory, returned, at: key, sent }));
        let free = Free::Fn(comes_back, away.cast());
        // SAFETY: the octets stay mapped while the message is, which has the memory; coming back
        // takes no lock but the list's own, for a moment, and may be done by any thread.
        let msg = unsafe { pool.pool().wrap_foreign(base, len, free) };
        let msg = msg.map_err(|_| Errno::ENOBUFS)?;
        // SAFETY: the message is here, so what it refers to is, too.
        unsafe { (*away).sent.store(true, Ordering::Release) };
        match send(pool, msg) {
            Ok(()) => {
                self.out.insert(key, Loan { sent: true, ..loan });
                Ok(())
            }
            Err((errno, msg)) => {
                // SAFETY: as above: it was given back, and no other block refers to the octets.
                unsafe { (*away).sent.store(false, Ordering::Release) };
                drop(msg);
                Err(errno)
            }
        }
    }

    /// What is on loan and not sent.
    fn at(&self, at: usize) -> Result<(u32, Loan), Errno> {
        let key = u32::try_from(at).map_err(|_| Errno::EINVAL)?;
        let loan = self.out.get(&key).filter(|loan| !loan.sent).ok_or(Errno::EINVAL)?;
        Ok((key, *loan))
    }
}

/// The free routine of a message.
fn comes_back(away: *mut ()) {
    // SAFETY: made by `send` from a box, and called once (`Free::Fn`).
    let Away { memory, returned, at, sent } = *unsafe { Box::from_raw(away.cast::<Away>()) };
    if sent.into_inner() {
        returned.tell(at);
    }
    drop(memory);
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_msg::{Pool, PoolConfig};

    const SPAN: Ring = Ring { at: 4096, size: 4096 };

    fn loans() -> (Loans, Pool) {
        let memory = Arc::new(Memory::make("loan", 12 * 1024).unwrap());
        memory.write(SPAN.at, b"lent octets");
        let mut loans = Loans::new(memory);
        loans.lend(SPAN);
        (loans, Pool::new(PoolConfig { external: 128, ..PoolConfig::TINY }))
    }

    fn collected(loans: &mut Loans) -> Vec<Ring> {
        let mut all = Vec::new();
        loans.collect(|span| all.push(span));
        all
    }

    #[test]
    fn a_buffer_is_free_again_when_its_message_is_gone() {
        let (mut loans, mut pool) = loans();
        let mut kept = None;
        let keep = |_: &mut Pool, msg| {
            kept = Some(msg);
            Ok(())
        };
        loans.send(&mut pool, (SPAN.at, 4), keep).unwrap();
        assert_eq!((loans.sent(), collected(&mut loans)), (1, vec![]));
        assert_eq!(loans.take_back(SPAN.at), Err(Errno::EINVAL));
        let msg = kept.unwrap();
        let mut seen = [0; 4];
        assert_eq!((msg.copy_out(0, &mut seen), &seen), (4, b"lent"));
        drop(msg);
        assert_eq!((collected(&mut loans), loans.sent()), (vec![SPAN], 0));
        assert_eq!(loans.take_back(SPAN.at), Err(Errno::EINVAL));
    }

    #[test]
    fn one_that_is_refused_is_on_loan_as_before() {
        let (mut loans, mut pool) = loans();
        let refuse = |_: &mut Pool, msg| Err((Errno::EAGAIN, msg));
        for _ in 0..3 {
            assert_eq!(loans.send(&mut pool, (SPAN.at, 4), refuse), Err(Errno::EAGAIN));
        }
        assert_eq!((loans.sent(), collected(&mut loans)), (0, vec![]));
        assert_eq!(loans.take_back(SPAN.at), Ok(SPAN));
    }

    #[test]
    fn what_was_not_lent_is_neither_sent_nor_taken() {
        let (mut loans, mut pool) = loans();
        for what in [(0, 1), (SPAN.at + 1, 1), (SPAN.at, 0), (SPAN.at, 4097), (usize::MAX, 1)] {
            let sent = loans.send(&mut pool, what, |_, _| panic!("sent"));
            assert_eq!(sent, Err(Errno::EINVAL), "{what:?}");
        }
        assert_eq!(loans.take_back(0), Err(Errno::EINVAL));
        assert_eq!(loans.take_back(SPAN.at), Ok(SPAN));
    }

    #[test]
    fn messages_outlive_the_loans() {
        let (mut loans, mut pool) = loans();
        let mut kept = None;
        let keep = |_: &mut Pool, msg| {
            kept = Some(msg);
            Ok(())
        };
        loans.send(&mut pool, (SPAN.at, 4), keep).unwrap();
        drop(loans);
        let mut seen = [0; 4];
        assert_eq!((kept.unwrap().copy_out(0, &mut seen), &seen), (4, b"lent"));
    }
}
