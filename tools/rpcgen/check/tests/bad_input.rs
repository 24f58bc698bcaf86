//! What no honest peer sends, read as generated types: each is a fault, within bounded memory and
//! stack.

mod kit;

use millstream_onc::xdr::{Decode, Decoder, Encoder, Fault, Limits, from_slice, to_vec};
use millstream_rpcgen_check::types::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn a_list_of_200_000_entries_is_read_in_a_loop_and_dropped_in_one() {
    // A thread whose stack would not hold a frame for each.
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let run = || {
        let octets = Encoder::vec(|to| {
            (0..200_000).try_for_each(|id| [1, id, 0].into_iter().try_for_each(|w| to.u32(w)))?;
            [0; 6].into_iter().try_for_each(|word| to.u32(word))
        });
        let octets = octets.unwrap();
        let holder = from_slice::<Holder<'_>>(&octets).unwrap();
        assert_eq!(holder.entries.len(), 200_000);
        assert_eq!(to_vec(&holder).unwrap(), octets);
        let few = Limits { bytes: 1 << 20, ..Limits::default() };
        let cut = Holder::decode(&mut Decoder::new(&octets).with_limits(few));
        assert_eq!(cut, Err(Fault::Memory));
    };
    thread.spawn(run).unwrap().join().unwrap();
}

#[test]
fn a_tree_is_as_deep_as_the_limit_and_no_deeper() {
    // Each left branch is there: value, 1, value, 1, ...
    let deep = |n: usize| {
        let mut octets = words(&[0, 0, 1]);
        octets.extend(words(&[7, 1]).repeat(n - 1));
        octets.extend(words(&[7, 0, 0]));
        octets.extend(words(&vec![0; n - 1 + 3]));
        octets
    };
    assert!(from_slice::<Holder<'_>>(&deep(100)).is_ok());
    assert_eq!(from_slice::<Holder<'_>>(&deep(101)), Err(Fault::Depth));
    assert_eq!(from_slice::<Holder<'_>>(&deep(1_000_000)), Err(Fault::Depth));
}

#[test]
fn unions_without_an_arm_are_refused() {
    assert_eq!(from_slice::<Sized_>(&words(&[8, 1, 2])), Err(Fault::Arm(8)));
    assert_eq!(from_slice::<Maybe>(&words(&[2, 1])), Err(Fault::Bool(2)));
    assert_eq!(from_slice::<Shape<'_>>(&words(&[7])), Err(Fault::Enum(7)));
}

#[test]
fn numbers_that_an_enum_does_not_name_are_refused() {
    for value in [1, 4, 7, -1, i32::MIN, i32::MAX] {
        assert_eq!(from_slice::<Color>(&value.to_be_bytes()), Err(Fault::Enum(value)));
    }
    for (value, color) in [(0, Color::Red), (5, Color::Green), (6, Color::Blue), (-2, Color::Dark)]
    {
        assert_eq!(from_slice(&i32::to_be_bytes(value)), Ok(color));
    }
}

#[test]
fn lengths_beyond_their_limits_are_refused() {
    let text = |len: u32| words(&[5, len, 0, 0, 0, 0]);
    let refused = |len: usize| Err(Fault::Length { len, max: 12 });
    assert_eq!(from_slice::<Shape<'_>>(&text(13)), refused(13));
    assert_eq!(from_slice::<Shape<'_>>(&text(u32::MAX)), refused(u32::MAX as usize));
    assert!(from_slice::<Shape<'_>>(&text(12)).is_err(), "octets are left");
    assert!(from_slice::<Shape<'_>>(&text(12)[..20]).is_ok());
}

#[test]
fn values_cut_at_every_octet_are_refused() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..50 {
        let sample = kit::samples().new_tree(&mut runner).unwrap().current();
        for cut in 0..sample.octets.len() {
            assert!((sample.again)(&sample.octets[..cut]).is_err(), "{sample:?} {cut}");
        }
        let longer = [&sample.octets[..], &[0; 4]].concat();
        assert_eq!((sample.again)(&longer), Err(Fault::Left(4)), "{sample:?}");
    }
}

#[test]
fn a_changed_octet_is_another_value_or_refused_and_never_a_panic() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..50 {
        let sample = kit::samples().new_tree(&mut runner).unwrap().current();
        for at in 0..sample.octets.len() {
            let mut octets = sample.octets.clone();
            octets[at] ^= 0x81;
            // What is read is written as it was.
            if let Ok(again) = (sample.again)(&octets) {
                assert_eq!(again, octets, "{}", sample.name);
            }
        }
    }
}
