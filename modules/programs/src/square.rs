//! square: squares numbers, at once or later, and gives octets back.

mod delays;

use crate::wire::square::{
    EchoData, SlowIn, SquareIn, SquareOut, SquareProgServer, SquareProgV1, SquareProgV2,
};
use delays::Delays;
use millstream_onc::{Answer, Asked};
use std::time::Duration;

/// The program `SQUARE_PROG` of `x/square.x`.
pub type Square = SquareProgServer<Squares>;

/// What answers it.
#[derive(Debug, Default)]
pub struct Squares {
    /// Of the squares of calls that were not answered.
    total: i64,
    delays: Delays,
}

impl SquareProgV1 for Squares {
    fn squareproc(&mut self, _: &mut Asked<'_>, arg: SquareIn) -> Result<SquareOut, Answer> {
        Ok(SquareOut { res1: arg.arg1.wrapping_mul(arg.arg1) })
    }
}

impl SquareProgV2 for Squares {
    fn squareproc(&mut self, _: &mut Asked<'_>, arg: i32) -> Result<i64, Answer> {
        Ok(square(arg))
    }

    fn batchproc(&mut self, _: &mut Asked<'_>, arg: i32) -> Result<(), Answer> {
        self.total = self.total.wrapping_add(square(arg));
        Err(Answer::Silent)
    }

    fn totalproc(&mut self, _: &mut Asked<'_>) -> Result<i64, Answer> {
        Ok(self.total)
    }

    fn echoproc(&mut self, _: &mut Asked<'_>, arg: EchoData<'_>) -> Result<EchoData<'_>, Answer> {
        Ok(arg.into_owned())
    }

    fn slowproc(&mut self, call: &mut Asked<'_>, arg: SlowIn) -> Result<i64, Answer> {
        let ticket = call.ticket();
        let time = Duration::from_millis(arg.milliseconds.min(SLOW_MAX_MS).into());
        // Work that is not taken drops the ticket, which answers SYSTEM_ERR.
        self.delays.after(time, move || {
            // A vector takes whatever is written.
            let _never_fails = ticket.answer(|to| to.i64(square(arg.arg1)));
        });
        Err(Answer::Later)
    }
}

fn square(n: i32) -> i64 {
    i64::from(n) * i64::from(n)
}

/// The longest that a slow square is waited for. Milliseconds.
const SLOW_MAX_MS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::square::SQUARE_PROG;
    use millstream_onc::xdr::{Decoder, Encoder};
    use millstream_onc::{Call, Completions, Credential, Later, Program, Transport};
    use std::sync::mpsc::channel;

    /// The answer to a call, and its results.
    fn call(
        program: &mut Square,
        (version, procedure): (u32, u32),
        args: &[u8],
        later: &mut Later,
    ) -> (Answer, Vec<u8>) {
        let at = "10.0.0.1:1000".parse().unwrap();
        let call = Call {
            xid: 1,
            program: SQUARE_PROG,
            version,
            procedure,
            credential: &Credential::None,
            peer: at,
            local: at,
            transport: Transport::Tcp,
            now: 0,
        };
        let mut answer = Answer::Silent;
        let results = Encoder::vec(|reply| {
            answer = program.call(&call, Decoder::new(args), reply, later);
            Ok(())
        });
        (answer, results.unwrap())
    }

    fn at_once(program: &mut Square, of: (u32, u32), args: &[u8]) -> (Answer, Vec<u8>) {
        call(program, of, args, &mut Later::new(Completions::default()))
    }

    #[test]
    fn numbers_are_squared_and_octets_come_back() {
        let mut square = Square::default();
        let done = |octets: &[u8]| (Answer::Done, octets.to_vec());
        assert_eq!(at_once(&mut square, (1, 0), &[]), done(&[]));
        assert_eq!(at_once(&mut square, (1, 1), &12_i32.to_be_bytes()), done(&[0, 0, 0, 144]));
        let large = (i64::from(i32::MIN) * i64::from(i32::MIN)).to_be_bytes();
        assert_eq!(at_once(&mut square, (2, 1), &i32::MIN.to_be_bytes()), done(&large));
        let octets = [0, 0, 0, 5, b'h', b'e', b'l', b'l', b'o', 0, 0, 0];
        assert_eq!(at_once(&mut square, (2, 4), &octets), done(&octets));
    }

    #[test]
    fn calls_of_a_batch_are_not_answered_and_add_to_the_total() {
        let mut square = Square::default();
        for n in [3_i32, -4] {
            let answer = at_once(&mut square, (2, 2), &n.to_be_bytes());
            assert_eq!(answer, (Answer::Silent, Vec::new()));
        }
        assert_eq!(at_once(&mut square, (2, 3), &[]).1, 25_i64.to_be_bytes());
    }

    #[test]
    fn arguments_that_are_cut_or_too_long_are_garbage() {
        let mut square = Square::default();
        for (of, args) in [
            ((1, 1), &[0, 0, 0][..]),
            ((1, 1), &[0, 0, 0, 1, 0, 0, 0, 1]),
            ((2, 1), &[]),
            ((2, 3), &[0]),
            ((2, 4), &[0, 1, 0, 1]),
            ((2, 4), &[0, 0, 0, 1, 7, 0, 0, 1]),
        ] {
            assert_eq!(at_once(&mut square, of, args).0, Answer::GarbageArgs, "{of:?} {args:?}");
        }
    }

    #[test]
    fn a_slow_square_is_answered_later_and_a_sooner_one_before_it() {
        let mut square = Square::default();
        let (tell, told) = channel();
        let completions = Completions::new(move || tell.send(()).unwrap());
        let mut later = Later::new(completions.clone());
        for (id, n, ms) in [(1, 5_i32, 300_u32), (2, 6, 1)] {
            later.set(id);
            let args = [n.to_be_bytes(), ms.to_be_bytes()].concat();
            assert_eq!(call(&mut square, (2, 5), &args, &mut later).0, Answer::Later);
        }
        for (id, result) in [(2, 36_i64), (1, 25)] {
            told.recv().unwrap();
            let done = completions.poll().unwrap();
            assert_eq!((done.id, done.answer), (id, Answer::Done));
            assert_eq!(done.results, result.to_be_bytes());
        }
    }
}
