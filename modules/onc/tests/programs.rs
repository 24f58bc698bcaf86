//! Programs in a registry: what is found, what is not, and answers that come later.

use millstream_onc::program::{Answer, Call, ProcedureInfo, Program, Transport, VersionInfo};
use millstream_onc::registry::{Registry, Unreached};
use millstream_onc::xdr::{Decoder, Encoder};
use millstream_onc::{AuthStat, Completions, Credential, Later, Ticket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const VERSIONS: &[VersionInfo] = &[
    VersionInfo { number: 2, procedures: &[ProcedureInfo::NULL] },
    VersionInfo {
        number: 4,
        procedures: &[
            ProcedureInfo::NULL,
            ProcedureInfo::new(1, "ECHO"),
            ProcedureInfo::new(9, "LATER"),
        ],
    },
];

/// Echoes a number; keeps the ticket of procedure 9; looks into the registry for version 2.
struct Echo {
    registry: Registry,
    tickets: Arc<Mutex<Vec<Ticket>>>,
}

impl Program for Echo {
    fn number(&self) -> u32 {
        7
    }

    fn versions(&self) -> &'static [VersionInfo] {
        VERSIONS
    }

    fn call(
        &mut self,
        call: &Call<'_>,
        mut args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        later: &mut Later,
    ) -> Answer {
        match call.procedure {
            0 => {
                reply.u32(self.registry.programs().len() as u32).unwrap();
                let again = Call { procedure: 1, version: 4, ..call.clone() };
                let inner = self.registry.call(&again, Decoder::new(&[]), reply, later);
                assert_eq!(inner, Ok(Answer::SystemErr));
                Answer::Done
            }
            9 => {
                self.tickets.lock().unwrap().push(later.ticket());
                Answer::Later
            }
            _ => match args.u32() {
                Ok(number) => {
                    reply.u32(number).unwrap();
                    Answer::of(args.end().map_err(Answer::from))
                }
                Err(fault) => fault.into(),
            },
        }
    }
}

struct Bench {
    registry: Registry,
    tickets: Arc<Mutex<Vec<Ticket>>>,
    completions: Completions,
    woken: Arc<AtomicUsize>,
    later: Later,
}

impl Bench {
    fn new() -> Self {
        let (registry, tickets) = (Registry::default(), Arc::default());
        let echo = Echo { registry: registry.clone(), tickets: Arc::clone(&tickets) };
        assert!(registry.register(Box::new(echo)).is_ok());
        let woken = Arc::new(AtomicUsize::new(0));
        let wake = Arc::clone(&woken);
        let completions = Completions::new(move || {
            wake.fetch_add(1, Ordering::Relaxed);
        });
        let later = Later::new(completions.clone());
        Self { registry, tickets, completions, woken, later }
    }

    /// What is answered, and the octets of the results.
    fn call(
        &mut self,
        (program, version, procedure): (u32, u32, u32),
        args: &[u8],
    ) -> (Result<Answer, Unreached>, Vec<u8>) {
        let anywhere = ([127, 0, 0, 1], 1).into();
        let call = Call {
            xid: 1,
            program,
            version,
            procedure,
            credential: &Credential::None,
            peer: anywhere,
            local: anywhere,
            transport: Transport::Tcp,
            now: 0,
        };
        let mut answer = Err(Unreached::Program);
        let reply = Encoder::vec(|to| {
            answer = self.registry.call(&call, Decoder::new(args), to, &mut self.later);
            Ok(())
        });
        (answer, reply.unwrap())
    }
}

#[test]
fn a_call_reaches_its_program_and_the_results_are_written() {
    let mut bench = Bench::new();
    let number = 5_u32.to_be_bytes();
    assert_eq!(bench.call((7, 4, 1), &number), (Ok(Answer::Done), number.to_vec()));
}

#[test]
fn what_is_not_there_is_said_with_the_range_of_versions() {
    let mut bench = Bench::new();
    let mut why = |of| bench.call(of, &[]).0.unwrap_err();
    assert_eq!(why((8, 4, 1)), Unreached::Program);
    for version in [0, 3, 5] {
        assert_eq!(why((7, version, 1)), Unreached::Version { low: 2, high: 4 });
    }
    for procedure in [2, 8, 10, u32::MAX] {
        assert_eq!(why((7, 4, procedure)), Unreached::Procedure);
    }
    assert_eq!(why((7, 2, 1)), Unreached::Procedure);
    assert_eq!(bench.registry.find(7, 4, 9).map(|found| found.name), Ok("LATER"));
    assert_eq!(bench.registry.find(7, 2, 9), Err(Unreached::Procedure));
}

#[test]
fn results_of_what_failed_are_taken_back() {
    let mut bench = Bench::new();
    assert_eq!(bench.call((7, 4, 1), &[0; 8]), (Ok(Answer::GarbageArgs), vec![]));
    assert_eq!(bench.call((7, 4, 1), &[0; 3]), (Ok(Answer::GarbageArgs), vec![]));
}

#[test]
fn a_program_may_look_into_the_registry_and_not_call_itself() {
    let mut bench = Bench::new();
    assert_eq!(bench.call((7, 2, 0), &[]), (Ok(Answer::Done), vec![0, 0, 0, 1]));
}

#[test]
fn a_number_is_registered_once_and_free_again_when_it_is_removed() {
    let Bench { registry, tickets, .. } = Bench::new();
    let echo = || Box::new(Echo { registry: registry.clone(), tickets: Arc::clone(&tickets) });
    assert!(registry.register(echo()).is_err());
    assert!(registry.remove(7) && !registry.remove(7));
    assert_eq!(registry.find(7, 4, 1), Err(Unreached::Program));
    assert!(registry.register(echo()).is_ok());
    assert_eq!(registry.programs(), [(7, VERSIONS)]);
}

#[test]
fn a_ticket_answers_from_another_thread() {
    let mut bench = Bench::new();
    bench.later.set(42);
    assert_eq!(bench.call((7, 4, 9), &[]), (Ok(Answer::Later), vec![]));
    assert!(bench.later.taken());
    assert!(bench.completions.poll().is_none());
    let ticket = bench.tickets.lock().unwrap().pop().unwrap();
    std::thread::spawn(move || ticket.answer(|to| to.u32(9)).unwrap()).join().unwrap();
    let done = bench.completions.poll().unwrap();
    assert_eq!((done.id, done.answer, done.results), (42, Answer::Done, vec![0, 0, 0, 9]));
    assert_eq!(bench.woken.load(Ordering::Relaxed), 1);
}

#[test]
fn a_dropped_ticket_answers_system_err_and_a_refusal_what_it_says() {
    let mut bench = Bench::new();
    for id in 0..4 {
        bench.later.set(id);
        assert_eq!(bench.call((7, 4, 9), &[]).0, Ok(Answer::Later));
    }
    let mut tickets = bench.tickets.lock().unwrap().drain(..).collect::<Vec<_>>().into_iter();
    drop(tickets.next());
    tickets.next().unwrap().refuse(Answer::Denied(AuthStat::TooWeak));
    tickets.next().unwrap().refuse(Answer::Later);
    // Results that cannot be written.
    let fault = millstream_onc::xdr::Fault::Depth;
    assert_eq!(tickets.next().unwrap().answer(|_| Err(fault)), Err(fault));
    let answers =
        std::iter::from_fn(|| bench.completions.poll()).map(|done| (done.id, done.answer));
    let denied = Answer::Denied(AuthStat::TooWeak);
    let expected = [Answer::SystemErr, denied, Answer::SystemErr, Answer::SystemErr];
    assert!(answers.eq((0..).zip(expected)));
}

#[test]
#[should_panic(expected = "a call has one ticket")]
fn a_call_has_one_ticket() {
    let mut later = Later::new(Completions::default());
    let _one = later.ticket();
    let _two = later.ticket();
}

#[test]
fn a_procedure_is_found_by_its_number_with_gaps_and_without() {
    let [_, info] = VERSIONS else { panic!() };
    let name = |number| info.procedure(number).map(|procedure| procedure.name);
    let names = [0, 1, 2, 9, 10, u32::MAX].map(name);
    assert_eq!(names, [Some("NULL"), Some("ECHO"), None, Some("LATER"), None, None]);
}

#[test]
fn a_lease_answers_calls_that_follow_each_other_and_gives_the_program_back() {
    let mut bench = Bench::new();
    let registry = bench.registry.clone();
    let (edition, anywhere) = (registry.edition(), ([127, 0, 0, 1], 1).into());
    let call = Call {
        xid: 1,
        program: 7,
        version: 4,
        procedure: 1,
        credential: &Credential::None,
        peer: anywhere,
        local: anywhere,
        transport: Transport::Tcp,
        now: 0,
    };
    let mut lease = registry.lease(7).unwrap();
    assert!(registry.lease(7).is_none() && registry.lease(8).is_none());
    let octets = Encoder::vec(|to| {
        for number in 1..=3_u32 {
            let args = number.to_be_bytes();
            let answer = lease.call(&call, Decoder::new(&args), to, &mut bench.later);
            assert_eq!(answer, Ok(Answer::Done));
        }
        // What does not go well leaves nothing behind what did.
        let answer = lease.call(&call, Decoder::new(&[0; 8]), to, &mut bench.later);
        assert_eq!(answer, Ok(Answer::GarbageArgs));
        Ok(())
    });
    assert_eq!(octets.unwrap(), [1_u32, 2, 3].map(u32::to_be_bytes).concat());
    assert_eq!(bench.call((7, 4, 1), &[0; 4]).0, Ok(Answer::SystemErr), "it is in other hands");
    drop(lease);
    assert_eq!(bench.call((7, 4, 1), &[0; 4]).0, Ok(Answer::Done));
    assert_eq!(registry.edition(), edition);
    // One that is removed meanwhile does not come back.
    let lease = registry.lease(7).unwrap();
    assert!(registry.remove(7));
    drop(lease);
    assert!(registry.lease(7).is_none() && registry.edition() != edition);
}
