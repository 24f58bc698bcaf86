//! Replays the corpora of the compiler, of generated types and of headers, and random changes of
//! their seeds, without the fuzzer.

#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../../../stack/fuzz/src/rpc_headers.rs"]
mod rpc_headers;
#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../../../stack/fuzz/src/rpcgen.rs"]
mod rpcgen;
#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../../../stack/fuzz/src/xdr_types.rs"]
mod xdr_types;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

/// A change of a seed: what, where, and a byte or another place.
type Change = (u8, Index, u8, Index);

fn target(name: &str, cases: u32, run: fn(&[u8])) {
    let folder = format!("{}/../../../stack/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(seeds.len() >= 5, "the seeds are gone");
    for (file, seed) in files.iter().zip(&seeds) {
        println!("{}", file.display());
        run(seed);
    }
    let asked = std::env::var("MILLSTREAM_FUZZ_RUNS").ok().and_then(|text| text.parse().ok());
    let cases = asked.unwrap_or(cases);
    let changes = prop::collection::vec(any::<Change>(), 1..6);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let mutants = (select(seeds.clone()), select(seeds), changes);
    let result = runner.run(&mutants, |(seed, other, changes)| {
        let mut bytes = seed;
        changes.iter().for_each(|change| apply(&mut bytes, &other, change));
        run(&bytes);
        Ok(())
    });
    result.unwrap();
}

fn apply(bytes: &mut Vec<u8>, other: &[u8], (what, at, byte, to): &Change) {
    let at = at.index(bytes.len() + 1);
    match what % 6 {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, *byte),
        2 => bytes.extend_from_within(at..),
        3 => bytes.extend(&other[to.index(other.len() + 1)..]),
        4 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][usize::from(byte % 5)],
        _ if at < bytes.len() => bytes[at] = *byte,
        _ => {}
    }
    bytes.truncate(16 << 10);
}

#[test]
fn generated_types_make_no_finding() {
    target("xdr_types", 20_000, xdr_types::run);
}

#[test]
fn headers_make_no_finding() {
    target("rpc_headers", 20_000, rpc_headers::run);
}

#[test]
fn the_compiler_makes_no_finding() {
    target("rpcgen", 3_000, rpcgen::run);
}
