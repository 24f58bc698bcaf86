//! counts: what a version of `rpcbind` was asked, and how often.

use millstream_onc::Transport;

/// Counts of one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// Calls of each procedure, by its number.
    pub(super) procedures: [i32; PROCEDURES],
    /// Look-ups of addresses.
    pub(super) lookups: Vec<Lookups>,
    /// Calls passed on.
    pub(super) passed: Vec<Passed>,
}

/// Look-ups of one version of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lookups {
    /// Program and version.
    pub(super) of: [u32; 2],
    /// What carried the question.
    pub(super) transport: Transport,
    /// How many were answered with an address.
    pub(super) found: i32,
    /// How many were not.
    pub(super) missed: i32,
}

/// Calls passed on to one procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Program, version and procedure.
    pub(super) to: [u32; 3],
    /// What carried the call.
    pub(super) transport: Transport,
    /// It wanted its errors answered too.
    pub(super) indirect: bool,
    /// How many were answered.
    pub(super) answered: i32,
    /// How many were not.
    pub(super) failed: i32,
}

impl Counts {
    /// A procedure was called.
    pub(super) fn call(&mut self, procedure: u32) {
        if let Some(count) = self.procedures.get_mut(procedure as usize) {
            add(count);
        }
    }

    /// An address was looked for. What peers may ask for is without end: the first
    /// [`KEPT`] are counted.
    pub(super) fn lookup(&mut self, of: [u32; 2], transport: Transport, found: bool) {
        let same = |l: &Lookups| (l.of, l.transport) == (of, transport);
        if !self.lookups.iter().any(same) && self.lookups.len() < KEPT {
            self.lookups.push(Lookups { of, transport, found: 0, missed: 0 });
        }
        if let Some(one) = self.lookups.iter_mut().find(|l| same(l)) {
            add(if found { &mut one.found } else { &mut one.missed });
        }
    }

    /// A call was passed on, or was to be.
    pub(super) fn pass(
        &mut self,
        to: [u32; 3],
        transport: Transport,
        indirect: bool,
        answered: bool,
    ) {
        let same = |p: &Passed| (p.to, p.transport, p.indirect) == (to, transport, indirect);
        if !self.passed.iter().any(same) && self.passed.len() < KEPT {
            self.passed.push(Passed { to, transport, indirect, answered: 0, failed: 0 });
        }
        if let Some(one) = self.passed.iter_mut().find(|p| same(p)) {
            add(if answered { &mut one.answered } else { &mut one.failed });
        }
    }
}

/// The wire has ints: they stop at the largest.
fn add(count: &mut i32) {
    *count = count.saturating_add(1);
}

/// Procedures of the version that has most, with NULL.
pub(super) const PROCEDURES: usize = 13;

/// Programs and procedures that are counted apart: so many of each version fit into a reply.
pub(super) const KEPT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_are_counted_by_program_and_outcome_up_to_an_end() {
        let mut counts = Counts::default();
        for found in [true, false, true] {
            counts.lookup([7, 1], Transport::Udp, found);
        }
        assert_eq!((counts.lookups[0].found, counts.lookups[0].missed), (2, 1));
        for program in 0..1000 {
            counts.lookup([program, 1], Transport::Tcp, true);
            counts.pass([program, 1, 1], Transport::Udp, false, false);
        }
        assert_eq!((counts.lookups.len(), counts.passed.len()), (KEPT, KEPT));
        assert_eq!(counts.lookups[KEPT - 1].found, 1, "what is not kept is not counted there");
        assert_eq!(counts.passed[0].failed, 1);
    }

    #[test]
    fn a_procedure_that_is_not_there_is_not_counted() {
        let mut counts = Counts::default();
        counts.call(0);
        counts.call(12);
        counts.call(13);
        counts.procedures[3] = i32::MAX;
        counts.call(3);
        assert_eq!(counts.procedures.iter().filter(|n| **n == 1).count(), 2);
        assert_eq!(counts.procedures[3], i32::MAX);
    }
}
