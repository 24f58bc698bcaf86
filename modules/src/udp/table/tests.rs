//! Binding, precedence, reuse, groups.

use super::*;
use proptest::prelude::*;

const ANY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);

fn ip(n: u8) -> IpAddr {
    [10, 0, 0, n].into()
}

fn group(n: u8) -> IpAddr {
    [239, 0, 0, n].into()
}

fn table() -> Table {
    Table::new(Keyed::new(42))
}

fn listeners(table: &Table, dst: IpAddr, interface: u16) -> Vec<u32> {
    let mut got = Vec::new();
    let count = table.deliver((dst, 7), (ip(9), 5000), interface, |upper| got.push(upper));
    assert_eq!(count, got.len());
    got
}

#[test]
fn connected_goes_before_specific_and_specific_before_wildcard() {
    let mut table = table();
    table.bind(1, ANY, 7, true, 0).unwrap();
    table.bind(2, ip(1), 7, true, 0).unwrap();
    let third = table.bind(3, ip(1), 7, true, 0).unwrap();
    table.connect(third, ip(1), ip(9), 5000).unwrap();
    assert_eq!(table.lookup(ip(1), 7, ip(9), 5000), Some(3));
    assert_eq!(table.lookup(ip(1), 7, ip(9), 5001), Some(2));
    assert_eq!(table.lookup(ip(2), 7, ip(9), 5000), Some(1));
    assert_eq!(table.lookup(ip(1), 8, ip(9), 5000), None);
    assert_eq!(table.local(third), Some((ip(1), 7)));
    assert_eq!(table.remote(third), Some((ip(9), 5000)));
}

#[test]
fn wildcard_connects_from_the_chosen_source_and_returns_to_the_wildcard() {
    let mut table = table();
    let id = table.bind(1, ANY, 7, false, 0).unwrap();
    table.connect(id, ip(1), ip(9), 5000).unwrap();
    assert_eq!(table.local(id), Some((ip(1), 7)));
    assert_eq!(table.lookup(ip(1), 7, ip(8), 5000), None);
    table.connect(id, ip(1), ip(8), 5000).unwrap();
    assert_eq!(table.lookup(ip(1), 7, ip(8), 5000), Some(1));
    assert_eq!(table.lookup(ip(1), 7, ip(9), 5000), None);
    table.disconnect(id).unwrap();
    assert_eq!(table.local(id), Some((ANY, 7)));
    assert_eq!(table.lookup(ip(2), 7, ip(7), 1), Some(1));
}

#[test]
fn wildcard_that_connects_without_a_source_hears_its_peer_at_every_address() {
    let mut table = table();
    let id = table.bind(1, ANY, 7, false, 0).unwrap();
    table.connect(id, ANY, ip(9), 5000).unwrap();
    assert_eq!(table.lookup(ip(1), 7, ip(9), 5000), Some(1));
    assert_eq!(table.lookup(ip(2), 7, ip(9), 5000), Some(1));
    assert_eq!(table.lookup(ip(1), 7, ip(8), 5000), None);
}

#[test]
fn port_in_use_is_refused_unless_both_allow_reuse_or_addresses_differ() {
    let mut table = table();
    table.bind(1, ip(1), 7, false, 0).unwrap();
    let in_use = Err(BindError::InUse);
    assert_eq!(table.bind(2, ip(1), 7, false, 0), in_use);
    assert_eq!(table.bind(2, ip(1), 7, true, 0), in_use);
    assert_eq!(table.bind(2, ANY, 7, false, 0), in_use);
    assert!(table.bind(2, ip(2), 7, false, 0).is_ok());
    assert!(table.bind(3, "::".parse().unwrap(), 7, false, 0).is_ok(), "another family");
    assert!(table.bind(4, ip(1), 8, true, 0).is_ok());
    assert!(table.bind(5, ANY, 8, true, 0).is_ok());
}

#[test]
fn last_of_several_gets_datagrams_and_the_one_before_when_it_goes() {
    let mut table = table();
    table.bind(1, ANY, 7, true, 0).unwrap();
    let second = table.bind(2, ANY, 7, true, 0).unwrap();
    assert_eq!(table.lookup(ip(1), 7, ip(9), 1), Some(2));
    table.unbind(second, |_, _| {});
    assert_eq!(table.lookup(ip(1), 7, ip(9), 1), Some(1));
    assert_eq!(table.len(), 1);
}

#[test]
fn two_endpoints_cannot_have_the_same_peer_from_the_same_port() {
    let mut table = table();
    let a = table.bind(1, ip(1), 7, true, 0).unwrap();
    let b = table.bind(2, ip(1), 7, true, 0).unwrap();
    table.connect(a, ip(1), ip(9), 5000).unwrap();
    assert_eq!(table.connect(b, ip(1), ip(9), 5000), Err(BindError::InUse));
    assert_eq!(table.connect(b, ip(1), ip(9), 0), Err(BindError::NoPeer));
    assert_eq!(table.connect(b, ip(1), ANY, 5), Err(BindError::NoPeer));
    let six = "2001:db8::1".parse().unwrap();
    assert_eq!(table.connect(b, ip(1), six, 5), Err(BindError::Family));
}

#[test]
fn ephemeral_port_begins_where_chance_says_and_is_free() {
    let mut table = table();
    let port = |t: &Table, id| t.local(id).unwrap().1;
    let a = table.bind(1, ANY, 0, false, 100).unwrap();
    let b = table.bind(2, ANY, 0, false, 100).unwrap();
    let c = table.bind(3, ip(1), 0, true, u32::MAX).unwrap();
    assert_eq!((port(&table, a), port(&table, b)), (49_252, 49_253));
    assert!(port(&table, c) >= EPHEMERAL_FIRST);
    let more = (0..20_000).filter(|n| table.bind(9, ANY, 0, false, n * 7).is_ok()).count();
    assert_eq!(more + 3, 16_384);
    assert_eq!(table.bind(9, ANY, 0, false, 0), Err(BindError::Full));
}

#[test]
fn datagram_to_a_group_goes_to_all_its_members_on_that_interface() {
    let mut table = table();
    let ids: Vec<_> = (0..4).map(|n| table.bind(n, ANY, 7, true, 0).unwrap()).collect();
    table.join(ids[0], 0, group(1)).unwrap();
    table.join(ids[1], 0, group(1)).unwrap();
    table.join(ids[2], 1, group(1)).unwrap();
    table.join(ids[3], 0, group(2)).unwrap();
    assert_eq!(listeners(&table, group(1), 0), [0, 1]);
    table.connect(ids[0], ip(1), ip(8), 1).unwrap();
    assert_eq!(listeners(&table, group(1), 0), [1]);
    table.leave(ids[1], 0, group(1)).unwrap();
    assert!(listeners(&table, group(1), 0).is_empty());
    let mut left = Vec::new();
    table.unbind(ids[2], |interface, group| left.push((interface, group)));
    assert_eq!(left, [(1, group(1))]);
}

#[test]
fn broadcast_goes_to_wildcards_and_those_bound_to_it() {
    let mut table = table();
    table.bind(1, ANY, 7, true, 0).unwrap();
    table.bind(2, ip(1), 7, true, 0).unwrap();
    table.bind(3, ip(255), 7, true, 0).unwrap();
    assert_eq!(listeners(&table, ip(255), 0), [1, 3]);
}

#[test]
fn bad_input_47_membership_of_another_family_or_of_no_group_is_refused() {
    let mut table = table();
    let id = table.bind(1, ANY, 7, false, 0).unwrap();
    let six = "ff02::1".parse().unwrap();
    assert_eq!(table.join(id, 0, six), Err(BindError::NotAGroup));
    assert_eq!(table.join(id, 0, ip(1)), Err(BindError::NotAGroup));
    assert_eq!(table.leave(id, 0, group(1)), Err(BindError::NotFound));
    for n in 0..ENDPOINT_GROUPS_MAX as u8 {
        table.join(id, 0, group(n)).unwrap();
    }
    assert_eq!(table.join(id, 0, group(200)), Err(BindError::Full));
}

#[test]
fn one_port_has_a_limit() {
    let mut table = table();
    let bound = (0..2000).filter(|n| table.bind(*n, ANY, 7, true, 0).is_ok()).count();
    assert_eq!(bound, PORT_ENDPOINTS_MAX);
}

proptest! {
    #[test]
    fn random_operations_leave_nothing_behind(
        operations in
            proptest::collection::vec((0_u8..6, 0_u8..4, 0_u16..3, any::<bool>()), 0..200),
    ) {
        let mut table = table();
        let mut ids = Vec::new();
        for (operation, n, port, reuse) in operations {
            let local = if n == 0 { ANY } else { ip(n) };
            let pick = ids.get(usize::from(n) % ids.len().max(1)).copied();
            match (operation, pick) {
                (0 | 1, _) => ids.extend(table.bind(7, local, port, reuse, u32::from(n))),
                (2, Some(id)) => drop(table.connect(id, ip(1), ip(n), port)),
                (3, Some(id)) => drop(table.disconnect(id)),
                (4, Some(id)) => drop(table.join(id, port, group(n))),
                (5, Some(id)) => {
                    table.unbind(id, |_, _| {});
                    ids.retain(|other| *other != id);
                }
                _ => {}
            }
            prop_assert_eq!(table.len(), ids.len());
            for id in &ids {
                let (local, port) = table.local(*id).unwrap();
                let (src, src_port) = table.remote(*id).unwrap_or((ip(77), 77));
                let dst = if local == ANY { ip(66) } else { local };
                prop_assert!(table.lookup(dst, port, src, src_port).is_some());
            }
        }
        for id in ids {
            table.unbind(id, |_, _| {});
        }
        prop_assert!(table.bound.is_empty() && table.connected.is_empty());
        prop_assert!(table.ports.is_empty() && table.memberships.is_empty());
    }
}
