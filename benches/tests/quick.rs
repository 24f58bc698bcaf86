//! A quick look at everything, as CI takes it: every experiment works or says why not, within its
//! time, and the page of all is whole. It takes minutes: `cargo test -p millstream-benches --test
//! quick -- --ignored`.

#[path = "page/boxes.rs"]
mod boxes;
#[path = "page/browser.rs"]
mod browser;
#[path = "page/readable.rs"]
mod readable;

use millstream_benches::{EXPERIMENTS, report};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is promised.
const WITHIN: Duration = Duration::from_secs(180);

#[test]
#[ignore = "minutes of measurements: .ci/run has it"]
fn a_quick_look_takes_three_minutes_and_leaves_a_file_of_each_experiment_and_a_whole_page() {
    let name = "a_quick_look_leaves_a_whole_page";
    let out = std::env::temp_dir().join(format!("millstream-quick-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream-benches"));
    let output = command.args(["--quick", "--out"]).arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The time is a promise to who waits, and decides nothing where others run.
    if began.elapsed() > WITHIN {
        eprintln!("{name}: it took {:?}: does something else run?", began.elapsed());
    }
    for (experiment, _) in EXPERIMENTS {
        let report = report::read(&out.join(format!("{experiment}.json"))).unwrap();
        assert!(report.skipped.is_some() || !report.lines.is_empty(), "{experiment} has nothing");
        let why = report.skipped.into_iter().chain(report.notes);
        why.filter(|note| note.contains("skipped")).for_each(|note| eprintln!("{note}"));
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for (experiment, _) in EXPERIMENTS {
        assert!(page.contains(&format!("<section id=\"{experiment}\">")), "{experiment}");
    }
    readable::is_readable(&page);
    browser::sees_well(name, &page);
    std::fs::remove_dir_all(out).unwrap();
}
