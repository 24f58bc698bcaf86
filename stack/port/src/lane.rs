//! Calls that the stack answers: one at a time from a program, with bytes to and from it. The stack
//! answers at once, so the program sleeps on the answer's word.

use crate::Memory;
use crate::layout::{ANSWER, CALL, INPUT, Layout, OUTPUT};
use millstream_core::Errno;
use rustix::thread::futex;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// One of [`op`].
    pub op: u32,
    /// The socket, if it is about one.
    pub id: u32,
    /// Numbers.
    pub args: [i64; 4],
}

/// What is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Numbers.
    pub values: [i64; 3],
    /// Bytes that came with it.
    pub len: usize,
}

/// Numbers of calls.
pub mod op {
    macro_rules! ops {
        ($($name:ident = $number:literal)*) => {
            $(#[doc = concat!("`", stringify!($name), "` of [`crate::Sockets`].")]
              pub const $name: u32 = $number;)*
        };
    }
    ops! {
        SOCKET = 1 BIND = 2 LISTEN = 3 CONNECT = 4 ACCEPT = 5 SEND = 6 RECV = 7 SHUTDOWN = 8
        LOCAL_ADDR = 9 PEER_ADDR = 10 SET_OPTION = 11 OPTION = 12 READABLE = 13 PLACEHOLDER = 14
        TIE = 15 ADOPT = 16 OPEN = 17 PUTMSG = 18 GETMSG = 19 READ = 20 WRITE = 21 IOCTL = 22
        PIPE = 23 LEND = 24 TAKE_BACK = 25 LENT = 26 SEND_LENT = 27 EXPORT = 28
    }
}

/// The place of calls in a port's memory.
#[derive(Clone, Copy, Debug)]
pub struct Lane<'a> {
    memory: &'a Memory,
    layout: Layout,
}

/// Words of a call: number, op, socket, bytes; then the arguments.
const NUMBER: usize = CALL;
const OP: usize = CALL + 4;
const ID: usize = CALL + 8;
const LEN: usize = CALL + 12;
const ARGS: usize = CALL + 16;

/// Words of an answer: number, error, bytes; then the values.
const ANSWERED: usize = ANSWER;
const ERROR: usize = ANSWER + 4;
const BYTES: usize = ANSWER + 8;
const VALUES: usize = ANSWER + 16;

impl<'a> Lane<'a> {
    /// Of a port.
    pub fn new(memory: &'a Memory, layout: Layout) -> Self {
        Self { memory, layout }
    }

    /// Puts a call in; its number. By the program, one at a time. `None`: too many bytes.
    pub fn put(self, request: Request, pieces: &[&[u8]]) -> Option<u32> {
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        if len > INPUT {
            return None;
        }
        let mut at = self.layout.input();
        for piece in pieces {
            self.memory.write(at, piece);
            at += piece.len();
        }
        let word = |at, value| self.memory.u32_at(at).store(value, Ordering::Relaxed);
        word(OP, request.op);
        word(ID, request.id);
        word(LEN, len as u32);
        for (at, arg) in request.args.iter().enumerate() {
            self.memory.i64_at(ARGS + 8 * at).store(*arg, Ordering::Relaxed);
        }
        let number = self.memory.u32_at(NUMBER).load(Ordering::Relaxed).wrapping_add(1);
        self.memory.u32_at(NUMBER).store(number, Ordering::Release);
        Some(number)
    }

    /// Is there a call that is not the one with this number? By the stack.
    pub fn is_called(self, last: u32) -> bool {
        self.memory.u32_at(NUMBER).load(Ordering::Acquire) != last
    }

    /// Takes a call out, with copies of its bytes. By the stack. `None`: it says that it has more
    /// bytes than there can be.
    pub fn take(self) -> (u32, Option<(Request, Vec<u8>)>) {
        let number = self.memory.u32_at(NUMBER).load(Ordering::Acquire);
        let word = |at| self.memory.u32_at(at).load(Ordering::Relaxed);
        let len = word(LEN) as usize;
        if len > INPUT {
            return (number, None);
        }
        let arg = |at: usize| self.memory.i64_at(ARGS + 8 * at).load(Ordering::Relaxed);
        let args = [arg(0), arg(1), arg(2), arg(3)];
        let mut input = vec![0; len];
        self.memory.read(self.layout.input(), &mut input);
        (number, Some((Request { op: word(OP), id: word(ID), args }, input)))
    }

    /// Answers the call with this number, and wakes who waits. By the stack.
    pub fn answer(self, number: u32, answer: Result<([i64; 3], &[u8]), Errno>) {
        let word = |at, value| self.memory.u32_at(at).store(value, Ordering::Relaxed);
        match answer {
            Ok((values, bytes)) => {
                let len = bytes.len().min(OUTPUT);
                self.memory.write(self.layout.output(), &bytes[..len]);
                word(ERROR, 0);
                word(BYTES, len as u32);
                for (at, value) in values.iter().enumerate() {
                    self.memory.i64_at(VALUES + 8 * at).store(*value, Ordering::Relaxed);
                }
            }
            Err(errno) => word(ERROR, errno.0 as u32),
        }
        let answered = self.memory.u32_at(ANSWERED);
        answered.store(number, Ordering::Release);
        // Nobody may wait.
        let _woken = futex::wake(answered, futex::Flags::empty(), 1);
    }

    /// The answer to the call with this number, if it is there; its bytes are copied to `out`, as
    /// many as there is room for. By the program.
    pub fn reply(self, number: u32, out: &mut [u8]) -> Option<Result<Reply, Errno>> {
        let word = |at| self.memory.u32_at(at).load(Ordering::Relaxed);
        if self.memory.u32_at(ANSWERED).load(Ordering::Acquire) != number {
            return None;
        }
        match word(ERROR) {
            0 => {}
            errno => return Some(Err(Errno(errno as i32))),
        }
        let len = (word(BYTES) as usize).min(OUTPUT).min(out.len());
        self.memory.read(self.layout.output(), &mut out[..len]);
        let value = |at: usize| self.memory.i64_at(VALUES + 8 * at).load(Ordering::Relaxed);
        Some(Ok(Reply { values: [value(0), value(1), value(2)], len }))
    }

    /// Sleeps until the answer to another call than the last is there, or for a while. By the
    /// program.
    pub fn sleep(self, last: u32, most: Duration) {
        let word = self.memory.u32_at(ANSWERED);
        let most = rustix::event::Timespec {
            tv_sec: most.as_secs() as i64,
            tv_nsec: most.subsec_nanos().into(),
        };
        // Woken, out of time, interrupted, or answered before: the caller looks.
        let _looks = futex::wait(word, futex::Flags::empty(), last, Some(&most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { slots: 1, pool: 4096 };

    #[test]
    fn a_call_and_its_answer_carry_numbers_and_bytes() {
        let memory = Memory::make("lane", LAYOUT.len()).unwrap();
        let lane = Lane::new(&memory, LAYOUT);
        let request = Request { op: op::SEND, id: 7, args: [1, -2, i64::MAX, 0] };
        assert!(!lane.is_called(0));
        let number = lane.put(request, &[b"one", b"two"]).unwrap();
        assert!(lane.is_called(0));
        assert_eq!(lane.reply(number, &mut []), None);
        let (taken, call) = lane.take();
        assert_eq!((taken, call), (number, Some((request, b"onetwo".to_vec()))));
        lane.answer(taken, Ok(([3, -4, 5], b"answer")));
        let mut out = [0; 4];
        let reply = lane.reply(number, &mut out).unwrap().unwrap();
        assert_eq!((reply.values, reply.len, &out), ([3, -4, 5], 4, b"answ"));
        let number = lane.put(request, &[]).unwrap();
        lane.answer(lane.take().0, Err(Errno::EBADF));
        assert_eq!(lane.reply(number, &mut []), Some(Err(Errno::EBADF)));
    }

    #[test]
    fn a_call_that_lies_of_its_length_is_none() {
        let memory = Memory::make("lane", LAYOUT.len()).unwrap();
        let lane = Lane::new(&memory, LAYOUT);
        assert_eq!(lane.put(Request::default(), &[&[0; INPUT + 1]]), None);
        lane.put(Request::default(), &[]).unwrap();
        memory.u32_at(LEN).store(u32::MAX, Ordering::Relaxed);
        assert_eq!(lane.take().1, None);
    }
}
