//! keep: reports become files and come back. What was measured is not lost with a full disk.

use super::Report;
use crate::Trouble;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file that could not be written.
#[derive(Debug)]
pub struct NotKept {
    path: PathBuf,
    why: std::io::Error,
    /// Where it is instead.
    instead: Option<PathBuf>,
}

impl Report {
    /// Writes `EXPERIMENT.json` into a folder, whole or not at all. Where it cannot, the folder
    /// for temporary files is tried, so that what was measured is kept.
    ///
    /// A report that only says why nothing was measured does not replace one with figures.
    ///
    /// # Errors
    /// The folder is not there, not ours, or full.
    pub fn keep(&self, folder: &Path) -> Result<PathBuf, NotKept> {
        let name = format!("{}.json", self.experiment);
        let path = folder.join(&name);
        if self.skipped.is_some() && read(&path).is_ok_and(|before| before.skipped.is_none()) {
            return Ok(path);
        }
        let text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        match write(&path, &text) {
            Ok(()) => Ok(path),
            Err(why) => {
                let other = std::env::temp_dir().join(name);
                let instead = write(&other, &text).is_ok().then_some(other);
                Err(NotKept { path, why, instead })
            }
        }
    }
}

/// Whether files can be written into a folder, which is made if need be.
///
/// # Errors
/// Why not.
pub fn check_folder(folder: &Path) -> Result<(), Trouble> {
    let probe = folder.join(".probe.part");
    let tried = std::fs::create_dir_all(folder)
        .and_then(|()| File::create(&probe))
        .and_then(|_| std::fs::remove_file(&probe));
    tried.map_err(|why| format!("cannot write into {}: {why}", folder.display()).into())
}

/// Writes a file whole or not at all.
///
/// # Errors
/// The folder's.
pub fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        // Some file systems say only now that they are full.
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(&part, path));
    if done.is_err() {
        let _nothing_there = std::fs::remove_file(&part);
    }
    done
}

/// Reads the file of an experiment.
///
/// # Errors
/// No such file, or not a report; the sentence names the file.
pub fn read(path: &Path) -> Result<Report, Trouble> {
    let text = std::fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let report = serde_json::from_str(&text);
    report.map_err(|why| format!("{}: no results of an experiment: {why}", path.display()).into())
}

impl std::fmt::Display for NotKept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, why, instead } = self;
        write!(f, "{} was not written: {why}", path.display())?;
        match instead {
            Some(instead) => write!(f, "; what was measured is in {}", instead.display()),
            None => write!(f, "; what was measured is only on standard output"),
        }
    }
}

impl std::error::Error for NotKept {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Options, Side};

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("millstream-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn measured() -> Report {
        let options = Options { runs: 2, ..Options::instant(None) };
        let mut report = Report::in_memory("kept", "nothing in particular", &options);
        let sample = Box::new(|| Ok(vec![2.5, 7.0]));
        let figures = &[("rate", "/s"), ("lost", "messages")];
        report.measure(&options, &[Side { name: "a side".into(), figures, sample }]);
        report.note("a sentence");
        report
    }

    #[test]
    fn what_was_kept_comes_back_with_every_value() {
        let folder = folder("keep");
        let report = measured();
        let back = read(&report.keep(&folder).unwrap()).unwrap();
        assert_eq!(back.lines, report.lines);
        assert_eq!(back.lines[0].spread.values, [2.5, 2.5]);
        assert_eq!(back.machine, report.machine);
        assert_eq!(back.notes, ["a sentence"]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_skipped_experiment_does_not_replace_one_that_was_measured() {
        let folder = folder("skip");
        let options = Options::instant(None);
        let skipped = Report::skip("kept", "no TAP here", &options);
        assert_eq!(read(&skipped.keep(&folder).unwrap()).unwrap().skipped.unwrap(), "no TAP here");
        measured().keep(&folder).unwrap();
        assert_eq!(read(&skipped.keep(&folder).unwrap()).unwrap().skipped, None);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_a_folder_does_not_take_is_kept_elsewhere_and_the_error_says_where() {
        let report = measured();
        let error = report.keep(Path::new("/proc/no-such-folder")).unwrap_err();
        let instead = error.instead.clone().unwrap();
        let sentence = error.to_string();
        assert!(sentence.contains("/proc/no-such-folder/kept.json was not written"), "{sentence}");
        assert!(sentence.contains(&instead.display().to_string()), "{sentence}");
        assert_eq!(read(&instead).unwrap().lines, report.lines);
        std::fs::remove_file(instead).unwrap();
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let folder = folder("bad");
        let path = folder.join("bad.json");
        for text in ["", "{}", "[1, 2", "\u{0}"] {
            std::fs::write(&path, text).unwrap();
            let sentence = read(&path).unwrap_err().to_string();
            assert!(sentence.contains("bad.json: no results"), "{sentence}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
