//! The page of results: its drawings are looked at, by geometry here and by a browser where there
//! is one.

#[path = "page/all_kinds.rs"]
mod all_kinds;
#[path = "page/boxes.rs"]
mod boxes;
#[path = "page/browser.rs"]
mod browser;
#[path = "page/readable.rs"]
mod readable;

use millstream_benches::page;
use millstream_benches::report::{self, Options, Report};
use readable::{elements, is_readable, look};
use std::path::{Path, PathBuf};

/// All results of the repository.
fn committed() -> Vec<Report> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|name| name == "json")).collect();
    files.sort();
    assert!(!files.is_empty());
    files.iter().map(|file| report::read(file).unwrap()).collect()
}

#[test]
fn the_plots_of_the_committed_results_overlap_nowhere_and_none_is_empty() {
    is_readable(&page::html(&committed()));
}

#[test]
fn every_kind_of_plot_is_drawn_and_readable_with_long_and_odd_names() {
    let page = page::html(&[all_kinds::report()]);
    is_readable(&page);
    for kind in ["slope", "where it goes", "by percentile", "ratios", "stacked"] {
        assert!(page.contains(kind), "{kind}");
    }
}

#[test]
fn a_fault_in_a_drawing_is_found() {
    let drawing = |inside: &str| {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 880 100\">{inside}</svg>")
    };
    let text =
        |x: f64, y: f64| format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"start\">word</text>");
    let faults = |inside: String| {
        look(&drawing(&inside), |document| boxes::faults(&document.root_element()).len())
    };
    assert_eq!(faults(text(10.0, 20.0) + &text(10.0, 40.0)), 0);
    assert_eq!(faults(text(10.0, 20.0) + &text(30.0, 22.0)), 1);
    assert_eq!(faults(text(870.0, 20.0)), 1);
    let empty =
        drawing("<line class=\"grid\" x1=\"0\" x2=\"9\" /><rect width=\"0.0\" height=\"9\" />");
    look(&empty, |document| assert!(!boxes::shows_something(&document.root_element())));
}

#[test]
fn a_skipped_experiment_is_named_with_its_reason() {
    let options = Options::instant(None);
    let skipped = Report::skip("tcp_bulk", "no right to make a TAP", &options);
    let page = page::html(&[skipped, all_kinds::report()]);
    look(&page, |document| {
        let section = document.descendants().find(|node| node.attribute("id") == Some("tcp_bulk"));
        let section = section.unwrap();
        let text: String = section.descendants().filter_map(|node| node.text()).collect();
        assert!(text.contains("Skipped") && text.contains("no right to make a TAP"), "{text}");
        assert!(elements(&section, "svg").is_empty());
    });
}

#[test]
fn what_was_missed_stands_beside_what_was_reached() {
    let page = page::html(&[all_kinds::report()]);
    look(&page, |document| {
        let tables = elements(&document.root(), "table");
        let asked: Vec<&str> = elements(&tables[0], "tr")
            .iter()
            .filter_map(|row| elements(row, "td").last()?.text())
            .collect();
        assert_eq!(asked, ["reached", "missed"]);
    });
}

#[test]
fn a_run_that_the_machine_disturbed_is_drawn_hollow_and_counted() {
    let page = page::html(&[all_kinds::report()]);
    look(&page, |document| {
        let dots = elements(&document.root(), "circle");
        let hollow = dots.iter().filter(|dot| dot.attribute("class") == Some("disturbed")).count();
        assert_eq!(hollow, 1);
    });
    assert!(page.contains("disturbed: plain, run 2: stolen 3 %, other programs 40 %"));
}

#[test]
fn the_page_stands_by_itself() {
    let page = page::html(&[all_kinds::report()]);
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "<script", " src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn a_browser_sees_text_apart_and_in_contrast_in_light_and_in_dark() {
    let name = "a_browser_sees_text_apart_and_in_contrast_in_light_and_in_dark";
    let mut reports = committed();
    reports.push(all_kinds::report());
    browser::sees_well(name, &page::html(&reports));
}
