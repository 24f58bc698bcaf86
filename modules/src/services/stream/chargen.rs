//! tcp-chargen: lines of characters go down while there is room (RFC 864); what comes up is thrown
//! away. The lines are in the program's own memory and are lent, never copied.

use super::{Next, Serve, info};
use bytes::Bytes;
use millstream_core::{Cx, Fields, ModInfo, Side};
use millstream_msg::{Band, Msg};

/// RFC 864.
#[derive(Debug, Default)]
pub struct Chargen {
    octets: u64,
}

/// What `tcp-chargen` says of itself.
pub const CHARGEN: ModInfo = info("tcp-chargen", "sends lines of characters (RFC 864)");

impl Serve for Chargen {
    fn info(&self) -> &'static ModInfo {
        &CHARGEN
    }

    fn take(&mut self, cx: &mut Cx<'_>, data: Msg) -> Result<(), Msg> {
        cx.free(data);
        Ok(())
    }

    fn send(&mut self, cx: &mut Cx<'_>) -> Next {
        while cx.canput(Side::Write, Band(0)) {
            match cx.pool().wrap_bytes(Bytes::from_static(&LINES)) {
                Ok(lines) => cx.put(Side::Write, lines),
                Err(_) => return Next::Memory,
            }
            self.octets += LINES.len() as u64;
        }
        Next::Wait
    }

    fn show(&self, fields: &mut Fields) {
        fields.count("octets", self.octets);
    }
}

/// All 95 lines, as often as a super-segment holds them: after the last comes the first.
static LINES: [u8; 9 * 95 * LINE] = {
    let mut lines = [0; 9 * 95 * LINE];
    let mut at = 0;
    while at < lines.len() {
        lines[at] = crate::services::answers::chargen_at(0, at);
        at += 1;
    }
    lines
};

const LINE: usize = crate::services::answers::CHARGEN_LINE;
