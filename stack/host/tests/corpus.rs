//! Replays the fuzzer's corpus of control-socket lines, and of programs that write anything into
//! the memory of their port, without the fuzzer.

#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/control_lines.rs"]
mod control_lines;
#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
#[path = "../../fuzz/src/port_memory.rs"]
mod port_memory;

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

#[test]
fn corpus_of_port_memory_makes_no_finding() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/port_memory");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        seeds.push(std::fs::read(path).unwrap());
    }
    assert!(seeds.len() >= 5, "the seeds are gone");
    for seed in &seeds {
        port_memory::run(seed);
    }
    // Some of their changes (xorshift); the seed of the numbers is printed by what fails.
    let mut chance = 0x5eed_0003_u64;
    for round in 0..200 {
        let mut changed = seeds[round % seeds.len()].clone();
        for _ in 0..4 {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let at = chance as usize % changed.len();
            changed[at] = (chance >> 32) as u8;
        }
        println!("change {round}: {changed:?}");
        port_memory::run(&changed);
    }
}
