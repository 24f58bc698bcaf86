//! Replays the fuzzer's corpus of control-socket lines without the fuzzer.

#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/control_lines.rs"]
mod control_lines;

#[test]
fn corpus_of_control_lines_makes_no_finding() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/control_lines");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        seeds.push(std::fs::read(path).unwrap());
    }
    assert!(seeds.len() >= 3, "the seeds are gone");
    for seed in seeds {
        control_lines::run(&seed);
        // Every cut, and every byte changed.
        for at in 0..seed.len() {
            control_lines::run(&seed[..at]);
            let mut changed = seed.clone();
            changed[at] ^= 0x15;
            control_lines::run(&changed);
        }
    }
}
