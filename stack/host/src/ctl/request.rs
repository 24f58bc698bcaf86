//! request: a line of JSON becomes a request, or a sentence about what is wrong with it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;

/// What a stack can be asked for over its control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Request {
    /// Version of the program, name and process of the stack.
    Version {},
    /// Modules of every stream, top down, with their parameters.
    Conf {},
    /// Counters.
    Stat {},
    /// Puts a module in just below the head.
    Push {
        /// Name of the stream, or `NAME#NUMBER`.
        stream: String,
        /// Name in the table of modules.
        module: String,
        /// Set in order before the first message.
        #[serde(default)]
        params: Vec<Param>,
    },
    /// Takes the topmost module out.
    Pop {
        /// Name of the stream.
        stream: String,
    },
    /// Puts a module in at a position.
    Insert {
        /// Name of the stream.
        stream: String,
        /// 0 is just above the driver or multiplexor.
        pos: usize,
        /// Name in the table of modules.
        module: String,
        /// Set in order before the first message.
        #[serde(default)]
        params: Vec<Param>,
    },
    /// Takes the module at a position out.
    Remove {
        /// Name of the stream.
        stream: String,
        /// 0 is just above the driver or multiplexor.
        pos: usize,
    },
    /// Puts a module or multiplexor in the place of another, which hands its state over.
    Replace {
        /// A stream with `pos`; without, a multiplexor.
        target: String,
        /// Position of the module: 0 is just above the driver or multiplexor.
        #[serde(default)]
        pos: Option<usize>,
        /// Name in the table of modules, or of multiplexors.
        module: String,
        /// Set in order afterwards.
        #[serde(default)]
        params: Vec<Param>,
    },
    /// Sets parameters of a module, or of a multiplexor.
    Set {
        /// A stream with `pos`; without, a multiplexor.
        target: String,
        /// Position of the module.
        #[serde(default)]
        pos: Option<usize>,
        /// Set in order, up to the first that is refused.
        params: Vec<Param>,
    },
    /// Links a stream below a multiplexor.
    Link {
        /// Name of the multiplexor.
        mux: String,
        /// Name of the stream.
        stream: String,
    },
    /// Takes a stream from below its multiplexor.
    Unlink {
        /// Name of the stream.
        stream: String,
    },
    /// Where a module is.
    Find {
        /// Its name.
        module: String,
    },
    /// Sockets of `tcp`.
    Sockets {
        /// Which of them.
        #[serde(default)]
        which: WhichSockets,
        /// Only those in this state, as `ss` names it; case does not matter.
        #[serde(default)]
        state: Option<String>,
        /// Only those with this port at one of their ends.
        #[serde(default)]
        port: Option<u16>,
    },
    /// One echo request, and the answer to it.
    Ping {
        /// Whom.
        addr: IpAddr,
        /// Number of the request.
        #[serde(default)]
        seq: u16,
        /// Bytes behind the ICMP header.
        #[serde(default = "default_size")]
        size: u16,
        /// How long the answer may take. Milliseconds, at most 30,000.
        #[serde(default = "default_timeout_ms")]
        timeout_ms: u64,
    },
    /// Follows messages that come to a stream, in place of those followed before.
    Trace {
        /// Name of the stream.
        stream: String,
        /// On their way up or down; both when absent.
        #[serde(default)]
        way: Option<Way>,
        /// Terms of a rule of `filter` that are true of them: `udp dport 7`.
        #[serde(default, rename = "match")]
        matching: Option<String>,
        /// So many of them.
        #[serde(default = "default_count")]
        count: usize,
    },
    /// The paths of messages that have ended.
    Traced {
        /// Wait for the first one so long. Milliseconds, at most 30,000.
        #[serde(default)]
        wait_ms: u64,
        /// Wait all of that time, stop, and say of the others how far they have come.
        #[serde(default)]
        last: bool,
    },
    /// Takes times of queues, or says them.
    Hist {
        /// Name of the stream.
        stream: String,
        /// Position of a module; all nodes of the stream when absent.
        #[serde(default)]
        pos: Option<usize>,
        /// What is to be done.
        #[serde(rename = "do")]
        action: HistAction,
    },
    /// Looks after the rules of queues, or no more; `stat` says who broke which.
    Monitor {
        /// Begin, or end.
        on: bool,
    },
    /// Records what passes the boundaries between nodes: after the answer the connection carries
    /// pcapng, until the client closes its side.
    Capture {
        /// Names of streams; all when there are none.
        #[serde(default)]
        streams: Vec<String>,
        /// So many bytes of each message.
        #[serde(default = "default_snaplen")]
        snaplen: usize,
    },
    /// Stops the stack.
    Down {},
}

/// Which sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhichSockets {
    /// Connections.
    #[default]
    Connected,
    /// Listeners.
    Listening,
    /// All, those that are only bound too.
    All,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Towards programs.
    Up,
    /// Towards the device.
    Down,
}

/// What `hist` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistAction {
    /// Begins to take times.
    On,
    /// Forgets them.
    Off,
    /// Says them.
    Show,
}

/// A parameter: name and value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Param(pub String, pub String);

impl Request {
    /// A stack answers between two turns, so at once.
    pub(super) const ANSWER_TIME: Duration = Duration::from_secs(5);

    /// How long the answer may take.
    pub(super) fn answer_time(&self) -> Duration {
        match self {
            Self::Ping { timeout_ms: ms, .. } | Self::Traced { wait_ms: ms, .. } => {
                Self::ANSWER_TIME + Duration::from_millis(*ms)
            }
            // Modules may take the close time, 15 s each, for their open and close.
            Self::Push { .. }
            | Self::Pop { .. }
            | Self::Insert { .. }
            | Self::Remove { .. }
            | Self::Replace { .. }
            | Self::Link { .. }
            | Self::Unlink { .. } => 7 * Self::ANSWER_TIME,
            _ => Self::ANSWER_TIME,
        }
    }

    /// Reads one line.
    ///
    /// # Errors
    /// A sentence.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let value: Value =
            serde_json::from_slice(line).map_err(|e| format!("the request is no JSON: {e}"))?;
        let Value::Object(fields) = &value else {
            return Err("the request is no JSON object: write {\"op\":\"conf\"}".to_owned());
        };
        if !fields.get("op").is_some_and(Value::is_string) {
            return Err("the request has no \"op\" that is a text".to_owned());
        }
        serde_json::from_value(value).map_err(|e| format!("the request does not fit: {e}"))
    }
}

fn default_count() -> usize {
    1
}

fn default_snaplen() -> usize {
    65_536
}

fn default_size() -> u16 {
    56
}

fn default_timeout_ms() -> u64 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        Request::parse(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn requests_survive_their_encoding() {
        let param = Param("loss".into(), "1%".into());
        for request in [
            Request::Conf {},
            Request::Insert {
                stream: "tap0".into(),
                pos: 0,
                module: "impair".into(),
                params: vec![param.clone()],
            },
            Request::Set { target: "ip".into(), pos: None, params: vec![param] },
            Request::Ping { addr: [10, 0, 0, 1].into(), seq: 3, size: 8, timeout_ms: 5 },
            Request::Down {},
        ] {
            let line = serde_json::to_vec(&request).unwrap();
            assert_eq!(Request::parse(&line), Ok(request));
        }
    }

    #[test]
    fn every_refusal_names_its_cause() {
        assert!(refused("{\"op\":\"conf\"").contains("no JSON: EOF"));
        assert!(refused("\u{7}").contains("no JSON"));
        assert!(refused("[1]").contains("no JSON object"));
        assert!(refused("{\"op\":7}").contains("no \"op\""));
        assert!(refused("{\"op\":\"fly\"}").contains("unknown variant `fly`"));
        assert!(refused("{\"op\":\"pop\"}").contains("missing field `stream`"));
        assert!(refused("{\"op\":\"pop\",\"stream\":7}").contains("expected a string"));
        assert!(refused("{\"op\":\"pop\",\"stream\":\"a\",\"x\":1}").contains("unknown field `x`"));
        let pos = "{\"op\":\"remove\",\"stream\":\"a\",\"pos\":-1}";
        assert!(refused(pos).contains("expected usize"), "{}", refused(pos));
        let addr = "{\"op\":\"ping\",\"addr\":\"nobody\"}";
        assert!(refused(addr).contains("IP address"), "{}", refused(addr));
        let deep = "[".repeat(60_000);
        assert!(refused(&deep).contains("recursion limit"));
    }
}
