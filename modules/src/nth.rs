//! nth: passes all frames but every n-th one of each direction, which it drops. Loss without
//! chance, and the example of CONTRIBUTING: a module is a file like this and a line in the table.
//!
//! `every=N` (a number, or `off`) sets how many frames make a turn.

use millstream_core::{Cx, Drop, Fields, Invalid, ModInfo, Module, Side};
use millstream_msg::{Kind, Msg};

/// What `nth` says of itself.
pub const INFO: ModInfo = ModInfo::new("nth", "drops every n-th frame");

/// The module. Its state is plain; time, memory and neighbours come with each call, in `cx`.
#[derive(Debug, Default)]
pub struct Nth {
    every: Option<u64>,
    seen: [u64; 2],
}

impl Nth {
    fn put(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        // Other kinds are not data: a module that does not know them passes them on.
        if let (Some(every), Kind::Data) = (self.every, msg.kind()) {
            self.seen[side as usize] += 1;
            if self.seen[side as usize].is_multiple_of(every) {
                return cx.discard(msg, Drop("nth: its turn"));
            }
        }
        cx.putnext(msg);
    }
}

impl Module for Nth {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Read, msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Write, msg);
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        self.every = match (key, value, value.parse()) {
            ("every", "off", _) => None,
            ("every", _, Ok(n)) if n > 0 => Some(n),
            ("every", ..) => return Err(Invalid::value(key, value, "off or a number from 1")),
            _ => return Err(Invalid::unknown(key)),
        };
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        fields.text("every", self.every.map_or("off".into(), |n| alloc::format!("{n}")));
    }
}
