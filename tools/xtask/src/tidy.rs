//! tidy: what no lint checks. Lengths of files and lines, leftovers, a head comment in every file,
//! tests of every module in the table.

use crate::step::root;
use std::path::{Path, PathBuf};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("tidy takes no arguments".to_owned());
    }
    let findings = findings(&root())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy");
            Ok(())
        }
        1 => Err("1 finding".to_owned()),
        n => Err(format!("{n} findings")),
    }
}

/// What is wrong, with its place and what to do.
fn findings(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut files = Vec::new();
    for folder in ["stack", "modules", "drivers", "tools", "benches"] {
        collect(&root.join(folder), &mut files);
    }
    if files.is_empty() {
        return Err(format!("no sources below {}", root.display()));
    }
    files.sort();
    let mut sources = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        check_file(&place, &text, &mut found);
        sources.push((place, text));
    }
    check_modules(&sources, &mut found);
    for place in TABLES_OF_TESTS {
        let table =
            std::fs::read_to_string(root.join(place)).map_err(|e| format!("{place}: {e}"))?;
        check_named_tests(place, &table, &sources, &mut found);
    }
    Ok(found)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn check_file(place: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push(format!("{place}: {lines} lines: split it, {LINES_MAX} are the most"));
    }
    // What stands in front of the head comment may be attributes of the crate.
    let first = text.lines().find(|line| !line.starts_with("#!["));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        found.push(format!("{place}: begin with a //! that says what passes through"));
    }
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            found.push(format!("{place}:{number}: {columns} columns, {COLUMNS_MAX} are the most"));
        }
        for word in LEFTOVERS {
            if line.contains(word) {
                found.push(format!("{place}:{number}: {word}: do it, or file an issue"));
            }
        }
    }
}

/// Every module in the table has its head comment (checked above) and tests: in its own files, or
/// in files of modules/tests that have its name, in theirs or in that of the test.
fn check_modules(sources: &[(String, String)], found: &mut Vec<String>) {
    let Some((_, table)) = sources.iter().find(|(place, _)| place == TABLE) else {
        return found.push(format!("{TABLE} is gone: tell tidy where the table of modules is"));
    };
    for name in modules_of(table) {
        let own = [format!("modules/src/{name}.rs"), format!("modules/src/{name}/")];
        let mut tests = 0;
        for (place, text) in sources {
            let whole = own.iter().any(|own| place.starts_with(own.as_str()))
                || place.starts_with("modules/tests/") && place.contains(&name);
            tests += if whole {
                test_names(text).count()
            } else if place.starts_with("modules/tests/") {
                test_names(text).filter(|test| test.contains(&name)).count()
            } else {
                0
            };
        }
        if tests < TESTS_MIN {
            found.push(format!(
                "{}: {tests} tests, a module has at least {TESTS_MIN}; name them after it",
                own[0]
            ));
        }
    }
}

/// Every test that a table of the docs names in its second column is in the file before it: in
/// full, or with a star the beginning of one.
fn check_named_tests(of: &str, table: &str, sources: &[(String, String)], found: &mut Vec<String>) {
    for (number, line) in table.lines().enumerate() {
        let Some(cell) = line.strip_prefix('|').and_then(|row| row.split('|').nth(1)) else {
            continue;
        };
        let mut tests: Vec<&str> = Vec::new();
        for word in cell.split_whitespace().map(|word| word.trim_end_matches(',')) {
            let missing = if let Some(place) = word.strip_prefix('`') {
                let place = place.trim_end_matches('`');
                let source = sources.iter().find(|(at, _)| at == place);
                tests = source.map(|(_, text)| test_names(text).collect()).unwrap_or_default();
                place.ends_with(".rs") && source.is_none()
            } else if let Some(start) = word.strip_suffix('*') {
                !tests.iter().any(|test| test.starts_with(start))
            } else {
                word.contains('_') && !tests.contains(&word)
            };
            if missing {
                found.push(format!("{of}:{}: there is no {word}", number + 1));
            }
        }
    }
}

/// Modules that the table names: `crate::null::INFO`, `capture::INFO`, `Service`.
fn modules_of(table: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in table.lines().map(str::trim) {
        let name = if line.starts_with("Entry::plain(") {
            line.split_once("::INFO").and_then(|(path, _)| path.rsplit([':', '&']).next())
        } else if line.starts_with("Entry::service(") {
            Some("services")
        } else {
            None
        };
        if let Some(name) = name.map(str::to_owned)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// Names of the functions behind `#[test]`, those of proptest included.
fn test_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| {
        let name = rest.split_once("fn ")?.1;
        name.split(['(', '<']).next()
    })
}

const TABLE: &str = "modules/src/table.rs";

const TABLES_OF_TESTS: [&str; 2] = ["stack/docs/semantics.md", "stack/docs/tcp.md"];

/// Lines of a file, tests included.
const LINES_MAX: usize = 1000;

const COLUMNS_MAX: usize = 100;

const TESTS_MIN: usize = 3;

/// Not whole words here: tidy reads itself.
const LEFTOVERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("db", "g!(")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let found = findings(&root()).unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn each_fault_of_a_file_is_found() {
        let mut found = Vec::new();
        let text = format!("//! Head.\nlet x = 1; // {}\n{}\n", LEFTOVERS[0], "x".repeat(101));
        check_file("a.rs", &text, &mut found);
        check_file("b.rs", &"//! Head.\n".repeat(1001), &mut found);
        check_file("c.rs", "#![no_std]\nmod x;\n", &mut found);
        check_file("d.rs", "#![no_std]\n//! Head.\n", &mut found);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("a.rs:2: ") && found[1].starts_with("a.rs:3: 101 columns"));
        assert!(found[2].starts_with("b.rs: 1001 lines") && found[3].starts_with("c.rs: begin"));
    }

    #[test]
    fn a_test_that_a_table_names_in_vain_is_found() {
        let text = "#[test]\nfn e1_does() {}\n#[test]\nfn other() {}\n".to_owned();
        let sources = [("core/e.rs".to_owned(), text)];
        let findings = |cell: &str| {
            let mut found = Vec::new();
            check_named_tests(
                "t.md",
                &format!("| E1 | {cell} | some_note |"),
                &sources,
                &mut found,
            );
            found.len()
        };
        assert_eq!(findings("`core/e.rs` e1_*, e1_does with `states.txt`"), 0);
        assert_eq!(findings("`core/e.rs` e1_*, e1_did_once"), 1);
        assert_eq!(findings("`core/e.rs` e2_*"), 1);
        assert_eq!(findings("`core/gone.rs` e1_*"), 2);
    }

    #[test]
    fn a_module_without_tests_is_found_by_its_line_in_the_table() {
        let table = "    Entry::plain(&crate::null::INFO, |_| Ok(x)),\n    \
                     Entry::plain(&capture::INFO, open),\n    \
                     Entry::service(Kinds::Echo, |_| Ok(x)),\n";
        assert_eq!(modules_of(table), ["null", "capture", "services"]);
        let test = |name: &str| format!("#[test]\nfn {name}() {{}}\n");
        let source = |place: &str, text: String| (place.to_owned(), text);
        let three = test("a") + &test("b") + &test("c");
        let mut found = Vec::new();
        let sources = [
            source(TABLE, table.to_owned()),
            source("modules/src/null.rs", test("one")),
            source("modules/tests/small.rs", test("null_passes") + &test("count_counts")),
            source("modules/tests/small_capture.rs", three.clone()),
            source("modules/src/services.rs", three),
        ];
        check_modules(&sources, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("modules/src/null.rs: 2 tests"), "{found:?}");
    }
}
