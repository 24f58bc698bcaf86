//! pass: calls that are passed on to another program of the stack.

use super::{Mapper, PROGRAM};
use millstream_onc::xdr::{Decoder, Encoder, Opaque};
use millstream_onc::{Answer, Call, Completions, Credential, Later};
use std::net::SocketAddr;

impl Mapper {
    /// Lets another program answer, to nobody by name (RFC 1833, 2.2.2). Where it is served, and
    /// the results.
    ///
    /// # Errors
    /// What became of the call: there is nothing to answer to a call that was passed on to nobody,
    /// and who answers later is not waited for.
    pub(super) fn pass(
        &mut self,
        call: &Call<'_>,
        to: [u32; 3],
        args: &Opaque<'_>,
        indirect: bool,
    ) -> Result<(SocketAddr, Vec<u8>), Answer> {
        let Some(registry) = self.pass_to.clone() else { return Err(Answer::NoProcedure) };
        let [program, version, procedure] = to;
        let found = self.bindings.find(program, version, call.transport, false);
        let at = found.map(|at| self.merged(at, call));
        let octets = args.to_vec();
        let passed = Call { program, version, procedure, credential: &Credential::None, ..*call };
        let mut later = Later::new(Completions::default());
        let mut answer = None;
        // To itself it would be a call within the call, and one call would become many.
        let results = Encoder::vec(|reply| {
            if at.is_some() && program != PROGRAM {
                answer = registry.call(&passed, Decoder::new(&octets), reply, &mut later).ok();
            }
            Ok(())
        });
        let done = answer == Some(Answer::Done);
        self.counts(call.version).pass(to, call.transport, indirect, done);
        match (answer, at, results) {
            (Some(Answer::Done), Some(at), Ok(results)) => Ok((at, results)),
            (Some(Answer::Later) | None, ..) => Err(Answer::SystemErr),
            (Some(Answer::Done), ..) => Err(Answer::SystemErr),
            (Some(other), ..) => Err(other),
        }
    }
}
