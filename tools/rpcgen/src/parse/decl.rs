//! Declarations: a type, what is around it, and a name.

use super::Parser;
use crate::ast::{Body, Decl, Item, Name, Shape, Ty, TypeDef};
use crate::error::Fault;
use crate::scan::Tok;

/// A type before its declaration's name is known.
pub(super) enum Spec {
    Void,
    Ty(Ty),
    /// A body in place: it becomes a type of its own.
    Body(Body),
}

impl Parser<'_> {
    /// A declaration within `parent`, or behind typedef; `None` for void.
    pub(super) fn decl(&mut self, parent: Option<&Name>) -> Result<Option<Decl>, Fault> {
        let at = self.here();
        let spec = self.type_spec(parent)?;
        if matches!(spec, Spec::Void) {
            return Ok(None);
        }
        let optional = self.try_sign('*');
        let name = self.name("a name")?;
        let shape = self.shape(optional)?;
        let ty = self.place(spec, parent, &name, &shape);
        self.check_shape(&ty, &shape, &name)?;
        if matches!(ty, Ty::Opaque) && matches!(shape, Shape::One | Shape::Optional) {
            return Err(Fault::new(at, "opaque needs a length: [n] or <n>"));
        }
        Ok(Some(Decl { ty, shape, name }))
    }

    fn check_shape(&self, ty: &Ty, shape: &Shape, name: &Name) -> Result<(), Fault> {
        match (ty, shape) {
            (Ty::String, Shape::Variable(_)) => Ok(()),
            (Ty::String, _) => {
                Err(Fault::new(name.at, "a string has a length that may vary: <n> or <>"))
            }
            _ => Ok(()),
        }
    }

    fn shape(&mut self, optional: bool) -> Result<Shape, Fault> {
        let at = self.here();
        let shape = if self.try_sign('[') {
            let size = self.value()?;
            self.sign(']')?;
            Shape::Fixed(size)
        } else if self.try_sign('<') {
            let max = if self.try_sign('>') {
                None
            } else {
                let max = self.value()?;
                self.sign('>')?;
                Some(max)
            };
            Shape::Variable(max)
        } else {
            return Ok(if optional { Shape::Optional } else { Shape::One });
        };
        if optional {
            return Err(Fault::new(at, "what is optional is one: name the array by a typedef"));
        }
        Ok(shape)
    }

    pub(super) fn type_spec(&mut self, parent: Option<&Name>) -> Result<Spec, Fault> {
        let at = self.here();
        let Some(word) = self.word() else { return Err(self.unexpected("a type")) };
        Ok(Spec::Ty(match word.as_str() {
            "void" => return Ok(Spec::Void),
            "unsigned" => self.unsigned(),
            "int" | "long" | "short" | "char" => {
                // C allows `long int` and the like.
                if matches!(word.as_str(), "long" | "short") {
                    self.try_keyword("int");
                }
                Ty::Int
            }
            "hyper" => Ty::Hyper,
            "float" => Ty::Float,
            "double" => Ty::Double,
            "quadruple" => Ty::Quadruple,
            "bool" => Ty::Bool,
            "string" => Ty::String,
            "opaque" => Ty::Opaque,
            "enum" | "struct" | "union" => return self.spec_of_kind(&word, parent),
            text if super::WORDS.contains(&text) => {
                return Err(Fault::new(at, format!("`{text}` stands where a type should be")));
            }
            _ => Ty::Named(Name { text: word, at }),
        }))
    }

    /// What stands behind `unsigned`: nothing is an int.
    fn unsigned(&mut self) -> Ty {
        if self.try_keyword("hyper") {
            return Ty::UnsignedHyper;
        }
        if !self.try_keyword("char") {
            let _ = self.try_keyword("long") || self.try_keyword("short");
            self.try_keyword("int");
        }
        Ty::Unsigned
    }

    /// `struct NAME`, or a body in place.
    fn spec_of_kind(&mut self, kind: &str, parent: Option<&Name>) -> Result<Spec, Fault> {
        let in_place = match kind {
            "union" => self.peek() == Some("switch"),
            _ => self.tokens.first().is_some_and(|token| token.tok == Tok::Sign('{')),
        };
        if !in_place {
            return self.name("the type's name").map(|name| Spec::Ty(Ty::Named(name)));
        }
        // Types within take this one's name, which stands behind it.
        let own = self.name_behind_body().unwrap_or("inner");
        let text = parent.map_or(own.to_owned(), |parent| format!("{}_{own}", parent.text));
        let within = Name { text, at: self.here() };
        Ok(Spec::Body(match kind {
            "enum" => self.enum_body()?,
            "struct" => self.struct_body(&within)?,
            _ => self.union_body(&within)?,
        }))
    }

    /// The word behind the body that is next.
    fn name_behind_body(&self) -> Option<&str> {
        let mut depth = 0;
        let mut tokens = self.tokens.iter().map(|token| &token.tok);
        loop {
            match tokens.next()? {
                Tok::Sign('{') => depth += 1,
                Tok::Sign('}') if depth == 1 => break,
                Tok::Sign('}') => depth -= 1,
                _ => {}
            }
        }
        tokens.find_map(|tok| match tok {
            Tok::Ident(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The type of a declaration; a body becomes a definition named after its member.
    fn place(&mut self, spec: Spec, parent: Option<&Name>, name: &Name, shape: &Shape) -> Ty {
        match spec {
            Spec::Ty(ty) => ty,
            Spec::Body(body) => {
                let text = match (parent, shape) {
                    (Some(parent), _) => format!("{}_{}", parent.text, name.text),
                    (None, Shape::One) => name.text.clone(),
                    (None, _) => format!("{}_item", name.text),
                };
                let name = Name { text, at: name.at };
                self.items.push(Item::Type(TypeDef { name: name.clone(), body }));
                Ty::Named(name)
            }
            // Told apart before.
            Spec::Void => Ty::Int,
        }
    }
}
