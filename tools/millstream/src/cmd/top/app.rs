//! app: what top knows and what is chosen. No terminal here.

use crate::cmd::trace;
use millstream_host::ctl::{CtlError, NodeStat, Request, Stat, StreamStat, Traced};
use serde_json::Value;

/// Whoever answers requests: a connection, or a test.
pub(super) trait Ask {
    fn ask(&mut self, request: &Request) -> Result<Value, CtlError>;
}

pub(super) struct App {
    /// Rates, per second.
    pub(super) stat: Stat,
    /// The chosen stream, by its place in `stat`.
    pub(super) stream: usize,
    /// The chosen node of it, counted from the top.
    pub(super) node: usize,
    /// What is being typed.
    pub(super) prompt: Option<Prompt>,
    /// What the last key has done, or why not.
    pub(super) said: String,
    pub(super) trace: Trace,
    pub(super) help: bool,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) what: What,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Put in at the top.
    Push,
    /// Put in at this position.
    Insert(usize),
}

/// The message that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    None,
    /// For so many readings nothing has come.
    Waits(usize),
    /// Its way, in lines.
    Told(Vec<String>),
}

/// Readings until a trace is given up.
const READINGS_MAX: usize = 10;

impl App {
    pub(super) fn new(stat: Stat) -> Self {
        let mut app = Self {
            stat,
            stream: 0,
            node: 0,
            prompt: None,
            said: String::new(),
            trace: Trace::None,
            help: false,
        };
        app.choose_first_module();
        app
    }

    /// Takes new rates; the choice stays with the stream of that number.
    pub(super) fn update(&mut self, stat: Stat, stack: &mut impl Ask) -> Result<(), CtlError> {
        let chosen = self.chosen().map(|stream| stream.id);
        self.stat = stat;
        let place = self.stat.streams.iter().position(|stream| Some(stream.id) == chosen);
        self.stream = place.unwrap_or(0);
        self.node = self.node.min(self.nodes().len().saturating_sub(1));
        if let Trace::Waits(readings) = self.trace {
            let last = readings >= READINGS_MAX;
            let answer = stack.ask(&Request::Traced { wait_ms: 0, last })?;
            self.told(readings, last, answer);
        }
        Ok(())
    }

    fn told(&mut self, readings: usize, last: bool, answer: Value) {
        let traced: Option<Traced> = serde_json::from_value(answer).ok();
        let path = traced.and_then(|traced| traced.paths.into_iter().next());
        self.trace = match path {
            Some(path) => Trace::Told(trace::text(&path).lines().map(str::to_owned).collect()),
            None if last => Trace::Told(vec!["no message came".to_owned()]),
            None => Trace::Waits(readings + 1),
        };
    }

    pub(super) fn chosen(&self) -> Option<&StreamStat> {
        self.stat.streams.get(self.stream)
    }

    /// The nodes of the chosen stream, top down; multiplexors with their counters.
    pub(super) fn nodes(&self) -> Vec<&NodeStat> {
        let nodes = self.chosen().map(|stream| &stream.nodes[..]).unwrap_or_default();
        nodes.iter().map(|node| self.whole(node)).collect()
    }

    fn whole<'a>(&'a self, node: &'a NodeStat) -> &'a NodeStat {
        let same = |mux: &&NodeStat| node.kind == "mux" && mux.name == node.name;
        self.stat.muxes.iter().find(same).unwrap_or(node)
    }

    /// Position of the chosen module.
    pub(super) fn pos(&self) -> Option<usize> {
        self.nodes().get(self.node)?.pos
    }

    pub(super) fn choose_stream(&mut self, by: isize) {
        let last = self.stat.streams.len().saturating_sub(1);
        self.stream = self.stream.saturating_add_signed(by).min(last);
        self.choose_first_module();
    }

    pub(super) fn choose_node(&mut self, by: isize) {
        let last = self.nodes().len().saturating_sub(1);
        self.node = self.node.saturating_add_signed(by).min(last);
    }

    fn choose_first_module(&mut self) {
        self.node = self.nodes().iter().position(|node| node.kind == "module").unwrap_or(0);
    }
}
