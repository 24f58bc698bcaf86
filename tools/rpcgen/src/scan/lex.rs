//! One file's characters become tokens.

use crate::error::Fault;
use crate::source::Span;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) at: Span,
    pub(crate) tok: Tok,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tok {
    Ident(String),
    Number(i128),
    /// Between double quotes.
    Text(String),
    /// One of `{}()[]<>=;:,*`.
    Sign(char),
    /// A line behind `%`.
    Verbatim(String),
}

impl Tok {
    /// As it is named in errors.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ident(name) => format!("`{name}`"),
            Self::Number(number) => format!("`{number}`"),
            Self::Text(text) => format!("{text:?}"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::Verbatim(_) => "a line of %".to_owned(),
        }
    }
}

/// A place in the text of a file.
pub(super) struct Lexer {
    file: u32,
    text: Rc<str>,
    at: usize,
    /// Only blanks were read of this line.
    line_start: bool,
}

impl Lexer {
    pub(super) fn new(file: u32, text: Rc<str>) -> Self {
        Self { file, text, at: 0, line_start: true }
    }

    pub(super) fn here(&self) -> Span {
        Span { file: self.file, at: self.at as u32 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == self.text.len()
    }

    pub(super) fn at_line_start(&self) -> bool {
        self.line_start
    }

    /// A line that begins with `%`, without it, and those joined to it.
    pub(super) fn verbatim(&mut self) -> Option<Token> {
        let first = self.at == 0 || self.text.as_bytes()[self.at - 1] == b'\n';
        if !first || !self.rest().starts_with('%') {
            return None;
        }
        let at = self.here();
        let mut line = self.line()[1..].to_owned();
        // C's macros go on in lines without a sign of their own.
        while line.trim_end_matches(['\n', '\r']).ends_with('\\') && !self.is_done() {
            line += self.line();
        }
        let line = line.trim_end().to_owned();
        Some(Token { at, tok: Tok::Verbatim(line) })
    }

    /// A line whose first character is `#`, without it, and those joined to it; its comments are
    /// blanks.
    pub(super) fn directive(&mut self) -> Option<(Span, String)> {
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
        if !self.rest()[blanks..].starts_with('#') {
            return None;
        }
        self.at += blanks;
        let at = self.here();
        self.at += 1;
        let mut joined = String::new();
        loop {
            let line = self.line().trim_end_matches(['\n', '\r']).to_owned();
            match line.strip_suffix('\\') {
                Some(line) if !self.is_done() => joined += line,
                _ => {
                    joined += &line;
                    let open = joined.rfind("/*").is_some_and(|at| !joined[at..].contains("*/"));
                    if !open || self.is_done() {
                        break;
                    }
                }
            }
        }
        Some((at, without_comments(&joined)))
    }

    /// Goes to the next line, past comments that begin in this one; false at the end.
    pub(super) fn skip_line(&mut self) -> Result<bool, Fault> {
        while !self.is_done() {
            if self.rest().starts_with("/*") {
                self.comment()?;
            } else if self.next_char() == Some('\n') {
                self.line_start = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next token; `None` at the end, and at the end of a line, so that the next line's first
    /// character is looked at.
    pub(super) fn token(&mut self) -> Result<Option<Token>, Fault> {
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                self.comment()?;
                continue;
            }
            if rest.starts_with("//") {
                let end = rest.find('\n').unwrap_or(rest.len());
                self.at += end;
                continue;
            }
            let at = self.here();
            let Some(c) = self.next_char() else { return Ok(None) };
            match c {
                '\n' => {
                    self.line_start = true;
                    return Ok(None);
                }
                '\\' if self.rest().starts_with('\n') || self.rest().starts_with("\r\n") => {
                    self.line();
                    self.line_start = false;
                }
                c if c.is_whitespace() => {}
                c => {
                    self.line_start = false;
                    return self.token_of(at, c).map(Some);
                }
            }
        }
    }

    fn token_of(&mut self, at: Span, first: char) -> Result<Token, Fault> {
        let tok = match first {
            'a'..='z' | 'A'..='Z' | '_' => Tok::Ident(self.word(first)),
            '0'..='9' => Tok::Number(self.number(at, first)?),
            '-' => match self.next_char() {
                Some(digit @ '0'..='9') => Tok::Number(-self.number(at, digit)?),
                _ => return Err(Fault::new(at, "a number is missing behind `-`")),
            },
            '"' => Tok::Text(self.quoted(at, '"')?),
            '\'' => {
                let text = self.quoted(at, '\'')?;
                let mut chars = text.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Tok::Number(u32::from(c).into()),
                    _ => return Err(Fault::new(at, "one character stands between `'`")),
                }
            }
            '{' | '}' | '(' | ')' | '[' | ']' | '<' | '>' | '=' | ';' | ':' | ',' | '*' => {
                Tok::Sign(first)
            }
            other => return Err(Fault::new(at, format!("{other:?} is not of the language"))),
        };
        Ok(Token { at, tok })
    }

    fn word(&mut self, first: char) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let word = format!("{first}{}", &rest[..end.unwrap_or(rest.len())]);
        self.at += word.len() - 1;
        word
    }

    /// Decimal, hexadecimal behind 0x, octal behind 0; marks of C's types may follow.
    fn number(&mut self, at: Span, first: char) -> Result<i128, Fault> {
        let word = self.word(first);
        let bare = word.trim_end_matches(['u', 'U', 'l', 'L']);
        let hex = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X"));
        let (digits, radix, kind) = match hex {
            Some(hex) => (hex, 16, "hexadecimal"),
            None if bare.len() > 1 && bare.starts_with('0') => (&bare[1..], 8, "octal"),
            None => (bare, 10, "decimal"),
        };
        if !digits.bytes().all(|c| (c as char).is_digit(radix)) || digits.is_empty() {
            return Err(Fault::new(at, format!("{word} is no {kind} number")));
        }
        match u64::from_str_radix(digits, radix) {
            Ok(number) => Ok(number.into()),
            Err(_) => Err(Fault::new(at, format!("{word} has more than 64 bits"))),
        }
    }

    fn quoted(&mut self, at: Span, quote: char) -> Result<String, Fault> {
        let mut text = String::new();
        loop {
            match self.next_char() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => match self.next_char() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('0') => text.push('\0'),
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    _ => return Err(Fault::new(at, "no known character is behind `\\`")),
                },
                Some('\n') | None => {
                    return Err(Fault::new(at, format!("the closing `{quote}` is missing")));
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Fault> {
        let rest = &self.rest()[2..];
        let Some(end) = rest.find("*/") else {
            return Err(Fault::new(self.here(), "the comment has no end"));
        };
        self.at += end + 4;
        Ok(())
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn next_char(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// The rest of the line, its end included; goes to the next.
    fn line(&mut self) -> &str {
        let start = self.at;
        self.at = self.rest().find('\n').map_or(self.text.len(), |end| start + end + 1);
        self.line_start = true;
        &self.text[start..self.at]
    }
}

/// The line with a blank for each comment.
fn without_comments(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    loop {
        let line_end = rest.find("//").filter(|_| !rest.contains('"'));
        match (rest.find("/*"), line_end) {
            (Some(start), end) if end.is_none_or(|end| start < end) => {
                out += &rest[..start];
                out.push(' ');
                let Some(end) = rest[start + 2..].find("*/") else { return out };
                rest = &rest[start + 2 + end + 2..];
            }
            (_, Some(end)) => return out + &rest[..end],
            _ => return out + rest,
        }
    }
}
