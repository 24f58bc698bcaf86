//! The test kit finds what it is there to find.

use millstream_core::{Cx, Drop, ModInfo, Module, Side};
use millstream_msg::Msg;
use millstream_rig::{Faults, Rig, Sim, ms, secs};

/// Does with messages on their way up what its name says.
enum Odd {
    Forgets,
    Delays,
    Pushes,
    Doubles,
}

impl Module for Odd {
    fn info(&self) -> &'static ModInfo {
        const INFO: ModInfo = ModInfo { rsrv: true, ..ModInfo::new("odd", "for tests") };
        &INFO
    }

    fn rput(&mut self, cx: &mut Cx<'_>, msg: Msg) {
        match self {
            Self::Forgets => drop(msg),
            Self::Delays => {
                cx.set_enabling(Side::Read, false);
                cx.putq(msg);
                cx.timer(0, cx.now() + ms(10));
            }
            Self::Pushes => cx.putnext(msg),
            Self::Doubles => {
                let twin = msg.dup(cx.pool()).expect("memory");
                cx.putnext(msg);
                cx.putnext(twin);
            }
        }
    }

    fn timer(&mut self, cx: &mut Cx<'_>, _: u64) {
        cx.qenable(Side::Read);
    }
}

#[test]
#[should_panic(expected = "fell out of scope")]
fn a_message_that_falls_out_of_scope_fails_the_test() {
    let mut rig = Rig::new(Box::new(Odd::Forgets));
    rig.up(b"gone");
}

#[test]
fn time_passes_only_by_advance() {
    let mut rig = Rig::new(Box::new(Odd::Delays));
    rig.up(b"later");
    rig.advance(ms(9));
    assert!(rig.above().is_empty());
    assert_eq!(rig.balance().queued, 1);
    rig.assert_balanced(0, 0);
    rig.advance(ms(2));
    assert_eq!(rig.above_bytes(), [b"later"]);
    assert_eq!(rig.now(), ms(11));
}

#[test]
fn a_module_that_does_not_ask_is_counted_as_an_overrun() {
    let mut rig = Rig::new(Box::new(Odd::Pushes));
    rig.full(Side::Read);
    rig.up(b"too much");
    assert_eq!(rig.overruns(Side::Read), 1);
    rig.relieve(Side::Read);
    rig.up(b"fine");
    assert_eq!(rig.overruns(Side::Read), 1);
}

#[test]
fn a_balance_names_what_a_module_made() {
    let mut rig = Rig::new(Box::new(Odd::Doubles));
    rig.up(b"twice");
    assert_eq!(rig.above_bytes(), [b"twice", b"twice"]);
    rig.assert_balanced(1, 0);
    assert_eq!(rig.drops(Drop::NO_MEMORY), 0);
}

#[test]
fn what_a_module_holds_comes_out_when_it_is_removed() {
    let mut rig = Rig::new(Box::new(Odd::Delays));
    rig.up(b"1");
    rig.up(b"2");
    drop(rig.remove());
    assert_eq!(rig.above_bytes(), [b"1", b"2"]);
}

/// Two hosts over a bad link; the far one echoes. Digest and number of frames.
fn bad_link(seed: u64) -> (u64, u64) {
    let faults = Faults {
        delay_ns: ms(3),
        jitter_ns: ms(2),
        loss_ppm: 50_000,
        reorder_ppm: 100_000,
        duplicate_ppm: 30_000,
        rate_bps: 10_000_000,
        ..Faults::NONE
    };
    let mut sim = Sim::exactly(seed);
    let (a, b) = (sim.host(), sim.host());
    let link = sim.link(a, b, faults);
    let (near, far) = (sim.stream(link, a), sim.stream(link, b));
    sim.app(b, move |p, _| {
        let Ok(Some(got)) = p.getmsg(far) else { return false };
        p.putmsg(far, got.data.expect("data")).is_ok()
    });
    for i in 0..500_u32 {
        let jumble = sim.perimeter(a).rng().next_u64();
        let frame = [i.to_le_bytes(), (jumble as u32).to_le_bytes()].concat();
        sim.perimeter(a).write(near, &frame).expect("room");
        sim.run_until(sim.now() + ms(1));
    }
    assert!(sim.run_until_idle(secs(10)));
    (sim.hash(), sim.sent())
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let first = bad_link(1);
    assert_eq!(first, bad_link(1));
    assert_ne!(first.0, bad_link(2).0);
    assert!(first.1 > 900, "most frames were echoed: {}", first.1);
}

#[test]
fn a_cut_link_loses_everything_until_it_is_mended() {
    let mut sim = Sim::new(3);
    let (a, b) = (sim.host(), sim.host());
    let link = sim.link(a, b, Faults { delay_ns: ms(5), ..Faults::NONE });
    let (near, far) = (sim.stream(link, a), sim.stream(link, b));
    sim.set_up(link, false);
    sim.perimeter(a).write(near, b"lost").unwrap();
    sim.run_until(ms(20));
    sim.set_up(link, true);
    sim.perimeter(a).write(near, b"found").unwrap();
    sim.run_until(ms(40));
    let got = sim.perimeter(b).getmsg(far).unwrap().unwrap();
    assert_eq!(got.data.unwrap().first(), b"found");
    assert!(sim.perimeter(b).getmsg(far).is_err());
}

#[test]
fn a_rate_spreads_frames_over_time() {
    let mut sim = Sim::new(4);
    let (a, b) = (sim.host(), sim.host());
    let link = sim.link(a, b, Faults { rate_bps: 8_000_000, ..Faults::NONE });
    let (near, far) = (sim.stream(link, a), sim.stream(link, b));
    for _ in 0..10 {
        // 1,000 bytes take 1 ms.
        sim.perimeter(a).write(near, &[0; 1000]).unwrap();
    }
    sim.run_until(ms(5) + 1);
    let mut arrived = 0;
    while sim.perimeter(b).getmsg(far).is_ok() {
        arrived += 1;
    }
    assert_eq!(arrived, 5);
}
