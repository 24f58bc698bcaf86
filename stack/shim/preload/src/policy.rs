//! policy: whose a socket is that names an address, as the environment says.

use crate::backend;
use millstream_port::policy::{Call, Policy, Protocol};
use std::net::SocketAddr;
use std::sync::OnceLock;

/// Does a socket that names this address belong to the stack?
pub(crate) fn gives_to_stack(protocol: Protocol, call: Call, at: SocketAddr) -> bool {
    // Who binds to nothing in particular has still said nothing.
    let is_open = call == Call::Bind && at.ip().is_unspecified() && at.port() == 0;
    !is_open && rules().gives_to_stack(protocol, call, at)
}

fn rules() -> &'static Policy {
    static RULES: OnceLock<Policy> = OnceLock::new();
    RULES.get_or_init(|| match read() {
        Ok(rules) => rules,
        Err(why) => backend::give_up(&why),
    })
}

/// The rules, or those of a file when the text begins with `@`; all but loopback without any.
fn read() -> Result<Policy, String> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(Policy::everything()) };
    let text = match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|why| format!("cannot read the policy {file}: {why}"))?,
        None => text,
    };
    text.parse::<Policy>().map_err(|why| why.to_string())
}

const VARIABLE: &str = "MILLSTREAM_POLICY";
