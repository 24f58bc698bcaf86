//! Replays the fuzzer's corpus of NFS, cut at every octet and with every octet changed.

#[path = "../../../stack/fuzz/src/nfs_calls.rs"]
#[expect(unreachable_pub, reason = "the fuzz crate exports it")]
mod nfs_calls;
#[path = "../../../stack/fuzz/src/script.rs"]
#[expect(dead_code, unreachable_pub, reason = "the other targets use it")]
mod script;

#[test]
fn calls_that_are_cut_or_changed_anywhere_make_no_finding() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stack/fuzz/corpus/nfs_calls");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "the seeds are gone");
    for path in files {
        println!("{}", path.display());
        let seed = std::fs::read(path).unwrap();
        nfs_calls::run(&seed);
        for at in 0..seed.len() {
            nfs_calls::run(&seed[..at]);
            for octet in [0, 1, 0x7f, 0x80, 0xfe, 0xff] {
                let mut changed = seed.clone();
                changed[at] = octet;
                nfs_calls::run(&changed);
            }
        }
    }
}
