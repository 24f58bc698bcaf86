//! What the definitions mean: values of names, what types contain, and what is wrong.

mod programs;
mod shapes;
mod types;
mod values;

pub(crate) use types::Discriminant;

use crate::ast::{Body, Decl};
use crate::ast::{Item, Name, Shape, Spec, Ty, TypeDef, Value};
use crate::error::Fault;
use crate::names::{self, Scope};
use std::collections::HashMap;

/// What is known of a file that is right.
pub(crate) struct Facts<'s> {
    /// Numbers that names of constants and of enums stand for.
    pub(crate) values: HashMap<String, i128>,
    /// Names of constants in Rust.
    pub(crate) consts: HashMap<String, String>,
    pub(crate) types: Vec<TypeFact<'s>>,
    by_name: HashMap<&'s str, usize>,
    /// Names that are taken for types.
    pub(crate) type_scope: Scope,
}

/// What is known of a type.
pub(crate) struct TypeFact<'s> {
    pub(crate) def: &'s TypeDef,
    /// Its name in Rust.
    pub(crate) rust: String,
    /// It holds what borrows from the message.
    pub(crate) borrows: bool,
    /// It may contain itself, otherwise than as a list.
    pub(crate) recursive: bool,
    /// Its last member is the next of its kind.
    pub(crate) list: bool,
    /// It is a few numbers.
    pub(crate) copy: bool,
    /// Bytes it takes in place, about.
    size: u64,
    /// Types within types.
    height: usize,
}

/// What a type is, its name looked up.
pub(crate) enum Meaning<'f, 's> {
    /// No name.
    Plain(&'f Ty),
    /// A name that is known without a definition.
    Known(Ty, Shape),
    /// A definition.
    Def(&'f TypeFact<'s>),
}

/// What is wrong with `spec`, or what it means.
pub(crate) fn check(spec: &Spec) -> Result<Facts<'_>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut facts = Facts {
        values: HashMap::new(),
        consts: HashMap::new(),
        types: Vec::new(),
        by_name: HashMap::new(),
        type_scope: Scope::with(RESERVED),
    };
    names_are_unique(spec, &mut faults);
    facts.values = values::values(spec, &mut faults);
    let mut const_scope = Scope::default();
    for item in &spec.items {
        match item {
            Item::Const(constant) => {
                let rust = const_scope.take(names::upper(&constant.name.text));
                facts.consts.insert(constant.name.text.clone(), rust);
            }
            Item::Type(def) => facts.add(def),
            Item::Program(_) | Item::Verbatim(_) => {}
        }
    }
    types::check(&facts, &mut faults);
    programs::check(spec, &facts, &mut faults);
    // What contains what is only asked of types that are there.
    if faults.is_empty() {
        shapes::find(&mut facts, &mut faults);
    }
    faults.sort_by_key(|fault| (fault.at.file, fault.at.at));
    faults.truncate(FAULTS_MAX);
    if faults.is_empty() { Ok(facts) } else { Err(faults) }
}

impl<'s> Facts<'s> {
    fn add(&mut self, def: &'s TypeDef) {
        let rust = self.type_scope.take(names::camel(&def.name.text));
        self.by_name.insert(&def.name.text, self.types.len());
        self.types.push(TypeFact {
            def,
            rust,
            borrows: false,
            recursive: false,
            list: false,
            copy: false,
            size: 0,
            height: 0,
        });
    }

    /// The number that `value` is.
    pub(crate) fn number(&self, value: &Value) -> Option<i128> {
        match value {
            Value::Number(number, _) => Some(*number),
            Value::Name(name) => self.values.get(&name.text).copied(),
        }
    }

    /// What `ty` is; `None` when its name is nowhere defined.
    pub(crate) fn meaning<'f>(&'f self, ty: &'f Ty) -> Option<Meaning<'f, 's>> {
        let Ty::Named(name) = ty else { return Some(Meaning::Plain(ty)) };
        match self.by_name.get(name.text.as_str()) {
            Some(&at) => Some(Meaning::Def(&self.types[at])),
            None => known(&name.text).map(|(ty, shape)| Meaning::Known(ty, shape)),
        }
    }

    /// What `ty` is when one looks through names that only stand for other types.
    pub(crate) fn root<'f>(&'f self, ty: &'f Ty) -> Option<Meaning<'f, 's>> {
        let mut ty = ty;
        // A circle of names, or too long a chain of them, is told elsewhere.
        for _ in 0..=HEIGHT_MAX {
            match self.meaning(ty)? {
                Meaning::Def(TypeFact { def: TypeDef { body: Body::Alias(of), .. }, .. })
                    if matches!(of.shape, Shape::One) =>
                {
                    ty = &of.ty;
                }
                other => return Some(other),
            }
        }
        None
    }
}

/// Types that are there without a definition, as in the headers of C's rpcgen.
fn known(name: &str) -> Option<(Ty, Shape)> {
    let ty = match name {
        "u_char" | "u_short" | "u_int" | "u_long" | "uint8_t" | "uint16_t" | "uint32_t"
        | "u_int8_t" | "u_int16_t" | "u_int32_t" => Ty::Unsigned,
        "int8_t" | "int16_t" | "int32_t" => Ty::Int,
        "int64_t" | "quad_t" | "longlong_t" => Ty::Hyper,
        "uint64_t" | "u_int64_t" | "u_quad_t" | "u_longlong_t" | "u_hyper" => Ty::UnsignedHyper,
        "bool_t" => Ty::Bool,
        "netobj" => {
            let max = Value::Number(1024, crate::source::Span::default());
            return Some((Ty::Opaque, Shape::Variable(Some(max))));
        }
        _ => return None,
    };
    Some((ty, Shape::One))
}

/// Types, constants and names of enums share one scope, as they do in C.
fn names_are_unique(spec: &Spec, faults: &mut Vec<Fault>) {
    let mut seen = HashMap::new();
    let mut see = |name: &Name| {
        if seen.insert(name.text.clone(), name.at).is_some() {
            faults.push(Fault::new(name.at, format!("`{}` is defined twice", name.text)));
        }
    };
    for item in &spec.items {
        match item {
            Item::Const(constant) => see(&constant.name),
            Item::Type(def) => {
                see(&def.name);
                if let Body::Enum(members) = &def.body {
                    members.iter().for_each(|member| see(&member.name));
                }
            }
            Item::Program(_) | Item::Verbatim(_) => {}
        }
    }
}

/// Members with one name in one body.
fn members_are_unique<'d>(decls: impl Iterator<Item = &'d Decl>, faults: &mut Vec<Fault>) {
    let mut seen = HashMap::new();
    for decl in decls {
        if seen.insert(&decl.name.text, ()).is_some() {
            let sentence = format!("`{}` is there twice", decl.name.text);
            faults.push(Fault::new(decl.name.at, sentence));
        }
    }
}

/// Names that the generated text uses itself.
const RESERVED: &[&str] = &[
    "Answer",
    "Asked",
    "Box",
    "Call",
    "Caller",
    "Clone",
    "Copy",
    "Debug",
    "Decode",
    "Decoder",
    "Encode",
    "Encoder",
    "Err",
    "Fault",
    "FnOnce",
    "From",
    "Into",
    "Later",
    "None",
    "Ok",
    "Opaque",
    "Option",
    "Procedure",
    "ProcedureInfo",
    "Program",
    "Quadruple",
    "Result",
    "Send",
    "Sized",
    "Some",
    "String",
    "Text",
    "Vec",
    "VersionInfo",
];

/// The most types within types.
const HEIGHT_MAX: usize = 100;

/// The most faults that are told: the rest mostly follows from the first.
const FAULTS_MAX: usize = 20;
