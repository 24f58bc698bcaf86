//! Values of every type, written and read again: from one piece, and from blocks cut anywhere.

mod kit;

use millstream_msg::{Pool, PoolConfig};
use millstream_onc::xdr::{Decode, Decoder, Encode, Encoder, from_slice, to_vec};
use millstream_rpcgen_check::inline;
use millstream_rpcgen_check::types::*;
use proptest::prelude::*;

/// Written to a vector and to blocks, the octets are the same; read from octets, and from blocks
/// cut at `cuts`, the value is.
fn round_trip<T>(value: T, cuts: &[usize], read: impl for<'a> Fn(&mut Decoder<'a>, &T))
where
    T: Encode,
{
    let octets = to_vec(&value).unwrap();
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut to = Encoder::new(&mut pool, 64, 16).unwrap();
    value.encode(&mut to).unwrap();
    assert_eq!(to.len(), octets.len());
    let msg = to.finish();
    let written: Vec<u8> = msg.cursor().chunks().flatten().copied().collect();
    assert_eq!(written, octets);
    drop(msg);
    read(&mut Decoder::new(&octets), &value);
    let mut msg = pool.copy_from(0, &octets).unwrap();
    for cut in cuts {
        let at = cut % (octets.len() + 1);
        let rest = msg.split_off(&mut pool, at).unwrap();
        msg.link(rest);
    }
    read(&mut Decoder::of(&msg), &value);
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..4)
}

macro_rules! round_trips {
    ($($test:ident: $make:ident, $type:ty;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(64))]
            $(
                #[test]
                fn $test(value in kit::$make(), cuts in cuts()) {
                    round_trip(value, &cuts, |from, value| {
                        let back = <$type>::decode(from).unwrap();
                        assert_eq!(&back, value);
                        assert_eq!(from.end(), Ok(()));
                    });
                }
            )*
        }
    };
}

round_trips! {
    numbers_of_every_kind_come_back: numbers, Numbers;
    octets_and_strings_come_back: octets, Octets<'_>;
    arrays_come_back: arrays, Arrays<'_>;
    unions_by_an_enum_come_back: shape, Shape<'_>;
    unions_by_an_int_come_back: answer, Answer_<'_>;
    unions_by_an_unsigned_come_back: sized, Sized_;
    lists_trees_and_optionals_come_back: holder, Holder<'_>;
}

#[test]
fn bodies_in_place_and_quadruples_come_back() {
    let value = inline::Anonymous {
        q: 0.1.into(),
        u: inline::AnonymousU::Default(7),
        level: inline::AnonymousLevel::High,
        points: vec![inline::AnonymousPoints { x: 1, y: -1 }],
    };
    let octets = to_vec(&value).unwrap();
    assert_eq!(octets.len(), 16 + 4 + 4 + 4 + 8);
    assert_eq!(from_slice(&octets), Ok(value));
}

#[test]
fn a_list_that_must_have_an_item_is_not_written_without() {
    let mut value = inline::Counted { items: vec![], some: vec![] };
    assert!(to_vec(&value).is_err());
    value.some.push(inline::PlainList {});
    let octets = to_vec(&value).unwrap();
    assert_eq!(octets, [0; 8]);
    assert_eq!(from_slice(&octets), Ok(value));
}

#[test]
fn a_default_arm_is_not_written_for_a_case_of_its_own() {
    assert!(to_vec(&Shape::Default(Color::Red)).is_err());
    assert!(to_vec(&Answer_::Default(-1, [0; 20])).is_err());
    assert!(to_vec(&Answer_::Default(9, [0; 20])).is_ok());
}

#[test]
fn what_is_longer_than_its_limit_is_not_written() {
    let long = "x".repeat(13);
    assert!(to_vec(&Shape::Green(long.as_str().into())).is_err());
    assert!(to_vec(&Shape::Green(long[1..].into())).is_ok());
}

#[test]
fn a_large_opaque_is_read_and_written_without_a_copy() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let data = bytes_of(20_000);
    let octets = Octets {
        fixed: [1; 5],
        limited: b"ab".into(),
        open: pool.copy_from(0, &data).unwrap().into(),
        limited_text: "x".into(),
        open_text: "y".into(),
        sum: [2; 20],
        who: "z".into(),
    };
    let copied = pool.stats().copied_bytes;
    let mut to = Encoder::new(&mut pool, 0, 256).unwrap();
    octets.encode(&mut to).unwrap();
    let msg = to.finish();
    // What is small is copied, the data are not.
    assert!(pool.stats().copied_bytes - copied < 100, "{}", pool.stats().copied_bytes - copied);
    let mut from = Decoder::of(&msg);
    let back = Octets::decode(&mut from).unwrap();
    assert_eq!(back, octets);
    let theirs: Vec<*const u8> = back.open.chunks().map(<[u8]>::as_ptr).collect();
    let ours: Vec<*const u8> = octets.open.chunks().map(<[u8]>::as_ptr).collect();
    assert_eq!(theirs, ours);
}

fn bytes_of(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n % 251) as u8).collect()
}
