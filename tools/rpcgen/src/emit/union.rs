//! Unions: enums of Rust, with a variant for each case.

use super::expr::{self, Place};
use super::out::Out;
use super::types;
use crate::ast::{Decl, Union, Value};
use crate::check::{Discriminant, Facts, TypeFact};
use crate::names::{self, Scope};

/// A case of a union.
struct Case<'d> {
    /// The variant's name.
    rust: String,
    /// As in the file.
    label: String,
    /// The value of the discriminant, as a pattern and as an expression.
    value: String,
    decl: Option<&'d Decl>,
}

/// What tells the cases.
struct On<'d> {
    decl: &'d Decl,
    /// The enum it is, as a path in front of names.
    names: Option<(String, Vec<types::Variant<'d>>)>,
    kind: Discriminant<'d>,
}

pub(super) fn emit<'d>(out: &mut Out, facts: &'d Facts<'_>, fact: &TypeFact<'_>, body: &'d Union) {
    let Some(kind) = Discriminant::of(facts, &body.on) else { return };
    let names = types::enum_of(facts, &body.on)
        .map(|(rust, members)| (rust.to_owned(), types::variants(facts, members)));
    let on = On { decl: &body.on, names, kind };
    let mut scope = Scope::default();
    let mut cases = Vec::new();
    for arm in &body.arms {
        for label in &arm.labels {
            let Some(number) = facts.number(label) else { continue };
            let rust = scope.take(variant_name(&on, label, number));
            let value = on.value(number);
            let label = expr::value_name(label);
            cases.push(Case { rust, label, value, decl: arm.decl.as_ref() });
        }
    }
    let whole = kind.values(facts) == Some(cases.len());
    let default = body.default.as_ref().filter(|_| !whole).map(|default| {
        let (rust, label) = (scope.take("Default".to_owned()), "default".to_owned());
        Case { rust, label, value: String::new(), decl: default.decl.as_ref() }
    });
    definition(out, facts, fact, &on, &cases, default.as_ref());
    encode(out, facts, fact, &on, &cases, default.as_ref());
    decode(out, facts, fact, &on, &cases, default.as_ref(), whole);
}

/// A variant's name: that of the label, or of the number.
fn variant_name(on: &On<'_>, label: &Value, number: i128) -> String {
    match (on.kind, label) {
        (Discriminant::Bool, _) => if number == 1 { "True" } else { "False" }.to_owned(),
        (Discriminant::Enum(_), _) => on.variant(number).unwrap_or_default().to_owned(),
        (_, Value::Name(name)) => names::camel(&name.text),
        (_, Value::Number(..)) if number < 0 => format!("CaseMinus{}", number.unsigned_abs()),
        (_, Value::Number(..)) => format!("Case{number}"),
    }
}

impl On<'_> {
    fn variant(&self, number: i128) -> Option<&str> {
        let (_, variants) = self.names.as_ref()?;
        variants.iter().find(|variant| variant.value == number).map(|variant| &*variant.rust)
    }

    /// A value, as a pattern and as an expression.
    fn value(&self, number: i128) -> String {
        match (&self.names, self.kind) {
            (Some((rust, _)), _) => format!("{rust}::{}", self.variant(number).unwrap_or_default()),
            (None, Discriminant::Bool) => (number == 1).to_string(),
            (None, _) => number.to_string(),
        }
    }

    /// A statement that writes `value`, a variable that is a reference if `by_ref`.
    fn write(&self, value: &str, by_ref: bool) -> String {
        let star = if by_ref { "*" } else { "" };
        match self.kind {
            Discriminant::Int => format!("to.i32({star}{value})"),
            Discriminant::Unsigned => format!("to.u32({star}{value})"),
            Discriminant::Bool => format!("to.bool({star}{value})"),
            Discriminant::Enum(_) => format!("{value}.encode(to)"),
        }
    }

    fn fault(&self, case: &str) -> String {
        match self.kind {
            Discriminant::Enum(_) => format!("Err(Fault::Arm({case} as i64))"),
            _ => format!("Err(Fault::Arm(i64::from({case})))"),
        }
    }
}

fn definition(
    out: &mut Out,
    facts: &Facts<'_>,
    fact: &TypeFact<'_>,
    on: &On<'_>,
    cases: &[Case<'_>],
    default: Option<&Case<'_>>,
) {
    let of = |decl: &Decl| expr::rust_type(facts, decl, "'a");
    let doc = |decl: Option<&Decl>| decl.map_or("void".to_owned(), expr::declared);
    out.line(&format!("/// `union {}`", fact.def.name.text));
    types::derives(out, fact);
    out.open(&format!("pub enum {} {{", expr::named(fact, "'a")));
    for case in cases {
        out.line(&format!("/// `case {}: {}`", case.label, doc(case.decl)));
        match case.decl {
            Some(decl) => out.line(&format!("{}({}),", case.rust, of(decl))),
            None => out.line(&format!("{},", case.rust)),
        }
    }
    if let Some(case) = default {
        out.line(&format!("/// `default: {}`, with its `{}`", doc(case.decl), on.decl.name.text));
        match case.decl {
            Some(decl) => out.line(&format!("{}({}, {}),", case.rust, of(on.decl), of(decl))),
            None => out.line(&format!("{}({}),", case.rust, of(on.decl))),
        }
    }
    out.close("}");
}

fn encode(
    out: &mut Out,
    facts: &Facts<'_>,
    fact: &TypeFact<'_>,
    on: &On<'_>,
    cases: &[Case<'_>],
    default: Option<&Case<'_>>,
) {
    let write = |decl| expr::encode(facts, decl, Place::Ref("value"));
    types::encode_impl(out, &expr::named(fact, "'_"), |out| {
        out.open("match self {");
        for case in cases {
            let number = on.write(&case.value, false);
            match case.decl {
                None => out.line(&format!("Self::{} => {number},", case.rust)),
                Some(decl) => {
                    out.open(&format!("Self::{}(value) => {{", case.rust));
                    out.line(&format!("{number}?;"));
                    out.line(&write(decl));
                    out.close("}");
                }
            }
        }
        if let Some(case) = default {
            let value = if case.decl.is_some() { ", value" } else { "" };
            out.open(&format!("Self::{}(case{value}) => {{", case.rust));
            // What has a case of its own is not the default.
            out.open("match *case {");
            patterns(out, cases, on.fault("*case"));
            out.line(&format!("_ => {}?,", on.write("case", true)));
            out.close("}");
            out.line(&case.decl.map_or("Ok(())".to_owned(), write));
            out.close("}");
        }
        out.close("}");
    });
}

/// An arm of a match: any of `cases` is the fault.
fn patterns(out: &mut Out, cases: &[Case<'_>], fault: String) {
    let values: Vec<&str> = cases.iter().map(|case| &*case.value).collect();
    let one = format!("{} => return {fault},", values.join(" | "));
    // rustfmt leaves the last column of an arm free.
    if out.fits(&format!("{one} ")) {
        return out.line(&one);
    }
    let head = format!("{} => {{", values.join(" | "));
    if out.fits(&head) {
        out.open(&head);
        out.line(&format!("return {fault};"));
        return out.close("}");
    }
    for (n, value) in values.iter().enumerate() {
        let bar = if n > 0 { "| " } else { "" };
        let end =
            if n + 1 == values.len() { format!(" => return {fault},") } else { String::new() };
        out.line(&format!("{bar}{value}{end}"));
    }
}

fn decode(
    out: &mut Out,
    facts: &Facts<'_>,
    fact: &TypeFact<'_>,
    on: &On<'_>,
    cases: &[Case<'_>],
    default: Option<&Case<'_>>,
    whole: bool,
) {
    types::decode_impl(out, fact, |out| {
        if fact.recursive {
            out.open("from.deeper(|from| {");
        }
        out.open(&format!("match {}? {{", expr::decode(facts, on.decl)));
        for case in cases {
            let value = match case.decl {
                Some(decl) => format!("Ok(Self::{}({}?))", case.rust, expr::decode(facts, decl)),
                None => format!("Ok(Self::{})", case.rust),
            };
            out.line(&format!("{} => {value},", case.value));
        }
        match default {
            Some(Case { rust, decl: Some(decl), .. }) => {
                let value = expr::decode(facts, decl);
                out.line(&format!("case => Ok(Self::{rust}(case, {value}?)),"));
            }
            Some(Case { rust, .. }) => out.line(&format!("case => Ok(Self::{rust}(case)),")),
            None if whole => {}
            None => out.line(&format!("case => {},", on.fault("case"))),
        }
        out.close("}");
        if fact.recursive {
            out.close("})");
        }
    });
}
