//! IGMP: which groups are wanted on which interface, and telling the routers (RFC 3376; RFC 2236
//! and RFC 1112 while an older querier is heard).
//!
//! A host's part only: any-source groups, joined and left as a whole.

use super::route::{INTERFACES_MAX, Net};
use super::view::v4;
use super::{IpDrop, Request, View, protocol};
use crate::hash::Keyed;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use millstream_msg::checksum::{self, Sum};
use millstream_msg::{Msg, MsgList, Pool};
use packet::{Heard, RECORDS_MAX, Record, RecordKind, Version};

pub mod packet;

/// The groups of a stack. Times are nanoseconds.
#[derive(Debug)]
pub struct Groups {
    members: Vec<Member>,
    queriers: [Querier; INTERFACES_MAX],
    /// No deadline is earlier than this.
    next: u64,
}

/// Why a group was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// No IPv4 group.
    NotAGroup,
    /// No such interface.
    Interface,
    /// [`GROUPS_MAX`] are joined.
    Full,
}

#[derive(Debug)]
struct Member {
    interface: u16,
    group: Ipv4Addr,
    /// Who joined; 0 while the leaving is still told.
    joins: u32,
    /// Times the change is still told.
    changes_left: u8,
    change_at: u64,
    answer_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Querier {
    v1_until: u64,
    v2_until: u64,
    /// When a general query is answered.
    answer_at: u64,
}

impl Groups {
    /// No groups.
    pub fn new() -> Self {
        let silent = Querier { v1_until: 0, v2_until: 0, answer_at: NEVER };
        Self {
            members: Vec::with_capacity(GROUPS_MAX),
            queriers: [silent; INTERFACES_MAX],
            next: NEVER,
        }
    }

    /// One more wants the group. The first one is told to the routers by [`Groups::timer`], which
    /// is due at once.
    pub fn join(&mut self, interface: u16, group: IpAddr, now: u64) -> Result<(), JoinError> {
        let group = v4(group).filter(Ipv4Addr::is_multicast).ok_or(JoinError::NotAGroup)?;
        if usize::from(interface) >= INTERFACES_MAX {
            return Err(JoinError::Interface);
        }
        if let Some(member) = self.find(interface, group) {
            member.joins += 1;
            if member.joins > 1 {
                return Ok(());
            }
            member.changes_left = ROBUSTNESS;
            member.change_at = now;
        } else {
            if self.members.len() >= GROUPS_MAX {
                return Err(JoinError::Full);
            }
            // The group of all hosts is never told (RFC 3376 section 6).
            let changes_left = if group == ALL_HOSTS { 0 } else { ROBUSTNESS };
            self.members.push(Member {
                interface,
                group,
                joins: 1,
                changes_left,
                change_at: if changes_left > 0 { now } else { NEVER },
                answer_at: NEVER,
            });
        }
        self.next = self.next.min(now);
        Ok(())
    }

    /// One less wants the group; false when nobody did.
    pub fn leave(&mut self, interface: u16, group: IpAddr, now: u64) -> bool {
        let Some(group) = v4(group) else { return false };
        let Some(member) = self.find(interface, group).filter(|m| m.joins > 0) else {
            return false;
        };
        member.joins -= 1;
        if member.joins == 0 {
            member.answer_at = NEVER;
            member.changes_left = if group == ALL_HOSTS { 0 } else { ROBUSTNESS };
            member.change_at = now;
            self.next = self.next.min(now);
        }
        true
    }

    /// Forgets the groups of an interface that is gone, without a word.
    pub fn remove_interface(&mut self, interface: u16) {
        self.members.retain(|member| member.interface != interface);
    }

    /// True when packets to the group are wanted from the interface. All hosts always are.
    pub fn is_member(&self, interface: u16, group: IpAddr) -> bool {
        let Some(group) = v4(group) else { return false };
        let wanted = |m: &Member| m.interface == interface && m.group == group && m.joins > 0;
        group == ALL_HOSTS || self.members.iter().any(wanted)
    }

    /// Takes an IGMP packet (whole). `router_alert`: its header had the option. `random` spreads
    /// the answers of hosts.
    #[expect(clippy::too_many_arguments, reason = "what the packet says, where, when")]
    pub fn input(
        &mut self,
        msg: &Msg,
        view: &View,
        interface: u16,
        router_alert: bool,
        now: u64,
        random: u32,
        sum: Sum,
    ) -> Result<(), IpDrop> {
        if checksum::of_msg(msg, view.header(), view.payload_len(), sum) != 0xffff {
            return Err(IpDrop::IgmpChecksum);
        }
        let query = match packet::parse(msg, view)? {
            Heard::Query(query) => query,
            // Of the older versions one member of a group is enough (RFC 2236 section 3).
            Heard::Report(group) => {
                let older = self.version(interface, now) != Version::V3;
                if let Some(member) = self.find(interface, group).filter(|_| older) {
                    member.answer_at = NEVER;
                }
                return Ok(());
            }
        };
        // RFC 3376 section 9.1: a query from elsewhere has no router alert, or lost its one hop.
        let alerted = router_alert || query.version == Version::V1;
        let to_all = query.group.is_some() || view.dst == IpAddr::V4(ALL_HOSTS);
        if view.ttl != 1 || !alerted || !to_all {
            return Err(IpDrop::IgmpForeign);
        }
        let querier = self.queriers.get_mut(usize::from(interface)).ok_or(IpDrop::InterfaceDown)?;
        match query.version {
            Version::V1 => querier.v1_until = now + OLDER_QUERIER_NS,
            Version::V2 => querier.v2_until = now + OLDER_QUERIER_NS,
            Version::V3 => {}
        }
        let at = now + spread(query.response_ns, random, 0);
        match query.group {
            None => querier.answer_at = querier.answer_at.min(at),
            Some(group) => {
                let Some(member) = self.find(interface, group).filter(|m| m.joins > 0) else {
                    return Ok(());
                };
                member.answer_at = member.answer_at.min(at);
            }
        }
        self.next = self.next.min(at);
        Ok(())
    }

    /// When [`Groups::timer`] wants to be called.
    pub fn next_deadline(&self) -> Option<u64> {
        (self.next != NEVER).then_some(self.next)
    }

    /// Appends to `out` the reports that are due, each with its [`Request`] in front.
    pub fn timer(
        &mut self,
        now: u64,
        random: u32,
        net: &Net,
        pool: &mut Pool,
        out: &mut MsgList,
    ) -> Option<u64> {
        if now < self.next {
            return self.next_deadline();
        }
        for interface in 0..INTERFACES_MAX as u16 {
            self.report(interface, now, random, net, pool, out);
        }
        self.members.retain(|member| member.joins > 0 || member.changes_left > 0);
        let members = self.members.iter().map(|m| m.change_at.min(m.answer_at));
        let queriers = self.queriers.iter().map(|q| q.answer_at);
        self.next = members.chain(queriers).min().unwrap_or(NEVER);
        self.next_deadline()
    }

    /// What is due on one interface. Without a cell a report is lost as it could be on the link:
    /// changes are told twice, queries come again.
    fn report(
        &mut self,
        interface: u16,
        now: u64,
        random: u32,
        net: &Net,
        pool: &mut Pool,
        out: &mut MsgList,
    ) {
        let version = self.version(interface, now);
        let Some(querier) = self.queriers.get_mut(usize::from(interface)) else { return };
        let all = querier.answer_at <= now;
        if all {
            querier.answer_at = NEVER;
        }
        let src = net.interface(interface).and_then(|i| i.source_for(ALL_HOSTS));
        let mut send = |records: &[Record]| {
            let src = src.unwrap_or(Ipv4Addr::UNSPECIFIED);
            packet::send(version, records, src, interface, pool, out);
        };
        let mut records = [Record::EMPTY; RECORDS_MAX];
        let mut len = 0;
        let here = self.members.iter_mut().enumerate().filter(|(_, m)| m.interface == interface);
        for (index, member) in here {
            let Some(kind) = member.due(now, all, random, index) else { continue };
            if let Some(place) = records.get_mut(len) {
                *place = Record { kind, group: member.group };
                len += 1;
            }
            if len == RECORDS_MAX {
                send(&records);
                len = 0;
            }
        }
        send(records.get(..len).unwrap_or_default());
    }

    fn version(&self, interface: u16, now: u64) -> Version {
        match self.queriers.get(usize::from(interface)) {
            Some(querier) if now < querier.v1_until => Version::V1,
            Some(querier) if now < querier.v2_until => Version::V2,
            _ => Version::V3,
        }
    }

    fn find(&mut self, interface: u16, group: Ipv4Addr) -> Option<&mut Member> {
        self.members.iter_mut().find(|m| m.interface == interface && m.group == group)
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self::new()
    }
}

impl Member {
    /// The record that is due, which counts as sent.
    fn due(&mut self, now: u64, all: bool, random: u32, index: usize) -> Option<RecordKind> {
        if self.change_at <= now {
            self.changes_left = self.changes_left.saturating_sub(1);
            self.change_at = match self.changes_left {
                0 => NEVER,
                _ => now + spread(CHANGE_INTERVAL_NS, random, index),
            };
            let joined = self.joins > 0;
            if self.group == ALL_HOSTS {
                return None;
            }
            return Some(if joined { RecordKind::Joined } else { RecordKind::Left });
        }
        let asked = self.answer_at <= now || all;
        if self.answer_at <= now {
            self.answer_at = NEVER;
        }
        (asked && self.joins > 0 && self.group != ALL_HOSTS).then_some(RecordKind::Member)
    }
}

/// A delay in (0, `max`], another one for each `index`.
fn spread(max: u64, random: u32, index: usize) -> u64 {
    let hash = Keyed::new(u64::from(random)).word(index as u64);
    1 + ((u128::from(hash) * u128::from(max)) >> 64) as u64
}

/// All hosts of a link (RFC 1112).
pub const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
/// Groups of one stack, on all interfaces together.
pub const GROUPS_MAX: usize = 256;

const NEVER: u64 = u64::MAX;
const SECOND: u64 = 1_000_000_000;
/// Robustness Variable (RFC 3376 section 8.1): a change is told twice.
const ROBUSTNESS: u8 = 2;
/// Unsolicited Report Interval (RFC 3376 section 8.11).
const CHANGE_INTERVAL_NS: u64 = SECOND;
/// Older Version Querier Present Timeout (RFC 3376 section 8.12): 2 queries of 125 s and 10 s.
const OLDER_QUERIER_NS: u64 = 260 * SECOND;

#[cfg(test)]
mod tests;
