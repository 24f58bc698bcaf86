//! bindings: which versions of which programs a stack serves, and where.

use millstream_onc::Transport;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a stack serves, for its `rpcbind` and for those who add to it: a clone is another handle on
/// the same.
#[derive(Clone, Debug, Default)]
pub struct Bindings(Arc<Mutex<Vec<Binding>>>);

/// A version of a program over one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Number of the program.
    pub program: u32,
    /// Its version.
    pub version: u32,
    /// What carries its calls.
    pub transport: Transport,
    /// Where it is served; the unspecified address stands for every address of the stack.
    pub at: SocketAddr,
    /// Who serves it, for people.
    pub owner: String,
}

impl Bindings {
    /// The most there are: a list of them fits into a datagram.
    pub const MAX: usize = 512;

    /// Adds one; `false`, and nothing is changed, when the version is bound over that transport
    /// already, or when there are [`Bindings::MAX`].
    pub fn set(&self, binding: Binding) -> bool {
        let mut bindings = self.lock();
        let key = |b: &Binding| (b.program, b.version, b.transport == Transport::Udp);
        match bindings.binary_search_by_key(&key(&binding), key) {
            Err(at) if bindings.len() < Self::MAX => {
                bindings.insert(at, binding);
                true
            }
            _ => false,
        }
    }

    /// Removes a version over one transport, or over all; `false` when there was none.
    pub fn unset(&self, program: u32, version: u32, transport: Option<Transport>) -> bool {
        let mut bindings = self.lock();
        let before = bindings.len();
        bindings.retain(|b| {
            let other_transport = transport.is_some_and(|wanted| wanted != b.transport);
            (b.program, b.version) != (program, version) || other_transport
        });
        bindings.len() < before
    }

    /// Where this version is served over this transport; where any other is, the highest, when it
    /// is not and `any_version` is taken (RFC 1833: the call then says which versions there are).
    pub fn find(
        &self,
        program: u32,
        version: u32,
        transport: Transport,
        any_version: bool,
    ) -> Option<SocketAddr> {
        let bindings = self.lock();
        let of_program = |b: &&Binding| (b.program, b.transport) == (program, transport);
        let exact = bindings.iter().find(|b| of_program(b) && b.version == version);
        let other = || bindings.iter().rfind(of_program).filter(|_| any_version);
        exact.or_else(other).map(|b| b.at)
    }

    /// All, by program, version and transport.
    pub fn all(&self) -> Vec<Binding> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Binding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(program: u32, version: u32, transport: Transport, port: u16) -> Binding {
        let at = SocketAddr::from(([0, 0, 0, 0], port));
        Binding { program, version, transport, at, owner: String::new() }
    }

    #[test]
    fn a_version_is_bound_once_over_each_transport_until_it_is_removed() {
        let bindings = Bindings::default();
        assert!(bindings.set(binding(7, 1, Transport::Tcp, 10)));
        assert!(bindings.set(binding(7, 1, Transport::Udp, 11)));
        assert!(!bindings.set(binding(7, 1, Transport::Tcp, 12)), "it is bound");
        assert_eq!(bindings.find(7, 1, Transport::Tcp, false).unwrap().port(), 10);
        assert!(bindings.unset(7, 1, Some(Transport::Tcp)));
        assert!(!bindings.unset(7, 1, Some(Transport::Tcp)));
        assert!(bindings.set(binding(7, 1, Transport::Tcp, 12)));
        assert!(bindings.unset(7, 1, None));
        assert_eq!(bindings.all(), []);
    }

    #[test]
    fn another_version_is_found_only_by_who_takes_any() {
        let bindings = Bindings::default();
        for (version, port) in [(3, 30), (1, 10), (2, 20)] {
            assert!(bindings.set(binding(7, version, Transport::Udp, port)));
        }
        let port =
            |version, any| bindings.find(7, version, Transport::Udp, any).map(|at| at.port());
        assert_eq!([port(1, true), port(9, true)], [Some(10), Some(30)]);
        assert_eq!([port(2, false), port(9, false)], [Some(20), None]);
        assert_eq!(bindings.find(7, 1, Transport::Tcp, true), None);
        assert_eq!(bindings.find(8, 1, Transport::Udp, true), None);
    }

    #[test]
    fn there_is_an_end_to_bindings() {
        let bindings = Bindings::default();
        for program in 0..Bindings::MAX as u32 {
            assert!(bindings.set(binding(program, 1, Transport::Tcp, 1)));
        }
        assert!(!bindings.set(binding(u32::MAX, 1, Transport::Tcp, 1)));
    }
}
