//! tcp-echo, tcp-discard, tcp-daytime, tcp-time: what comes goes back, is thrown away, or the
//! answer is sent as soon as the connection stands.

use super::{Next, Serve, info};
use crate::services::{ANSWER_MAX, daytime, time};
use millstream_core::{Cx, Fields, ModInfo, Side};
use millstream_msg::{Band, Msg};

/// RFC 862: the blocks that come up go down.
#[derive(Debug, Default)]
pub struct Echo {
    octets: u64,
}

/// What `tcp-echo` says of itself.
pub const ECHO: ModInfo = info("tcp-echo", "sends octets back (RFC 862)");

impl Serve for Echo {
    fn info(&self) -> &'static ModInfo {
        &ECHO
    }

    fn take(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        if !cx.canput(Side::Write, Band(0)) {
            return Err(data);
        }
        self.octets += data.len() as u64;
        cx.put(Side::Write, data);
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("octets", self.octets);
    }
}

/// RFC 863: what comes up is thrown away.
#[derive(Debug, Default)]
pub struct Discard {
    octets: u64,
}

/// What `tcp-discard` says of itself.
pub const DISCARD: ModInfo = info("tcp-discard", "throws octets away (RFC 863)");

impl Serve for Discard {
    fn info(&self) -> &'static ModInfo {
        &DISCARD
    }

    fn take(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        self.octets += data.len() as u64;
        cx.free(data);
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("octets", self.octets);
    }
}

/// Tells the time and ends the connection; what comes up is thrown away.
#[derive(Debug)]
pub struct Tell {
    what: What,
    told: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Daytime,
    Time,
}

/// What `tcp-daytime` says of itself.
pub const DAYTIME: ModInfo = info("tcp-daytime", "sends the date as text (RFC 867)");
/// What `tcp-time` says of itself.
pub const TIME: ModInfo = info("tcp-time", "sends seconds since 1900 (RFC 868)");

impl Tell {
    /// RFC 867: the date as a line.
    pub const DAYTIME: Self = Self { what: What::Daytime, told: false };
    /// RFC 868: seconds since 1900.
    pub const TIME: Self = Self { what: What::Time, told: false };
}

impl Serve for Tell {
    fn info(&self) -> &'static ModInfo {
        match self.what {
            What::Daytime => &DAYTIME,
            What::Time => &TIME,
        }
    }

    fn take(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        cx.free(data);
        Ok(())
    }

    fn send(&mut self, cx: &mut Cx<'_>) -> Next {
        if !self.told {
            let unix_s = cx.wall() / 1_000_000_000;
            let mut text = [0; ANSWER_MAX];
            let answer = match self.what {
                What::Daytime => {
                    let len = daytime(unix_s, &mut text);
                    &text[..len]
                }
                What::Time => {
                    text[..4].copy_from_slice(&time(unix_s));
                    &text[..4]
                }
            };
            if !cx.canput(Side::Write, Band(0)) {
                return Next::Wait;
            }
            let Ok(answer) = cx.pool().copy_from(0, answer) else { return Next::Memory };
            cx.put(Side::Write, answer);
            self.told = true;
        }
        Next::End
    }

    /// A peer may end its direction before it is answered.
    fn finish(&mut self, cx: &mut Cx<'_>) -> bool {
        self.send(cx) == Next::End
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("answers", self.told.into());
    }
}
