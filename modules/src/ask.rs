//! ask: ioctls by which a program reads the counters of a module and sets its parameters.
//!
//! | command | data | answer |
//! |---|---|---|
//! | [`SHOW`] | `NAME` | lines of `name=value` |
//! | [`SET`] | `NAME key=value` | nothing |
//!
//! A module takes what has its name and passes everything else on, so that the topmost module of
//! that name answers. A parameter or value that it does not know is refused with EINVAL.

use alloc::string::String;
use core::fmt::Write;
use millstream_core::ioctl::{BLOCK, Iocblk};
use millstream_core::{Cx, Errno, Fields, Module, Value};
use millstream_msg::{Kind, Msg};

/// Reads parameters and counters.
pub const SHOW: u32 = 0x6d01;
/// Sets a parameter.
pub const SET: u32 = 0x6d02;

/// Longest request: a name, a parameter and its value.
const TEXT_MAX: usize = 1024;

/// Answers a message that asks this module; gives back any other, to be passed on.
#[inline]
pub(crate) fn answer<M: Module>(module: &mut M, cx: &mut Cx<'_>, msg: Msg) -> Option<Msg> {
    if msg.kind() != Kind::Ioctl {
        return Some(msg);
    }
    answer_ioctl(module, cx, msg)
}

#[cold]
fn answer_ioctl<M: Module>(module: &mut M, cx: &mut Cx<'_>, msg: Msg) -> Option<Msg> {
    let mut bytes = [0; TEXT_MAX];
    let Some(Iocblk { cmd, .. }) = Iocblk::parse(msg.first()) else { return Some(msg) };
    if ![SHOW, SET].contains(&cmd) || msg.len() > BLOCK + TEXT_MAX {
        return Some(msg);
    }
    let len = msg.copy_out(BLOCK, &mut bytes);
    let text = core::str::from_utf8(&bytes[..len]).unwrap_or_default();
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    if name != module.info().name {
        return Some(msg);
    }
    if cmd == SHOW {
        let mut fields = Fields::default();
        module.show(&mut fields);
        match cx.pool().copy_from(0, lines(&fields).as_bytes()) {
            Ok(data) => cx.miocack(msg, 0, Some(data)),
            Err(_) => cx.miocnak(msg, Errno::ENOSR),
        }
    } else {
        match rest.split_once('=').map(|(key, value)| module.set(cx, key, value)) {
            Some(Ok(())) => cx.miocack(msg, 0, None),
            _ => cx.miocnak(msg, Errno::EINVAL),
        }
    }
    None
}

fn lines(fields: &Fields) -> String {
    let mut text = String::new();
    for (name, value) in &fields.0 {
        // Writing to a String does not fail.
        let _ = match value {
            Value::Count(count) => writeln!(text, "{name}={count}"),
            Value::Text(value) | Value::Item(value) => writeln!(text, "{name}={value}"),
        };
    }
    text
}
