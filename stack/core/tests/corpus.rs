//! Replays the fuzzer's corpus of changes, and runs random scripts, without the fuzzer.
//! `MILLSTREAM_SEED` repeats a run, `MILLSTREAM_FUZZ_RUNS` makes it longer.

#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/changes.rs"]
mod changes;
mod common;
#[expect(unreachable_pub, dead_code, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/script.rs"]
mod script;

use millstream_core::Rng;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn corpus_of_changes_makes_no_finding() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/changes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert!(files.len() >= 3, "the seeds are gone");
    for path in files {
        println!("{}", path.display());
        changes::run(&std::fs::read(path).unwrap());
    }
}

#[test]
fn random_scripts_of_puts_services_and_changes_make_no_finding() {
    let mut rng = Rng::new(millstream_rig::seed(0xc4a6));
    let asked = std::env::var("MILLSTREAM_FUZZ_RUNS").ok().and_then(|text| text.parse().ok());
    for _ in 0..asked.unwrap_or(3000) {
        let len = 50 + rng.below(2000);
        let bytes: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
        // Shown when the run panics; the harness hides it else.
        println!("{}", hex(&bytes));
        changes::run(&bytes);
    }
}
