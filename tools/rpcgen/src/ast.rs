//! Definitions, as they stand in the file.

use crate::source::Span;

/// A file.
#[derive(Debug, Default)]
pub(crate) struct Spec {
    pub(crate) items: Vec<Item>,
}

impl Spec {
    /// Some version of some program has a procedure of this name.
    pub(crate) fn has_procedure(&self, name: &str) -> bool {
        let programs = self.items.iter().filter_map(|item| match item {
            Item::Program(program) => Some(program),
            _ => None,
        });
        let mut procedures = programs.flat_map(|p| &p.versions).flat_map(|v| &v.procedures);
        procedures.any(|procedure| procedure.name.text == name)
    }
}

#[derive(Debug)]
pub(crate) enum Item {
    Const(Const),
    Type(TypeDef),
    Program(Program),
    /// A line behind `%`.
    Verbatim(String),
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) at: Span,
}

#[derive(Debug)]
pub(crate) struct Const {
    pub(crate) name: Name,
    pub(crate) value: ConstValue,
}

#[derive(Debug)]
pub(crate) enum ConstValue {
    Number(Value),
    Text(String),
}

/// A number, or the name of one.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Number(i128, Span),
    Name(Name),
}

impl Value {
    pub(crate) fn at(&self) -> Span {
        match self {
            Self::Number(_, at) => *at,
            Self::Name(name) => name.at,
        }
    }
}

#[derive(Debug)]
pub(crate) struct TypeDef {
    pub(crate) name: Name,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Enum(Vec<Member>),
    Struct(Vec<Decl>),
    Union(Box<Union>),
    Alias(Decl),
}

/// A name of an enum; without a value it is one more than the name before.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: Name,
    pub(crate) value: Option<Value>,
}

/// A type and the name of what is of that type.
#[derive(Clone, Debug)]
pub(crate) struct Decl {
    pub(crate) ty: Ty,
    pub(crate) shape: Shape,
    pub(crate) name: Name,
}

#[derive(Clone, Debug)]
pub(crate) enum Ty {
    Int,
    Unsigned,
    Hyper,
    UnsignedHyper,
    Float,
    Double,
    Quadruple,
    Bool,
    String,
    Opaque,
    Named(Name),
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    One,
    /// `*`
    Optional,
    /// `[n]`
    Fixed(Value),
    /// `<n>` and `<>`
    Variable(Option<Value>),
}

#[derive(Debug)]
pub(crate) struct Union {
    pub(crate) on: Decl,
    pub(crate) arms: Vec<Arm>,
    pub(crate) default: Option<Default>,
}

#[derive(Debug)]
pub(crate) struct Arm {
    /// At least one.
    pub(crate) labels: Vec<Value>,
    /// None is void.
    pub(crate) decl: Option<Decl>,
}

#[derive(Debug)]
pub(crate) struct Default {
    /// None is void.
    pub(crate) decl: Option<Decl>,
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: Name,
    pub(crate) number: Value,
    pub(crate) versions: Vec<Version>,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) name: Name,
    pub(crate) number: Value,
    pub(crate) procedures: Vec<Procedure>,
}

#[derive(Debug)]
pub(crate) struct Procedure {
    pub(crate) name: Name,
    pub(crate) number: Value,
    pub(crate) args: Vec<Decl>,
    /// None is void.
    pub(crate) result: Option<Decl>,
}
