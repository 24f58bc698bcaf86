//! T_OPTMGMT_REQ: options of a stream of udp are set, checked and read.

use super::request::Refusal;
use super::{Engine, User};
use crate::ctl::Ctl;
use core::net::IpAddr;
use millstream_core::tpi::option::{Record, Records};
use millstream_core::tpi::{self, OptmgmtReq, Primitive, decode_address};
use millstream_msg::Pool;

/// Options of a stream: records of level [`LEVEL`](option::LEVEL) in T_OPTMGMT_REQ. A value is a
/// word; behind that of a group is the group's address. T_NEGOTIATE sets, T_CHECK only looks at
/// the value, T_CURRENT reads.
pub mod option {
    use core::net::{IpAddr, SocketAddr};
    use millstream_core::tpi::option::Record;
    use millstream_core::tpi::{ADDR_MAX, Primitive, T_NEGOTIATE, encode_address};

    /// The level: the number of the protocol.
    pub const LEVEL: i32 = 17;
    /// Takes super-datagrams whole; their size is in the message's offload.
    pub const SUPER_DATAGRAMS: i32 = 1;
    /// May send to broadcast addresses.
    pub const BROADCAST: i32 = 2;
    /// Hops of unicast packets; 0: as the stack has it.
    pub const TTL: i32 = 3;
    /// DSCP and ECN.
    pub const TOS: i32 = 4;
    /// Hops of multicast packets.
    pub const MULTICAST_TTL: i32 = 5;
    /// Copies of own multicast packets come back to members here.
    pub const MULTICAST_LOOP: i32 = 6;
    /// Joins a group; value: interface + 1, or 0.
    pub const JOIN: i32 = 7;
    /// Leaves it.
    pub const LEAVE: i32 = 8;
    /// Others that say so, too, may have the same address and port: a datagram is for who is
    /// connected to its sender, else for the last that was bound (SO_REUSEADDR).
    pub const REUSE: i32 = 9;

    /// The request that sets an option.
    pub fn set(name: i32, value: i32) -> Primitive {
        request(name, &value.to_ne_bytes())
    }

    /// The request that joins or leaves a group.
    pub fn set_group(name: i32, value: i32, group: IpAddr) -> Primitive {
        let (mut bytes, mut addr) = ([0; 4 + ADDR_MAX], [0; ADDR_MAX]);
        let len = encode_address(SocketAddr::new(group, 0), &mut addr);
        bytes[..4].copy_from_slice(&value.to_ne_bytes());
        bytes[4..4 + len].copy_from_slice(&addr[..len]);
        request(name, &bytes[..4 + len])
    }

    fn request(name: i32, value: &[u8]) -> Primitive {
        let record = Record { level: LEVEL, name, status: 0, value };
        Primitive::optmgmt_req(T_NEGOTIATE).with_option(&record)
    }
}

impl Engine {
    /// Every record in order; the first that is refused ends it, and those before it stay done.
    pub(super) fn optmgmt(
        &mut self,
        user: u32,
        view: OptmgmtReq<'_>,
        pool: &mut Pool,
    ) -> Result<Primitive, Refusal> {
        if view.options().len() > tpi::OPTIONS_MAX {
            return Err(Refusal::BadOption);
        }
        if !matches!(view.flags(), tpi::T_NEGOTIATE | tpi::T_CHECK | tpi::T_CURRENT) {
            return Err(Refusal::BadFlag);
        }
        let mut ack = Primitive::optmgmt_ack(tpi::T_SUCCESS);
        for record in Records::new(view.options()) {
            let record = record?;
            if record.level != option::LEVEL {
                return Err(Refusal::BadOption);
            }
            let now;
            let value = match view.flags() {
                tpi::T_CURRENT => {
                    now = self.current(user, record.name)?.to_ne_bytes();
                    &now[..]
                }
                flags => {
                    self.set(user, &record, flags == tpi::T_NEGOTIATE, pool)?;
                    record.value
                }
            };
            // What is read may be longer than what asked for it.
            if ack.room() < tpi::option::HEADER_LEN + value.len().next_multiple_of(4) {
                return Err(Refusal::BadOption);
            }
            ack = ack.with_option(&Record { status: tpi::T_SUCCESS, value, ..record });
        }
        Ok(ack)
    }

    fn set(
        &mut self,
        user: u32,
        record: &Record<'_>,
        act: bool,
        pool: &mut Pool,
    ) -> Result<(), Refusal> {
        let value = record.word().ok_or(Refusal::BadOption)?;
        if matches!(record.name, option::JOIN | option::LEAVE) {
            let group = record.value.get(4..).and_then(decode_address);
            let group = group.ok_or(Refusal::BadAddress)?.ip();
            return self.group(user, record.name, value, group, act, pool);
        }
        let Some(Some(slot)) = self.users.get_mut(user as usize) else {
            return Err(Refusal::OutOfState);
        };
        let changed = slot.with_option(record.name, value)?;
        if act {
            *slot = changed;
            if let Some(endpoint) = changed.endpoint {
                self.table.set_reuse(endpoint, changed.reuse);
            }
        }
        Ok(())
    }

    fn group(
        &mut self,
        user: u32,
        name: i32,
        value: i32,
        group: IpAddr,
        act: bool,
        pool: &mut Pool,
    ) -> Result<(), Refusal> {
        // Which interface `None` means is decided by `ip`; here it is the first one.
        let number = if value == 0 { Some(0) } else { value.checked_sub(1) };
        let interface = number.and_then(|n| u16::try_from(n).ok()).ok_or(Refusal::BadOption)?;
        let endpoint = self.user(user).and_then(|u| u.endpoint).ok_or(Refusal::OutOfState)?;
        if !act {
            return Ok(());
        }
        let join = name == option::JOIN;
        let word = if join { Ctl::Join } else { Ctl::Leave }(group, Some(interface));
        // The word first: without a cell for it nothing changes.
        let word = word.to_msg(pool).map_err(|_| Refusal::NoMemory)?;
        let done = if join {
            self.table.join(endpoint, interface, group)
        } else {
            self.table.leave(endpoint, interface, group)
        };
        if let Err(refused) = done {
            pool.spend(word);
            return Err(refused.into());
        }
        self.out.down.push(word);
        Ok(())
    }

    fn current(&self, user: u32, name: i32) -> Result<i32, Refusal> {
        let user = self.user(user).ok_or(Refusal::OutOfState)?;
        Ok(match name {
            option::SUPER_DATAGRAMS => i32::from(user.super_datagrams),
            option::BROADCAST => i32::from(user.broadcast),
            option::REUSE => i32::from(user.reuse),
            option::MULTICAST_LOOP => i32::from(user.multicast_loop),
            option::TTL => i32::from(user.ttl),
            option::TOS => i32::from(user.tos),
            option::MULTICAST_TTL => i32::from(user.multicast_ttl),
            _ => return Err(Refusal::BadOption),
        })
    }
}

impl User {
    fn with_option(self, name: i32, value: i32) -> Result<Self, Refusal> {
        let byte = || u8::try_from(value).map_err(|_| Refusal::BadOption);
        Ok(match name {
            option::SUPER_DATAGRAMS => Self { super_datagrams: value != 0, ..self },
            option::BROADCAST => Self { broadcast: value != 0, ..self },
            option::REUSE => Self { reuse: value != 0, ..self },
            option::MULTICAST_LOOP => Self { multicast_loop: value != 0, ..self },
            option::TTL => Self { ttl: byte()?, ..self },
            option::TOS => Self { tos: byte()?, ..self },
            option::MULTICAST_TTL => Self { multicast_ttl: byte()?, ..self },
            _ => return Err(Refusal::BadOption),
        })
    }
}
