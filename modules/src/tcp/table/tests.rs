//! Tests of the table of sockets, among them one against a list.

use super::*;
use proptest::prelude::*;

const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));
const ALSO_HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 9));
const ANY: IpAddr = IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

fn peer(n: u16) -> (IpAddr, u16) {
    ([10, 0, 0, 2].into(), n)
}

fn table() -> Table {
    Table::new(0x5eed)
}

#[test]
fn a_segment_finds_its_connection_before_the_listener() {
    let mut table = table();
    table.bind(0, (ANY, 80), false, 0).unwrap();
    table.listen(0).unwrap();
    let ends = Ends::new((HERE, 80), peer(1000));
    assert_eq!(table.lookup(&ends), Some(Found::Listener(0)));
    table.accept(1, &ends, false).unwrap();
    assert_eq!(table.lookup(&ends), Some(Found::Connection(1)));
    assert_eq!(table.lookup(&Ends::new(ends.local, peer(1001))), Some(Found::Listener(0)));
    assert_eq!(table.lookup(&Ends::new((HERE, 81), peer(1000))), None);
    table.remove(1);
    assert_eq!(table.lookup(&ends), Some(Found::Listener(0)));
    table.unlisten(0);
    assert_eq!(table.lookup(&ends), None);
    assert_eq!(table.local(0), Some((ANY, 80)));
}

#[test]
fn a_listener_at_the_address_comes_before_that_of_another_family_or_address() {
    let mut table = table();
    table.bind(0, (HERE, 80), false, 0).unwrap();
    table.bind(1, (ALSO_HERE, 80), false, 0).unwrap();
    table.bind(2, (ANY6, 80), false, 0).unwrap();
    for number in 0..3 {
        table.listen(number).unwrap();
    }
    assert_eq!(table.listener((HERE, 80)), Some(0));
    assert_eq!(table.listener((ALSO_HERE, 80)), Some(1));
    assert_eq!(table.listener((ANY, 80)), None);
    assert_eq!(table.listener((Ipv6Addr::LOCALHOST.into(), 80)), Some(2));
}

#[test]
fn a_port_in_use_is_not_bound_again_at_an_overlapping_address() {
    let mut table = table();
    table.bind(0, (HERE, 80), false, 0).unwrap();
    assert_eq!(table.bind(1, (HERE, 80), false, 0), Err(TableError::InUse));
    assert_eq!(table.bind(1, (ANY, 80), true, 0), Err(TableError::InUse));
    assert_eq!(table.bind(1, (ALSO_HERE, 80), false, 0), Ok(80));
    assert_eq!(table.bind(2, (ANY6, 80), false, 0), Ok(80));
    table.remove(0);
    assert_eq!(table.bind(0, (HERE, 80), false, 0), Ok(80));
}

#[test]
fn reuse_goes_past_time_wait_but_not_past_a_listener() {
    let mut table = table();
    table.bind(0, (ANY, 80), true, 0).unwrap();
    table.listen(0).unwrap();
    table.accept(1, &Ends::new((HERE, 80), peer(1)), true).unwrap();
    assert_eq!(table.bind(2, (ANY, 80), true, 0), Err(TableError::InUse));
    table.remove(0);
    assert_eq!(table.bind(2, (ANY, 80), false, 0), Err(TableError::InUse), "1 is still there");
    table.bind(2, (ANY, 80), true, 0).unwrap();
    table.listen(2).unwrap();
}

#[test]
fn of_two_that_are_bound_with_reuse_one_listens() {
    let mut table = table();
    table.bind(0, (ANY, 80), true, 0).unwrap();
    table.bind(1, (HERE, 80), true, 0).unwrap();
    table.listen(0).unwrap();
    assert_eq!(table.listen(1), Err(TableError::InUse));
    table.remove(0);
    table.listen(1).unwrap();
}

#[test]
fn reuse_can_be_set_on_a_bound_socket() {
    let mut table = table();
    table.bind(0, (ANY, 80), false, 0).unwrap();
    table.set_reuse(0, true);
    table.bind(1, (ANY, 80), true, 0).unwrap();
    table.set_reuse(7, true);
}

#[test]
fn a_bound_socket_connects_from_its_port_and_the_routes_address() {
    let mut table = table();
    table.bind(0, (ANY, 99), false, 0).unwrap();
    let ends = table.connect(0, HERE, peer(7)).unwrap();
    assert_eq!(ends, Ends::new((HERE, 99), peer(7)));
    assert_eq!((table.local(0), table.remote(0)), (Some(ends.local), Some(ends.remote)));
    assert_eq!(table.bind(1, (ALSO_HERE, 99), false, 0), Ok(99), "0 is at one address now");
    table.remove(1);
    table.disconnect(0);
    assert_eq!((table.local(0), table.remote(0)), (Some((ANY, 99)), None));
    assert_eq!(table.connection(&ends), None);
    table.remove(0);
    table.bind(0, (ALSO_HERE, 99), false, 0).unwrap();
    assert_eq!(table.connect(0, HERE, peer(7)).unwrap().local, (ALSO_HERE, 99));
}

#[test]
fn ends_are_used_once() {
    let mut table = table();
    for number in 0..2 {
        table.bind(number, (HERE, 99), true, 0).unwrap();
    }
    table.connect(0, HERE, peer(7)).unwrap();
    assert_eq!(table.connect(1, HERE, peer(7)), Err(TableError::InUse));
    assert_eq!(table.local(1), Some((HERE, 99)), "as before");
    table.connect(1, HERE, peer(8)).unwrap();
    let taken = Ends::new((HERE, 99), peer(8));
    assert_eq!(table.accept(2, &taken, true), Err(TableError::InUse));
}

#[test]
fn a_peer_that_cannot_be_one_is_refused() {
    let mut table = table();
    table.bind(0, (HERE, 99), true, 0).unwrap();
    let refused = |table: &mut Table, remote| table.connect(0, HERE, remote).unwrap_err();
    assert_eq!(refused(&mut table, peer(0)), TableError::NoPeer);
    assert_eq!(refused(&mut table, (ANY, 7)), TableError::NoPeer);
    assert_eq!(refused(&mut table, ([224, 0, 0, 1].into(), 7)), TableError::NoPeer);
    assert_eq!(refused(&mut table, (Ipv6Addr::LOCALHOST.into(), 7)), TableError::Family);
    assert_eq!(table.bind(SOCKETS_MAX, (HERE, 1), false, 0), Err(TableError::Full));
}

#[test]
fn chosen_ports_are_shared_between_peers_and_not_with_bound_sockets() {
    let mut table = table();
    let mut number = 0;
    // Each port to one peer, and then to the next one.
    for remote in [peer(1), peer(2)] {
        for _ in 0..EPHEMERAL {
            table.connect(number, HERE, remote).unwrap();
            number += 1;
        }
        assert_eq!(table.connect(number, HERE, remote), Err(TableError::NoPort));
    }
    assert_eq!(table.bind(number, (HERE, 0), false, 0), Err(TableError::NoPort));
    table.disconnect(5);
    assert_eq!(table.local(5), None, "a chosen port goes with its connection");
    let free = table.connect(5, HERE, peer(1)).unwrap().local.1;
    assert!(free >= EPHEMERAL_FIRST);
}

#[test]
fn chosen_ports_go_on_and_begin_elsewhere_for_each_peer_rfc6056_3_3_4() {
    let mut table = table();
    let mut port = |number, remote| table.connect(number, HERE, peer(remote)).unwrap().local.1;
    let to_one = [port(0, 1), port(1, 1), port(2, 1)];
    let forward = |a: u16, b: u16| (b.wrapping_sub(a)) % EPHEMERAL as u16;
    assert!(forward(to_one[0], to_one[1]) == 1 && forward(to_one[1], to_one[2]) == 1);
    let starts = [to_one[0], port(3, 2), port(4, 3), port(5, 4)];
    assert!((1..4).all(|n| !starts[..n].contains(&starts[n])), "{starts:?}");
    table.remove(0);
    let again = table.connect(0, HERE, peer(1)).unwrap().local.1;
    assert_ne!(again, to_one[0], "not soon again");
}

#[test]
fn a_free_port_is_bound_from_a_random_place_and_no_other_is_chosen_on_it() {
    let mut table = table();
    assert_eq!(table.bind(0, (HERE, 0), false, 5), Ok(EPHEMERAL_FIRST + 5));
    assert_eq!(table.bind(1, (HERE, 0), true, 5), Ok(EPHEMERAL_FIRST + 6));
    for number in 2..200 {
        let ends = table.connect(number, HERE, peer(number as u16)).unwrap();
        assert!(ends.local.1 != EPHEMERAL_FIRST + 5 && ends.local.1 != EPHEMERAL_FIRST + 6);
    }
}

#[test]
fn chains_stay_short_for_100_000_connections_of_chosen_ends() {
    let mut table = table();
    for n in 0..100_000_u32 {
        let remote = IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        let ends = Ends::new((HERE, 80), (remote, (n >> 16) as u16 + 1));
        table.accept(n, &ends, false).unwrap();
    }
    let longest = table.index.longest(&table.slots);
    assert!(longest <= 12, "{longest}");
    assert_eq!((table.len(), table.ports.conflicts(80, halves(HERE), false)), (100_000, true));
    for number in 0..100_000 {
        table.remove(number);
    }
    assert!(table.is_empty() && !table.ports.conflicts(80, halves(HERE), false));
}

#[derive(Clone, Debug)]
enum Step {
    Bind { number: u32, any: bool, port: u16, reuse: bool },
    Listen(u32),
    Unlisten(u32),
    Connect { number: u32, remote: u16 },
    Accept { number: u32, port: u16, remote: u16, reuse: bool },
    Disconnect(u32),
    Remove(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0_u32..12;
    let bind = (number(), any::<bool>(), 1_u16..4, any::<bool>());
    let accept = (number(), 1_u16..4, 1_u16..4, any::<bool>());
    prop_oneof![
        bind.prop_map(|(number, any, port, reuse)| Step::Bind { number, any, port, reuse }),
        number().prop_map(Step::Listen),
        number().prop_map(Step::Unlisten),
        (number(), 1_u16..4).prop_map(|(number, remote)| Step::Connect { number, remote }),
        accept.prop_map(|(number, port, remote, reuse)| {
            Step::Accept { number, port, remote, reuse }
        }),
        number().prop_map(Step::Disconnect),
        number().prop_map(Step::Remove),
    ]
}

/// A socket of the model.
#[derive(Clone, Debug)]
struct Plain {
    number: u32,
    bound: IpAddr,
    local: (IpAddr, u16),
    reuse: bool,
    listening: bool,
    remote: Option<(IpAddr, u16)>,
}

/// A list that is searched from one end to the other.
#[derive(Default)]
struct Model(Vec<Plain>);

impl Model {
    fn get(&mut self, number: u32) -> Option<&mut Plain> {
        self.0.iter_mut().find(|plain| plain.number == number)
    }

    fn conflicts(&self, but: Option<u32>, local: (IpAddr, u16), reuse: bool) -> bool {
        self.0.iter().filter(|plain| Some(plain.number) != but).any(|other| {
            let one = other.local.0 == ANY || local.0 == ANY || other.local.0 == local.0;
            other.local.1 == local.1 && one && !(reuse && other.reuse && !other.listening)
        })
    }

    fn lookup(&self, ends: &Ends) -> Option<Found> {
        let connected = |p: &&Plain| p.local == ends.local && p.remote == Some(ends.remote);
        let listens = |address| move |p: &&Plain| p.listening && p.local == (address, ends.local.1);
        let found = self.0.iter().find(connected).map(|p| Found::Connection(p.number));
        let at = |address| self.0.iter().find(listens(address)).map(|p| Found::Listener(p.number));
        found.or_else(|| at(ends.local.0)).or_else(|| at(ANY))
    }
}

/// Does the step in both; whether they agree.
fn both(table: &mut Table, model: &mut Model, step: &Step) -> bool {
    let state = |model: &mut Model, number| {
        model.get(number).map(|plain| (plain.listening, plain.remote.is_some()))
    };
    match *step {
        Step::Bind { number, any, port, reuse } if state(model, number).is_none() => {
            let bound = if any { ANY } else { HERE };
            let free = !model.conflicts(None, (bound, port), reuse);
            if free {
                let local = (bound, port);
                let (listening, remote) = (false, None);
                model.0.push(Plain { number, bound, local, reuse, listening, remote });
            }
            table.bind(number, (bound, port), reuse, 0).is_ok() == free
        }
        Step::Listen(number) if state(model, number) == Some((false, false)) => {
            let plain = model.get(number).unwrap().clone();
            let free = !model.conflicts(Some(number), plain.local, plain.reuse);
            model.get(number).unwrap().listening = free;
            table.listen(number).is_ok() == free
        }
        Step::Unlisten(number) if state(model, number) == Some((true, false)) => {
            model.get(number).unwrap().listening = false;
            table.unlisten(number);
            true
        }
        Step::Connect { number, remote } if state(model, number) == Some((false, false)) => {
            let ends = Ends::new((HERE, model.get(number).unwrap().local.1), peer(remote));
            let free = !matches!(model.lookup(&ends), Some(Found::Connection(_)));
            if free {
                let plain = model.get(number).unwrap();
                (plain.local, plain.remote) = (ends.local, Some(ends.remote));
            }
            table.connect(number, HERE, peer(remote)).is_ok() == free
        }
        Step::Accept { number, port, remote, reuse } if state(model, number).is_none() => {
            let ends = Ends::new((HERE, port), peer(remote));
            let free = !matches!(model.lookup(&ends), Some(Found::Connection(_)));
            if free {
                let (local, remote) = (ends.local, Some(ends.remote));
                model.0.push(Plain { number, bound: HERE, local, reuse, listening: false, remote });
            }
            table.accept(number, &ends, reuse).is_ok() == free
        }
        Step::Disconnect(number) if state(model, number) == Some((false, true)) => {
            let plain = model.get(number).unwrap();
            (plain.local.0, plain.remote) = (plain.bound, None);
            table.disconnect(number);
            true
        }
        Step::Remove(number) => {
            model.0.retain(|plain| plain.number != number);
            table.remove(number);
            true
        }
        _ => true,
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_a_linear_list(steps in prop::collection::vec(step(), 1..80)) {
        let (mut table, mut model) = (table(), Model::default());
        for step in &steps {
            prop_assert!(both(&mut table, &mut model, step), "{:?}", step);
            for port in 1..4 {
                for remote in 1..4 {
                    let ends = Ends::new((HERE, port), peer(remote));
                    prop_assert_eq!(table.lookup(&ends), model.lookup(&ends));
                }
            }
            let numbers = Vec::from_iter(table.iter());
            let mut expected = Vec::from_iter(model.0.iter().map(|plain| plain.number));
            expected.sort_unstable();
            prop_assert_eq!((numbers, table.len()), (expected, model.0.len()));
        }
    }
}
