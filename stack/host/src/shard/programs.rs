//! programs: what a shard does for programs in other processes, between its own steps.

use super::Shard;
use crate::port::{Listener, PortStat, Ports, Quota};
use crate::socket::Transports;
use millstream_core::{HeadEvent, NodeId, StreamId};
use std::io;

impl Shard {
    /// Lets programs in that come to `listener`, from now on. They open streams on `devices`.
    ///
    /// # Errors
    /// The kernel's, when descriptors are used up.
    pub fn open_port(
        &mut self,
        listener: Listener,
        quota: Quota,
        transports: Transports,
        devices: Vec<(String, NodeId)>,
    ) -> io::Result<()> {
        let (poller, pool) = (&self.inlet.poller, self.core.pool());
        let ports = Ports::new(listener, quota, transports, devices, poller, pool)?;
        self.ports = Some(Box::new(ports));
        Ok(())
    }

    /// The programs that have come; `None` when none may.
    pub fn port_stat(&self) -> Option<PortStat> {
        self.ports.as_ref().map(|ports| ports.stat())
    }

    /// Processes of the programs that have a stream.
    pub fn programs_of(&self, stream: StreamId) -> Vec<u32> {
        self.ports.as_ref().map(|ports| ports.programs_of(stream)).unwrap_or_default()
    }

    pub(super) fn serve_programs(&mut self) -> bool {
        let ports = self.ports.as_mut();
        ports.is_some_and(|ports| ports.serve(&mut self.core, &self.inlet.poller))
    }

    pub(super) fn settle_programs(&mut self) -> bool {
        let ports = self.ports.as_mut();
        ports.is_some_and(|ports| ports.settle(&mut self.core, &self.inlet.poller))
    }

    pub(super) fn program_ready(&mut self, token: u64) {
        if let Some(ports) = &mut self.ports {
            ports.ready(&mut self.core, &self.inlet.poller, token);
        }
    }

    pub(super) fn is_of_program(&mut self, stream: StreamId, what: HeadEvent) -> bool {
        let ports = self.ports.as_mut();
        ports.is_some_and(|ports| ports.head_event(&mut self.core, stream, what))
    }

    /// From now on programs ring when they want something; false: one wants something already.
    pub(super) fn programs_ring(&self) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.fall_asleep())
    }

    pub(super) fn programs_next(&self) -> Option<u64> {
        self.ports.as_ref().and_then(|ports| ports.next())
    }
}
