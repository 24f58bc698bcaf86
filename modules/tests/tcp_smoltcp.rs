//! tcp against smoltcp in the simulator: who opens, how much each sends in which pieces, when it
//! ends its direction, and what the line does are random; the octets must be the same.

mod smol;

use millstream_core::tpi::{self, Primitive};
use millstream_core::{Rng, StreamId};
use millstream_rig::{Faults, ms};
use smol::{Bodies, Meeting};

/// Connections of one run; `MILLSTREAM_ROUNDS` takes its place.
const ROUNDS: u64 = 100;
const SEED: u64 = 0x5301_7c90;

/// How the other end and the line are.
#[derive(Debug)]
struct Case {
    seed: u64,
    /// smoltcp opens.
    theirs: bool,
    bodies: Bodies,
    line: Faults,
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut below = |n: u64| rng.below(n);
        let line = Faults {
            delay_ns: ms(below(30)),
            jitter_ns: ms(below(10)),
            loss_ppm: [0, 0, 5_000, 20_000, 50_000][below(5) as usize],
            reorder_ppm: [0, 0, 10_000, 100_000][below(4) as usize],
            duplicate_ppm: [0, 0, 20_000][below(3) as usize],
            ..Faults::NONE
        };
        let len = |n: u64| [0, 1, 3_000, 70_000, 250_000][n as usize];
        let bodies = Bodies {
            ours: len(below(5)),
            theirs: len(below(5)),
            piece: 1 + below(9_000) as usize,
            buffer: [2_048, 8_192, 65_535, 200_000][below(4) as usize],
            control: below(3) as u8,
            nagle: below(2) == 0,
            we_end_first: below(2) == 0,
            they_end_first: below(2) == 0,
        };
        Self { seed, theirs: below(2) == 0, bodies, line }
    }
}

/// Runs one connection to its end.
fn run(case: &Case) {
    let mut met = Meeting::new(case.seed, case.line, &case.bodies);
    let stream = if case.theirs { met.they_open() } else { met.we_open() };
    let body = smol::pattern(case.seed, case.bodies.ours);
    let (mut written, mut got, mut ended, mut told) = (0, Vec::new(), false, false);
    // Who does not end first does when the other has.
    let may_end = |first: bool, other: bool| first || other;
    for _ in 0..MILLISECONDS {
        met.pass(1);
        let next = (written + case.bodies.piece).min(body.len());
        if written < body.len() {
            written += met.write(stream, &body[written..next]);
        } else if !told && may_end(case.bodies.we_end_first, ended) {
            met.put(stream, &Primitive::ordrel_req());
            told = true;
        }
        let (bytes, words) = met.read(stream);
        got.extend(bytes);
        for word in words {
            assert_eq!(word, tpi::T_ORDREL_IND, "{case:?}: the connection is broken");
            assert!(!std::mem::replace(&mut ended, true), "{case:?}: two ends");
        }
        met.they_go_on();
        let both_wait = !case.bodies.we_end_first && !case.bodies.they_end_first;
        if both_wait && met.they_have_all(body.len()) && got.len() == case.bodies.theirs {
            // Somebody has to begin.
            if !told {
                met.put(stream, &Primitive::ordrel_req());
                told = true;
            }
        }
        if ended && told && met.is_over() {
            break;
        }
    }
    assert!(ended && told && met.is_over(), "{case:?}: it does not end: {met:?}, {}", got.len());
    assert!(got == smol::pattern(!case.seed, case.bodies.theirs), "{case:?}: other octets came");
    assert!(met.they_got() == body, "{case:?}: other octets went");
    close(&mut met, stream);
}

fn close(met: &mut Meeting, stream: StreamId) {
    met.close(stream);
    met.pass(1);
}

#[test]
fn tcp_and_smoltcp_exchange_the_same_octets_over_any_line_and_end_in_order() {
    let seed = millstream_rig::seed(SEED);
    let rounds = std::env::var("MILLSTREAM_ROUNDS").ok().and_then(|text| text.parse().ok());
    for round in 0..rounds.unwrap_or(ROUNDS) {
        run(&Case::random(seed.wrapping_add(round)));
    }
}

#[test]
fn tcp_and_smoltcp_half_close_either_way() {
    let seed = millstream_rig::seed(SEED);
    for (we_end_first, they_end_first) in [(true, false), (false, true), (true, true)] {
        for theirs in [true, false] {
            let mut case = Case::random(seed);
            let line = Faults { delay_ns: ms(10), loss_ppm: 20_000, ..Faults::NONE };
            case.bodies.ours = 30_000;
            case.bodies.theirs = 60_000;
            (case.bodies.we_end_first, case.bodies.they_end_first) = (we_end_first, they_end_first);
            run(&Case { theirs, line, ..case });
        }
    }
}

/// Half an hour: smoltcp's and our time-outs of lost segments double.
const MILLISECONDS: u64 = 1_800_000;
