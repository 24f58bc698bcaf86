//! Programs of an application that the stack serves itself, on its own thread.

use crate::stack::Stack;
use millstream_host::plan::{PlanError, Programs, Service};
use millstream_host::{Gone, Handle};
use millstream_onc::Program;

/// A program that a stack serves, until this is dropped; its `rpcbind` tells of it. What a program
/// cannot answer at once it answers later, by a ticket, from a thread of the application.
#[derive(Debug)]
pub struct RpcServer {
    handle: Handle,
    programs: Programs,
    services: [Service; 2],
    number: u32,
}

/// Why a program is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It is served already, or the port is in use.
    #[error(transparent)]
    Refused(#[from] PlanError),
    /// The stack has stopped.
    #[error(transparent)]
    Gone(#[from] Gone),
}

impl RpcServer {
    /// Serves a program at a port of UDP and TCP. `name` is for people.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn start(
        stack: &Stack,
        name: &str,
        port: u16,
        program: Box<dyn Program>,
    ) -> Result<Self, ServeError> {
        let (number, name) = (program.number(), name.to_owned());
        let (handle, programs) = (stack.handle().clone(), stack.programs().clone());
        let serving = programs.clone();
        let services =
            handle.call(move |shard| serving.serve(shard, &name, port, vec![program]))??;
        Ok(Self { handle, programs, services, number })
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        let (programs, services, number) =
            (self.programs.clone(), self.services.clone(), self.number);
        // A stack that has stopped serves nothing.
        let _stopped =
            self.handle.call(move |shard| programs.withdraw(shard, &services, &[number]));
    }
}
