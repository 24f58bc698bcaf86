//! A stream on a probe: what arrives at its head, and what its head sends.

use super::{perimeter, settle};
use millstream_core::{Errno, Event, HeadEvent, Module, NodeId, Perimeter, Signals, StreamId};
use millstream_msg::{Band, Kind, Msg};
use millstream_rig::Probe;

pub(crate) struct Line {
    pub(crate) p: Perimeter,
    pub(crate) stream: StreamId,
    pub(crate) driver: NodeId,
    pub(crate) probe: Probe,
}

pub(crate) fn line() -> Line {
    let mut p = perimeter();
    let probe = Probe::new();
    let (stream, driver) = p.open_device("probe", Box::new(probe.clone()));
    Line { p, stream, driver, probe }
}

/// A line with a module.
pub(crate) fn line_with(module: impl Module) -> Line {
    let mut line = line();
    line.p.push(line.stream, Box::new(module)).unwrap();
    line
}

impl Line {
    pub(crate) fn msg(&mut self, kind: Kind, bytes: &[u8]) -> Msg {
        let mut msg = self.p.pool().copy_from(0, bytes).unwrap();
        msg.set_kind(kind);
        msg
    }

    pub(crate) fn arrives(&mut self, kind: Kind, bytes: &[u8]) {
        let msg = self.msg(kind, bytes);
        self.arrives_msg(msg);
    }

    pub(crate) fn arrives_in_band(&mut self, band: u8, bytes: &[u8]) {
        let mut msg = self.msg(Kind::Data, bytes);
        msg.set_band(Band(band));
        self.arrives_msg(msg);
    }

    /// A message of both parts.
    pub(crate) fn arrives_parts(&mut self, kind: Kind, band: u8, control: &[u8], data: &[u8]) {
        let mut msg = self.msg(kind, control);
        msg.set_band(Band(band));
        let data = self.msg(Kind::Data, data);
        msg.link(data);
        self.arrives_msg(msg);
    }

    pub(crate) fn arrives_msg(&mut self, msg: Msg) {
        self.probe.arrive(msg);
        self.p.poll(self.driver, 1);
        self.settle();
    }

    pub(crate) fn settle(&mut self) {
        settle(&mut self.p, 0);
    }

    pub(crate) fn read(&mut self, len: usize) -> Result<Vec<u8>, Errno> {
        let mut out = vec![0; len];
        let n = self.p.read(self.stream, &mut out)?;
        out.truncate(n);
        Ok(out)
    }

    /// The bytes of the frames that were sent.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        self.settle();
        self.probe.sent_bytes()
    }

    /// What the head said since the last call, signals apart.
    pub(crate) fn events(&mut self) -> Vec<HeadEvent> {
        let all = self.all_events();
        all.into_iter().filter(|event| !matches!(event, HeadEvent::Signal(_))).collect()
    }

    /// The signals since the last call.
    pub(crate) fn signals(&mut self) -> Vec<Signals> {
        let signal = |event| match event {
            HeadEvent::Signal(signals) => Some(signals),
            _ => None,
        };
        self.all_events().into_iter().filter_map(signal).collect()
    }

    /// How many of the events since the last call are such ones.
    pub(crate) fn count_events(&mut self, such: impl Fn(&Event) -> bool) -> usize {
        std::iter::from_fn(|| self.p.event()).filter(such).count()
    }

    fn all_events(&mut self) -> Vec<HeadEvent> {
        let of_head = |event| match event {
            Event::Head(_, event) => Some(event),
            _ => None,
        };
        std::iter::from_fn(|| self.p.event()).filter_map(of_head).collect()
    }

    /// Messages dropped in the whole stream, by reason.
    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        let chain = self.p.chain(self.stream).unwrap();
        let drops = chain.iter().flat_map(|node| &node.stat.drops);
        drops.filter(|(why, _)| why.0 == reason).map(|(_, count)| *count).sum()
    }
}

/// The bytes of a part of a message.
pub(crate) fn bytes(part: &Option<Msg>) -> Option<Vec<u8>> {
    part.as_ref().map(|part| {
        let mut bytes = vec![0; part.len()];
        part.copy_out(0, &mut bytes);
        bytes
    })
}
