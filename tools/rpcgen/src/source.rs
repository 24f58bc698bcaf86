//! Texts of files, and places in them as people count.

use crate::error::{Error, Fault};
use std::rc::Rc;

/// A place: a file and an octet in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: u32,
    pub(crate) at: u32,
}

/// The files of a compilation.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<File>);

#[derive(Debug)]
struct File {
    name: String,
    text: Rc<str>,
    markers: Vec<Marker>,
}

/// A line `# NUMBER "FILE"`: what the next line is called.
#[derive(Debug)]
struct Marker {
    /// The octet behind the line.
    at: u32,
    line: usize,
    file: Option<String>,
}

impl Sources {
    /// Adds a file.
    pub(crate) fn add(&mut self, name: String, text: String) -> Result<u32, Fault> {
        let number = self.0.len() as u32;
        let fits = text.len() <= TEXT_MAX;
        let text = if fits { text } else { String::new() };
        self.0.push(File { name, text: text.into(), markers: Vec::new() });
        if fits {
            return Ok(number);
        }
        let at = Span { file: number, at: 0 };
        Err(Fault::new(at, format!("the file is larger than {} MiB", TEXT_MAX >> 20)))
    }

    pub(crate) fn text(&self, file: u32) -> Rc<str> {
        Rc::clone(&self.0[file as usize].text)
    }

    pub(crate) fn name(&self, file: u32) -> &str {
        &self.0[file as usize].name
    }

    /// The place behind the last character.
    pub(crate) fn end(&self, file: u32) -> Span {
        Span { file, at: self.0[file as usize].text.len() as u32 }
    }

    /// From `at` on, lines are counted from `line` of `file`.
    pub(crate) fn mark(&mut self, at: Span, line: usize, file: Option<String>) {
        self.0[at.file as usize].markers.push(Marker { at: at.at, line, file });
    }

    /// The fault with its place.
    pub(crate) fn error(&self, fault: Fault) -> Error {
        let file = &self.0[fault.at.file as usize];
        let at = (fault.at.at as usize).min(file.text.len());
        let start = file.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = file.text[start..].find('\n').map_or(file.text.len(), |n| start + n);
        let count = |from: usize| file.text[from..start].matches('\n').count();
        let marker = file.markers.iter().rev().find(|marker| marker.at as usize <= start);
        let (name, line) = match marker {
            Some(marker) => {
                let name = marker.file.as_ref().unwrap_or(&file.name);
                (name, marker.line.saturating_add(count(marker.at as usize)))
            }
            None => (&file.name, count(0) + 1),
        };
        Error {
            file: name.clone(),
            line,
            column: file.text[start..at].chars().count() + 1,
            sentence: fault.sentence,
            text: file.text[start..end].trim_end().to_owned(),
        }
    }
}

/// The most octets of a file: some 100 times the largest known.
const TEXT_MAX: usize = 8 << 20;
