//! The same .x file, compiled by C's rpcgen and by ours: the octets are the same. Skipped where
//! rpcgen, gcc or libtirpc is not installed.

#[path = "kit/build.rs"]
mod build;
mod kit;

use kit::Sample;
use millstream_onc::xdr::{Encode, from_slice, to_vec};
use millstream_rpcgen_check::types::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Types in the order of the judge's table.
const TYPES: [&str; 7] = ["numbers", "octets", "arrays", "shape", "answer", "holder", "sized"];

#[test]
fn what_is_written_here_is_read_in_c_and_written_the_same() {
    let Some(mut judge) = Judge::start("what_is_written_here", &[]) else { return };
    let mut runner = TestRunner::deterministic();
    let samples = kit::samples();
    for _ in 0..1000 {
        let sample = samples.new_tree(&mut runner).unwrap().current();
        let back = judge.again(sample.name, &sample.octets);
        assert_eq!(back.as_ref(), Some(&sample.octets), "{sample:?}");
        assert_eq!((sample.again)(&sample.octets).as_ref(), Ok(&sample.octets), "{sample:?}");
    }
}

#[test]
fn what_c_writes_is_the_same_value_here() {
    let Some(mut judge) = Judge::start("what_c_writes", &["samples"]) else { return };
    let numbers = some_numbers();
    judge.wrote(&numbers);
    judge.wrote(&Octets {
        fixed: *b"12345",
        limited: b"ab".into(),
        open: b"cde".into(),
        limited_text: "text".into(),
        open_text: "".into(),
        sum: *b"01234567890123456789",
        who: "me".into(),
    });
    let mut many = vec![0; 100];
    many[..2].copy_from_slice(&[9, 8]);
    judge.wrote(&Arrays {
        three: [1, 2, 3],
        fixed: [1, 2, 3, 4, 5],
        limited: vec![1, -1],
        names: vec!["one".into(), "three".into()],
        colors: [Color::Red, Color::LAST],
        wide: vec![7],
        inner: vec![numbers],
        many,
    });
    judge.wrote(&Shape::Blue("blue".into()));
    judge.wrote(&Answer_::Fixed(-9));
    let tree = |value| Some(Box::new(Tree { value, left: None, right: None }));
    judge.wrote(&Holder {
        entries: [(1, "a"), (2, "b")].map(|(id, label)| Entry { id, label: label.into() }).into(),
        rows: vec![Cell { id: 3 }],
        root: Some(Box::new(Tree { value: 2, left: tree(1), right: tree(3) })),
        number: Some(4),
        label: Some("label".into()),
        perhaps: Maybe::True(5),
    });
    judge.wrote(&Sized_::Case7(*b"01234567"));
}

fn some_numbers() -> Numbers {
    Numbers {
        a_char: -1,
        a_short: -2,
        an_int: -3,
        a_long: -4,
        a_hyper: -5,
        u_char: 200,
        u_short: 60_000,
        u_int: 4_000_000_000,
        u_bare: 1,
        u_long: 2,
        u_hyper: 0xffff_ffff_ffff_fff0,
        a_float: 1.5,
        a_double: -0.1,
        a_bool: true,
        a_color: Color::Dark,
    }
}

/// What C refuses we refuse; where we are stricter (padding, names of enums), the types say so.
#[test]
fn octets_that_c_refuses_are_refused_here() {
    let Some(mut judge) = Judge::start("octets_that_c_refuses", &[]) else { return };
    let mut runner = TestRunner::deterministic();
    let samples = kit::samples();
    let cuts = proptest::arbitrary::any::<usize>();
    for _ in 0..1000 {
        let Sample { name, octets, again } = samples.new_tree(&mut runner).unwrap().current();
        let cut = cuts.new_tree(&mut runner).unwrap().current() % octets.len();
        assert!(again(&octets[..cut]).is_err(), "{name} {cut} {octets:?}");
        assert_eq!(judge.again(name, &octets[..cut]), None, "{name} {cut} {octets:?}");
    }
}

struct Judge {
    child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

impl Judge {
    fn start(test: &str, args: &[&str]) -> Option<Self> {
        let mut command = Command::new(build::program(test, "types.x", "judge.c", &[])?);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, to, from })
    }

    /// What C writes after it read `octets`.
    fn again(&mut self, name: &str, octets: &[u8]) -> Option<Vec<u8>> {
        let number = TYPES.iter().position(|&known| known == name).unwrap();
        let mut call = Vec::new();
        call.extend_from_slice(&(number as u32).to_ne_bytes());
        call.extend_from_slice(&(octets.len() as u32).to_ne_bytes());
        call.extend_from_slice(octets);
        self.to.write_all(&call).unwrap();
        self.read()
    }

    /// The next thing that C wrote is `value`.
    fn wrote<T: Encode>(&mut self, value: &T) {
        assert_eq!(self.read(), Some(to_vec(value).unwrap()));
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let mut len = [0; 4];
        self.from.read_exact(&mut len).unwrap();
        let len = u32::from_ne_bytes(len);
        if len == u32::MAX {
            return None;
        }
        let mut octets = vec![0; len as usize];
        self.from.read_exact(&mut octets).unwrap();
        Some(octets)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_value_of_c_is_a_value_here() {
    let octets = to_vec(&some_numbers()).unwrap();
    assert_eq!(from_slice(&octets), Ok(some_numbers()));
}
