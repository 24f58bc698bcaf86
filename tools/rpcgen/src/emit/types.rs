//! Types: enums, structs and other names, each with how it is read and written.

use super::expr::{self, Place};
use super::out::Out;
use super::union;
use crate::ast::{Body, Decl, Member, TypeDef};
use crate::check::{Facts, Meaning, TypeFact};
use crate::names::{self, Scope};

pub(super) fn emit(out: &mut Out, facts: &Facts<'_>, def: &TypeDef) {
    let Some(fact) = facts.types.iter().find(|fact| std::ptr::eq(fact.def, def)) else { return };
    out.gap();
    match &def.body {
        Body::Alias(of) => alias(out, facts, fact, of),
        Body::Enum(members) => enumeration(out, facts, fact, members),
        Body::Struct(members) => structure(out, facts, fact, members),
        Body::Union(body) => union::emit(out, facts, fact, body),
    }
}

fn alias(out: &mut Out, facts: &Facts<'_>, fact: &TypeFact<'_>, of: &Decl) {
    out.line(&format!("/// `typedef {}`", expr::declared(of)));
    let name = expr::named(fact, "'a");
    out.line(&format!("pub type {name} = {};", expr::rust_type(facts, of, "'a")));
}

fn enumeration(out: &mut Out, facts: &Facts<'_>, fact: &TypeFact<'_>, members: &[Member]) {
    let variants = variants(facts, members);
    let rust = &fact.rust;
    out.line(&format!("/// `enum {}`", fact.def.name.text));
    out.line("#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]");
    out.open(&format!("pub enum {rust} {{"));
    let (firsts, others): (Vec<_>, Vec<_>) = variants.iter().partition(|v| v.same_as.is_none());
    for variant in &firsts {
        out.line(&format!("/// `{}`", variant.name));
        out.line(&format!("{} = {},", variant.rust, variant.value));
    }
    out.close("}");
    if !others.is_empty() {
        out.gap();
        out.open(&format!("impl {rust} {{"));
        for (n, other) in others.iter().enumerate() {
            if n > 0 {
                out.gap();
            }
            let of = other.same_as.as_ref().map_or("", |of| of);
            out.line(&format!("/// `{}`, another name of [`Self::{of}`].", other.name));
            let name = names::upper(other.name);
            out.line(&format!("pub const {name}: Self = Self::{of};"));
        }
        out.close("}");
    }
    encode_impl(out, rust, |out| out.line("to.i32(*self as i32)"));
    out.gap();
    out.open(&format!("impl Decode<'_> for {rust} {{"));
    out.open("fn decode(from: &mut Decoder<'_>) -> Result<Self, Fault> {");
    out.open("match from.i32()? {");
    for variant in &firsts {
        out.line(&format!("{} => Ok(Self::{}),", variant.value, variant.rust));
    }
    out.line("other => Err(Fault::Enum(other)),");
    out.close("}");
    out.close("}");
    out.close("}");
}

/// A name of an enum.
pub(super) struct Variant<'d> {
    pub(super) name: &'d str,
    pub(super) rust: String,
    pub(super) value: i128,
    /// The variant that has the same number and came before.
    pub(super) same_as: Option<String>,
}

pub(super) fn variants<'d>(facts: &Facts<'_>, members: &'d [Member]) -> Vec<Variant<'d>> {
    let mut scope = Scope::default();
    let mut known = std::collections::HashMap::new();
    let mut found = Vec::with_capacity(members.len());
    for member in members {
        let name = member.name.text.as_str();
        let value = facts.values[name];
        let rust = scope.take(names::camel(name));
        let same_as = known.get(&value).cloned();
        known.entry(value).or_insert_with(|| rust.clone());
        found.push(Variant { name, rust, value, same_as });
    }
    found
}

fn structure(out: &mut Out, facts: &Facts<'_>, fact: &TypeFact<'_>, members: &[Decl]) {
    let (members, link) = match (fact.list, members.split_last()) {
        (true, Some((link, members))) => (members, Some(link)),
        _ => (members, None),
    };
    let mut scope = Scope::default();
    let fields: Vec<String> =
        members.iter().map(|member| scope.take(names::snake(&member.name.text))).collect();
    let rust = expr::named(fact, "'a");
    out.line(&format!("/// `struct {}`", fact.def.name.text));
    if let Some(link) = link {
        out.line("///");
        out.line(&format!("/// An item of a list, a `Vec`: `{}` is the next.", link.name.text));
    }
    derives(out, fact);
    if members.is_empty() {
        out.line(&format!("pub struct {rust} {{}}"));
    } else {
        out.open(&format!("pub struct {rust} {{"));
        for (member, field) in members.iter().zip(&fields) {
            out.line(&format!("/// `{}`", expr::declared(member)));
            out.line(&format!("pub {field}: {},", expr::rust_type(facts, member, "'a")));
        }
        out.close("}");
    }
    if members.is_empty() {
        empty_impls(out, &rust);
        return;
    }
    encode_impl(out, &expr::named(fact, "'_"), |out| {
        for (n, (member, field)) in members.iter().zip(&fields).enumerate() {
            let last = n + 1 == members.len();
            let write = expr::encode(facts, member, Place::Field(&format!("self.{field}")));
            out.line(&if last { write } else { format!("{write}?;") });
        }
    });
    let values: Vec<String> = members
        .iter()
        .zip(&fields)
        .map(|(member, field)| format!("{field}: {}?", expr::decode(facts, member)))
        .collect();
    decode_impl(out, fact, |out| {
        if fact.recursive {
            out.open("from.deeper(|from| {");
        }
        let one = format!("Ok(Self {{ {} }})", values.join(", "));
        if out.fits(&one) {
            out.line(&one);
        } else {
            out.open("Ok(Self {");
            values.iter().for_each(|value| out.line(&format!("{value},")));
            out.close("})");
        }
        if fact.recursive {
            out.close("})");
        }
    });
}

/// Of an item that has nothing but its successor.
fn empty_impls(out: &mut Out, rust: &str) {
    out.gap();
    out.open(&format!("impl Encode for {rust} {{"));
    out.open("fn encode(&self, _: &mut Encoder<'_>) -> Result<(), Fault> {");
    out.line("Ok(())");
    out.close("}");
    out.close("}");
    out.gap();
    out.open(&format!("impl Decode<'_> for {rust} {{"));
    out.open("fn decode(_: &mut Decoder<'_>) -> Result<Self, Fault> {");
    out.line("Ok(Self {})");
    out.close("}");
    out.close("}");
}

pub(super) fn derives(out: &mut Out, fact: &TypeFact<'_>) {
    let copy = if fact.copy { ", Copy" } else { "" };
    out.line(&format!("#[derive(Clone{copy}, Debug, PartialEq)]"));
}

pub(super) fn encode_impl(out: &mut Out, rust: &str, body: impl FnOnce(&mut Out)) {
    out.gap();
    out.open(&format!("impl Encode for {rust} {{"));
    out.open("fn encode(&self, to: &mut Encoder<'_>) -> Result<(), Fault> {");
    body(out);
    out.close("}");
    out.close("}");
}

pub(super) fn decode_impl(out: &mut Out, fact: &TypeFact<'_>, body: impl FnOnce(&mut Out)) {
    let rust = expr::named(fact, "'a");
    let (of, life) = if fact.borrows { ("<'a>", "'a") } else { ("", "'_") };
    out.gap();
    out.open(&format!("impl{of} Decode<{life}> for {rust} {{"));
    out.open(&format!("fn decode(from: &mut Decoder<{life}>) -> Result<Self, Fault> {{"));
    body(out);
    out.close("}");
    out.close("}");
}

/// The enum that `fact` leads to, and its name in Rust.
pub(super) fn enum_of<'f>(facts: &'f Facts<'_>, decl: &'f Decl) -> Option<(&'f str, &'f [Member])> {
    match facts.root(&decl.ty)? {
        Meaning::Def(fact) => match &fact.def.body {
            Body::Enum(members) => Some((&fact.rust, members)),
            _ => None,
        },
        _ => None,
    }
}
