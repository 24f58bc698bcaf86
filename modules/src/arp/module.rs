//! arp as a module: frames of IPv4 get their link addresses on the way down; ARP frames on the
//! way up end here. Pushed between an interface's driver and `ip`, which tells it the addresses.

use super::{ArpDrop, engine::Engine};
use crate::actions::Actions;
use crate::ctl::Ctl;
use crate::hash::Keyed;
use core::net::IpAddr;
use millstream_core::{Contract, Cx, Drop, Errno, Fields, Format, ModInfo, Module, Side, Step};
use millstream_msg::{Kind, Msg, MsgList};

/// The module. See [`Engine`] for what it does.
#[derive(Debug, Default)]
pub struct Arp {
    /// Made at open, when the device's address is known.
    engine: Option<Engine>,
    out: Actions<ArpDrop>,
    /// When the clock calls; 0: it does not.
    armed: u64,
}

const INFO: ModInfo = ModInfo {
    contract: Contract::between(Format::Frames, Format::Frames),
    ..ModInfo::new("arp", "finds the link addresses of IPv4 neighbours (RFC 826, RFC 5227)")
};

impl From<ArpDrop> for Drop {
    fn from(reason: ArpDrop) -> Self {
        Self(reason.name())
    }
}

impl Arp {
    /// A module that has not been pushed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends what the engine has left, and asks to be called at its deadline.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        let down = core::mem::take(&mut self.out.down);
        let up = core::mem::take(&mut self.out.up);
        cx.put_batch(Side::Write, down);
        cx.put_batch(Side::Read, up);
        for (msg, reason) in self.out.dropped.drain(..) {
            let word = (reason == ArpDrop::HostUnreachable)
                .then(|| Ctl::HostUnreachable.to_msg(cx.pool()).ok())
                .flatten();
            match word {
                // `ip` tells the sender, as a router must (RFC 1812 section 3.3.2).
                Some(mut word) => {
                    cx.count_drops(reason, 1);
                    word.link(msg);
                    cx.put(Side::Read, word);
                }
                None => cx.discard(msg, reason),
            }
        }
        cx.count_consumed(u64::from(core::mem::take(&mut self.out.consumed)));
        if let Some(at) = self.engine.as_ref().and_then(Engine::next_deadline)
            && at != self.armed
        {
            self.armed = at;
            cx.timer(0, at);
        }
    }

    fn control(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let Some(engine) = &mut self.engine else { return cx.putnext(msg) };
        let now = cx.now();
        match Ctl::from_msg(&msg) {
            Some(Ctl::AddAddress(IpAddr::V4(address), len)) => {
                // An address that cannot be a host's is refused by `ip` before it gets here.
                if engine.add_address(address, len, now, cx.pool(), &mut self.out).is_err() {
                    cx.count_drops(Drop("arp_address_refused"), 1);
                }
                cx.free(msg);
            }
            Some(Ctl::RemoveAddress(IpAddr::V4(address))) => {
                engine.remove_address(address);
                cx.free(msg);
            }
            Some(Ctl::Doubt(IpAddr::V4(address))) => {
                engine.doubt(address, now, cx.pool(), &mut self.out);
                cx.free(msg);
            }
            _ => return cx.putnext(msg),
        }
        self.settle(cx);
    }
}

impl Module for Arp {
    fn info(&self) -> &'static ModInfo {
        &INFO
    }

    fn open(&mut self, cx: &mut Cx<'_>) -> Result<Step, Errno> {
        // Only a device has stations; a stream of a multiplexor has none.
        let caps = cx.caps().ok_or(Errno::EINVAL)?;
        let key = cx.rng().next_u64();
        self.engine = Some(Engine::new(caps.mac, Keyed::new(key)));
        if let Ok(question) = Ctl::WhichAddresses.to_msg(cx.pool()) {
            cx.put(Side::Read, question);
        }
        Ok(Step::Done)
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let mut one = MsgList::new();
        one.push(msg);
        self.rput_batch(cx, one);
    }

    fn rput_batch(&mut self, cx: &mut Cx<'_>, batch: MsgList) {
        let now = cx.now();
        for msg in batch {
            match &mut self.engine {
                Some(engine) if msg.kind() == Kind::Data => {
                    engine.input(msg, now, cx.pool(), &mut self.out);
                }
                _ => self.out.up.push(msg),
            }
        }
        self.settle(cx);
    }

    fn wput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        let mut one = MsgList::new();
        one.push(msg);
        self.wput_batch(cx, one);
    }

    fn wput_batch(&mut self, cx: &mut Cx<'_>, batch: MsgList) {
        let now = cx.now();
        for msg in batch {
            match (&mut self.engine, msg.kind()) {
                (Some(engine), Kind::Data) => {
                    engine.output(msg, now, cx.pool(), &mut self.out);
                }
                (_, Kind::Ctl) => {
                    self.settle(cx);
                    self.control(cx, msg);
                }
                _ => self.out.down.push(msg),
            }
        }
        self.settle(cx);
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _token: u64) {
        let now = cx.now();
        self.armed = 0;
        if let Some(engine) = &mut self.engine {
            engine.timer(now, cx.pool(), &mut self.out);
        }
        self.settle(cx);
    }

    fn drain(&mut self, cx: &mut Cx<'_>) {
        if let Some(engine) = &mut self.engine {
            engine.clear(&mut self.out);
        }
        self.settle(cx);
    }

    fn show(&self, fields: &mut Fields) {
        let Some(stats) = self.engine.as_ref().map(Engine::stats) else { return };
        fields.count("live", stats.live as u64);
        fields.count("unresolved", stats.unresolved as u64);
        fields.count("requests", stats.requests);
        fields.count("replies", stats.replies);
        fields.count("announcements", stats.announcements);
        fields.count("conflicts", stats.conflicts);
    }
}
