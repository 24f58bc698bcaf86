//! The book holds together: every page is listed, every link leads somewhere, every code block is
//! of a kind that something compiles or runs.

use millstream_rpcgen::Options;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_page_is_in_the_summary_and_every_entry_is_a_page() {
    let listed = links(&read(&book().join("SUMMARY.md")));
    let listed: BTreeSet<PathBuf> = listed.iter().map(|link| book().join(link)).collect();
    let there: BTreeSet<PathBuf> =
        pages().into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, there);
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut pages = pages();
    pages.extend(["README.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    for page in pages {
        for link in links(&read(&page)).iter().filter(|link| !link.contains("://")) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let to = page.parent().unwrap().join(file);
            let to = if file.is_empty() { page.clone() } else { to };
            assert!(to.exists(), "{}: {link}: no such file", page.display());
            let there = heading.is_empty() || headings(&read(&to)).any(|slug| slug == heading);
            assert!(there, "{}: {link}: no such heading", page.display());
        }
    }
}

#[test]
fn every_page_begins_with_a_title_and_a_sentence() {
    for page in pages().into_iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let text = read(&page);
        let (title, rest) = text.split_once("\n\n").expect("a title and more");
        let mut paragraphs = rest.split("\n\n").filter(|text| !text.starts_with('#'));
        let paragraph = paragraphs.next().expect("a paragraph").trim_end();
        assert!(title.starts_with("# ") && !title.contains('\n'), "{}: {title}", page.display());
        let sentence = paragraph.starts_with(|c: char| c.is_alphabetic() || "*`".contains(c))
            && paragraph.ends_with(['.', ':']);
        assert!(sentence, "{}: {paragraph}", page.display());
    }
}

#[test]
fn every_block_is_of_a_kind_that_something_checks() {
    for page in pages() {
        let text = read(&page);
        for block in blocks(&text) {
            let place = format!("{}:{}", page.display(), block.line);
            match block.kind {
                // A doctest: compiled, and run. What is only compiled could be wrong.
                "rust" => assert!(is_doctest(&page), "{place}: name the page in src/lib.rs"),
                "console" => commands(&place, &block),
                "x" => compile(&place, &block),
                "text" => assert_eq!(code_in(&block.body), None, "{place}: this looks like code"),
                other => panic!("{place}: {other:?}: nothing checks such a block"),
            }
        }
    }
}

#[test]
fn a_page_that_breaks_a_rule_is_found() {
    let text = "# T\n\nA [link](a.md#b-c), `[none](x)`.\n\n## B: c!\n\n```sh\nls\n```\n";
    assert_eq!(links(text), ["a.md#b-c"]);
    assert_eq!(headings(text).collect::<Vec<_>>(), ["t", "b-c"]);
    let found: Vec<_> = blocks(text).map(|block| (block.line, block.kind)).collect();
    assert_eq!(found, [(7, "sh")]);
    let code = |body: &str| code_in(&body.lines().collect::<Vec<_>>()).is_some();
    assert!(code("let x = 1;") && code("$ ls") && code("millstream up"));
    assert!(!code("[ tap0 ] driver"));
    let why = std::panic::catch_unwind(|| check_cargo("here", "cargo test -p no-such-package"));
    assert!(why.is_err());
}

/// A fenced block.
struct Block<'a> {
    line: usize,
    kind: &'a str,
    body: Vec<&'a str>,
}

/// In the book a block's commands begin with `$ `; the rest is what they print.
fn commands(place: &str, block: &Block<'_>) {
    let typed: Vec<&str> = block.body.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(!typed.is_empty(), "{place}: no command");
    for line in typed {
        match line.split(' ').next() {
            Some("cargo") => check_cargo(place, line),
            // Run by tools/millstream/tests/book.rs.
            Some("millstream") => {}
            other => panic!("{place}: {other:?}: nothing runs this command"),
        }
    }
}

/// Packages, tests, benches and examples that a line names are there: to run them takes too long.
fn check_cargo(place: &str, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let after = |option| Some(words[words.iter().position(|word| *word == option)? + 1]);
    let package = after("-p").map(|name| {
        let manifest = manifests().find(|m| read(m).contains(&format!("\nname = \"{name}\"")));
        manifest.unwrap_or_else(|| panic!("{place}: {line}: no package {name}"))
    });
    for (option, folder) in [("--test", "tests"), ("--bench", "benches"), ("--example", "examples")]
    {
        let Some(name) = after(option) else { continue };
        let package = package.as_ref().unwrap_or_else(|| panic!("{place}: {line}: of what -p?"));
        let folder = package.parent().unwrap().join(folder);
        let there = [folder.join(format!("{name}.rs")), folder.join(name).join("main.rs")];
        assert!(there.iter().any(|file| file.exists()), "{place}: {line}: no {option} {name}");
    }
}

fn manifests() -> impl Iterator<Item = PathBuf> {
    let members = read(&root().join("Cargo.toml"));
    let (_, members) = members.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let members: Vec<String> = members.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    members.into_iter().map(|member| root().join(member).join("Cargo.toml"))
}

/// A line that belongs into a block which is checked.
fn code_in<'a>(body: &[&'a str]) -> Option<&'a str> {
    let begins = ["$ ", "let ", "fn ", "use ", "impl ", "cargo ", "millstream ", "#["];
    let is_code =
        |line: &str| line.ends_with([';', '{']) || begins.iter().any(|b| line.starts_with(b));
    body.iter().copied().find(|line| is_code(line.trim()))
}

/// A file for `millstream rpcgen`.
fn compile(place: &str, block: &Block<'_>) {
    let made = millstream_rpcgen::generate(place, &block.body.join("\n"), &Options::default());
    assert!(made.is_ok(), "{place}: {}", made.unwrap_err());
}

fn is_doctest(page: &Path) -> bool {
    let name = page.strip_prefix(book()).unwrap().display().to_string();
    include_str!("../src/lib.rs").contains(&format!("\"{name}\";"))
}

fn blocks(text: &str) -> impl Iterator<Item = Block<'_>> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (at, fence) = lines.by_ref().find(|(_, line)| line.starts_with("```"))?;
        let body = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        Some(Block { line: at + 1, kind: &fence[3..], body })
    })
}

/// Targets of the links of a text, blocks and `code` apart.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // What is between backticks has odd places.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("");
        for part in plain.split("](").skip(1) {
            found.extend(part.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// Headings as the names that links call them by.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = prose(text).into_iter().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// The lines outside fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut inside = false;
    let outside = |line: &&str| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    text.lines().filter(outside).collect()
}

/// All pages of the book.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [book(), book().join("decisions")] {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        found.extend(files.filter(|file| file.extension().is_some_and(|name| name == "md")));
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn book() -> PathBuf {
    root().join("stack/docs")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap().to_owned()
}
