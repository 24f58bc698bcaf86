//! The state of `dlpi`: who takes which frame, and how frames leave.

use super::DlpiDrop;
use crate::actions::Actions;
use crate::ether::{BROADCAST, HEADER_LEN, Mac, View, ethertype, is_group};
use alloc::vec::Vec;
use millstream_core::Errno;
use millstream_core::dlpi::{self, Address, Malformed, Primitive, State, UnitdataReq, build};
use millstream_msg::offload::{Can, Refusal, finish};
use millstream_msg::{Kind, Msg, MsgFlags, MsgList, NoMem, Offload, Pool};

/// The data link of one interface.
#[derive(Debug)]
pub struct Engine {
    pub(super) mac: Mac,
    /// Most bytes behind the header of a frame.
    pub(super) mtu: u16,
    users: Vec<Option<User>>,
    pub(super) out: Out,
}

/// What the last calls want done. The face empties it.
#[derive(Debug)]
pub(super) struct Out {
    /// Messages for users, in order.
    pub(super) up: Vec<(u32, Msg)>,
    /// `down` is used; `up` is above.
    pub(super) act: Actions<DlpiDrop>,
    /// Copies for which no cell was left.
    pub(super) lost: u64,
}

/// A stream above.
#[derive(Clone, Debug, Default)]
pub(super) struct User {
    pub(super) sap: Option<u16>,
    /// Whole frames pass.
    pub(super) raw: bool,
    /// Frames to this station pass without header.
    pub(super) fast: bool,
    /// By level, less 1.
    pub(super) promiscuous: [bool; 3],
    pub(super) groups: Vec<Mac>,
}

impl User {
    pub(super) fn state(&self) -> State {
        if self.sap.is_some() { State::Idle } else { State::Unbound }
    }

    /// Is a frame for it?
    fn wants(&self, header: &View, sap: u16, mac: Mac) -> bool {
        let [every, saps, groups] = self.promiscuous;
        let here = header.dst == mac
            || header.dst == BROADCAST
            || is_group(header.dst) && (groups || self.groups.contains(&header.dst));
        let bound = self.sap.is_some_and(|own| saps || own == sap) || self.raw && saps;
        every || here && bound
    }
}

impl Engine {
    /// The link of a station.
    pub fn new() -> Self {
        let out = Out { up: Vec::with_capacity(64), act: Actions::new(), lost: 0 };
        Self { mac: [0; 6], mtu: 0, users: Vec::new(), out }
    }

    /// A stream above; its number.
    pub fn open(&mut self) -> u32 {
        let at = self.users.iter().position(Option::is_none).unwrap_or(self.users.len());
        if at == self.users.len() {
            self.users.push(None);
        }
        self.users[at] = Some(User::default());
        at as u32
    }

    /// A stream above is gone.
    pub fn close(&mut self, user: u32) {
        if let Some(slot) = self.users.get_mut(user as usize) {
            *slot = None;
        }
    }

    /// A frame from the line: every stream that wants it gets one.
    pub fn input(&mut self, frame: Msg, pool: &mut Pool) {
        let mut bytes = [0; HEADER_LEN];
        let len = frame.copy_out(0, &mut bytes);
        let Some(header) = View::parse(&bytes[..len]) else {
            return self.out.act.discard(frame, DlpiDrop::Short);
        };
        let sap = if header.ethertype < ethertype::FIRST { 0 } else { header.ethertype };
        let mut last: Option<usize> = None;
        for at in 0..self.users.len() {
            let taker = self.users[at].as_ref();
            if !taker.is_some_and(|user| user.wants(&header, sap, self.mac)) {
                continue;
            }
            // The frame itself is for the last one, copies of its windows for those before.
            if let Some(before) = last.replace(at) {
                match frame.dup(pool) {
                    Ok(twin) => self.deliver(before as u32, twin, &header, pool),
                    Err(_) => self.out.lost += 1,
                }
            }
        }
        match last {
            Some(user) => self.deliver(user as u32, frame, &header, pool),
            None => self.out.act.discard(frame, DlpiDrop::NoTaker),
        }
    }

    /// Streams that are bound, or raw.
    pub fn users(&self) -> usize {
        self.users.iter().flatten().filter(|user| user.sap.is_some() || user.raw).count()
    }

    pub(super) fn user(&mut self, user: u32) -> Option<&mut User> {
        self.users.get_mut(user as usize)?.as_mut()
    }

    /// Gives a frame to a stream in the form that it wants.
    fn deliver(&mut self, user: u32, frame: Msg, header: &View, pool: &mut Pool) {
        let Some((raw, fast)) = self.user(user).map(|user| (user.raw, user.fast)) else {
            return self.out.act.discard(frame, DlpiDrop::NoTaker);
        };
        if raw {
            return self.out.up.push((user, frame));
        }
        let mut frames = MsgList::new();
        if let Err(refusal) = finish(frame, HEADER_LEN, Can::NOTHING, pool, &mut frames) {
            let reason = match refusal {
                Refusal::NoMem(_) => DlpiDrop::NoMem,
                Refusal::Malformed(_) => DlpiDrop::BadOffload,
            };
            return self.out.act.discard(refusal.into_msg(), reason);
        }
        for mut frame in frames {
            frame.trim_front(HEADER_LEN);
            frame.set_offload(Offload::NONE);
            if header.ethertype < ethertype::FIRST {
                // Behind so many bytes the rest fills the frame up.
                frame.truncate(usize::from(header.ethertype).min(frame.len()));
            }
            if fast && !is_group(header.dst) {
                self.out.up.push((user, frame));
            } else {
                self.indicate(user, frame, header, pool);
            }
        }
    }

    fn indicate(&mut self, user: u32, data: Msg, header: &View, pool: &mut Pool) {
        let sap = if header.ethertype < ethertype::FIRST { 0 } else { header.ethertype };
        let [dest, src] = [header.dst, header.src].map(|mac| Address { mac, sap });
        let ind = build::unitdata_ind(dest, src, is_group(header.dst));
        let Ok(mut msg) = control(&ind, pool) else {
            return self.out.act.discard(data, DlpiDrop::NoMem);
        };
        msg.set_flags(data.flags().with(header.link_flags()));
        msg.set_stamp(data.stamp());
        msg.set_ctx(data.ctx());
        msg.link(data);
        self.out.act.created += 1;
        self.out.up.push((user, msg));
    }

    /// A frame of a stream: DL_UNITDATA_REQ. What is wrong with it is told by DL_UDERROR_IND.
    pub(super) fn unitdata(&mut self, user: u32, msg: Msg, pool: &mut Pool) {
        let sap = self.user(user).and_then(|user| user.sap);
        // The destination as it was given, as far as an answer has room for it.
        let (mut given, mut len) = ([0; Address::LEN], 0);
        let header = match UnitdataReq::new(msg.first()) {
            Ok(view) => {
                len = view.dest().len().min(given.len());
                given[..len].copy_from_slice(&view.dest()[..len]);
                self.frame_of(sap, view.dest(), msg.data_len())
            }
            Err(fault) => Err(dlpi::fault(fault)),
        };
        let (msg, reason, (dl_errno, errno)) = match header {
            Ok(header) => match self.send(msg, header, pool) {
                Ok(()) => return,
                Err(msg) => (msg, DlpiDrop::NoMem, (dlpi::DL_SYSERR, Errno::ENOSR)),
            },
            Err(refused) => (msg, DlpiDrop::NotSent, refused),
        };
        self.out.act.discard(msg, reason);
        self.tell(user, &build::uderror_ind(&given[..len], dl_errno, errno), pool);
    }

    /// The header of a frame to `dest` with so many bytes.
    fn frame_of(&self, sap: Option<u16>, dest: &[u8], len: usize) -> Result<View, (i32, Errno)> {
        let sap = sap.ok_or((dlpi::DL_OUTSTATE, Errno(0)))?;
        if len > usize::from(self.mtu) {
            return Err((dlpi::DL_BADDATA, Errno(0)));
        }
        let dest = Address::parse(dest, sap).ok_or(dlpi::fault(Malformed::Address))?;
        Ok(self.header(dest, len))
    }

    /// The header of a frame: an access point below the first type stands for the length.
    pub(super) fn header(&self, dest: Address, len: usize) -> View {
        let ethertype = if dest.sap < ethertype::FIRST { len as u16 } else { dest.sap };
        View { dst: dest.mac, src: self.mac, ethertype }
    }

    /// Sends the data of a request behind a header; without memory its control part comes back.
    fn send(&mut self, msg: Msg, header: View, pool: &mut Pool) -> Result<(), Msg> {
        let (control, data) = msg.unlink();
        let Some(mut data) = data.or_else(|| pool.alloc(HEADER_LEN, 0).ok()) else {
            return Err(control);
        };
        if header.prepend(&mut data, pool).is_err() {
            pool.spend(data);
            return Err(control);
        }
        data.set_kind_all(Kind::Data);
        data.set_offload(Offload::NONE);
        data.set_flags(MsgFlags::empty().with_trace(control.flags().trace()));
        self.out.act.consume(control, pool);
        self.out.act.down.push(data);
        Ok(())
    }

    /// Tells a stream something.
    pub(super) fn tell(&mut self, user: u32, primitive: &Primitive, pool: &mut Pool) {
        if let Ok(msg) = control(primitive, pool) {
            self.out.up.push((user, msg));
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) fn control(primitive: &Primitive, pool: &mut Pool) -> Result<Msg, NoMem> {
    let kind = dlpi::primitive(primitive.as_bytes()).and_then(dlpi::kind);
    primitive.to_msg(kind.unwrap_or(Kind::Proto), pool)
}

/// Groups that one stream may enable.
pub const GROUPS_MAX: usize = 64;
