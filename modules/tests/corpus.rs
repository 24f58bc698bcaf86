//! Replays the fuzzer's corpora of the protocol targets, and runs each target on random scripts,
//! without the fuzzer. `MILLSTREAM_SEED` repeats a run, `MILLSTREAM_FUZZ_RUNS` makes it longer.
#![expect(unreachable_pub, reason = "the fuzz crate exports them")]

#[path = "../../stack/fuzz/src/ctl_messages.rs"]
mod ctl_messages;
#[path = "../../stack/fuzz/src/dlpi_requests.rs"]
mod dlpi_requests;
#[path = "../../stack/fuzz/src/ether_arp.rs"]
mod ether_arp;
#[path = "../../stack/fuzz/src/filter_rules.rs"]
mod filter_rules;
#[path = "../../stack/fuzz/src/host.rs"]
mod host;
#[path = "../../stack/fuzz/src/icmp.rs"]
mod icmp;
#[path = "../../stack/fuzz/src/igmp.rs"]
mod igmp;
#[path = "../../stack/fuzz/src/ip_input.rs"]
mod ip_input;
#[path = "../../stack/fuzz/src/options.rs"]
mod options;
#[path = "../../stack/fuzz/src/reassembly.rs"]
mod reassembly;
#[path = "../../stack/fuzz/src/recording.rs"]
mod recording;
#[path = "../../stack/fuzz/src/request_record.rs"]
mod request_record;
#[path = "../../stack/fuzz/src/rpc_records.rs"]
mod rpc_records;
#[path = "../../stack/fuzz/src/script.rs"]
mod script;
#[path = "../../stack/fuzz/src/tcp_machine.rs"]
mod tcp_machine;
#[path = "../../stack/fuzz/src/tcp_options.rs"]
mod tcp_options;
#[path = "../../stack/fuzz/src/tpi_views.rs"]
mod tpi_views;
#[path = "../../stack/fuzz/src/udp_requests.rs"]
mod udp_requests;
#[path = "../../stack/fuzz/src/udp_view.rs"]
mod udp_view;

use millstream_core::Rng;

/// Replays a corpus; then cuts, joins and changes its seeds at random.
fn target(name: &str, runs: u64, run: fn(&[u8])) {
    let folder = format!("{}/../stack/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for path in files {
        println!("{}", path.display());
        let bytes = std::fs::read(path).unwrap();
        run(&bytes);
        seeds.push(bytes);
    }
    assert!(seeds.len() >= 2, "the seeds are gone");
    let mut rng = Rng::new(millstream_rig::seed(0xf022));
    let asked = std::env::var("MILLSTREAM_FUZZ_RUNS").ok().and_then(|text| text.parse().ok());
    for _ in 0..asked.unwrap_or(runs) {
        let bytes = mutant(&mut rng, &seeds);
        // Shown when the run panics; the harness hides it else.
        println!("{}", hex(&bytes));
        run(&bytes);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mutant(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut pick = |n: usize| rng.below(n as u64) as usize;
    let mut bytes = seeds[pick(seeds.len())].clone();
    for _ in 0..=pick(8) {
        let at = pick(bytes.len() + 1);
        match pick(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, pick(256) as u8),
            2 => bytes.extend_from_within(at..),
            3 => bytes.extend(&seeds[pick(seeds.len())]),
            4 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)],
            _ if at < bytes.len() => bytes[at] = pick(256) as u8,
            _ => {}
        }
    }
    bytes.truncate(4096);
    bytes
}

macro_rules! targets {
    ($($name:ident: $runs:literal,)+) => {$(
        #[test]
        fn $name() {
            target(stringify!($name), $runs, self::$name::run);
        }
    )+};
}

targets! {
    ctl_messages: 20_000,
    dlpi_requests: 2_000,
    ether_arp: 2_000,
    filter_rules: 20_000,
    icmp: 5_000,
    igmp: 3_000,
    ip_input: 500,
    options: 20_000,
    reassembly: 3_000,
    recording: 20_000,
    request_record: 20_000,
    rpc_records: 20_000,
    tcp_machine: 1_000,
    tcp_options: 20_000,
    tpi_views: 20_000,
    udp_requests: 500,
    udp_view: 10_000,
}
