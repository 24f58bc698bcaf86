//! count2 takes the place of count under messages that are on their way, and the way back is seen.

mod small_kit;

use millstream_core::{Module, PlumbError};
use millstream_modules::count::Count;
use millstream_modules::count2::Count2;
use millstream_modules::filter::{Filter, Link};
use millstream_modules::null::Null;
use small_kit::Stack;

/// Two messages each way: of 10 and 30 bytes down, of 5 and 20 bytes up.
fn exchange(s: &mut Stack) {
    for len in [10, 30] {
        let msg = s.msg(&vec![0; len]);
        s.down(msg);
    }
    for len in [5, 20] {
        let msg = s.msg(&vec![0; len]);
        s.up(msg);
    }
}

fn replace(s: &mut Stack, module: impl Module) -> Result<(), PlumbError> {
    s.p.replace(s.stream, 0, Box::new(module)).map(|change| assert!(change.done().is_some()))
}

fn bytes(s: &Stack) -> [u64; 2] {
    ["up.bytes", "down.bytes"].map(|name| s.count(name))
}

fn largest(s: &Stack) -> [u64; 2] {
    ["up.largest", "down.largest"].map(|name| s.count(name))
}

#[test]
fn count2_goes_on_from_the_counts_of_count() {
    let mut s = Stack::with(Count::default());
    exchange(&mut s);
    s.turn(0);
    // These are on their way when the module changes.
    exchange(&mut s);
    replace(&mut s, Count2::default()).unwrap();
    assert_eq!(s.module().name, "count2");
    assert_eq!((bytes(&s), largest(&s)), ([25, 40], [0, 0]));
    s.turn(0);
    assert_eq!((bytes(&s), largest(&s)), ([50, 80], [20, 30]));
    assert_eq!((s.sent().len(), s.received().len()), (4, 4));
    s.assert_nothing_leaked();
}

#[test]
fn count_refuses_the_state_of_count2_which_counts_on() {
    let mut s = Stack::with(Count2::default());
    exchange(&mut s);
    s.turn(0);
    let refused = replace(&mut s, Count::default()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the successor does not take the state: the state is of another version of the module; \
         nothing has changed"
    );
    assert_eq!((bytes(&s), largest(&s)), ([25, 40], [20, 30]));
    exchange(&mut s);
    s.turn(0);
    assert_eq!((s.module().name.as_str(), bytes(&s)), ("count2", [50, 80]));
    assert_eq!((s.sent().len(), s.received().len()), (4, 4));
    s.assert_nothing_leaked();
}

#[test]
fn count_and_count2_are_replaced_by_their_own_kind() {
    let mut s = Stack::with(Count::default());
    exchange(&mut s);
    s.turn(0);
    replace(&mut s, Count::default()).unwrap();
    assert_eq!((s.module().name.as_str(), bytes(&s)), ("count", [25, 40]));
    replace(&mut s, Count2::default()).unwrap();
    exchange(&mut s);
    s.turn(0);
    replace(&mut s, Count2::default()).unwrap();
    assert_eq!((bytes(&s), largest(&s)), ([50, 80], [20, 30]));
}

#[test]
fn count2_does_not_begin_with_the_state_of_another_module() {
    let mut s = Stack::with(Filter::new(Link::Ethernet));
    let refused = replace(&mut s, Count2::default());
    assert_eq!(refused, Err(PlumbError::NotTaken("the state is of another module")));
    assert_eq!(s.module().name, "filter");
    let mut s = Stack::with(Null);
    exchange(&mut s);
    s.turn(0);
    // Nothing was handed over: it begins at 0.
    replace(&mut s, Count2::default()).unwrap();
    assert_eq!((bytes(&s), largest(&s)), ([0, 0], [0, 0]));
}

#[test]
fn count2_starts_again_after_a_reset() {
    let mut s = Stack::with(Count2::default());
    exchange(&mut s);
    s.turn(0);
    assert_eq!(s.set_error("reset=sideways"), "reset=sideways: one of all, up, down");
    assert_eq!(largest(&s), [20, 30]);
    s.set("reset=up");
    assert_eq!((bytes(&s), largest(&s)), ([0, 40], [0, 30]));
    s.set("reset=all");
    assert_eq!((bytes(&s), largest(&s)), ([0, 0], [0, 0]));
}
