//! `Caller`: what generated clients call through, whatever carries the calls.

use crate::xdr::{Decoder, Encoder, Fault};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Procedure {
    /// Number of the program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// Number of the procedure.
    pub number: u32,
}

/// Carries calls to one server, and answers back.
///
/// Arguments and results are closures: they are written and read where the octets are, and borrow
/// from the message instead of owning copies. `results` reads all there is: octets that are left
/// are a fault.
pub trait Caller {
    /// Why a call failed.
    type Error: From<Fault>;
    /// A call that was sent and not yet answered.
    type Token;

    /// Sends a call and does not wait. Many may be under way; answers come in any order.
    ///
    /// # Errors
    /// When it could not be sent, or a fault of `args`.
    fn start(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<Self::Token, Self::Error>;

    /// Waits for the answer to a call.
    ///
    /// # Errors
    /// When none came in time, the server refused, or a fault of `results`.
    fn finish<R>(
        &mut self,
        token: Self::Token,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, Self::Error>;

    /// Sends a call that is not answered: one of a batch.
    ///
    /// # Errors
    /// When it could not be sent, or a fault of `args`.
    fn send(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
    ) -> Result<(), Self::Error>;

    /// Calls and waits.
    ///
    /// # Errors
    /// Those of [`Caller::start`] and [`Caller::finish`].
    fn call<R>(
        &mut self,
        to: Procedure,
        args: impl FnOnce(&mut Encoder<'_>) -> Result<(), Fault>,
        results: impl FnOnce(&mut Decoder<'_>) -> Result<R, Fault>,
    ) -> Result<R, Self::Error> {
        let token = self.start(to, args)?;
        self.finish(token, results)
    }
}
