//! Joining, leaving, and answering routers of three ages.

use super::super::route::Interface;
use super::super::{build, options};
use super::*;
use millstream_msg::PoolConfig;
use proptest::prelude::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const START: u64 = 1000 * SECOND;

struct Host {
    groups: Groups,
    net: Net,
    pool: Pool,
    now: u64,
}

type Sent = (Ipv4Addr, Vec<u8>);

impl Host {
    fn new() -> Self {
        let mut net = Net::new();
        for n in 0..2 {
            let index = net.add_interface(Interface::new(1500)).unwrap();
            net.add_address(index, [10, n, 0, 1].into(), 24).unwrap();
        }
        let pool = Pool::new(PoolConfig::TINY);
        Self { groups: Groups::new(), net, pool, now: START }
    }

    fn join(&mut self, group: Ipv4Addr) {
        self.groups.join(0, group.into(), self.now).unwrap();
    }

    /// What is sent until `ns` from now: destination and IGMP bytes.
    fn sent(&mut self, ns: u64) -> Vec<Sent> {
        let end = self.now + ns;
        let mut sent = Vec::new();
        while let Some(at) = self.groups.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut out = MsgList::new();
            self.groups.timer(self.now, 99, &self.net, &mut self.pool, &mut out);
            for mut msg in out {
                let request = Request::take(&mut msg, &mut self.pool).unwrap();
                assert!(request.router_alert && request.ttl == 1);
                assert_eq!(request.src, Some([10, 0, 0, 1].into()));
                assert_eq!(request.interface, Some(0));
                assert_eq!(checksum::sum_portable(msg.first()), 0xffff);
                sent.push((v4(request.dst).unwrap(), msg.first().to_vec()));
            }
        }
        self.now = end;
        sent
    }

    fn hear_from(
        &mut self,
        bytes: &[u8],
        dst: Ipv4Addr,
        ttl: u8,
        alert: bool,
    ) -> Result<(), IpDrop> {
        let mut bytes = bytes.to_vec();
        if bytes.len() >= 4 {
            bytes[2..4].fill(0);
            let sum = !checksum::sum_portable(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_ne_bytes());
        }
        let mut msg = self.pool.copy_from(64, &bytes).unwrap();
        let request =
            Request { ttl, router_alert: alert, ..Request::new(dst.into(), protocol::IGMP) };
        build::output(&mut msg, &request, [10, 0, 0, 254].into(), 0, &mut self.pool).unwrap();
        let view = View::verify(msg.first()).unwrap();
        let found = options::scan(&msg.first()[20..view.header()]).unwrap();
        let sum = checksum::sum_portable;
        self.groups.input(&msg, &view, 0, found.router_alert, self.now, 77, sum)
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<(), IpDrop> {
        self.hear_from(bytes, ALL_HOSTS, 1, true)
    }
}

fn record(kind: u8, group: Ipv4Addr) -> Vec<u8> {
    let mut bytes = std::vec![kind, 0, 0, 0];
    bytes.extend(group.octets());
    bytes
}

fn query3(group: [u8; 4], sources: u16) -> Vec<u8> {
    let mut bytes = std::vec![0x11, 100, 0, 0];
    bytes.extend(group);
    bytes.extend([2, 125]);
    bytes.extend(sources.to_be_bytes());
    bytes
}

#[test]
fn join_is_told_twice_to_all_v3_routers_rfc3376_5_1() {
    let mut host = Host::new();
    host.join(GROUP);
    let sent = host.sent(0);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].0, Ipv4Addr::new(224, 0, 0, 22));
    assert_eq!((sent[0].1[0], &sent[0].1[6..8]), (0x22, &[0, 1][..]));
    assert_eq!(sent[0].1[8..], record(4, GROUP));
    assert_eq!(host.sent(SECOND + 1).len(), 1);
    assert!(host.sent(100 * SECOND).is_empty());
    assert!(host.groups.is_member(0, GROUP.into()) && !host.groups.is_member(1, GROUP.into()));
}

#[test]
fn only_the_last_leave_is_told() {
    let mut host = Host::new();
    host.join(GROUP);
    host.join(GROUP);
    host.sent(5 * SECOND);
    assert!(host.groups.leave(0, GROUP.into(), host.now));
    assert!(host.sent(SECOND).is_empty());
    assert!(host.groups.leave(0, GROUP.into(), host.now));
    assert!(!host.groups.leave(0, GROUP.into(), host.now));
    let sent = host.sent(5 * SECOND);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].1[8..], record(3, GROUP));
    assert!(host.groups.members.is_empty());
}

#[test]
fn general_query_is_answered_once_for_all_groups_within_its_time() {
    let mut host = Host::new();
    host.join(GROUP);
    host.join(OTHER);
    host.join(ALL_HOSTS);
    host.sent(5 * SECOND);
    host.hear(&query3([0; 4], 0)).unwrap();
    host.hear(&query3([0; 4], 0)).unwrap();
    let sent = host.sent(10 * SECOND + 1);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1[8..], [record(2, GROUP), record(2, OTHER)].concat());
}

#[test]
fn query_for_one_group_is_answered_for_that_group() {
    let mut host = Host::new();
    host.join(GROUP);
    host.join(OTHER);
    host.sent(5 * SECOND);
    host.hear_from(&query3(OTHER.octets(), 0), OTHER, 1, true).unwrap();
    host.hear_from(&query3([239, 9, 9, 9], 0), [239, 9, 9, 9].into(), 1, true).unwrap();
    let sent = host.sent(11 * SECOND);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1[8..], record(2, OTHER));
}

#[test]
fn older_querier_gets_older_messages_for_a_while_rfc3376_7_2_1() {
    let mut host = Host::new();
    host.hear(&[0x11, 100, 0, 0, 0, 0, 0, 0]).unwrap();
    host.join(GROUP);
    let sent = host.sent(5 * SECOND);
    assert_eq!((sent[0].0, sent[0].1[0]), (GROUP, 0x16));
    host.groups.leave(0, GROUP.into(), host.now);
    let sent = host.sent(5 * SECOND);
    assert_eq!((sent[0].0, sent[0].1[0]), (Ipv4Addr::new(224, 0, 0, 2), 0x17));
    host.hear_from(&[0x11, 0, 0, 0, 0, 0, 0, 0], ALL_HOSTS, 1, false).unwrap();
    host.join(GROUP);
    assert_eq!(host.sent(5 * SECOND)[0].1[0], 0x12);
    host.now += 300 * SECOND;
    host.join(OTHER);
    assert_eq!(host.sent(5 * SECOND)[0].1[0], 0x22);
}

#[test]
fn report_of_another_host_is_enough_for_an_older_querier() {
    let mut host = Host::new();
    host.join(GROUP);
    host.sent(5 * SECOND);
    host.hear_from(&[&[0x11, 100, 0, 0][..], &GROUP.octets()].concat(), GROUP, 1, true).unwrap();
    host.hear_from(&[&[0x16, 0, 0, 0][..], &GROUP.octets()].concat(), GROUP, 1, true).unwrap();
    assert!(host.sent(11 * SECOND).is_empty());
}

#[test]
fn bad_input_23_query_with_more_sources_than_bytes_is_refused() {
    let mut host = Host::new();
    for sources in [1, 2, 1000, 65_535] {
        assert_eq!(host.hear(&query3(GROUP.octets(), sources)), Err(IpDrop::IgmpShort));
    }
    let mut one = query3(GROUP.octets(), 1);
    one.extend([1, 2, 3, 4]);
    assert_eq!(host.hear(&one), Ok(()));
    one.pop();
    assert_eq!(host.hear(&one), Err(IpDrop::IgmpShort));
}

#[test]
fn bad_input_23_truncated_messages_are_refused() {
    let mut host = Host::new();
    let whole = query3([0; 4], 0);
    for len in (4..8).chain(9..12) {
        assert_eq!(host.hear(&whole[..len]), Err(IpDrop::IgmpShort), "{len}");
    }
    assert_eq!(host.hear(&[0x11, 100, 0, 0, 10, 0, 0, 1]), Err(IpDrop::IgmpGroup));
    assert_eq!(host.hear(&[0x99, 0, 0, 0, 0, 0, 0, 0]), Err(IpDrop::IgmpIgnored));
}

#[test]
fn query_from_elsewhere_is_refused_rfc3376_9_1() {
    let mut host = Host::new();
    let query = query3([0; 4], 0);
    assert_eq!(host.hear_from(&query, ALL_HOSTS, 2, true), Err(IpDrop::IgmpForeign));
    assert_eq!(host.hear_from(&query, ALL_HOSTS, 1, false), Err(IpDrop::IgmpForeign));
    assert_eq!(host.hear_from(&query, [10, 0, 0, 1].into(), 1, true), Err(IpDrop::IgmpForeign));
}

#[test]
fn bad_input_47_groups_of_the_wrong_family_or_kind_are_refused() {
    let mut host = Host::new();
    let no_group = Err(JoinError::NotAGroup);
    assert_eq!(host.groups.join(0, "ff02::1".parse().unwrap(), 0), no_group);
    assert_eq!(host.groups.join(0, [10, 0, 0, 1].into(), 0), no_group);
    assert_eq!(host.groups.join(99, GROUP.into(), 0), Err(JoinError::Interface));
    assert!(!host.groups.leave(0, "ff02::1".parse().unwrap(), 0));
    assert!(!host.groups.is_member(0, "ff02::1".parse().unwrap()));
}

#[test]
fn groups_have_a_limit_and_many_go_into_several_reports() {
    let mut host = Host::new();
    for n in 0..GROUPS_MAX as u32 {
        host.join(Ipv4Addr::from(0xef00_0000 + n));
    }
    assert_eq!(host.groups.join(0, OTHER.into(), 0), Err(JoinError::Full));
    let sent = host.sent(0);
    assert_eq!(sent.len(), GROUPS_MAX / RECORDS_MAX);
    assert!(sent.iter().all(|(_, bytes)| bytes.len() <= 576 - 24));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..40), kind: u8) {
        let mut host = Host::new();
        host.join(GROUP);
        let _ = host.hear(&data);
        let mut query = std::vec![[0x11, 0x12, 0x16][usize::from(kind) % 3]];
        query.extend(&data);
        let _ = host.hear(&query);
        host.sent(100 * SECOND);
    }
}
