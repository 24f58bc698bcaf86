//! The commands of the book are run as they stand there, chapter by chapter, each in a namespace of
//! its own, and what they print is compared.

mod kit;

use kit::{Lab, Up};
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_chapter_is_a_session_that_goes_as_it_is_printed() {
    for chapter in chapters() {
        let name = chapter.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(mut session) = Session::new(&name) else { return };
        for step in steps(&std::fs::read_to_string(&chapter).unwrap()) {
            let printed = session.run(&step.line);
            let failed = printed.iter().any(|line| line.starts_with("millstream: "));
            let silent = step.printed.is_empty() && !failed;
            let same = silent || matches(&step.printed, &printed);
            assert!(same, "{name}: $ {}\n{}", step.line, printed.join("\n"));
        }
    }
}

#[test]
fn every_command_of_the_book_is_understood_without_a_stack() {
    let nowhere = std::env::temp_dir().join("ms-book-no-stacks");
    for chapter in chapters() {
        for step in steps(&std::fs::read_to_string(&chapter).unwrap()) {
            let mut command = Command::new(kit::PROGRAM);
            command.args(step.line.trim_end_matches(" &").split_whitespace().skip(1));
            // These would stay.
            if ["millstream up ", "millstream demo"].iter().any(|it| step.line.starts_with(it)) {
                command.arg("--help");
            }
            let output = command.env("XDG_RUNTIME_DIR", &nowhere).output().unwrap();
            let understood = output.status.code() != Some(2);
            assert!(understood, "{}: {}: {output:?}", chapter.display(), step.line);
        }
    }
}

#[test]
fn printed_lines_match_with_gaps_where_the_book_leaves_them() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let fits = |book: &str, real: &str| matches(&lines(book), &lines(real));
    assert!(fits("a\n...\nc", "a\nb\nb\nc") && fits("a\n...", "a") && fits("a 7 b", "a  7   b"));
    assert!(fits("x [..] z", "x 12 ms z") && fits("[..]z", "z"));
    assert!(!fits("a\nc", "a\nb\nc") && !fits("x [..] z", "x 12 ms") && !fits("a", "a\nb"));
    let found =
        steps("```console\n$ millstream up &\nready\n$ millstream conf\n```\n$ millstream x\n");
    let typed: Vec<_> = found.iter().map(|step| (step.line.as_str(), step.printed.len())).collect();
    assert_eq!(typed, [("millstream up &", 1), ("millstream conf", 0)]);
}

/// A command and what the book says that it prints; nothing when it leaves that out.
struct Step {
    line: String,
    printed: Vec<String>,
}

/// What a chapter leaves running.
struct Session {
    lab: Lab,
    running: Vec<Up>,
}

impl Session {
    fn new(name: &str) -> Option<Self> {
        Some(Self { lab: Lab::new(&format!("book-{name}"))?, running: Vec::new() })
    }

    /// Runs a command to its end, or in the background with `&`; the lines that it prints. A
    /// failure is a line that begins with `millstream: `, and the book has to print it.
    fn run(&mut self, line: &str) -> Vec<String> {
        let words = line.strip_prefix("millstream ").unwrap();
        if let Some(words) = words.strip_suffix(" &") {
            self.running.push(self.lab.up(words));
            return Vec::new();
        }
        let mut command = self.lab.command(words);
        command.current_dir(&self.lab.runtime);
        let output = self.lab.netns.run(|| command.output()).unwrap().unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// The commands of the program in the `console` blocks of a page.
fn steps(page: &str) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.strip_prefix("$ ") {
            _ if line.starts_with("```") => inside = line == "```console",
            Some(typed) if inside => {
                found.push(Step { line: typed.to_owned(), printed: Vec::new() });
            }
            None if inside => found.last_mut().unwrap().printed.push(line.to_owned()),
            _ => {}
        }
    }
    found.retain(|step| step.line.starts_with("millstream "));
    found
}

/// `...` stands for any lines, `[..]` for anything in a line; columns may be wider.
fn matches(book: &[String], real: &[String]) -> bool {
    match book.split_first() {
        None => real.is_empty(),
        Some((line, rest)) if line == "..." => {
            (0..=real.len()).any(|skipped| matches(rest, &real[skipped..]))
        }
        Some((line, rest)) => {
            real.first().is_some_and(|first| fits(line, first)) && matches(rest, &real[1..])
        }
    }
}

fn fits(book: &str, real: &str) -> bool {
    let narrow = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (book, real) = (narrow(book), narrow(real));
    let Some((before, after)) = book.split_once("[..]") else { return book == real };
    let Some(left) = real.strip_prefix(before) else { return false };
    (0..=left.len()).any(|at| left.is_char_boundary(at) && fits(after, &left[at..]))
}

fn chapters() -> Vec<PathBuf> {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stack/docs");
    let files = std::fs::read_dir(book).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|name| name == "md")).collect()
}
