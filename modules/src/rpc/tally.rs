//! tally: what happened to the calls of a stack, by cause and by procedure.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use millstream_core::Fields;
use millstream_core::hist::Histogram;
use millstream_onc::message::Outcome;
use millstream_onc::{AuthStat, Registry};

/// Counts of all streams that share it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls of peers that were handed up.
    pub calls: u64,
    /// Replies to them that went well.
    pub replies: u64,
    /// Calls that want no reply (batches).
    pub silent: u64,
    /// Duplicates of calls in progress.
    pub duplicates_waiting: u64,
    /// Duplicates that got the reply of the first.
    pub duplicates_answered: u64,
    /// Calls for which the cache had no room.
    pub uncached: u64,
    /// Records or datagrams that are neither call nor reply.
    pub junk: u64,
    /// Connections ended because a peer broke a limit of records.
    pub broken: u64,
    /// Replies that nobody waits for.
    pub stray_replies: u64,
    /// Calls to peers.
    pub calls_out: u64,
    /// Replies to them.
    pub replies_in: u64,
    /// Calls sent again.
    pub retransmissions: u64,
    /// Calls without a reply in time.
    pub time_outs: u64,
    refused: [u64; CAUSES.len()],
    procedures: Vec<Procedure>,
    /// Times that are not in a histogram yet: one of many equal ones.
    queued: Run,
    served: Run,
}

/// What happened to the calls of a procedure.
#[derive(Debug)]
struct Procedure {
    numbers: [u32; 3],
    name: &'static str,
    calls: u64,
    queue: Histogram,
    service: Histogram,
}

/// Equal times of one procedure: within a turn all are.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    procedure: u32,
    ns: u64,
    count: u64,
}

impl Tally {
    /// Where the calls of a procedure are counted; beyond `PROCEDURES_MAX` all in one place.
    pub fn procedure(&mut self, numbers: [u32; 3], registry: &Registry) -> u32 {
        let known = self.procedures.iter().position(|known| known.numbers == numbers);
        let at = known.unwrap_or_else(|| {
            let full = self.procedures.len() >= PROCEDURES_MAX;
            let numbers = if full { OTHERS } else { numbers };
            if self.procedures.len() <= PROCEDURES_MAX {
                let name = name(numbers, registry);
                let (queue, service) = Default::default();
                self.procedures.push(Procedure { numbers, name, calls: 0, queue, service });
            }
            self.procedures.len() - 1
        });
        at as u32
    }

    /// Calls were handed up, so many nanoseconds after they had come.
    #[inline]
    pub fn queued(&mut self, procedure: u32, ns: u64, calls: u64) {
        self.calls += calls;
        if !self.queued.joins(procedure, ns, calls) {
            self.settle();
            self.queued = Run { procedure, ns, count: calls };
        }
    }

    /// It was answered, so many nanoseconds after.
    #[inline]
    pub fn served(&mut self, procedure: u32, ns: u64) {
        if !self.served.joins(procedure, ns, 1) {
            self.settle();
            self.served = Run { procedure, ns, count: 1 };
        }
    }

    /// A call was refused.
    pub fn refused(&mut self, why: Outcome) {
        self.refused[cause(why)] += 1;
    }

    /// How many were refused because of this.
    pub fn refusals(&self, why: Outcome) -> u64 {
        self.refused[cause(why)]
    }

    /// Counts the runs.
    fn settle(&mut self) {
        let queued = core::mem::take(&mut self.queued);
        if let Some(procedure) = self.procedures.get_mut(queued.procedure as usize) {
            procedure.calls += queued.count;
            procedure.queue.record(queued.ns, queued.count);
        }
        let served = core::mem::take(&mut self.served);
        if let Some(procedure) = self.procedures.get_mut(served.procedure as usize) {
            procedure.service.record(served.ns, served.count);
        }
    }

    /// Writes all of it for people.
    pub fn show(&mut self, fields: &mut Fields) {
        self.settle();
        for (name, count) in [
            ("calls", self.calls),
            ("replies", self.replies),
            ("silent", self.silent),
            ("duplicates-waiting", self.duplicates_waiting),
            ("duplicates-answered", self.duplicates_answered),
            ("uncached", self.uncached),
            ("junk", self.junk),
            ("broken", self.broken),
            ("stray-replies", self.stray_replies),
            ("calls-out", self.calls_out),
            ("replies-in", self.replies_in),
            ("retransmissions", self.retransmissions),
            ("time-outs", self.time_outs),
        ] {
            fields.count(name, count);
        }
        for (name, count) in CAUSES.into_iter().zip(self.refused) {
            fields.count(name, count);
        }
        for procedure in &self.procedures {
            fields.item("procedure", procedure.line());
        }
    }
}

impl Run {
    #[inline]
    fn joins(&mut self, procedure: u32, ns: u64, calls: u64) -> bool {
        let same = self.count > 0 && self.procedure == procedure && self.ns == ns;
        self.count += if same { calls } else { 0 };
        same
    }
}

impl Procedure {
    fn line(&self) -> String {
        let [program, version, procedure] = self.numbers;
        let times = |times: &Histogram| {
            let us = |per: u64| times.quantile_ns(per).unwrap_or(0) as f64 / 1000.0;
            format!("p50 {:.1} p99 {:.1} us", us(50_000), us(99_000))
        };
        let (queue, service) = (times(&self.queue), times(&self.service));
        let (name, calls) = (self.name, self.calls);
        let what = match self.numbers {
            OTHERS => "others".into(),
            _ => format!("{program}.{version}.{procedure} {name}"),
        };
        format!("{what}: calls {calls}, queue {queue}, service {service}")
    }
}

fn name([program, version, procedure]: [u32; 3], registry: &Registry) -> &'static str {
    let programs = registry.programs();
    let versions = programs.iter().find(|(number, _)| *number == program).map(|(_, v)| *v);
    let version = versions.and_then(|all| all.iter().find(|info| info.number == version));
    let procedure = version.and_then(|info| info.procedure(procedure));
    procedure.map_or("", |info| info.name)
}

fn cause(why: Outcome) -> usize {
    match why {
        Outcome::ProgUnavail => 0,
        Outcome::ProgMismatch { .. } => 1,
        Outcome::ProcUnavail => 2,
        Outcome::GarbageArgs => 3,
        Outcome::SystemErr => 4,
        Outcome::RpcMismatch { .. } => 5,
        Outcome::AuthError(AuthStat::BadCred) => 6,
        Outcome::AuthError(AuthStat::RejectedCred) => 7,
        Outcome::AuthError(AuthStat::BadVerf) => 8,
        Outcome::AuthError(AuthStat::RejectedVerf) => 9,
        Outcome::AuthError(AuthStat::TooWeak) => 10,
        _ => 11,
    }
}

const CAUSES: [&str; 12] = [
    "prog-unavail",
    "prog-mismatch",
    "proc-unavail",
    "garbage-args",
    "system-err",
    "rpc-mismatch",
    "auth-badcred",
    "auth-rejectedcred",
    "auth-badverf",
    "auth-rejectedverf",
    "auth-tooweak",
    "auth-other",
];
/// Procedures that are counted apart: each takes two histograms, 16 KiB.
const PROCEDURES_MAX: usize = 256;
/// The numbers of what is counted together.
const OTHERS: [u32; 3] = [0; 3];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_procedure_shows_its_calls_and_times() {
        let (mut tally, registry) = (Tally::default(), Registry::default());
        let at = tally.procedure([7, 1, 2], &registry);
        assert_eq!(tally.procedure([7, 1, 3], &registry), at + 1);
        assert_eq!(tally.procedure([7, 1, 2], &registry), at);
        for ns in [1000, 1000, 64_000] {
            tally.queued(at, 0, 1);
            tally.served(at, ns);
        }
        let mut fields = Fields::default();
        tally.show(&mut fields);
        let text = format!("{fields:?}");
        assert!(
            text.contains("7.1.2 : calls 3, queue p50 0.0 p99 0.0 us, service p50 1.0"),
            "{text}"
        );
    }

    #[test]
    fn every_cause_is_counted_by_its_name() {
        let mut tally = Tally::default();
        tally.refused(Outcome::AuthError(AuthStat::BadVerf));
        tally.refused(Outcome::RPC_MISMATCH);
        let mut fields = Fields::default();
        tally.show(&mut fields);
        let count = |name| fields.0.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!(count("auth-badverf"), millstream_core::Value::Count(1));
        assert_eq!(count("rpc-mismatch"), millstream_core::Value::Count(1));
        assert_eq!(count("garbage-args"), millstream_core::Value::Count(0));
    }

    #[test]
    fn there_is_an_end_to_procedures() {
        let (mut tally, registry) = (Tally::default(), Registry::default());
        for number in 0..1000 {
            tally.procedure([7, 1, number], &registry);
        }
        assert_eq!(tally.procedures.len(), PROCEDURES_MAX + 1);
    }
}
