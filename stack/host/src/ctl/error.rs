//! error: why a control socket was not made or reached, as a sentence that says what to do.

use std::io;
use std::path::PathBuf;

/// Why there is no control socket, or no answer on it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CtlError {
    /// A name that cannot be one of a stack.
    #[error(
        "{name:?} is no name for a stack: use 1 to 32 letters, digits, '-', '_' and '.', not \
         beginning with '.' or '-'"
    )]
    BadName {
        /// The text.
        name: String,
    },
    /// The folder of sockets belongs to another user, or is no folder.
    #[error(
        "{} {what}: others could reach or replace the control socket there; remove it, or set \
         XDG_RUNTIME_DIR to a folder of your own", .path.display()
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A live stack has the name.
    #[error(
        "a stack named {name} runs already: choose another --name, or stop it with: millstream \
         down --name {name}"
    )]
    Runs {
        /// The name.
        name: String,
    },
    /// No stack has the name.
    #[error("no stack named {name} runs{}", running(.others))]
    NoStack {
        /// The name.
        name: String,
        /// Those that do.
        others: Vec<String>,
    },
    /// No stack runs at all.
    #[error(
        "no stack of yours runs: start one with: millstream up --name NAME --tap IF --addr ADDR/LEN"
    )]
    NoneRuns,
    /// Several stacks run and none was named.
    #[error("several stacks run: choose one with --name: {}", .names.join(", "))]
    Ambiguous {
        /// Their names.
        names: Vec<String>,
    },
    /// The path is longer than an address of a socket can be.
    #[error(
        "the path {} is longer than the 107 bytes of a socket's address: set XDG_RUNTIME_DIR to a \
         shorter one", .path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot {what} {}: {cause}", .path.display())]
    Io {
        /// What was tried, as a verb phrase.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The stack did not answer.
    #[error(
        "the stack {name} does not answer: {what}; if it hangs, end its process and start it again"
    )]
    Silent {
        /// Its name.
        name: String,
        /// What happened instead.
        what: String,
    },
    /// The connection broke off.
    #[error("the stack {name} has gone")]
    Gone {
        /// Its name.
        name: String,
    },
    /// The answer is not to be understood.
    #[error("what answers as the stack {name} is another version, or no stack: {what}")]
    Strange {
        /// Its name.
        name: String,
        /// What is wrong with the answer.
        what: String,
    },
    /// The stack refused the request; its own sentence.
    #[error("{0}")]
    Refused(String),
}

impl CtlError {
    /// True when there is no stack to talk to.
    pub fn is_no_stack(&self) -> bool {
        matches!(self, Self::NoStack { .. } | Self::NoneRuns)
    }
}

fn running(others: &[String]) -> String {
    if others.is_empty() {
        "; none of yours does".to_owned()
    } else {
        format!("; these do: {}", others.join(", "))
    }
}
