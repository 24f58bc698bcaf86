//! filter: passes what its rules pass; drops, counts, rejects, turns back or takes away the rest.
//!
//! | parameter | takes | default | what it does |
//! |---|---|---|---|
//! | `rules` | rules, as below | none | take the place of those before; what stays keeps counts |
//! | `link` | `ethernet`, `ip`, `tpi` | ethernet | what messages begin with; fixed once it is in |
//! | `file` | path | | where `copy` and `divert` go, pcapng; fixed as well |
//! | `reset` | `all` | | sets the counts to 0 |
//!
//! # Rules
//! Rules stand on lines of their own or behind a semicolon; `#` begins a comment. The first one
//! that matches decides; what none matches passes. A rule is an action and what it is for:
//!
//! ```text
//! drop udp dport 53; drop tcp flags syn and dst 10.0.0.2; count icmp; reject tcp port 8000-8999
//! ```
//!
//! | action | |
//! |---|---|
//! | `pass` | passes |
//! | `drop` | drops, with the reason `filter: rule` |
//! | `count` | counts; the rules behind it decide |
//! | `copy` | writes a copy into `file`; the rules behind it decide |
//! | `divert` | takes it away into `file` |
//! | `reject` | drops, and answers for the receiver: TCP by a reset, others by ICMP unreachable |
//! | `reflect` | sends it back as an answer: stations, addresses and ports change places |
//!
//! | term | matches |
//! |---|---|
//! | `up`, `down` | the way it goes |
//! | `arp`, `ip`, `ip6`, `ethertype 0x88cc` | the type of the frame |
//! | `icmp`, `icmp6`, `igmp`, `tcp`, `udp`, `proto 47` | the protocol of the packet |
//! | `src NET`, `dst NET`, `host NET` | an address, 10.0.0.2 or 10.0.0.0/8 |
//! | `sport PORTS`, `dport PORTS`, `port PORTS` | ports, 53 or 8000-8999 or 53,67-68 |
//! | `flags syn,!ack` | flags of TCP that are set, and that are not |
//! | `len >1000` | bytes of the message; also `<`, `=` |
//! | `fragment` | a packet that is part of one |
//! | `super` | a frame that stands for several packets |
//! | `band 3` | the band of the message |
//! | `any` | everything |
//!
//! Terms are joined by `and` or by standing side by side; `not` turns one round. A term about
//! what a message does not have matches neither way: a later fragment has no ports, so neither
//! `dport 53` nor `not dport 53` is true of it. A first fragment is matched by the header that it
//! has. A super-frame is matched by its header, and goes the way of all that it stands for.
//!
//! Only M_DATA is looked at (`link=tpi`: datagrams with their addresses); everything else passes.
//! A place where messages are something else than `link` says is refused when the filter is put
//! in. At `link=ip` a message on its way down begins with the request of its transport, which is
//! matched like the packet that it will be. `reject` and `reflect` are for Ethernet frames; when
//! there is no room on the way back, the message is dropped as `filter: no room`.

mod answer;
mod facts;
mod parse;
mod rules;
mod tap;

pub use facts::{Facts, Fragment, Link};
pub use rules::{Action, Net, Ports, Rule, Rules, Test};

use crate::capture::Sink;
use crate::state;
use alloc::boxed::Box;
use alloc::string::String;
use millstream_core::{
    Contract, Cx, Drop, Errno, Fields, Format, Invalid, ModInfo, Module, Refused, Side, State, Step,
};
use millstream_msg::{Kind, Msg};
use tap::Tap;

/// What `filter` says of itself where messages are frames.
pub const INFO: ModInfo = of(Format::Frames);
const OF_PACKETS: ModInfo = of(Format::Packets);
const OF_DATAGRAMS: ModInfo = of(Format::Datagrams);

const fn of(format: Format) -> ModInfo {
    let info = ModInfo::new("filter", "drops, counts, rejects or diverts messages by rules");
    ModInfo { contract: Contract::between(format, format), ..info }
}

/// The module.
#[derive(Debug, Default)]
pub struct Filter(Setting);

/// All of it: what a successor takes over.
#[derive(Debug, Default)]
struct Setting {
    rules: Rules,
    link: Link,
    tap: Option<Tap>,
    file: String,
}

/// Version of [`Setting`]'s layout.
const VERSION: u32 = 1;

impl Filter {
    /// A filter without rules, for messages that begin like this.
    pub fn new(link: Link) -> Self {
        Self(Setting { link, ..Setting::default() })
    }

    /// Says where copies go.
    #[must_use]
    pub fn with_file(mut self, file: &str, sink: Box<dyn Sink>, place: &str) -> Self {
        self.0.tap = Some(Tap::new(sink, place, self.0.link));
        self.0.file = file.into();
        self
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    fn put(&mut self, cx: &mut Cx<'_>, side: Side, msg: Msg) {
        let Setting { rules, link, tap, .. } = &mut self.0;
        let wanted = if *link == Link::Tpi { Kind::Proto } else { Kind::Data };
        if msg.kind() != wanted || rules.is_empty() {
            return cx.putnext(msg);
        }
        let facts = Facts::of(&msg, *link, side);
        let mut copies = |msg: &Msg| {
            if let Some(tap) = tap {
                tap.write(cx.wall(), side, msg);
            }
        };
        match rules.decide(&facts, &msg, &mut copies) {
            Action::Drop => cx.discard(msg, Drop("filter: rule")),
            Action::Divert => {
                copies(&msg);
                cx.free(msg);
            }
            Action::Reject => answer::reject(cx, side, &facts, msg),
            Action::Reflect => answer::reflect(cx, side, &facts, msg),
            Action::Pass | Action::Count | Action::Copy => cx.putnext(msg),
        }
    }

    fn set_rules(&mut self, text: &str) -> Result<(), Invalid> {
        let rules = Rules::parse(text).map_err(|why| Invalid(alloc::format!("rules: {why}")))?;
        for (number, rule) in rules.iter().enumerate() {
            let why = match rule.action {
                Action::Copy | Action::Divert if self.0.tap.is_none() => {
                    "needs a file: insert the filter with file=PATH"
                }
                Action::Reject | Action::Reflect if self.0.link != Link::Ethernet => {
                    "is for Ethernet frames: link=ethernet"
                }
                _ => continue,
            };
            let number = number + 1;
            return Err(Invalid(alloc::format!("rules: rule {number}, {}: {why}", rule.text)));
        }
        self.0.rules.replace(rules);
        Ok(())
    }
}

impl Module for Filter {
    fn info(&self) -> &'static ModInfo {
        match self.0.link {
            Link::Ethernet => &INFO,
            Link::Ip => &OF_PACKETS,
            Link::Tpi => &OF_DATAGRAMS,
        }
    }

    fn open(&mut self, _: &mut Cx<'_>) -> Result<Step, Errno> {
        let begun = self.0.tap.as_mut().is_none_or(Tap::begin);
        if begun { Ok(Step::Done) } else { Err(Errno::EIO) }
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Read, msg);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        self.put(cx, Side::Write, msg);
    }

    fn export(&mut self) -> Option<State> {
        let value = Box::new(core::mem::take(&mut self.0));
        Some(State { name: INFO.name, version: VERSION, value })
    }

    fn import(&mut self, state: State) -> Result<(), Refused> {
        let setting: Setting = state::take(state, INFO.name, VERSION)?;
        if setting.link != self.0.link {
            let state = State { name: INFO.name, version: VERSION, value: Box::new(setting) };
            return Err(Refused { why: "its rules are for another link", state });
        }
        self.0 = setting;
        Ok(())
    }

    fn set(&mut self, _: &mut Cx<'_>, key: &str, value: &str) -> Result<(), Invalid> {
        match (key, value) {
            ("rules", _) => self.set_rules(value),
            ("reset", "all" | "") => {
                self.0.rules.reset();
                Ok(())
            }
            ("reset", _) => Err(Invalid::value(key, value, "all")),
            ("link", _) if value == self.0.link.name() => Ok(()),
            ("file", _) if value == self.0.file => Ok(()),
            ("link" | "file", _) => Err(Invalid::value(key, value, "fixed once it is in")),
            _ => Err(Invalid::unknown(key)),
        }
    }

    fn show(&self, fields: &mut Fields) {
        fields.text("rules", self.0.rules.text());
        fields.text("link", self.0.link.name());
        if let Some(tap) = &self.0.tap {
            fields.text("file", self.0.file.clone());
            fields.count("written", tap.written);
            fields.count("file.lost", tap.lost);
        }
        fields.count("unmatched", self.0.rules.unmatched);
        for (rule, [messages, bytes]) in self.0.rules.iter().zip(rules::COUNTERS) {
            fields.count(messages, rule.messages);
            fields.count(bytes, rule.bytes);
        }
    }
}
