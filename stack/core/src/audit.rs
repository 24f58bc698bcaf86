//! audit: keeps a ledger of blocks while it is switched on: what each module took, made, put on,
//! freed and keeps, and what lies on each edge between two neighbours. It is part of `watch`: off,
//! a dispatch does not know of it.
//!
//! Blocks and not messages, because messages are joined and parted. What is measured: the blocks
//! put to a node and put on by it, those that the pool made and freed while it ran, and those in
//! its queues. What is left over it keeps itself; that this is so shows when it leaves, with
//! nothing, and in [`Audit::outside`], which is what programs and devices hold and know.

use crate::net::{Net, QueueNo, queue_no, side_of};
use crate::perimeter::{Node, Perimeter};
use crate::queue::Side;
use crate::trace::Place;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use millstream_msg::{Flow, Msg, MsgList};

/// The books of a perimeter. All counts are blocks.
#[derive(Clone, Debug)]
pub struct Audit {
    /// Modules and multiplexors, in order of their places in the table of nodes.
    pub nodes: Vec<NodeAudit>,
    /// In inboxes, between neighbours.
    pub waiting: u64,
    /// With programs and devices. From the beginning of the audit on, when there were none then.
    pub outside: i64,
}

/// The account of one module or multiplexor, since it came or the audit was switched on:
/// `taken + made == put + consumed + discarded + queued + kept`.
#[derive(Clone, Debug)]
pub struct NodeAudit {
    /// Whose.
    pub place: Place,
    /// Put to it.
    pub taken: u64,
    /// Taken from the pool while it ran.
    pub made: u64,
    /// Put on by it, in either direction.
    pub put: u64,
    /// Freed because they had done their work, or cut off.
    pub consumed: u64,
    /// Dropped with a reason.
    pub discarded: u64,
    /// In its queues.
    pub queued: u64,
    /// Held by it outside its queues. From what it had when the audit was switched on.
    pub kept: i64,
}

/// The books do not balance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuditError {
    /// The audit is not switched on.
    Off,
    /// What was put to this node does not wait there and did not come to it; `blocks` are missing,
    /// below 0: too many.
    Edge {
        /// The node that takes.
        to: Place,
        /// In this direction.
        side: Side,
        /// Posted, and neither taken nor waiting.
        blocks: i64,
    },
    /// A node freed blocks without a word: neither consumed nor discarded.
    Unsaid {
        /// The node.
        node: Place,
        /// So many.
        blocks: u64,
    },
    /// A node left, and blocks that came to it are neither gone nor put on; below 0: it gave more
    /// than it had.
    Kept {
        /// The node.
        node: Place,
        /// So many.
        blocks: i64,
    },
}

/// What is written down while the audit is on.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By node, of modules and multiplexors.
    accounts: BTreeMap<u32, Account>,
    /// Programs, heads, devices, drivers, pipes, and the perimeter itself.
    outside: Account,
    /// Posted and not yet taken, by the queue that takes.
    edges: BTreeMap<QueueNo, i64>,
    /// Who runs; `NONE`: somebody outside.
    running: Option<u32>,
    /// What the pool had made and freed, and nodes discarded, when that began.
    flow: Flow,
    discarded: u64,
    /// The message in the slot is written down as posted.
    slot: bool,
    /// The first thing that was wrong with what is gone by now.
    finding: Option<AuditError>,
}

#[derive(Debug, Default)]
struct Account {
    taken: i64,
    made: i64,
    put: i64,
    freed: i64,
    discarded: i64,
    unsaid: i64,
    /// What it kept is not known: it was there before the audit.
    old: bool,
}

impl Account {
    fn kept(&self, queued: u64) -> i64 {
        self.taken + self.made - self.put - self.freed - queued as i64
    }
}

impl Ledger {
    fn account(&mut self, node: Option<u32>) -> &mut Account {
        match node {
            Some(node) => self.accounts.entry(node).or_default(),
            None => &mut self.outside,
        }
    }

    /// Lays what the pool made and freed since the last call to who ran.
    fn settle(&mut self, flow: Flow, discarded: u64) {
        let (before, now) = (self.flow, flow);
        let discarded_before = core::mem::replace(&mut self.discarded, discarded);
        self.flow = flow;
        let account = self.account(self.running);
        account.made += (now.made - before.made) as i64;
        account.freed += (now.freed - before.freed + now.trimmed - before.trimmed) as i64;
        account.unsaid += (now.unsaid - before.unsaid) as i64;
        account.discarded += (discarded - discarded_before) as i64;
        // What was dropped and not cut off counts outside: on which thread is not known.
        self.outside.freed += (now.dropped - before.dropped) as i64;
        self.outside.freed -= (now.trimmed - before.trimmed) as i64;
    }

    fn posted(&mut self, queue: QueueNo, blocks: i64) {
        *self.edges.entry(queue).or_default() += blocks;
        self.account(self.running).put += blocks;
    }

    fn taken(&mut self, queue: QueueNo, node: Option<u32>, blocks: i64) {
        *self.edges.entry(queue).or_default() -= blocks;
        self.account(node).taken += blocks;
    }
}

impl Perimeter {
    /// Keeps the books from now on, or no more. Every dispatch is looked at meanwhile.
    pub fn set_audit(&mut self, on: bool) {
        if !on {
            self.net.ledger = None;
            if let Some(watch) = &mut self.net.watch {
                watch.audit = false;
                self.rest();
            }
            return;
        }
        self.watched().audit = true;
        self.net.pool.collect();
        let mut ledger = Ledger { flow: self.net.pool.flow(), ..Ledger::default() };
        ledger.discarded = self.net.discarded;
        for (key, _) in self.net.pairs.iter() {
            for queue in Self::queues_of(key.index) {
                ledger.edges.insert(queue, self.in_inbox(queue) as i64);
            }
        }
        for (key, node) in self.nodes.iter() {
            if is_accounted(node) {
                let queued = self.queued(key.index) as i64;
                let account = Account { taken: queued, old: true, ..Account::default() };
                ledger.accounts.insert(key.index, account);
            }
        }
        ledger.outside.taken = self.queued_outside() as i64;
        self.net.ledger = Some(alloc::boxed::Box::new(ledger));
    }

    /// Are the books right? Between any two calls, and as often as one likes: a stack of few
    /// streams pays microseconds for it.
    ///
    /// # Errors
    /// What is wrong: see [`AuditError`].
    pub fn audit(&mut self) -> Result<Audit, AuditError> {
        self.net.pool.collect();
        self.net.attribute(None);
        let ledger = self.net.ledger.as_ref().ok_or(AuditError::Off)?;
        if let Some(finding) = &ledger.finding {
            return Err(finding.clone());
        }
        let waiting = self.audit_edges(ledger)?;
        let mut nodes = Vec::new();
        for (&node, account) in &ledger.accounts {
            nodes.push(self.audit_node(node, account)?);
        }
        let outside = ledger.outside.kept(self.queued_outside());
        Ok(Audit { nodes, waiting, outside })
    }

    /// What waits on all edges; an edge where it is not what was posted is an error.
    fn audit_edges(&self, ledger: &Ledger) -> Result<u64, AuditError> {
        let mut all = 0;
        for (key, _) in self.net.pairs.iter() {
            for side in [Side::Read, Side::Write] {
                let queue = queue_no(key.index, side);
                let slot = self.net.slot.iter().filter(|(to, _)| *to == queue);
                let waiting = self.in_inbox(queue) + blocks(slot.map(|(_, msg)| msg));
                let missing =
                    ledger.edges.get(&queue).copied().unwrap_or_default() - waiting as i64;
                if missing != 0 {
                    let to = self.place(key.index);
                    return Err(AuditError::Edge { to, side, blocks: missing });
                }
                all += waiting;
            }
        }
        Ok(all)
    }

    fn audit_node(&self, node: u32, account: &Account) -> Result<NodeAudit, AuditError> {
        let queued = self.queued(node);
        let (place, kept) = (self.place_of_node(node), account.kept(queued));
        if account.unsaid != 0 {
            return Err(AuditError::Unsaid { node: place, blocks: account.unsaid as u64 });
        }
        if kept < 0 && !account.old {
            return Err(AuditError::Kept { node: place, blocks: kept });
        }
        Ok(NodeAudit {
            place,
            taken: account.taken as u64,
            made: account.made as u64,
            put: account.put as u64,
            consumed: (account.freed - account.discarded) as u64,
            discarded: account.discarded as u64,
            queued,
            kept,
        })
    }

    /// Blocks in the queues of a node.
    fn queued(&self, node: u32) -> u64 {
        let own = self.net.pairs.iter().filter(|(_, pair)| pair.node == node);
        own.flat_map(|(_, pair)| &pair.queues).map(|q| blocks(q.held.iter())).sum()
    }

    fn queued_outside(&self) -> u64 {
        let ends = self.net.pairs.iter().filter(|(_, pair)| !self.is_accounted(pair.node));
        ends.flat_map(|(_, pair)| &pair.queues).map(|q| blocks(q.held.iter())).sum()
    }

    fn is_accounted(&self, node: u32) -> bool {
        self.nodes.at(node).is_some_and(is_accounted)
    }

    fn place_of_node(&self, node: u32) -> Place {
        let pair = self.net.pairs.iter().find(|(_, pair)| pair.node == node);
        if let Some((key, _)) = pair {
            return self.place(key.index);
        }
        let (name, kind) = self.nodes.at(node).map(Node::label).unwrap_or_default();
        Place { stream: Default::default(), node: name, kind, pos: None }
    }

    /// Who has an account among those that a queue may belong to.
    pub(crate) fn ledger_node(&self, queue: QueueNo) -> Option<u32> {
        let node = self.net.pairs.at(queue >> 1)?.node;
        Some(node).filter(|&node| self.is_accounted(node))
    }

    /// Messages are put to a queue: from now on its node runs.
    pub(crate) fn ledger_takes(&mut self, queue: QueueNo, batch: &MsgList) {
        let node = self.ledger_node(queue);
        self.net.attribute(node);
        let slot = self.net.slot.is_some();
        if let Some(ledger) = &mut self.net.ledger {
            ledger.slot = slot;
            ledger.taken(queue, node, blocks(batch.iter()) as i64);
        }
    }

    /// Messages of a node's queue go back to its inbox, where they are about to be posted again.
    pub(crate) fn ledger_returns(&mut self, queue: QueueNo, messages: &MsgList) {
        let node = self.ledger_node(queue);
        if let Some(ledger) = &mut self.net.ledger {
            ledger.taken(queue, node, -(blocks(messages.iter()) as i64));
            ledger.posted(queue, -(blocks(messages.iter()) as i64));
        }
    }

    /// A pair goes, or changes its node: what its queues hold is the perimeter's from now on.
    pub(crate) fn ledger_yields(&mut self, pair: u32) {
        let Some(p) = self.net.pairs.at(pair) else { return };
        let held = p.queues.each_ref().map(|q| blocks(q.held.iter()) as i64);
        let node = p.node;
        if let Some(ledger) = &mut self.net.ledger
            && let Some(account) = ledger.accounts.get_mut(&node)
        {
            account.put += held[0] + held[1];
            ledger.outside.taken += held[0] + held[1];
        }
    }

    /// Blocks in a queue's inbox.
    fn in_inbox(&self, queue: QueueNo) -> u64 {
        self.net.inbox(queue).map_or(0, |inbox| blocks(inbox.iter()))
    }

    /// A pair is about to be removed: what is in its inboxes is the perimeter's.
    pub(crate) fn ledger_closes(&mut self, pair: u32) {
        if self.net.ledger.is_none() {
            return;
        }
        self.ledger_yields(pair);
        for queue in Self::queues_of(pair) {
            let waiting = self.in_inbox(queue) as i64;
            let place = self.place(pair);
            let Some(ledger) = &mut self.net.ledger else { return };
            ledger.outside.taken += waiting;
            let missing = ledger.edges.remove(&queue).unwrap_or_default() - waiting;
            if missing != 0 {
                let (to, side) = (place, side_of(queue));
                ledger.finding.get_or_insert(AuditError::Edge { to, side, blocks: missing });
            }
        }
    }

    /// A node leaves; it should have nothing any more. Before its pairs go.
    pub(crate) fn ledger_leaves(&mut self, node: u32) {
        if !self.is_accounted(node) || self.net.ledger.is_none() {
            return;
        }
        let place = self.place_of_node(node);
        let Some(ledger) = &mut self.net.ledger else { return };
        let Some(account) = ledger.accounts.remove(&node) else { return };
        let blocks = account.kept(0);
        if account.unsaid != 0 {
            let blocks = account.unsaid as u64;
            ledger.finding.get_or_insert(AuditError::Unsaid { node: place, blocks });
        } else if blocks != 0 && !account.old {
            ledger.finding.get_or_insert(AuditError::Kept { node: place, blocks });
        }
    }
}

impl Net {
    /// From now on this node runs, or nobody inside.
    #[inline]
    pub(crate) fn attribute(&mut self, node: Option<u32>) {
        if self.ledger.is_some() {
            self.attribute_to(node);
        }
    }

    #[cold]
    fn attribute_to(&mut self, node: Option<u32>) {
        let Some(ledger) = &mut self.ledger else { return };
        if let Some((queue, msg)) = &self.slot
            && !core::mem::replace(&mut ledger.slot, true)
        {
            ledger.posted(*queue, msg.blocks().count() as i64);
        }
        ledger.settle(self.pool.flow(), self.discarded);
        ledger.running = node;
    }

    /// Messages are about to be appended to an inbox.
    #[inline]
    pub(crate) fn ledger_posts(&mut self, queue: QueueNo, batch: &MsgList) {
        if let Some(ledger) = &mut self.ledger {
            ledger.posted(queue, blocks(batch.iter()) as i64);
        }
    }

    /// One message is about to be appended to an inbox.
    #[inline]
    pub(crate) fn ledger_posts_one(&mut self, queue: QueueNo, msg: &Msg) {
        if let Some(ledger) = &mut self.ledger {
            ledger.posted(queue, msg.blocks().count() as i64);
        }
    }

    /// Messages were taken out of an inbox again, to be posted elsewhere.
    pub(crate) fn ledger_unposts(&mut self, queue: QueueNo, batch: &MsgList) {
        if let Some(ledger) = &mut self.ledger {
            ledger.posted(queue, -(blocks(batch.iter()) as i64));
        }
    }

    /// The message of the slot goes to its inbox, where it is posted.
    pub(crate) fn ledger_spills(&mut self, queue: QueueNo, msg: &Msg) {
        if let Some(ledger) = &mut self.ledger
            && core::mem::take(&mut ledger.slot)
        {
            ledger.posted(queue, -(msg.blocks().count() as i64));
        }
    }

    /// A node gave a message to the perimeter, which acts on it.
    pub(crate) fn ledger_gives(&mut self, node: u32, msg: &Msg) {
        if let Some(ledger) = &mut self.ledger {
            let blocks = msg.blocks().count() as i64;
            ledger.account(Some(node)).put += blocks;
            ledger.outside.taken += blocks;
        }
    }
}

fn is_accounted(node: &Node) -> bool {
    matches!(node, Node::Module(..) | Node::Pending(..) | Node::Mux(_))
}

fn blocks<'a>(messages: impl Iterator<Item = &'a Msg>) -> u64 {
    messages.map(|msg| msg.blocks().count() as u64).sum()
}

impl core::fmt::Display for AuditError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Off => f.write_str("the audit is not switched on"),
            Self::Edge { to, side, blocks } => {
                let way = if *side == Side::Read { "up" } else { "down" };
                write!(f, "{blocks} blocks on their way {way} to {to} are missing")
            }
            Self::Unsaid { node, blocks } => {
                write!(f, "{node} freed {blocks} blocks and did not say why")
            }
            Self::Kept { node, blocks } if *blocks < 0 => {
                write!(f, "{node} put on {} blocks that it never had", -blocks)
            }
            Self::Kept { node, blocks } => write!(f, "{node} left with {blocks} blocks"),
        }
    }
}

impl core::error::Error for AuditError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::module::{ModInfo, Module};
    use crate::{Caps, Config, Device, Errno};
    use alloc::boxed::Box;
    use alloc::string::ToString;
    use millstream_msg::offload::Can;
    use millstream_msg::{Pool, PoolConfig};

    struct Void;

    impl Device for Void {
        fn caps(&self) -> Caps {
            Caps { mtu: 1500, mac: [0; 6], can: Can::ALL }
        }

        fn recv(&mut self, _: &mut Pool, _: &mut MsgList, _: usize) -> Result<usize, Errno> {
            Ok(0)
        }

        fn send(&mut self, _: &mut MsgList) -> Result<(), Errno> {
            Ok(())
        }
    }

    struct Plain;

    impl Module for Plain {
        fn info(&self) -> &'static ModInfo {
            const INFO: ModInfo = ModInfo::new("plain", "passes all");
            &INFO
        }
    }

    #[test]
    fn a_message_that_vanishes_between_two_nodes_names_the_edge() {
        let pool = Pool::new(PoolConfig::TINY);
        let mut p = Perimeter::new(Config { pool, seed: 1, clock: None });
        p.set_audit(true);
        let (stream, _) = p.open_device("line", Box::new(Void));
        p.push(stream, Box::new(Plain)).expect("a module");
        for _ in 0..2 {
            let msg = p.pool().copy_from(0, b"message").expect("memory");
            p.putmsg(stream, msg).expect("room");
        }
        assert_eq!(p.audit().expect("balanced").waiting, 2);
        let pairs = p.net.pairs.iter().flat_map(|(key, _)| Perimeter::queues_of(key.index));
        let inbox = pairs.filter_map(|queue| p.net.queue(queue)).map(|q| q.inbox);
        let at = inbox.into_iter().find(|at| p.net.inboxes.get(*at).is_some()).expect("an inbox");
        let msg = p.net.inboxes.get_mut(at).and_then(|inbox| inbox.pop()).expect("a message");
        p.pool().free(msg);
        let found = p.audit().expect_err("one is missing").to_string();
        assert_eq!(found, "1 blocks on their way down to plain at 0 of line are missing");
        p.close(stream).expect("it is open");
        assert!(matches!(p.audit(), Err(AuditError::Edge { blocks: 1, .. })), "still known");
    }
}
