//! programs: what programs in other processes may have on a stack, and the socket they come to.

use crate::cmd::Failure;
use millstream_host::plan::Stack;
use millstream_host::port::{Listener, Quota};
use millstream_host::socket::Transports;
use serde::Deserialize;
use std::path::Path;

/// What each program may have; what is not said is as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Programs {
    /// Programs of other processes that may be on the stack at once; 0 lets none in [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    #[serde(rename = "most")]
    programs: Option<u16>,
    /// Memory of each program for what it sends and receives, in MiB, a power of two [default: 16]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    #[serde(rename = "memory")]
    program_memory: Option<u16>,
    /// Sockets that each program may have at once [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    #[serde(rename = "sockets")]
    program_sockets: Option<u16>,
    /// Ports that sockets of each program may be bound to at once [default: 1024]
    #[arg(long, value_name = "N")]
    #[serde(rename = "ports")]
    program_ports: Option<u16>,
    /// Let programs read what is received where it lies, up to so many MiB each, without the copy
    /// to their own memory. NOT ISOLATED: each of them can read all that the stack receives
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u16).range(1..=1024))]
    #[serde(rename = "shared-arena")]
    shared_arena: Option<u16>,
}

impl Programs {
    /// # Errors
    /// A sentence.
    pub(super) fn quota(self) -> Result<Quota, String> {
        let usual = Quota::default();
        let memory = self.program_memory.map_or(usual.memory, |mib| usize::from(mib) << 20);
        let sockets = self.program_sockets.map_or(usual.sockets, usize::from);
        if !memory.is_power_of_two() || memory > 1 << 30 {
            return Err("the memory of a program is a power of two of MiB, at most 1024".to_owned());
        }
        if !(1..=4096).contains(&sockets) {
            return Err("a program has 1 to 4096 sockets".to_owned());
        }
        let ports = self.program_ports.map_or(usual.ports, usize::from);
        let programs = self.programs.map_or(usual.programs, usize::from);
        let arena = self.shared_arena.map_or(usual.arena, |mib| usize::from(mib) << 20);
        Ok(Quota { memory, sockets, ports, programs, arena, ..Quota::default() })
    }
}

/// Lets programs in from the moment that the stack runs. Whoever calls this has its name.
pub(super) fn let_in(stack: &mut Stack, quota: Quota, control: &Path) -> Result<(), Failure> {
    if quota.programs == 0 {
        return Ok(());
    }
    let listener = Listener::bind(&control.with_extension("port"))
        .map_err(|why| Failure::Failed(why.to_string()))?;
    let muxes = [("tcp", stack.tcp), ("udp", stack.udp), ("ip", stack.ip)];
    let mut devices: Vec<_> = muxes.map(|(name, mux)| (name.to_owned(), mux)).into();
    devices.extend(stack.devices.iter().cloned());
    let transports = Transports { tcp: stack.tcp, udp: stack.udp };
    let opened = stack.shard.open_port(listener, quota, transports, devices);
    opened.map_err(|why| Failure::Failed(format!("cannot wait for programs: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_usual_and_nonsense_has_a_reason() {
        assert_eq!(Programs::default().quota(), Ok(Quota::default()));
        let some = Programs { program_memory: Some(32), programs: Some(3), ..Programs::default() };
        let quota = some.quota().unwrap();
        assert_eq!((quota.memory, quota.programs), (32 << 20, 3));
        let shared = Programs { shared_arena: Some(8), ..Programs::default() };
        assert_eq!(shared.quota().unwrap().arena, 8 << 20);
        let odd = Programs { program_memory: Some(3), ..Programs::default() };
        assert!(odd.quota().unwrap_err().contains("power of two"));
        let many = Programs { program_sockets: Some(5000), ..Programs::default() };
        assert!(many.quota().is_err());
    }
}
