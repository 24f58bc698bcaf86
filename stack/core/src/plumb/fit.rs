//! Contracts of the nodes of a stream, before it is changed.

use super::error::PlumbError;
use crate::contract::{self, Contract, Joint, Party};
use crate::module::ModInfo;
use crate::mux::MuxInfo;
use crate::net::Role;
use crate::perimeter::{Node, NodeId, Perimeter, StreamId};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most that the modules of a stream may want in front of a message, in bytes: a message of a full
/// frame and this still fit a cell of 2 KiB.
const HEADROOM_MAX: u32 = 512;

/// A change of the modules of a stream.
#[derive(Clone, Copy)]
pub(super) enum Edit {
    Insert(usize, &'static ModInfo),
    Remove(usize),
    Replace(usize, &'static ModInfo),
}

impl Perimeter {
    /// Would the nodes of a stream still agree after a change of its modules?
    pub(super) fn may_edit(&self, stream: StreamId, edit: Edit) -> Result<(), PlumbError> {
        let parties = self.parties(stream)?;
        if let Edit::Insert(_, info) | Edit::Replace(_, info) = edit {
            let now = self.streams.get(stream.0).map_or(0, |s| s.headroom);
            // The predecessor's is counted too: the most that is needed while both are there.
            let need = u32::from(now) + u32::from(info.headroom);
            if need > HEADROOM_MAX {
                return Err(PlumbError::Headroom { need, most: HEADROOM_MAX });
            }
        }
        let Err(mut broken) = contract::check(&edited(&parties, edit)) else { return Ok(()) };
        if let Edit::Insert(_, info) = edit {
            // One more place than there are modules; the first and last party are the ends.
            broken.fits_at = (0..parties.len() - 1)
                .find(|&pos| contract::check(&edited(&parties, Edit::Insert(pos, info))).is_ok());
        }
        Err(PlumbError::Contract(Box::new(broken)))
    }

    /// Would the nodes of a stream agree below a multiplexor?
    pub(super) fn agrees_below(&self, stream: StreamId, mux: &MuxInfo) -> Result<(), PlumbError> {
        let mut parties = self.parties(stream)?;
        if let Some(top) = parties.last_mut() {
            *top = Party { name: mux.name, contract: mux.contract };
        }
        contract::check(&parties).map_err(|broken| PlumbError::Contract(Box::new(broken)))
    }

    /// Would the streams of a multiplexor agree with another one in its place?
    pub(super) fn may_stand_in(&self, mux: NodeId, new: &MuxInfo) -> Result<(), PlumbError> {
        let new = Party { name: new.name, contract: new.contract };
        for (key, s) in self.streams.iter() {
            let is = |pair| self.node_of(pair) == mux.0.index;
            if !is(s.top) && !is(s.bottom) {
                continue;
            }
            let mut parties = self.parties(StreamId(key))?;
            let last = parties.len() - 1;
            for (at, pair) in [(0, s.bottom), (last, s.top)] {
                if is(pair) {
                    parties[at] = new;
                }
            }
            contract::check(&parties).map_err(|broken| PlumbError::Contract(Box::new(broken)))?;
        }
        Ok(())
    }

    /// The nodes of a stream from the bottom, as their neighbours see them.
    fn parties(&self, stream: StreamId) -> Result<Vec<Party<'_>>, PlumbError> {
        let s = self.streams.get(stream.0).ok_or(PlumbError::NoStream)?;
        let modules = self.modules(stream)?;
        let pairs = [s.bottom].into_iter().chain(modules).chain([s.top]);
        Ok(pairs.filter_map(|pair| self.party(pair)).collect())
    }

    fn party(&self, pair: u32) -> Option<Party<'_>> {
        let pair = self.net.pairs.at(pair)?;
        Some(match self.nodes.at(pair.node)? {
            Node::Module(module, _) | Node::Pending(module, _) => of_module(module.info()),
            Node::Mux(mux) => Party { name: mux.info().name, contract: mux.info().contract },
            Node::Driver(driver, _) => {
                let joint = Joint::both(driver.formats);
                let contract = Contract { above: joint, ..Contract::TRANSPARENT };
                Party { name: &driver.name, contract }
            }
            // A program knows what it sends, and a pipe what comes from the other end.
            Node::Head(_) | Node::Pipe => {
                debug_assert!(pair.role != Role::Upper, "the bottom on a multiplexor is a mux");
                Party { name: "head", contract: Contract::TRANSPARENT }
            }
        })
    }
}

fn of_module(info: &'static ModInfo) -> Party<'static> {
    Party { name: info.name, contract: info.contract }
}

/// The nodes after a change. Position 0 is above the first node.
fn edited<'a>(parties: &[Party<'a>], edit: Edit) -> Vec<Party<'a>> {
    let mut after = parties.to_vec();
    match edit {
        Edit::Insert(pos, info) => after.insert(pos + 1, of_module(info)),
        Edit::Remove(pos) => drop(after.remove(pos + 1)),
        Edit::Replace(pos, info) => after[pos + 1] = of_module(info),
    }
    after
}
