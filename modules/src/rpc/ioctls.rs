//! ioctls: the role of a stream, and programs that are answered by whoever is above it.

use super::{Resolved, Role, Rpc, Shared};
use millstream_core::ioctl::{BLOCK, Iocblk};
use millstream_core::{Cx, Errno, Side};
use millstream_msg::Msg;
use millstream_onc::message::Outcome;
use millstream_onc::registry::Unreached;

/// The stream is a client's.
pub const RPC_CLIENT: u32 = 0x5201;
/// The stream is a server's.
pub const RPC_SERVER: u32 = 0x5202;
/// Calls of a program go up this stream: program, version, and the number of its procedures, as
/// native words. EEXIST when it is there.
pub const RPC_REGISTER: u32 = 0x5203;
/// They do not any more: program and version. ENOENT when they did not.
pub const RPC_UNREGISTER: u32 = 0x5204;

/// A version of a program whose calls go up this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    program: u32,
    version: u32,
    /// From 0 on.
    procedures: u32,
}

impl Rpc {
    /// An ioctl of ours, or one to pass on.
    pub(super) fn ioctl(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let Some(blk) = Iocblk::parse(msg.first()) else { return cx.put(Side::Write, msg) };
        let done = match blk.cmd {
            RPC_CLIENT => self.take_role(cx, Role::Client),
            RPC_SERVER => self.take_role(cx, Role::Server),
            RPC_REGISTER => words(&msg).and_then(|words| self.register(words)),
            RPC_UNREGISTER => words(&msg).and_then(|words| self.unregister(words)),
            _ => return cx.put(Side::Write, msg),
        };
        match done {
            Ok(()) => cx.miocack(msg, 0, None),
            Err(errno) => cx.miocnak(msg, errno),
        }
    }

    fn take_role(&mut self, cx: &mut Cx<'_>, role: Role) -> Result<(), Errno> {
        self.role = Some(role);
        self.watch_idle(cx);
        cx.qenable(Side::Read);
        Ok(())
    }

    fn register(&mut self, [program, version, procedures]: [u32; 3]) -> Result<(), Errno> {
        let offer = Offer { program, version, procedures };
        if self.offered(program, version).is_some() {
            return Err(Errno::EEXIST);
        }
        if self.offers.len() >= OFFERS_MAX {
            return Err(Errno::ENOSPC);
        }
        self.offers.push(offer);
        self.resolved = Default::default();
        Ok(())
    }

    fn unregister(&mut self, [program, version]: [u32; 2]) -> Result<(), Errno> {
        let at = self.offers.iter().position(|o| (o.program, o.version) == (program, version));
        self.offers.remove(at.ok_or(Errno::ENOENT)?);
        self.resolved = Default::default();
        Ok(())
    }

    fn offered(&self, program: u32, version: u32) -> Option<&Offer> {
        self.offers.iter().find(|offer| (offer.program, offer.version) == (program, version))
    }

    /// What is known of a procedure that somebody answers: those above this stream, then the
    /// programs of the stack.
    ///
    /// # Errors
    /// What the peer is told.
    #[inline]
    pub(super) fn resolve(
        &mut self,
        shared: &mut Shared,
        numbers: [u32; 3],
    ) -> Result<Resolved, Outcome> {
        match self.resolved[numbers[2] as usize % self.resolved.len()] {
            Some(known)
                if known.numbers == numbers
                    && known.edition == self.commons.registry().edition() =>
            {
                Ok(known)
            }
            _ => self.look_up(shared, numbers),
        }
    }

    #[cold]
    fn look_up(&mut self, shared: &mut Shared, numbers: [u32; 3]) -> Result<Resolved, Outcome> {
        let registry = self.commons.registry();
        let edition = registry.edition();
        let [program, version, procedure] = numbers;
        let idempotent = match self.find_offer(numbers) {
            Some(offered) => offered.map(|()| procedure == 0)?,
            None => registry.find(program, version, procedure).map_err(unreached)?.idempotent,
        };
        let counted = shared.tally.procedure(numbers, registry);
        let resolved = Resolved { numbers, edition, counted, idempotent };
        self.resolved[procedure as usize % self.resolved.len()] = Some(resolved);
        Ok(resolved)
    }

    /// `None` when the program is not one of this stream.
    fn find_offer(&self, [program, version, procedure]: [u32; 3]) -> Option<Result<(), Outcome>> {
        if let Some(offer) = self.offered(program, version) {
            let there = procedure < offer.procedures;
            return Some(if there { Ok(()) } else { Err(Outcome::ProcUnavail) });
        }
        let versions = || self.offers.iter().filter(|o| o.program == program).map(|o| o.version);
        let (low, high) = (versions().min()?, versions().max()?);
        Some(Err(Outcome::ProgMismatch { low, high }))
    }
}

/// What a peer is told of a call that reaches no program.
fn unreached(why: Unreached) -> Outcome {
    match why {
        Unreached::Program => Outcome::ProgUnavail,
        Unreached::Version { low, high } => Outcome::ProgMismatch { low, high },
        Unreached::Procedure => Outcome::ProcUnavail,
    }
}

/// The words of an ioctl.
fn words<const N: usize>(msg: &Msg) -> Result<[u32; N], Errno> {
    let mut octets = [[0; 4]; N];
    if msg.len() != BLOCK + 4 * N {
        return Err(Errno::EINVAL);
    }
    let read = msg.copy_out(BLOCK, octets.as_flattened_mut());
    if read == 4 * N { Ok(octets.map(u32::from_ne_bytes)) } else { Err(Errno::EINVAL) }
}

/// Versions of programs of one stream: more than any server registers.
const OFFERS_MAX: usize = 64;
