//! The NFS experiment works: nfs-cp copies to each server that is installed, and back. How fast is
//! not asked.

use millstream_benches::experiments::nfs;
use millstream_benches::lab::pin;
use millstream_benches::report::Options;
use millstream_drivers::netns::Netns;
use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn nfs_measures_ours_and_the_other_server_in_rust() {
    if let Err(why) = Netns::new() {
        return eprintln!("skipped: the NFS experiment: {why}");
    }
    if let Err(why) = Command::new("nfs-cp").output() {
        return eprintln!("skipped: the NFS experiment: nfs-cp: {why}");
    }
    // In a thread of its own: it stays pinned.
    let two_cores = std::thread::spawn(|| pin(0).and_then(|()| pin(1))).join().unwrap();
    if let Err(why) = two_cores {
        return eprintln!("skipped: the NFS experiment: {why}");
    }
    let report = nfs::run(&Options::instant(None)).unwrap();
    let sides: BTreeSet<&str> = report.sides().collect();
    let notes: Vec<&str> = report.notes().collect();
    assert!(sides.contains("in the shard") && sides.contains("nfs3_server"), "{notes:?} {sides:?}");
}
