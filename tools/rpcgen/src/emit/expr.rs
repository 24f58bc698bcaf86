//! Types and expressions: what a declaration is in Rust, how it is written and read.

use super::{ARRAY_MAX, OCTETS_MAX};
use crate::ast::{Body, Decl, Shape, Ty, Value};
use crate::check::{Facts, Meaning, TypeFact};

/// What is written: a place in a value, or a reference to one.
#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Field(&'p str),
    Ref(&'p str),
}

impl Place<'_> {
    /// As a value, of what is copied.
    fn value(self) -> String {
        match self {
            Self::Field(name) => name.to_owned(),
            Self::Ref(name) => format!("*{name}"),
        }
    }

    fn by_ref(self) -> String {
        match self {
            Self::Field(name) => format!("&{name}"),
            Self::Ref(name) => name.to_owned(),
        }
    }

    /// In front of a dot.
    fn name(self) -> String {
        match self {
            Self::Field(name) | Self::Ref(name) => name.to_owned(),
        }
    }
}

/// The type of `decl`; what borrows lives for `life`.
pub(super) fn rust_type(facts: &Facts<'_>, decl: &Decl, life: &str) -> String {
    shaped(facts, &decl.ty, &decl.shape, life)
}

fn shaped(facts: &Facts<'_>, ty: &Ty, shape: &Shape, life: &str) -> String {
    let one = |ty| plain(facts, ty, life);
    match (shape, ty) {
        (Shape::One, _) => one(ty),
        (Shape::Optional, _) => match target(facts, ty) {
            // The list is named by its items.
            Some(fact) if fact.list => format!("Vec<{}>", named(fact, life)),
            Some(fact) if fact.recursive => format!("Option<Box<{}>>", one(ty)),
            _ => format!("Option<{}>", one(ty)),
        },
        (Shape::Fixed(n), Ty::Opaque) if number(facts, n) <= OCTETS_MAX => {
            format!("[u8; {}]", size(facts, n))
        }
        (Shape::Fixed(_) | Shape::Variable(_), Ty::Opaque) => format!("Opaque<{life}>"),
        (_, Ty::String) => format!("Text<{life}>"),
        (Shape::Fixed(n), _) if number(facts, n) <= ARRAY_MAX => {
            format!("[{}; {}]", one(ty), size(facts, n))
        }
        (Shape::Fixed(_) | Shape::Variable(_), _) => format!("Vec<{}>", one(ty)),
    }
}

fn plain(facts: &Facts<'_>, ty: &Ty, life: &str) -> String {
    match facts.meaning(ty) {
        Some(Meaning::Def(fact)) if fact.list => format!("Vec<{}>", named(fact, life)),
        Some(Meaning::Def(fact)) => named(fact, life),
        Some(Meaning::Known(ty, shape)) => shaped(facts, &ty, &shape, life),
        Some(Meaning::Plain(ty)) => scalar(ty).0.to_owned(),
        None => "()".to_owned(),
    }
}

/// The name of a type, with its lifetime if it has one.
pub(super) fn named(fact: &TypeFact<'_>, life: &str) -> String {
    if fact.borrows { format!("{}<{life}>", fact.rust) } else { fact.rust.clone() }
}

/// The type in Rust, and the name of the methods that read and write it.
fn scalar(ty: &Ty) -> (&'static str, &'static str) {
    match ty {
        Ty::Int => ("i32", "i32"),
        Ty::Unsigned => ("u32", "u32"),
        Ty::Hyper => ("i64", "i64"),
        Ty::UnsignedHyper => ("u64", "u64"),
        Ty::Float => ("f32", "f32"),
        Ty::Double => ("f64", "f64"),
        Ty::Quadruple => ("Quadruple", "quadruple"),
        Ty::Bool => ("bool", "bool"),
        // These have a length, and a name is looked up.
        Ty::String | Ty::Opaque | Ty::Named(_) => ("()", "length"),
    }
}

/// Whether `decl` is a number, which is passed by value.
pub(super) fn is_scalar(facts: &Facts<'_>, decl: &Decl) -> bool {
    matches!(decl.shape, Shape::One)
        && matches!(facts.root(&decl.ty), Some(Meaning::Plain(_) | Meaning::Known(_, Shape::One)))
}

/// An expression that writes `place`, a `Result<(), Fault>`.
pub(super) fn encode(facts: &Facts<'_>, decl: &Decl, place: Place<'_>) -> String {
    encode_shaped(facts, &decl.ty, &decl.shape, place)
}

fn encode_shaped(facts: &Facts<'_>, ty: &Ty, shape: &Shape, place: Place<'_>) -> String {
    let by_ref = place.by_ref();
    let item = || format!("|to, value| {}", encode_one(facts, ty, Place::Ref("value")));
    match (shape, ty) {
        (Shape::One, _) => encode_one(facts, ty, place),
        (Shape::Optional, _) => match target(facts, ty) {
            Some(fact) if fact.list => {
                format!("to.list_of({by_ref}, |to, value| value.encode(to))")
            }
            Some(fact) if fact.recursive => {
                format!("to.option({}.as_deref(), {})", place.name(), item())
            }
            _ => format!("to.option({}.as_ref(), {})", place.name(), item()),
        },
        (Shape::Fixed(n), Ty::Opaque) if number(facts, n) <= OCTETS_MAX => {
            format!("to.opaque_fixed({by_ref})")
        }
        (Shape::Fixed(n), Ty::Opaque) => format!("to.opaque_exact({by_ref}, {})", size(facts, n)),
        (Shape::Fixed(n), _) if number(facts, n) <= ARRAY_MAX => {
            format!("to.array({by_ref}, {})", item())
        }
        (Shape::Fixed(n), _) => {
            format!("to.array_exact({by_ref}, {}, {})", size(facts, n), item())
        }
        (Shape::Variable(max), Ty::Opaque) => format!("to.opaque({by_ref}, {})", most(facts, max)),
        (Shape::Variable(max), Ty::String) => format!("to.text({by_ref}, {})", most(facts, max)),
        (Shape::Variable(max), _) => {
            format!("to.array_of({by_ref}, {}, {})", most(facts, max), item())
        }
    }
}

fn encode_one(facts: &Facts<'_>, ty: &Ty, place: Place<'_>) -> String {
    match facts.meaning(ty) {
        Some(Meaning::Def(fact)) => match &fact.def.body {
            Body::Alias(of) => encode(facts, of, place),
            _ if fact.list => {
                format!("to.list_of_some({}, |to, value| value.encode(to))", place.by_ref())
            }
            _ => format!("{}.encode(to)", place.name()),
        },
        Some(Meaning::Known(ty, shape)) => encode_shaped(facts, &ty, &shape, place),
        Some(Meaning::Plain(ty)) => format!("to.{}({})", scalar(ty).1, place.value()),
        None => "Ok(())".to_owned(),
    }
}

/// An expression that reads `decl`, a `Result<T, Fault>`.
pub(super) fn decode(facts: &Facts<'_>, decl: &Decl) -> String {
    decode_shaped(facts, &decl.ty, &decl.shape)
}

fn decode_shaped(facts: &Facts<'_>, ty: &Ty, shape: &Shape) -> String {
    let item = || function(decode_one(facts, ty));
    match (shape, ty) {
        (Shape::One, _) => decode_one(facts, ty),
        (Shape::Optional, _) => match target(facts, ty) {
            Some(fact) if fact.list => format!("from.list_of({}::decode)", fact.rust),
            Some(fact) if fact.recursive => {
                format!("from.option(|from| {}.map(Box::new))", decode_one(facts, ty))
            }
            _ => format!("from.option({})", item()),
        },
        (Shape::Fixed(n), Ty::Opaque) if number(facts, n) <= OCTETS_MAX => {
            "from.opaque_fixed()".to_owned()
        }
        (Shape::Fixed(n), Ty::Opaque) => format!("from.opaque_exact({})", size(facts, n)),
        (Shape::Fixed(n), _) if number(facts, n) <= ARRAY_MAX => format!("from.array({})", item()),
        (Shape::Fixed(n), _) => format!("from.array_exact({}, {})", size(facts, n), item()),
        (Shape::Variable(max), Ty::Opaque) => format!("from.opaque({})", most(facts, max)),
        (Shape::Variable(max), Ty::String) => format!("from.text({})", most(facts, max)),
        (Shape::Variable(max), _) => format!("from.array_of({}, {})", most(facts, max), item()),
    }
}

fn decode_one(facts: &Facts<'_>, ty: &Ty) -> String {
    match facts.meaning(ty) {
        Some(Meaning::Def(fact)) => match &fact.def.body {
            Body::Alias(of) => decode(facts, of),
            _ if fact.list => format!("from.list_of_some({}::decode)", fact.rust),
            _ => format!("{}::decode(from)", fact.rust),
        },
        Some(Meaning::Known(ty, shape)) => decode_shaped(facts, &ty, &shape),
        Some(Meaning::Plain(ty)) => format!("from.{}()", scalar(ty).1),
        None => "Ok(())".to_owned(),
    }
}

/// `expression` as a function of `from`: its path where it is nothing else.
fn function(expression: String) -> String {
    match expression.strip_suffix("::decode(from)") {
        Some(name) if name.chars().all(|c| c.is_alphanumeric() || c == '_') => {
            format!("{name}::decode")
        }
        _ => format!("|from| {expression}"),
    }
}

/// The definition that `ty` leads to.
fn target<'f>(facts: &'f Facts<'_>, ty: &'f Ty) -> Option<&'f TypeFact<'f>> {
    match facts.root(ty) {
        Some(Meaning::Def(fact)) => Some(fact),
        _ => None,
    }
}

fn number(facts: &Facts<'_>, value: &Value) -> u64 {
    facts.number(value).and_then(|number| number.try_into().ok()).unwrap_or(0)
}

/// A size: by its name where it has one.
fn size(facts: &Facts<'_>, value: &Value) -> String {
    match value {
        Value::Name(name) => match facts.consts.get(&name.text) {
            Some(rust) => format!("{rust} as usize"),
            None => number(facts, value).to_string(),
        },
        Value::Number(..) => number(facts, value).to_string(),
    }
}

fn most(facts: &Facts<'_>, max: &Option<Value>) -> String {
    max.as_ref().map_or("u32::MAX as usize".to_owned(), |max| size(facts, max))
}

/// The declaration as it stands in the file.
pub(super) fn declared(decl: &Decl) -> String {
    let name = &decl.name.text;
    let ty = type_name(&decl.ty);
    match &decl.shape {
        Shape::One => format!("{ty} {name}"),
        Shape::Optional => format!("{ty} *{name}"),
        Shape::Fixed(n) => format!("{ty} {name}[{}]", value_name(n)),
        Shape::Variable(None) => format!("{ty} {name}<>"),
        Shape::Variable(Some(max)) => format!("{ty} {name}<{}>", value_name(max)),
    }
}

pub(super) fn type_name(ty: &Ty) -> &str {
    match ty {
        Ty::Int => "int",
        Ty::Unsigned => "unsigned",
        Ty::Hyper => "hyper",
        Ty::UnsignedHyper => "unsigned hyper",
        Ty::Float => "float",
        Ty::Double => "double",
        Ty::Quadruple => "quadruple",
        Ty::Bool => "bool",
        Ty::String => "string",
        Ty::Opaque => "opaque",
        Ty::Named(name) => &name.text,
    }
}

pub(super) fn value_name(value: &Value) -> String {
    match value {
        Value::Number(number, _) => number.to_string(),
        Value::Name(name) => name.text.clone(),
    }
}
