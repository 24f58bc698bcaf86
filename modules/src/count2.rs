//! count2: passes all messages; the second version of `count`, which also knows the largest
//! message of each direction.
//!
//! It takes the place of a running `count` and goes on from its counts. The way back is closed:
//! `count` does not know this version's state, and refuses it.

use crate::count::{self, Count, VERSION as FIRST};
use crate::{ask, state};
use alloc::boxed::Box;
use millstream_core::{Cx, Fields, Invalid, ModInfo, Module, Refused, Side, State};
use millstream_msg::Msg;

/// What `count2` says of itself.
pub const INFO: ModInfo =
    ModInfo::new("count2", "counts as count does, and knows the largest message");

/// The module, and its state.
#[derive(Debug, Default)]
pub struct Count2 {
    counts: Count,
    /// Since it took over, or was reset, by direction. Bytes.
    largest: [usize; 2],
}

/// The layout that it hands over.
const SECOND: u32 = 2;

impl Count2 {
    fn add(&mut self, side: Side, msg: &Msg) {
        self.counts.add(side, msg);
        let largest = &mut self.largest[side as usize];
        *largest = msg.len().max(*largest);
    }
}

impl Module for Count2 {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.add(Side::Read, &msg);
        cx.putnext(msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.add(Side::Write, &msg);
        if let Some(msg) = ask::answer(self, cx, msg) {
            cx.putnext(msg);
        }
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::take(self));
        Some(State { name: count::INFO.name, version: SECOND, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        *self = if state.version == FIRST {
            let counts = state::take(state, count::INFO.name, FIRST)?;
            Self { counts, largest: [0; 2] }
        } else {
            state::take(state, count::INFO.name, SECOND)?
        };
        Ok(())
    }

    fn set(&mut self, cx: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        self.counts.set(cx, key, value)?;
        // The counters took it: it is a reset.
        match value {
            "up" => self.largest[Side::Read as usize] = 0,
            "down" => self.largest[Side::Write as usize] = 0,
            _ => self.largest = [0; 2],
        }
        Ok(())
    }

    fn show(&self, fields: &mut Fields) {
        self.counts.show(fields);
        for (name, largest) in ["up.largest", "down.largest"].into_iter().zip(self.largest) {
            fields.count(name, largest as u64);
        }
    }
}
