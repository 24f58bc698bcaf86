//! What a decoder refuses, and what it costs: lengths that lie, padding, depth, memory.

use millstream_msg::{Pool, PoolConfig};
use millstream_onc::xdr::{Decode, Decoder, Encoder, Fault, Limits, Opaque, Text, from_slice};
use proptest::prelude::*;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn bools_are_zero_and_one() {
    assert_eq!(from_slice::<bool>(&words(&[0])), Ok(false));
    assert_eq!(from_slice::<bool>(&words(&[1])), Ok(true));
    for word in [2, 256, u32::MAX] {
        assert_eq!(from_slice::<bool>(&words(&[word])), Err(Fault::Bool(word)));
    }
}

#[test]
fn padding_is_zero() {
    for at in 5..8 {
        let mut octets = words(&[1, 0x6100_0000]);
        assert_eq!(from_slice::<Opaque<'_>>(&octets), Ok(b"a".into()));
        octets[at] = 1;
        assert_eq!(from_slice::<Opaque<'_>>(&octets), Err(Fault::Padding));
        assert_eq!(from_slice::<Text<'_>>(&octets), Err(Fault::Padding));
        assert_eq!(Decoder::new(&octets[4..]).opaque_fixed::<1>(), Err(Fault::Padding));
    }
}

#[test]
fn lengths_beyond_the_message_take_no_memory() {
    for len in [5, 0x7fff_ffff, u32::MAX] {
        let octets = words(&[len, 0]);
        assert_eq!(from_slice::<Opaque<'_>>(&octets), Err(Fault::Short), "{len}");
        assert_eq!(
            Decoder::new(&octets).opaque(4),
            Err(Fault::Length { len: len as usize, max: 4 })
        );
        assert!(from_slice::<Vec<u32>>(&octets).is_err(), "{len}");
    }
}

#[test]
fn elements_without_octets_are_bounded_by_memory() {
    let octets = words(&[u32::MAX]);
    assert_eq!(from_slice::<Vec<()>>(&octets), Err(Fault::Memory));
    let few = Limits { bytes: 7, ..Limits::default() };
    let array = |n| Vec::<()>::decode(&mut Decoder::new(&words(&[n])).with_limits(few));
    assert_eq!(array(7).map(|items| items.len()), Ok(7));
    assert_eq!(array(8), Err(Fault::Memory));
}

#[test]
fn a_list_of_200_000_is_read_and_a_limit_of_memory_ends_it() {
    const ITEMS: u32 = 200_000;
    let octets =
        Encoder::vec(|to| to.list_of(&(0..ITEMS).collect::<Vec<_>>(), |to, n| to.u32(*n))).unwrap();
    let list = Decoder::new(&octets).list_of(u32::decode).unwrap();
    assert!(list.into_iter().eq(0..ITEMS));
    let few = Limits { bytes: 4 * 199_999, ..Limits::default() };
    let mut from = Decoder::new(&octets).with_limits(few);
    assert_eq!(from.list_of(u32::decode), Err(Fault::Memory));
}

#[derive(Debug)]
struct Deep(Option<Box<Self>>);

impl Decode<'_> for Deep {
    fn decode(from: &mut Decoder<'_>) -> Result<Self, Fault> {
        from.deeper(|from| from.option(|from| Self::decode(from).map(Box::new)).map(Self))
    }
}

impl Deep {
    fn depth(&self) -> usize {
        let (mut depth, mut at) = (1, self);
        while let Some(next) = &at.0 {
            (depth, at) = (depth + 1, next);
        }
        depth
    }
}

#[test]
fn optionals_within_optionals_end_at_the_depth() {
    let nested = |n: usize| words(&[vec![1; n - 1], vec![0]].concat());
    assert_eq!(from_slice::<Deep>(&nested(100)).unwrap().depth(), 100);
    assert_eq!(from_slice::<Deep>(&nested(101)).unwrap_err(), Fault::Depth);
    assert_eq!(from_slice::<Deep>(&nested(1_000_000)).unwrap_err(), Fault::Depth);
    let mut from = Decoder::new(&[]).with_limits(Limits { depth: 0, ..Limits::default() });
    assert_eq!(from.deeper(|_| Ok(())), Err(Fault::Depth));
}

#[test]
fn what_is_left_is_a_fault() {
    assert_eq!(from_slice::<u32>(&words(&[1, 2])), Err(Fault::Left(4)));
    assert_eq!(from_slice::<u32>(&[0, 0, 0, 1, 9]), Err(Fault::Left(1)));
}

#[test]
fn a_part_is_read_and_never_what_is_behind_it() {
    let octets = words(&[1, 2, 3]);
    let mut from = Decoder::new(&octets);
    let mut part = from.split(6).unwrap();
    assert_eq!(part.u32(), Ok(1));
    assert_eq!((part.position(), part.remaining()), (4, 2));
    assert_eq!(part.u32(), Err(Fault::Short));
    assert_eq!((from.position(), from.remaining()), (6, 6));
    assert!(from.split(7).is_err());
}

#[test]
fn text_need_not_be_utf_8_and_says_so() {
    let octets = words(&[2, 0xff61_0000]);
    let text = from_slice::<Text<'_>>(&octets).unwrap();
    assert_eq!((text.octets().as_ref(), text.str()), (&b"\xffa"[..], Err(Fault::Text)));
    assert_eq!(text.to_string(), "\u{fffd}a");
    assert_eq!(Text::from("name").str().unwrap(), "name");
}

#[test]
fn octets_across_blocks_are_one_value() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let octets = words(&[5, 0x6162_6364, 0x6500_0000]);
    let mut msg = pool.copy_from(0, &octets[..6]).unwrap();
    msg.link(pool.copy_from(0, &octets[6..]).unwrap());
    let value = Decoder::of(&msg).opaque(5).unwrap();
    assert_eq!((value.len(), value.as_slice()), (5, None));
    assert_eq!(value.chunks().collect::<Vec<_>>(), [&b"ab"[..], b"cde"]);
    assert!(value == b"abcde"[..] && value.to_vec() == b"abcde");
    let mut out = [0; 3];
    assert_eq!((value.copy_to(&mut out), &out), (3, b"abc"));
    let owned = value.into_owned();
    drop(msg);
    assert_eq!(owned, Opaque::from(b"abcde"));
}

#[test]
fn what_is_taken_back_is_as_if_it_was_not_written() {
    let mut pool = Pool::new(PoolConfig::TINY);
    let mut to = Encoder::new(&mut pool, 32, 8).unwrap();
    to.u64(1).unwrap();
    let (start, large) = (to.len(), vec![7; 5000]);
    to.opaque(&Opaque::from(&large[..]), 5000).unwrap();
    to.opaque(&Opaque::from(large.clone()), 5000).unwrap();
    assert_eq!(to.len(), 8 + 2 * 5004);
    to.truncate(start + 6);
    to.truncate(start);
    to.u32(2).unwrap();
    let msg = to.finish();
    assert!(msg.headroom() >= 32);
    let octets: Vec<u8> = msg.cursor().chunks().flatten().copied().collect();
    assert_eq!(octets, words(&[0, 1, 2]));
}

#[test]
fn a_pool_without_blocks_is_a_fault_and_nothing_is_lost() {
    let mut pool = Pool::new(PoolConfig::TINY);
    for nth in 1..6 {
        pool.fail_nth(nth);
        let written = Encoder::new(&mut pool, 0, 16).and_then(|mut to| {
            to.opaque(&Opaque::from(vec![1; 100_000]), 100_000)?;
            to.opaque(&Opaque::from(&[2; 3000]), 3000)?;
            Ok(to.finish().len())
        });
        pool.fail_none();
        assert!(matches!(written, Err(Fault::NoMem) | Ok(103_008)), "{nth}: {written:?}");
        pool.run_deferred();
        let stats = pool.stats();
        let out = [stats.small, stats.frame, stats.large, stats.bare, stats.external];
        assert_eq!(out.map(|counts| counts.out), [0; 5], "{nth}");
    }
}

proptest! {
    #[test]
    fn any_octets_are_read_without_panic_and_within_them(
        octets in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut from = Decoder::new(&octets);
        let _ = from.text(40);
        let _ = from.array_of(8, |from| from.text(8));
        let _ = from.list_of(|from| from.opaque_fixed::<3>());
        prop_assert!(from.position() + from.remaining() == octets.len());
    }
}

#[test]
fn a_value_that_is_all_there_is_leaves_nothing() {
    let octets = [0, 0, 0, 7, 0, 0, 0, 8];
    assert_eq!(Decoder::new(&octets[..4]).whole(Decoder::u32), Ok(7));
    assert_eq!(Decoder::new(&octets).whole(Decoder::u32), Err(Fault::Left(4)));
    assert_eq!(Decoder::new(&octets[..3]).whole(Decoder::u32), Err(Fault::Short));
}
