//! error: the errno of making or entering a namespace becomes one sentence with cause and remedy.

use crate::netlink::NetlinkError;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// Why a namespace could not be made, entered or set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetnsError {
    /// EPERM of unshare(2) or setns(2).
    #[error(
        "no right to {what} a network namespace: run as root, give CAP_SYS_ADMIN, or start the \
         program inside a user namespace (unshare --user --map-root-user --net)"
    )]
    NoRight {
        /// `make` or `enter`.
        what: &'static str,
    },
    /// The system forbids user namespaces to this user.
    #[error(
        "this system forbids user namespaces to ordinary users: run as root, or allow them (sysctl \
         kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, or a \
         container without that seccomp rule)"
    )]
    UserNamespacesOff,
    /// The user namespace wants a process of one thread.
    #[error(
        "a user namespace can only be entered before the program starts its first thread: enter it \
         at the beginning of main"
    )]
    Threaded,
    /// ENOSPC or EUSERS of unshare(2).
    #[error(
        "too many namespaces ({cause}): raise user.max_net_namespaces and \
         user.max_user_namespaces, or end the programs that hold some"
    )]
    TooMany {
        /// What unshare(2) said.
        cause: io::Error,
    },
    /// The file of a namespace does not open.
    #[error("cannot open the network namespace {}: {cause}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What open(2) said.
        cause: io::Error,
    },
    /// The descriptor is of another file.
    #[error(
        "the file is not a network namespace: give /proc/PID/ns/net or a file below /run/netns"
    )]
    NotANamespace,
    /// A map of user or group ids could not be written.
    #[error(
        "cannot write {file}: {cause}; security policy of the system forbids user namespaces to \
         this program, run it as root"
    )]
    IdMap {
        /// The file below /proc.
        file: &'static str,
        /// What write(2) said.
        cause: io::Error,
    },
    /// A kernel variable outside of the namespace.
    #[error(
        "{path:?} is not a variable of a network namespace: give a path such as net/ipv4/ip_forward"
    )]
    BadSysctl {
        /// The path asked for.
        path: String,
    },
    /// A kernel variable could not be written.
    #[error("cannot write the kernel variable {path}: {cause}")]
    Sysctl {
        /// The path below /proc/sys.
        path: String,
        /// What open(2) or write(2) said.
        cause: io::Error,
    },
    /// The helper thread did not start.
    #[error(
        "cannot start a thread for the network namespace: {cause}; look at the limit on processes"
    )]
    Thread {
        /// What clone(2) said.
        cause: io::Error,
    },
    /// Any other refusal.
    #[error("cannot {what} a network namespace: {cause}; the kernel needs CONFIG_NET_NS")]
    Refused {
        /// `make` or `enter`.
        what: &'static str,
        /// The errno of the kernel.
        cause: io::Error,
    },
    /// `lo` could not be switched on.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

impl NetnsError {
    /// A failed unshare(CLONE_NEWNET).
    pub(super) fn from_unshare(errno: Errno) -> Self {
        match errno {
            Errno::PERM => Self::NoRight { what: "make" },
            Errno::NOSPC | Errno::USERS => Self::TooMany { cause: errno.into() },
            _ => Self::Refused { what: "make", cause: errno.into() },
        }
    }

    /// A failed unshare(CLONE_NEWUSER | CLONE_NEWNET): other causes have the same numbers.
    pub(super) fn from_unshare_user(errno: Errno) -> Self {
        match errno {
            Errno::PERM | Errno::ACCESS => Self::UserNamespacesOff,
            Errno::INVAL => Self::Threaded,
            _ => Self::from_unshare(errno),
        }
    }

    /// A failed setns(2).
    pub(super) fn from_setns(errno: Errno) -> Self {
        match errno {
            Errno::PERM => Self::NoRight { what: "enter" },
            Errno::INVAL => Self::NotANamespace,
            _ => Self::Refused { what: "enter", cause: errno.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_errno_is_explained_by_what_was_tried() {
        let text = NetnsError::from_unshare(Errno::PERM).to_string();
        assert!(text.contains("no right to make") && text.contains("CAP_SYS_ADMIN"), "{text}");
        let text = NetnsError::from_setns(Errno::PERM).to_string();
        assert!(text.contains("no right to enter"), "{text}");
        let text = NetnsError::from_unshare_user(Errno::PERM).to_string();
        assert!(text.contains("forbids user namespaces"), "{text}");
        let text = NetnsError::from_unshare_user(Errno::INVAL).to_string();
        assert!(text.contains("first thread"), "{text}");
        let text = NetnsError::from_setns(Errno::INVAL).to_string();
        assert!(text.contains("not a network namespace"), "{text}");
    }

    #[test]
    fn a_limit_names_the_sysctl_to_raise() {
        for errno in [Errno::NOSPC, Errno::USERS] {
            assert!(NetnsError::from_unshare(errno).to_string().contains("max_net_namespaces"));
        }
    }
}
