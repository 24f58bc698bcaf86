//! `Registry`: the programs of a stack, found by their numbers.

use crate::later::Later;
use crate::program::{Answer, Call, ProcedureInfo, Program, VersionInfo};
use crate::xdr::{Decoder, Encoder};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// The programs of a stack, shared by all its streams: a clone is another handle on the same.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    slots: Mutex<Vec<Slot>>,
    /// Changes with the slots: what was found before may not be there any more.
    edition: AtomicU32,
}

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
        let mut slots = self.0.slots.lock();
        match slots.binary_search_by_key(&number, |slot| slot.number) {
            Err(at) if slots.len() < Self::MAX && !versions.is_empty() => {
                slots.insert(at, Slot { number, versions, program: Some(program) });
                self.0.edition.fetch_add(1, Ordering::Release);
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
        let mut slots = self.0.slots.lock();
        let found = slots.binary_search_by_key(&number, |slot| slot.number);
        // The program is dropped when the lock is free: it may look into the registry.
        let gone = found.map(|at| slots.remove(at));
        self.0.edition.fetch_add(1, Ordering::Release);
        drop(slots);
        gone.is_ok()
    }

    /// Numbers and versions of the programs, in ascending order.
    pub fn programs(&self) -> Vec<(u32, &'static [VersionInfo])> {
        self.0.slots.lock().iter().map(|slot| (slot.number, slot.versions)).collect()
    }

    /// A number that is another one when a program has come or gone: what [`Registry::find`] has
    /// told holds as long as it is the same.
    #[inline]
    pub fn edition(&self) -> u32 {
        self.0.edition.load(Ordering::Acquire)
    }

    /// The procedure of these numbers.
    ///
    /// # Errors
    /// What is not there.
    pub fn find(
        &self,
        program: u32,
        version: u32,
        procedure: u32,
    ) -> Result<&'static ProcedureInfo, Unreached> {
        let slots = self.0.slots.lock();
        let at = slots.binary_search_by_key(&program, |slot| slot.number);
        let at = at.map_err(|_| Unreached::Program)?;
        find(slots[at].versions, version, procedure)
    }

    /// The program of this number, for calls that follow each other: until the lease ends nobody
    /// else has it. `None` when there is none, or while it answers a call.
    pub fn lease(&self, number: u32) -> Option<Lease<'_>> {
        let mut slots = self.0.slots.lock();
        let at = slots.binary_search_by_key(&number, |slot| slot.number).ok()?;
        let slot = &mut slots[at];
        let program = slot.program.take()?;
        Some(Lease { registry: self, number, versions: slot.versions, program: Some(program) })
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
        self.find(call.program, call.version, call.procedure)?;
        match self.lease(call.program) {
            Some(mut lease) => lease.call(call, args, reply, later),
            None => Ok(Answer::SystemErr),
        }
    }

    /// Unless it was removed, or replaced, while it answered.
    fn put_back(&self, number: u32, program: Box<dyn Program>) {
        let mut slots = self.0.slots.lock();
        let slot = slots.iter_mut().find(|slot| slot.number == number);
        let gone = match slot {
            Some(slot) if slot.program.is_none() => slot.program.replace(program),
            _ => Some(program),
        };
        drop(slots);
        drop(gone);
    }
}

/// A program, for calls that follow each other.
pub struct Lease<'r> {
    registry: &'r Registry,
    number: u32,
    versions: &'static [VersionInfo],
    /// Until the lease ends.
    program: Option<Box<dyn Program>>,
}

impl Lease<'_> {
    /// Number of the program.
    #[inline]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// As [`Registry::call`], of this program.
    ///
    /// # Errors
    /// What is not there.
    #[inline]
    pub fn call(
        &mut self,
        call: &Call<'_>,
        args: Decoder<'_>,
        reply: &mut Encoder<'_>,
        later: &mut Later,
    ) -> Result<Answer, Unreached> {
        find(self.versions, call.version, call.procedure)?;
        let Some(program) = &mut self.program else { return Ok(Answer::SystemErr) };
        let start = reply.len();
        let answer = program.call(call, args, reply, later);
        if answer != Answer::Done {
            reply.truncate(start);
        }
        Ok(answer)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(program) = self.program.take() {
            self.registry.put_back(self.number, program);
        }
    }
}

impl fmt::Debug for Lease<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("number", &self.number).finish_non_exhaustive()
    }
}

#[inline]
fn find(
    versions: &'static [VersionInfo],
    version: u32,
    procedure: u32,
) -> Result<&'static ProcedureInfo, Unreached> {
    let Some(info) = versions.iter().find(|info| info.number == version) else {
        let numbers = || versions.iter().map(|info| info.number);
        let (low, high) = (numbers().min().unwrap_or(0), numbers().max().unwrap_or(0));
        return Err(Unreached::Version { low, high });
    };
    info.procedure(procedure).ok_or(Unreached::Procedure)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots = self.0.slots.lock();
        f.debug_list().entries(slots.iter().map(|slot| slot.number)).finish()
    }
}
