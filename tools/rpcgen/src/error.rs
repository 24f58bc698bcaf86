//! Errors: a sentence, its place, the line and a caret below it.

use crate::source::Span;
use std::fmt;

/// What is wrong at one place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file, as `#` lines name it.
    pub file: String,
    /// The line, from 1, as `#` lines count it.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub sentence: String,
    /// The line's text.
    pub text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, sentence, text } = self;
        writeln!(f, "{file}:{line}:{column}: {sentence}")?;
        writeln!(f, "    {text}")?;
        // Tabs stay tabs, so that the caret stands below its character.
        let blank = |c| if c == '\t' { '\t' } else { ' ' };
        let before: String = text.chars().take(column - 1).map(blank).collect();
        write!(f, "    {before}^")
    }
}

/// All that is wrong with a file; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// What is wrong, before its place is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Span,
    pub(crate) sentence: String,
}

impl Fault {
    pub(crate) fn new(at: Span, sentence: impl Into<String>) -> Self {
        Self { at, sentence: sentence.into() }
    }
}
