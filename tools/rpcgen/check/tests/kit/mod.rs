//! Values of the types of types.x, any of them.
#![allow(dead_code)]

use millstream_onc::xdr::{Decode, Encode, Opaque, Text, from_slice, to_vec};
use millstream_rpcgen_check::types::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// A value as octets, and what reads octets of its type and writes them again.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Name of the type in C.
    pub(crate) name: &'static str,
    pub(crate) octets: Vec<u8>,
    pub(crate) again: fn(&[u8]) -> Result<Vec<u8>, millstream_onc::xdr::Fault>,
}

macro_rules! again {
    ($type:ident) => {
        |octets| to_vec(&from_slice::<$type<'_>>(octets)?)
    };
    ($type:ident plain) => {
        |octets| to_vec(&from_slice::<$type>(octets)?)
    };
}

/// Any value of any type, which was read again from its octets.
pub(crate) fn samples() -> impl Strategy<Value = Sample> {
    prop_oneof![
        numbers().prop_map(|v| sample("numbers", &v, again!(Numbers plain))),
        octets().prop_map(|v| sample("octets", &v, again!(Octets))),
        arrays().prop_map(|v| sample("arrays", &v, again!(Arrays))),
        shape().prop_map(|v| sample("shape", &v, again!(Shape))),
        answer().prop_map(|v| sample("answer", &v, again!(Answer_))),
        holder().prop_map(|v| sample("holder", &v, again!(Holder))),
        sized().prop_map(|v| sample("sized", &v, again!(Sized_ plain))),
    ]
}

fn sample<T: Encode + PartialEq + core::fmt::Debug>(
    name: &'static str,
    value: &T,
    again: fn(&[u8]) -> Result<Vec<u8>, millstream_onc::xdr::Fault>,
) -> Sample {
    let octets = to_vec(value).unwrap();
    Sample { name, octets, again }
}

/// The value itself comes back.
pub(crate) fn comes_back<'a, T>(value: &T, octets: &'a [u8])
where
    T: Decode<'a> + PartialEq + core::fmt::Debug,
{
    assert_eq!(from_slice::<T>(octets).as_ref(), Ok(value));
}

fn text(max: usize) -> impl Strategy<Value = Text<'static>> {
    // C's strings end at a zero.
    vec(1..=255_u8, 0..=max).prop_map(|octets| Text(Opaque::from(octets)))
}

fn opaque(max: usize) -> impl Strategy<Value = Opaque<'static>> {
    vec(any::<u8>(), 0..=max).prop_map(Opaque::from)
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![Just(Color::Red), Just(Color::Green), Just(Color::Blue), Just(Color::Dark)]
}

pub(crate) fn numbers() -> impl Strategy<Value = Numbers> {
    let signed = (any::<i8>(), any::<i16>(), any::<i32>(), any::<i32>(), any::<i64>());
    let unsigned = (any::<u8>(), any::<u16>(), any::<u32>(), any::<u32>(), any::<u32>());
    let rest = (any::<u64>(), any::<f32>(), any::<f64>(), any::<bool>(), color());
    (signed, unsigned, rest).prop_map(|(signed, unsigned, rest)| Numbers {
        a_char: signed.0.into(),
        a_short: signed.1.into(),
        an_int: signed.2,
        a_long: signed.3,
        a_hyper: signed.4,
        u_char: unsigned.0.into(),
        u_short: unsigned.1.into(),
        u_int: unsigned.2,
        u_bare: unsigned.3,
        u_long: unsigned.4,
        u_hyper: rest.0,
        a_float: rest.1,
        a_double: rest.2,
        a_bool: rest.3,
        a_color: rest.4,
    })
}

pub(crate) fn octets() -> impl Strategy<Value = Octets<'static>> {
    let first = (any::<[u8; 5]>(), opaque(12), opaque(3000));
    let second = (text(12), text(100), any::<[u8; 20]>(), text(255));
    (first, second).prop_map(|(first, second)| Octets {
        fixed: first.0,
        limited: first.1,
        open: first.2,
        limited_text: second.0,
        open_text: second.1,
        sum: second.2,
        who: second.3,
    })
}

pub(crate) fn arrays() -> impl Strategy<Value = Arrays<'static>> {
    let first = (any::<[i32; 3]>(), any::<[i32; 5]>(), vec(any::<i64>(), 0..=12));
    let second = (vec(text(20), 0..=8), [color(), color()], vec(any::<u64>(), 0..=4));
    let third = (vec(numbers(), 0..4), vec(any::<i32>(), 100));
    (first, second, third).prop_map(|(first, second, third)| Arrays {
        three: first.0,
        fixed: first.1,
        limited: first.2,
        names: second.0,
        colors: second.1,
        wide: second.2,
        inner: third.0,
        many: third.1,
    })
}

pub(crate) fn shape() -> impl Strategy<Value = Shape<'static>> {
    prop_oneof![
        any::<i32>().prop_map(Shape::Red),
        text(12).prop_map(Shape::Green),
        text(12).prop_map(Shape::Blue),
        Just(Shape::Default(Color::Dark)),
    ]
}

pub(crate) fn answer() -> impl Strategy<Value = Answer_<'static>> {
    prop_oneof![
        text(255).prop_map(Answer_::Case0),
        Just(Answer_::CaseMinus1),
        any::<i64>().prop_map(Answer_::Fixed),
        any::<i64>().prop_map(Answer_::Hex),
        (100..i32::MAX, any::<[u8; 20]>()).prop_map(|(case, sum)| Answer_::Default(case, sum)),
    ]
}

pub(crate) fn sized() -> impl Strategy<Value = Sized_> {
    prop_oneof![
        any::<i32>().prop_map(Sized_::Case4294967295),
        any::<[u8; 8]>().prop_map(Sized_::Case7)
    ]
}

pub(crate) fn holder() -> impl Strategy<Value = Holder<'static>> {
    let entry = (any::<i32>(), text(20)).prop_map(|(id, label)| Entry { id, label });
    let cell = any::<i32>().prop_map(|id| Cell { id });
    let maybe = prop_oneof![any::<i32>().prop_map(Maybe::True), Just(Maybe::False)];
    let lists = (vec(entry, 0..20), vec(cell, 0..20), proptest::option::of(tree()));
    let rest = (any::<Option<i32>>(), proptest::option::of(text(20)), maybe);
    (lists, rest).prop_map(|(lists, rest)| Holder {
        entries: lists.0,
        rows: lists.1,
        root: lists.2.map(Box::new),
        number: rest.0,
        label: rest.1,
        perhaps: rest.2,
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = any::<i32>().prop_map(|value| Tree { value, left: None, right: None });
    leaf.prop_recursive(5, 30, 2, |inner| {
        let branch = || proptest::option::of(inner.clone());
        (any::<i32>(), branch(), branch()).prop_map(|(value, left, right)| Tree {
            value,
            left: left.map(Box::new),
            right: right.map(Box::new),
        })
    })
}
