//! Every number of the README's results comes from a committed file of results.

use millstream_benches::report::{self, Report};
use millstream_benches::summary::{MARKS, markdown};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn committed() -> Vec<Report> {
    let files = std::fs::read_dir(root().join("results")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|name| name == "json")).collect();
    files.sort();
    files.iter().map(|file| report::read(file).unwrap()).collect()
}

/// The README's results: the table of the files, and what stands around it.
fn section(readme: &str) -> (String, String) {
    let (_, section) = readme.split_once("\n## Results\n").expect("a section of results");
    let (section, _) = section.split_once("\n## ").expect("a section behind it");
    let (before, rest) = section.split_once(MARKS[0]).expect("the mark of the table");
    let (table, after) = rest.split_once(MARKS[1]).expect("the mark of its end");
    (table.trim().to_owned(), format!("{before}\n{after}"))
}

/// Words with digits, but for code and the targets of links.
fn numbers(text: &str) -> Vec<String> {
    let plain: String = text.split('`').step_by(2).collect();
    let outside = plain.split("](").map(|part| match part.split_once(')') {
        Some((target, rest)) if !target.contains(' ') => rest,
        _ => part,
    });
    let words: Vec<&str> = outside.flat_map(str::split_whitespace).collect();
    let has_digit = |word: &&&str| word.contains(|c: char| c.is_ascii_digit());
    words.iter().filter(has_digit).map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_number_of_the_readmes_results_comes_from_a_committed_file() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (table, around) = section(&readme);
    let made = markdown(&committed());
    for (there, of_files) in table.lines().zip(made.trim().lines()) {
        assert_eq!(
            there, of_files,
            "the README's table is not that of the files: \
             cargo run --release -- report results/*.json --markdown prints it"
        );
    }
    assert_eq!(table.lines().count(), made.trim().lines().count());
    assert_eq!(numbers(&around), [""; 0], "numbers that no file has");
}

#[test]
fn a_number_that_no_file_has_is_found() {
    assert_eq!(numbers("It takes 7 ms, `x 8`, [nine](a/9.md) and 10."), ["7", "10."]);
    let readme =
        format!("# A\n\n## Results\n\nWords.\n\n{}\n| a |\n{}\n\n## B\n", MARKS[0], MARKS[1]);
    let (table, around) = section(&readme);
    assert_eq!((&*table, around.trim()), ("| a |", "Words."));
}

#[test]
fn nothing_that_sleeps_is_compared_with_something_that_polls() {
    for report in committed() {
        for ratio in &report.ratios {
            // Asked for as it is: what polls at the port, against the kernel that sleeps.
            if report.experiment == "shim" && ratio.of.contains("at the port, polling") {
                continue;
            }
            let mode = |side: &str| (side.contains("sleeping"), side.contains("polling"));
            let (of, to) = (mode(&ratio.of), mode(&ratio.to));
            assert!(!(of.0 && to.1 || of.1 && to.0), "{}: {ratio:?}", report.experiment);
        }
    }
}
