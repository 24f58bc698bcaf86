//! `Registry`: the programs of a stack, found by their numbers.

use crate::later::Later;
use crate::program::{Answer, Call, Program, VersionInfo};
use crate::xdr::{Decoder, Encoder};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use spin::Mutex;

/// The programs of a stack, shared by all its streams: a clone is another handle on the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Vec<Slot>>>);

struct Slot {
    number: u32,
    versions: &'static [VersionInfo],
    /// None while it answers a call.
    program: Option<Box<dyn Program>>,
}

/// Why a call reached no program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// There is no program of this number.
    Program,
    /// There is none of this version.
    Version {
        /// The lowest there is.
        low: u32,
        /// The highest there is.
        high: u32,
    },
    /// The version has no such procedure.
    Procedure,
}

impl Registry {
    /// Adds a program.
    ///
    /// # Errors
    /// The program is given back when there is one of its number, when it has no version, or when
    /// there are [`Registry::MAX`].
    pub fn register(&self, program: Box<dyn Program>) -> Result<(), Box<dyn Program>> {
        let (number, versions) = (program.number(), program.versions());
        let mut slots = self.0.lock();
        match slots.binary_search_by_key(&number, |slot| slot.number) {
            Err(at) if slots.len() < Self::MAX && !versions.is_empty() => {
                slots.insert(at, Slot { number, versions, program: Some(program) });
                Ok(())
            }
            _ => Err(program),
        }
    }

    /// The most programs: a look-up stays within a page.
    pub const MAX: usize = 128;

    /// Removes the program of this number; false when there is none. One that answers a call is
    /// dropped when it is done.
    pub fn remove(&self, number: u32) -> bool {
        let mut slots = self.0.lock();
        let found = slots.binary_search_by_key(&number, |slot| slot.number);
        // The program is dropped when the lock is free: it may look into the registry.
        let gone = found.map(|at| slots.remove(at));
        drop(slots);
        gone.is_ok()
    }

    /// Numbers and versions of the programs, in ascending order.
    pub fn programs(&self) -> Vec<(u32, &'static [VersionInfo])> {
        self.0.lock().iter().map(|slot| (slot.number, slot.versions)).collect()
    }

    /// Whether a procedure is there.
    ///
    /// # Errors
    /// What is not there.
    pub fn find(&self, program: u32, version: u32, procedure: u32) -> Result<(), Unreached> {
        let slots = self.0.lock();
        let at = slots.binary_search_by_key(&program, |slot| slot.number);
        let at = at.map_err(|_| Unreached::Program)?;
        slots[at].find(version, procedure)
    }

    /// Lets the program answer. It may look into the registry meanwhile; a call to itself, which
    /// would be one within the other, is answered with [`Answer::SystemErr`].
    ///
    /// # Errors
    /// What is not there.
    pub fn call(
        &self,
        call: &Call<'_>,
        args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        later: &mut Later,
    ) -> Result<Answer, Unreached> {
        let mut slots = self.0.lock();
        let at = slots.binary_search_by_key(&call.program, |slot| slot.number);
        let slot = &mut slots[at.map_err(|_| Unreached::Program)?];
        slot.find(call.version, call.procedure)?;
        let Some(mut program) = slot.program.take() else { return Ok(Answer::SystemErr) };
        drop(slots);
        let start = reply.len();
        let answer = program.call(call, args, reply, later);
        if answer != Answer::Done {
            reply.truncate(start);
        }
        self.put_back(call.program, program);
        Ok(answer)
    }

    /// Unless it was removed, or replaced, while it answered.
    fn put_back(&self, number: u32, program: Box<dyn Program>) {
        let mut slots = self.0.lock();
        let slot = slots.iter_mut().find(|slot| slot.number == number);
        let gone = match slot {
            Some(slot) if slot.program.is_none() => slot.program.replace(program),
            _ => Some(program),
        };
        drop(slots);
        drop(gone);
    }
}

impl Slot {
    fn find(&self, version: u32, procedure: u32) -> Result<(), Unreached> {
        let Some(info) = self.versions.iter().find(|info| info.number == version) else {
            let numbers = || self.versions.iter().map(|info| info.number);
            let (low, high) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
            return Err(Unreached::Version { low, high });
        };
        info.procedure(procedure).map(|_| ()).ok_or(Unreached::Procedure)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.0.lock();
        f.debug_list().entries(slots.iter().map(|slot| slot.number)).finish()
    }
}
