//! From text to tokens: comments go, `#` lines are obeyed as the C preprocessor would, names that
//! `#define` gave a value are replaced, `%` lines pass as they are.

mod condition;
mod lex;

pub(crate) use lex::{Tok, Token};

use crate::Options;
use crate::error::Fault;
use crate::source::{Sources, Span};
use lex::Lexer;
use std::collections::HashMap;
use std::rc::Rc;

/// Finds an included file: by its name as written, whether it stood in angles, and the name of
/// the file that includes it. Gives its name and text.
pub(crate) type Loader<'a> = dyn Fn(&str, bool, &str) -> Result<(String, String), String> + 'a;

/// The tokens of file `root` and of what it includes.
pub(crate) fn scan(
    sources: &mut Sources,
    root: u32,
    options: &Options,
    loader: &Loader<'_>,
) -> Result<Vec<Token>, Fault> {
    let mut scanner = Scanner {
        sources,
        options,
        loader,
        macros: HashMap::new(),
        out: Vec::new(),
        depth: 0,
        steps: 0,
    };
    scanner.define_options(root)?;
    scanner.file(root)?;
    Ok(scanner.out)
}

struct Scanner<'s> {
    sources: &'s mut Sources,
    options: &'s Options,
    loader: &'s Loader<'s>,
    macros: HashMap<String, Vec<Token>>,
    out: Vec<Token>,
    /// Files within files.
    depth: usize,
    /// Tokens that were looked at.
    steps: usize,
}

/// An `#if` whose `#endif` has not come.
struct Block {
    at: Span,
    /// Its lines are read.
    live: bool,
    /// One of its branches was read, or none may be.
    done: bool,
    /// `#else` was there.
    last: bool,
}

impl Scanner<'_> {
    fn file(&mut self, file: u32) -> Result<(), Fault> {
        let text = self.sources.text(file);
        let mut lexer = Lexer::new(file, Rc::clone(&text));
        let mut blocks: Vec<Block> = Vec::new();
        loop {
            let live = blocks.iter().all(|block| block.live);
            if lexer.at_line_start() {
                if let Some(line) = lexer.verbatim() {
                    if live {
                        self.push(line);
                    }
                    continue;
                }
                if let Some((at, line)) = lexer.directive() {
                    let next = lexer.here();
                    self.directive(at, &line, next, &mut blocks)?;
                    continue;
                }
            }
            if !live {
                if !lexer.skip_line()? {
                    break;
                }
                continue;
            }
            match lexer.token()? {
                Some(token) => self.expand(token, 0)?,
                None if lexer.is_done() => break,
                None => {}
            }
        }
        match blocks.pop() {
            Some(block) => Err(Fault::new(block.at, "#endif is missing")),
            None => Ok(()),
        }
    }

    /// Obeys a line that begins with `#`; `line` is what stands behind it, `next` the line below.
    fn directive(
        &mut self,
        at: Span,
        line: &str,
        next: Span,
        blocks: &mut Vec<Block>,
    ) -> Result<(), Fault> {
        let line = line.trim();
        let end = line.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(line.len());
        let (word, rest) = line.split_at(end);
        let rest = rest.trim();
        if self.conditional(at, word, rest, blocks)? || !blocks.iter().all(|block| block.live) {
            return Ok(());
        }
        match word {
            "define" => self.define(at, rest),
            "undef" => {
                self.macros.remove(rest);
                Ok(())
            }
            "include" => self.include(at, rest),
            "error" => Err(Fault::new(at, format!("#error {rest}"))),
            "line" => self.mark(at, rest, next),
            "" | "pragma" | "ident" | "warning" => Ok(()),
            number if number.bytes().all(|c| c.is_ascii_digit()) => self.mark(at, line, next),
            other => Err(Fault::new(at, format!("#{other} is not known"))),
        }
    }

    /// `#if` and its kin; false when the line is another.
    fn conditional(
        &self,
        at: Span,
        word: &str,
        rest: &str,
        blocks: &mut Vec<Block>,
    ) -> Result<bool, Fault> {
        let live = blocks.iter().all(|block| block.live);
        let holds = |word: &str| match word {
            "ifdef" => Ok(self.macros.contains_key(rest)),
            "ifndef" => Ok(!self.macros.contains_key(rest)),
            _ => condition::holds(rest, &self.macros).map_err(|why| Fault::new(at, why)),
        };
        match word {
            "if" | "ifdef" | "ifndef" => {
                if blocks.len() == BLOCKS_MAX {
                    return Err(Fault::new(
                        at,
                        format!("more than {BLOCKS_MAX} #if in each other"),
                    ));
                }
                let live = live && holds(word)?;
                blocks.push(Block { at, live, done: live, last: false });
            }
            "elif" | "else" => {
                let outer = blocks.iter().rev().skip(1).all(|block| block.live);
                let block = blocks.last_mut().filter(|block| !block.last);
                let block = block.ok_or_else(|| Fault::new(at, format!("#{word} without #if")))?;
                block.live = outer && !block.done && (word == "else" || holds(word)?);
                block.done |= block.live;
                block.last = word == "else";
            }
            "endif" => {
                blocks.pop().ok_or_else(|| Fault::new(at, "#endif without #if"))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn define(&mut self, at: Span, rest: &str) -> Result<(), Fault> {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, body) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() {
            return Err(Fault::new(at, "#define needs a name"));
        }
        if body.starts_with('(') {
            return Err(Fault::new(at, format!("{name} has arguments: no macro of .x files has")));
        }
        let mut lexer = Lexer::new(at.file, body.into());
        let mut tokens = Vec::new();
        // The line alone is lexed: the places in it are that of the directive.
        let place = |fault: Fault| Fault { at, ..fault };
        while let Some(token) = lexer.token().map_err(place)? {
            tokens.push(Token { at, ..token });
        }
        self.macros.insert(name.to_owned(), tokens);
        Ok(())
    }

    fn define_options(&mut self, root: u32) -> Result<(), Fault> {
        let at = Span { file: root, at: 0 };
        self.define(at, "RPC_HDR 1")?;
        for (name, value) in &self.options.defines {
            self.define(at, &format!("{name} {value}"))?;
        }
        Ok(())
    }

    fn include(&mut self, at: Span, rest: &str) -> Result<(), Fault> {
        let within = |open, close| rest.strip_prefix(open)?.split_once(close);
        let (name, angles) = match (within('"', '"'), within('<', '>')) {
            (Some((name, _)), _) => (name, false),
            (None, Some((name, _))) => (name, true),
            (None, None) => return Err(Fault::new(at, "#include needs \"FILE\" or <FILE>")),
        };
        if self.depth == INCLUDES_MAX {
            return Err(Fault::new(at, format!("more than {INCLUDES_MAX} files in each other")));
        }
        let found = (self.loader)(name, angles, self.sources.name(at.file));
        let (name, text) = found.map_err(|why| Fault::new(at, why))?;
        let file = self.sources.add(name, text)?;
        self.depth += 1;
        self.file(file)?;
        self.depth -= 1;
        Ok(())
    }

    /// `# NUMBER "FILE"`, which the preprocessor writes: what the next line is called.
    fn mark(&mut self, at: Span, line: &str, next: Span) -> Result<(), Fault> {
        let (number, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let number =
            number.parse().map_err(|_| Fault::new(at, format!("{number} is no line's number")))?;
        let name = rest.trim().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        self.sources.mark(next, number, name.map(|(name, _)| name.to_owned()));
        Ok(())
    }

    /// Passes a token on, or what its name stands for.
    fn expand(&mut self, token: Token, depth: usize) -> Result<(), Fault> {
        if self.steps == TOKENS_MAX {
            return Err(Fault::new(token.at, "the file is too long"));
        }
        self.steps += 1;
        let body = match &token.tok {
            Tok::Ident(name) => self.macros.get(name),
            _ => None,
        };
        let Some(body) = body.cloned() else {
            self.push(token);
            return Ok(());
        };
        if depth == MACROS_MAX {
            return Err(Fault::new(token.at, format!("{} stands for itself", token.tok.name())));
        }
        for part in body {
            self.expand(Token { at: token.at, ..part }, depth + 1)?;
        }
        Ok(())
    }

    fn push(&mut self, token: Token) {
        self.out.push(token);
    }
}

/// The most tokens: macros can double what they stand for at each step.
const TOKENS_MAX: usize = 1 << 20;

/// The most macros that stand for one another; more is a circle.
const MACROS_MAX: usize = 32;

/// The most files that include one another; more is a circle.
const INCLUDES_MAX: usize = 16;

/// The most `#if` in each other.
const BLOCKS_MAX: usize = 64;
