//! From tokens to definitions: the grammar of rpcgen, and of RFC 4506 where it allows more (bodies
//! of types within declarations).

mod decl;
mod program;

use crate::ast::{Arm, Default, Shape, Ty};
use crate::ast::{Body, Const, ConstValue, Item, Member, Name, Spec, TypeDef, Union, Value};
use crate::error::Fault;
use crate::scan::{Tok, Token};
use crate::source::Span;

/// The definitions of `tokens`; `end` is the place behind the last.
pub(crate) fn parse(tokens: &[Token], end: Span) -> Result<Spec, Fault> {
    let mut parser = Parser { tokens, end, items: Vec::new(), depth: 0 };
    while let Some(token) = parser.tokens.first() {
        if let Tok::Verbatim(line) = &token.tok {
            parser.tokens = &parser.tokens[1..];
            parser.items.push(Item::Verbatim(line.clone()));
        } else {
            parser.definition()?;
        }
    }
    Ok(Spec { items: parser.items })
}

struct Parser<'t> {
    tokens: &'t [Token],
    end: Span,
    items: Vec<Item>,
    /// Bodies within bodies.
    depth: usize,
}

impl Parser<'_> {
    fn definition(&mut self) -> Result<(), Fault> {
        let at = self.here();
        match self.word().as_deref() {
            Some("const") => self.constant()?,
            Some("enum") => {
                let name = self.name("the enum's name")?;
                let body = self.enum_body()?;
                self.items.push(Item::Type(TypeDef { name, body }));
            }
            Some("struct") => {
                let name = self.name("the struct's name")?;
                let body = self.struct_body(&name)?;
                self.items.push(Item::Type(TypeDef { name, body }));
            }
            Some("union") => {
                let name = self.name("the union's name")?;
                let body = self.union_body(&name)?;
                self.items.push(Item::Type(TypeDef { name, body }));
            }
            Some("typedef") => self.typedef()?,
            Some("program") => {
                let program = self.program()?;
                self.items.push(Item::Program(program));
            }
            _ => {
                let kinds = "const, enum, struct, union, typedef or program";
                return Err(self.unexpected_at(at, kinds));
            }
        }
        self.sign(';')
    }

    fn constant(&mut self) -> Result<(), Fault> {
        let name = self.name("the constant's name")?;
        self.sign('=')?;
        let value = match self.tokens.first().map(|token| &token.tok) {
            Some(Tok::Text(text)) => {
                let text = text.clone();
                self.tokens = &self.tokens[1..];
                ConstValue::Text(text)
            }
            _ => ConstValue::Number(self.value()?),
        };
        self.items.push(Item::Const(Const { name, value }));
        Ok(())
    }

    fn typedef(&mut self) -> Result<(), Fault> {
        let at = self.here();
        let Some(decl) = self.decl(None)? else {
            return Err(Fault::new(at, "void has no name"));
        };
        let name = decl.name.clone();
        // A body behind typedef was given the new name, and `typedef struct a a` says nothing new.
        let same = matches!(&decl.ty, Ty::Named(of) if of.text == name.text);
        if !same || !matches!(decl.shape, Shape::One) {
            self.items.push(Item::Type(TypeDef { name, body: Body::Alias(decl) }));
        }
        Ok(())
    }

    fn enum_body(&mut self) -> Result<Body, Fault> {
        self.sign('{')?;
        let mut members = Vec::new();
        loop {
            let name = self.name("a name of the enum")?;
            let value = if self.try_sign('=') { Some(self.value()?) } else { None };
            members.push(Member { name, value });
            if !self.try_sign(',') {
                break;
            }
        }
        self.sign('}')?;
        Ok(Body::Enum(members))
    }

    fn struct_body(&mut self, name: &Name) -> Result<Body, Fault> {
        self.sign('{')?;
        self.deeper()?;
        let mut decls = Vec::new();
        loop {
            let at = self.here();
            decls.push(self.decl(Some(name))?.ok_or_else(|| Fault::new(at, "void is no member"))?);
            self.sign(';')?;
            if self.try_sign('}') {
                break;
            }
        }
        self.depth -= 1;
        Ok(Body::Struct(decls))
    }

    fn union_body(&mut self, name: &Name) -> Result<Body, Fault> {
        self.keyword("switch")?;
        self.sign('(')?;
        self.deeper()?;
        let at = self.here();
        let on = self.decl(Some(name))?.ok_or_else(|| Fault::new(at, "void has no cases"))?;
        self.sign(')')?;
        self.sign('{')?;
        let (mut arms, mut default) = (Vec::new(), None);
        self.keyword("case")?;
        loop {
            let labels = self.labels()?;
            let decl = self.decl(Some(name))?;
            self.sign(';')?;
            arms.push(Arm { labels, decl });
            if self.try_keyword("default") {
                self.sign(':')?;
                default = Some(Default { decl: self.decl(Some(name))? });
                self.sign(';')?;
                break;
            }
            if !self.try_keyword("case") {
                break;
            }
        }
        self.sign('}')?;
        self.depth -= 1;
        Ok(Body::Union(Box::new(Union { on, arms, default })))
    }

    /// What stands behind the first `case` of an arm.
    fn labels(&mut self) -> Result<Vec<Value>, Fault> {
        let mut labels = vec![self.value()?];
        self.sign(':')?;
        while self.try_keyword("case") {
            labels.push(self.value()?);
            self.sign(':')?;
        }
        Ok(labels)
    }

    fn deeper(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(self.here(), format!("more than {DEPTH_MAX} bodies deep")));
        }
        Ok(())
    }

    /// A number or the name of one.
    fn value(&mut self) -> Result<Value, Fault> {
        let at = self.here();
        match self.tokens.first().map(|token| &token.tok) {
            Some(&Tok::Number(number)) => {
                self.tokens = &self.tokens[1..];
                Ok(Value::Number(number, at))
            }
            Some(Tok::Ident(_)) => self.name("a number").map(Value::Name),
            _ => Err(self.unexpected("a number or the name of one")),
        }
    }

    /// A name that is no word of the language.
    fn name(&mut self, what: &str) -> Result<Name, Fault> {
        let at = self.here();
        match self.word() {
            Some(text) if WORDS.contains(&text.as_str()) => {
                Err(Fault::new(at, format!("`{text}` is a word of the language, {what} is not")))
            }
            Some(text) => Ok(Name { text, at }),
            None => Err(self.unexpected(what)),
        }
    }

    /// The next token where it is a word, and goes past it.
    fn word(&mut self) -> Option<String> {
        let word = self.peek()?.to_owned();
        self.tokens = &self.tokens[1..];
        Some(word)
    }

    fn peek(&self) -> Option<&str> {
        match self.tokens.first() {
            Some(Token { tok: Tok::Ident(word), .. }) => Some(word),
            _ => None,
        }
    }

    fn try_keyword(&mut self, word: &str) -> bool {
        let there = self.peek() == Some(word);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn keyword(&mut self, word: &str) -> Result<(), Fault> {
        if self.try_keyword(word) { Ok(()) } else { Err(self.unexpected(&format!("`{word}`"))) }
    }

    fn try_sign(&mut self, sign: char) -> bool {
        let there = self.tokens.first().is_some_and(|token| token.tok == Tok::Sign(sign));
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn sign(&mut self, sign: char) -> Result<(), Fault> {
        if self.try_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    fn here(&self) -> Span {
        self.tokens.first().map_or(self.end, |token| token.at)
    }

    fn unexpected(&self, wanted: &str) -> Fault {
        let found = self
            .tokens
            .first()
            .map_or("the file ends".to_owned(), |token| format!("{} stands", token.tok.name()));
        Fault::new(self.here(), format!("{found} where {wanted} should be"))
    }

    /// As [`Parser::unexpected`], for a word that was gone past.
    fn unexpected_at(&self, at: Span, wanted: &str) -> Fault {
        Fault::new(at, format!("here should be {wanted}"))
    }
}

/// The most bodies within bodies: each takes some of the stack.
const DEPTH_MAX: usize = 32;

/// Words that cannot be names.
const WORDS: [&str; 23] = [
    "bool",
    "case",
    "char",
    "const",
    "default",
    "double",
    "enum",
    "float",
    "hyper",
    "int",
    "long",
    "opaque",
    "program",
    "quadruple",
    "short",
    "string",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "version",
    "void",
];
