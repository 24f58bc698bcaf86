//! What streams ask of the data link: requests are answered one by one, and ioctls switch a stream
//! to the fast path or to whole frames.

use super::engine::{Engine, User, control};
use super::{DlpiDrop, GROUPS_MAX};
use crate::ether::{self, Mac, ethertype, is_group};
use millstream_core::Errno;
use millstream_core::dlpi::{self, Address, Malformed, Primitive, State, build};
use millstream_core::ioctl::Iocblk;
use millstream_msg::{Kind, Msg, NoMem, Pool};

impl Engine {
    /// A message of a stream other than an ioctl.
    pub fn output(&mut self, user: u32, mut msg: Msg, pool: &mut Pool) {
        match msg.kind() {
            Kind::Data => {
                if self.user(user).is_some_and(|user| user.raw || user.fast) {
                    self.out.act.down.push(msg);
                } else {
                    self.out.act.discard(msg, DlpiDrop::NoHeader);
                }
            }
            Kind::Proto | Kind::PcProto => {
                if msg.pullup(pool, msg.first().len()).is_err() {
                    return self.out.act.discard(msg, DlpiDrop::NoMem);
                }
                match dlpi::primitive(msg.first()) {
                    Some(dlpi::DL_UNITDATA_REQ) => self.unitdata(user, msg, pool),
                    Some(number) => self.acknowledged(user, number, msg, pool),
                    None => self.out.act.discard(msg, DlpiDrop::BadRequest),
                }
            }
            _ => self.out.act.discard(msg, DlpiDrop::BadRequest),
        }
    }

    /// DLIOCRAW and DL_IOC_HDR_INFO: the data of the answer.
    ///
    /// # Errors
    /// EINVAL for another command, a request of another form, or a stream that is not bound; what
    /// a transparent ioctl gives is an address, which none of these takes.
    pub fn ioctl(
        &mut self,
        user: u32,
        msg: &Msg,
    ) -> Result<Option<[u8; ether::HEADER_LEN]>, Errno> {
        let blk = Iocblk::parse(msg.first()).ok_or(Errno::EINVAL)?;
        match blk.cmd {
            dlpi::DLIOCRAW => {
                self.user(user).ok_or(Errno::ENXIO)?.raw = true;
                Ok(None)
            }
            dlpi::DL_IOC_HDR_INFO => {
                let mut bytes = [0; dlpi::UnitdataReq::LEN + Address::LEN];
                let first = msg.first().len();
                let len = msg.copy_out(first, &mut bytes);
                let view = dlpi::UnitdataReq::new(&bytes[..len]).map_err(|_| Errno::EINVAL)?;
                let sap = self.user(user).and_then(|user| user.sap).ok_or(Errno::EINVAL)?;
                let dest = Address::parse(view.dest(), sap).ok_or(Errno::EINVAL)?;
                // A length is not known before its frame.
                if dest.sap < ethertype::FIRST {
                    return Err(Errno::EINVAL);
                }
                let header = self.header(dest, 0).to_bytes();
                self.user(user).ok_or(Errno::ENXIO)?.fast = true;
                Ok(Some(header))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn acknowledged(&mut self, user: u32, number: i32, msg: Msg, pool: &mut Pool) {
        let (mac, mtu) = (self.mac, self.mtu);
        let answer = match self.user(user) {
            Some(user) => request(user, number, msg.first(), mac, mtu),
            None => Err((dlpi::DL_OUTSTATE, Errno(0))),
        };
        let answer =
            answer.unwrap_or_else(|(dl_errno, errno)| build::error_ack(number, dl_errno, errno));
        self.out.act.consume(msg, pool);
        match control(&answer, pool) {
            Ok(msg) => self.out.up.push((user, msg)),
            // It could not even be answered: nobody may wait for ever.
            Err(NoMem) => self.out.lost += 1,
        }
    }
}

type Refused = (i32, Errno);

fn request(
    user: &mut User,
    number: i32,
    bytes: &[u8],
    mac: Mac,
    mtu: u16,
) -> Result<Primitive, Refused> {
    let state = user.state();
    let out_of_state = Err((dlpi::DL_OUTSTATE, Errno(0)));
    match number {
        dlpi::DL_INFO_REQ => {
            let address = Address { mac, sap: user.sap.unwrap_or(0) };
            return Ok(build::info_ack(&build::Info { max_sdu: mtu, state, address }));
        }
        dlpi::DL_BIND_REQ => {
            let view = dlpi::BindReq::new(bytes).map_err(dlpi::fault)?;
            if state != State::Unbound {
                return out_of_state;
            }
            // Low half: the mode. Connections are another service.
            if view.service_modes() as u16 != dlpi::DL_CLDLS as u16 {
                return Err((dlpi::DL_UNSUPPORTED, Errno(0)));
            }
            let sap = u16::try_from(view.sap()).ok();
            let sap = sap.filter(|&sap| sap == 0 || sap >= ethertype::FIRST);
            let sap = sap.ok_or((dlpi::DL_BADSAP, Errno(0)))?;
            user.sap = Some(sap);
            return Ok(build::bind_ack(Address { mac, sap }));
        }
        dlpi::DL_UNBIND_REQ if state != State::Idle => return out_of_state,
        dlpi::DL_UNBIND_REQ => (user.sap, user.fast) = (None, false),
        dlpi::DL_PHYS_ADDR_REQ => {
            let view = dlpi::PhysAddrReq::new(bytes).map_err(dlpi::fault)?;
            return match view.addr_type() {
                dlpi::DL_CURR_PHYS_ADDR | dlpi::DL_FACT_PHYS_ADDR => Ok(build::phys_addr_ack(mac)),
                _ => Err((dlpi::DL_UNSUPPORTED, Errno(0))),
            };
        }
        dlpi::DL_ENABMULTI_REQ | dlpi::DL_DISABMULTI_REQ => {
            let view = dlpi::MultiReq::new(bytes).map_err(dlpi::fault)?;
            let group: Option<Mac> = view.addr().try_into().ok();
            let group = group.filter(|&group| is_group(group) && group != ether::BROADCAST);
            let group = group.ok_or(dlpi::fault(Malformed::Address))?;
            multicast(user, number == dlpi::DL_ENABMULTI_REQ, group)?;
        }
        dlpi::DL_PROMISCON_REQ | dlpi::DL_PROMISCOFF_REQ => {
            let view = dlpi::PromiscReq::new(bytes).map_err(dlpi::fault)?;
            let level = usize::try_from(view.level() - 1).ok();
            let level = level.and_then(|level| user.promiscuous.get_mut(level));
            let level = level.ok_or((dlpi::DL_NOTSUPPORTED, Errno(0)))?;
            let on = number == dlpi::DL_PROMISCON_REQ;
            if !on && !*level {
                return Err((dlpi::DL_NOTENAB, Errno(0)));
            }
            *level = on;
        }
        // Attached at open (style 1); the rest of DLPI is connections and tests of links.
        number if (0..=dlpi::DL_MAXPRIM).contains(&number) => {
            return Err((dlpi::DL_NOTSUPPORTED, Errno(0)));
        }
        _ => return Err((dlpi::DL_BADPRIM, Errno(0))),
    }
    Ok(build::ok_ack(number))
}

fn multicast(user: &mut User, on: bool, group: Mac) -> Result<(), Refused> {
    let known = user.groups.iter().position(|known| *known == group);
    match (on, known) {
        (true, None) if user.groups.len() >= GROUPS_MAX => {
            return Err((dlpi::DL_TOOMANY, Errno(0)));
        }
        (true, None) => user.groups.push(group),
        (true, Some(_)) => {}
        (false, Some(at)) => {
            user.groups.swap_remove(at);
        }
        (false, None) => return Err((dlpi::DL_NOTENAB, Errno(0))),
    }
    Ok(())
}
