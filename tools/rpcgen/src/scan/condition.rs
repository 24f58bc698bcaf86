//! The expressions behind `#if`: numbers, names, `defined`, comparisons, `!`, `&&`, `||`.

use super::lex::{Tok, Token};
use std::collections::HashMap;

/// Whether `text` is not zero.
pub(super) fn holds(text: &str, macros: &HashMap<String, Vec<Token>>) -> Result<bool, String> {
    let mut reader = Reader { rest: text.trim(), macros, depth: 0 };
    let value = reader.or()?;
    match reader.rest {
        "" => Ok(value != 0),
        rest => Err(format!("`{rest}` is not understood behind #if")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    macros: &'a HashMap<String, Vec<Token>>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest).trim_start();
        rest.is_some()
    }

    fn or(&mut self) -> Result<i128, String> {
        let mut value = self.and()?;
        while self.take("||") {
            let other = self.and()?;
            value = i128::from(value != 0 || other != 0);
        }
        Ok(value)
    }

    fn and(&mut self) -> Result<i128, String> {
        let mut value = self.compared()?;
        while self.take("&&") {
            let other = self.compared()?;
            value = i128::from(value != 0 && other != 0);
        }
        Ok(value)
    }

    fn compared(&mut self) -> Result<i128, String> {
        type Compare = fn(&i128, &i128) -> bool;
        const SIGNS: [(&str, Compare); 6] = [
            ("==", i128::eq),
            ("!=", i128::ne),
            ("<=", i128::le),
            (">=", i128::ge),
            ("<", i128::lt),
            (">", i128::gt),
        ];
        let value = self.one()?;
        for (sign, compare) in SIGNS {
            if self.take(sign) {
                return Ok(compare(&value, &self.one()?).into());
            }
        }
        Ok(value)
    }

    fn one(&mut self) -> Result<i128, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} signs behind #if"));
        }
        if self.take("!") {
            return Ok(i128::from(self.one()? == 0));
        }
        if self.take("(") {
            let value = self.or()?;
            return if self.take(")") { Ok(value) } else { Err("`)` is missing".to_owned()) };
        }
        let word = self.word();
        if word == "defined" {
            let closed = self.take("(");
            let name = self.word();
            if closed && !self.take(")") {
                return Err("`)` is missing".to_owned());
            }
            return Ok(self.macros.contains_key(name).into());
        }
        self.value(word)
    }

    fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest.trim_start();
        word
    }

    /// A number; a name that stands for one; any other name is 0.
    fn value(&self, word: &str) -> Result<i128, String> {
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let bare = word.trim_end_matches(['u', 'U', 'l', 'L']);
            let parsed = match bare.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16),
                None => bare.parse(),
            };
            return parsed.map(i128::from).map_err(|_| format!("{word} is no number"));
        }
        match self.macros.get(word).map(Vec::as_slice) {
            Some([Token { tok: Tok::Number(number), .. }]) => Ok(*number),
            _ if word.is_empty() => Err("a name or a number is missing behind #if".to_owned()),
            _ => Ok(0),
        }
    }
}

/// The most parts of an expression.
const DEPTH_MAX: usize = 64;
