//! netns: network namespaces without names, and closures that run inside them.
//!
//! A namespace lives as long as a descriptor, a socket or a thread refers to it: dropping the last
//! [`Netns`] removes its interfaces with it. See network_namespaces(7), setns(2),
//! user_namespaces(7).

mod error;

pub use self::error::NetnsError;

use crate::netlink::{Netlink, NetlinkError};
use crate::sys;
use rustix::thread::{CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

/// A network namespace, kept alive by this handle.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
}

impl Netns {
    /// Makes a namespace that holds only `lo`, switched on. The calling thread stays where it is.
    ///
    /// IPv6 is switched off in it, so that the kernel sends no frames of its own (router
    /// solicitations, group reports); [`Netns::enable_ipv6`] switches it on for an interface. Where
    /// /proc/sys is absent or read-only IPv6 stays as the kernel has it.
    ///
    /// # Errors
    /// [`NetnsError::NoRight`] without CAP_SYS_ADMIN, which [`enter_user_namespace`] can give.
    pub fn new() -> Result<Self, NetnsError> {
        on_helper_thread(|| {
            sys::unshare_network().map_err(NetnsError::from_unshare)?;
            let namespace = Self::current()?;
            prepare()?;
            Ok(namespace)
        })?
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// [`NetnsError::Open`] where /proc is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// An existing namespace by its file: /proc/PID/ns/net, or a bind mount of one; a text without
    /// `/` is a name as in ip-netns(8), below /run/netns.
    ///
    /// # Errors
    /// [`NetnsError::Open`] if there is no such file; those of [`Netns::run`] if it cannot be
    /// entered.
    pub fn named(path: impl AsRef<Path>) -> Result<Self, NetnsError> {
        let path = path.as_ref();
        let is_name = path.components().count() == 1 && !path.has_root();
        let namespace = if is_name {
            Self::open(&Path::new("/run/netns").join(path))?
        } else {
            Self::open(path)?
        };
        namespace.run(|| ())?; // Any file opens; only entering tells whether it is a namespace.
        Ok(namespace)
    }

    /// Runs `work` on a thread inside the namespace and waits for it. Descriptors opened there
    /// belong to the namespace and may be used anywhere. A panic of `work` continues in the caller.
    ///
    /// # Errors
    /// [`NetnsError::NotANamespace`] or [`NetnsError::NoRight`], before `work` has begun.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        on_helper_thread(|| {
            self.enter()?;
            Ok(work())
        })?
    }

    /// Moves the calling thread into the namespace for good; threads it starts later begin there.
    ///
    /// # Errors
    /// As [`Netns::run`].
    pub fn enter(&self) -> Result<(), NetnsError> {
        move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(NetnsError::from_setns)
    }

    /// Sets a kernel variable of the namespace: `sysctl("net/ipv4/ip_forward", "1")`.
    ///
    /// # Errors
    /// [`NetnsError::BadSysctl`] unless the path begins with `net/`: others are the whole
    /// machine's. [`NetnsError::Sysctl`] if the kernel lacks it or refuses the value. Those of
    /// [`Netns::run`].
    pub fn sysctl(&self, path: &str, value: &str) -> Result<(), NetnsError> {
        if !path.starts_with("net/") || path.split('/').any(|part| part == "..") {
            return Err(NetnsError::BadSysctl { path: path.to_owned() });
        }
        self.run(|| write_sysctl(path, value))?
            .map_err(|cause| NetnsError::Sysctl { path: path.to_owned(), cause })
    }

    /// Switches IPv6 on for one interface, still without traffic that nobody asked for: no
    /// link-local address of its own, no router solicitations, no search for duplicates.
    ///
    /// # Errors
    /// [`NetnsError::Sysctl`] if the interface is not there or the kernel has no IPv6.
    pub fn enable_ipv6(&self, interface: &str) -> Result<(), NetnsError> {
        let settings = [
            ("addr_gen_mode", "1"), // IN6_ADDR_GEN_MODE_NONE
            ("router_solicitations", "0"),
            ("accept_ra", "0"),
            ("accept_dad", "0"),
            ("disable_ipv6", "0"),
        ];
        for (variable, value) in settings {
            self.sysctl(&format!("net/ipv6/conf/{interface}/{variable}"), value)?;
        }
        Ok(())
    }

    fn open(path: &Path) -> Result<Self, NetnsError> {
        match File::open(path) {
            Ok(file) => Ok(Self { fd: file.into() }),
            Err(cause) => Err(NetnsError::Open { path: path.to_owned(), cause }),
        }
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives a program without rights a user namespace in which it is root, and a fresh network
/// namespace as [`Netns::new`] makes it. The program keeps its files and its user id outside.
///
/// To be called before the first thread is started. After [`NetnsError::IdMap`] or
/// [`NetnsError::Netlink`] the process is in the new namespaces without all their rights and should
/// end.
///
/// # Errors
/// [`NetnsError::Threaded`] in a process with threads; [`NetnsError::UserNamespacesOff`] where the
/// system forbids it.
pub fn enter_user_namespace() -> Result<(), NetnsError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    sys::unshare_user_and_network().map_err(NetnsError::from_unshare_user)?;
    let write = |file: &'static str, text: String| {
        fs::write(file, text).map_err(|cause| NetnsError::IdMap { file, cause })
    };
    match write("/proc/self/setgroups", "deny".to_owned()) {
        // Kernels before 3.19 don't have the file and don't ask for it.
        Err(NetnsError::IdMap { cause, .. }) if cause.kind() == ErrorKind::NotFound => {}
        other => other?,
    }
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))?;
    prepare()?;
    Ok(())
}

/// Whether the calling thread has the rights to make network namespaces and interfaces
/// (CAP_SYS_ADMIN and CAP_NET_ADMIN). Asks only; starts no thread.
pub fn may_make_networks() -> bool {
    let wanted = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN;
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Puts the fresh namespace of the calling thread into the state that `Netns::new` promises.
fn prepare() -> Result<(), NetlinkError> {
    for scope in ["all", "default"] {
        // Absent without IPv6, read-only in many containers; see the promise of `Netns::new`.
        let _ = write_sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    Netlink::open()?.set_up("lo", true)
}

/// Writes a variable of the calling thread's namespace.
fn write_sysctl(path: &str, value: &str) -> io::Result<()> {
    fs::write(Path::new("/proc/sys").join(path), value)
}

/// Runs `work` on a thread of its own, so that the caller's namespace does not change.
fn on_helper_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let helper = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, work)
            .map_err(|cause| NetnsError::Thread { cause })?;
        helper.join().map_err(|panic| resume_unwind(panic))
    })
}
