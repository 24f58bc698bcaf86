//! What `ip` makes of words of transports.

use millstream_modules::ctl::Ctl;
use millstream_modules::ip::Ip;
use millstream_rig::RigMux;
use std::net::Ipv4Addr;

/// 10.0.0.1/24, with a router.
fn host() -> RigMux {
    let mut rig = RigMux::new(Box::new(Ip::new(1)), 1, 1);
    let ip = rig.perimeter().muxes()[0];
    for (key, value) in [("address", "0 10.0.0.1/24"), ("route", "0.0.0.0/0 via 10.0.0.254")] {
        rig.perimeter().set_mux(ip, key, value).unwrap();
    }
    rig
}

/// The words that go down when a transport says this.
fn words(rig: &mut RigMux, word: Ctl) -> Vec<Ctl> {
    // What was said before it.
    let now = rig.now();
    rig.perimeter().turn(now, 1000);
    rig.below(0);
    let msg = word.to_msg(rig.perimeter().pool()).unwrap();
    rig.put_down(0, msg);
    rig.below(0).iter().map(|msg| Ctl::from_msg(msg).expect("a word")).collect()
}

//= rfc9293#section-3.8.3
#[test]
fn must_20_a_doubt_about_a_peer_becomes_one_about_the_next_hop() {
    let mut rig = host();
    let near = Ipv4Addr::new(10, 0, 0, 9).into();
    assert_eq!(words(&mut rig, Ctl::Doubt(near)), [Ctl::Doubt(near)]);
    let far = Ipv4Addr::new(192, 0, 2, 1).into();
    let router = Ipv4Addr::new(10, 0, 0, 254).into();
    assert_eq!(words(&mut rig, Ctl::Doubt(far)), [Ctl::Doubt(router)]);
}

#[test]
fn a_doubt_about_what_no_way_leads_to_is_dropped() {
    let mut rig = RigMux::new(Box::new(Ip::new(1)), 1, 1);
    let ip = rig.perimeter().muxes()[0];
    rig.perimeter().set_mux(ip, "address", "0 10.0.0.1/24").unwrap();
    assert_eq!(words(&mut rig, Ctl::Doubt(Ipv4Addr::new(192, 0, 2, 1).into())), []);
}
