//! Types: whether what they name is there, and whether sizes and cases make sense.

use super::{Facts, Meaning, members_are_unique};
use crate::ast::{Body, Decl, Shape, Ty, TypeDef, Union, Value};
use crate::error::Fault;
use std::collections::HashSet;

pub(super) fn check(facts: &Facts<'_>, faults: &mut Vec<Fault>) {
    for fact in &facts.types {
        match &fact.def.body {
            // Names and values are checked where they are found.
            Body::Enum(_) => {}
            Body::Alias(of) => decl(facts, of, faults),
            Body::Struct(members) => {
                members.iter().for_each(|member| decl(facts, member, faults));
                members_are_unique(members.iter(), faults);
            }
            Body::Union(body) => union(facts, body, faults),
        }
    }
}

/// A declaration: its type is there, and its size is one.
pub(super) fn decl(facts: &Facts<'_>, decl: &Decl, faults: &mut Vec<Fault>) {
    if let Ty::Named(name) = &decl.ty
        && facts.meaning(&decl.ty).is_none()
    {
        let sentence = match facts.values.contains_key(&name.text) {
            true => format!("`{}` is a constant, not a type", name.text),
            false => format!("`{}` is not defined", name.text),
        };
        faults.push(Fault::new(name.at, sentence));
    }
    match &decl.shape {
        Shape::Fixed(n) => size(facts, n, 1, faults),
        Shape::Variable(Some(max)) => size(facts, max, 0, faults),
        Shape::One | Shape::Optional | Shape::Variable(None) => {}
    }
}

fn size(facts: &Facts<'_>, value: &Value, least: i128, faults: &mut Vec<Fault>) {
    match facts.number(value) {
        Some(number) if !(least..=u32::MAX.into()).contains(&number) => {
            let sentence = format!("{number} is no size: it is from {least} to {}", u32::MAX);
            faults.push(Fault::new(value.at(), sentence));
        }
        Some(_) => {}
        None => no_number(value, faults),
    }
}

pub(super) fn no_number(value: &Value, faults: &mut Vec<Fault>) {
    if let Value::Name(name) = value {
        faults.push(Fault::new(name.at, format!("`{}` is no constant", name.text)));
    }
}

fn union(facts: &Facts<'_>, body: &Union, faults: &mut Vec<Fault>) {
    decl(facts, &body.on, faults);
    let arms = body.arms.iter().filter_map(|arm| arm.decl.as_ref());
    let default = body.default.iter().filter_map(|default| default.decl.as_ref());
    let all = || arms.clone().chain(default.clone());
    all().for_each(|arm| decl(facts, arm, faults));
    members_are_unique(all().chain([&body.on]), faults);
    let Some(range) = Discriminant::of(facts, &body.on) else {
        if facts.root(&body.on.ty).is_some() {
            let sentence = "cases are told by an int, an unsigned, a bool or an enum";
            faults.push(Fault::new(body.on.name.at, sentence));
        }
        return;
    };
    let mut seen = HashSet::new();
    for label in body.arms.iter().flat_map(|arm| &arm.labels) {
        let Some(number) = facts.number(label) else {
            no_number(label, faults);
            continue;
        };
        if !range.has(facts, number) {
            let sentence = format!("{number} is no value of `{}`", body.on.name.text);
            faults.push(Fault::new(label.at(), sentence));
        } else if !seen.insert(number) {
            faults.push(Fault::new(label.at(), format!("case {number} is there twice")));
        }
    }
}

/// What tells the cases of a union.
#[derive(Clone, Copy)]
pub(crate) enum Discriminant<'f> {
    Int,
    Unsigned,
    Bool,
    Enum(&'f TypeDef),
}

impl<'f> Discriminant<'f> {
    /// `None` when `on` is of another type.
    pub(crate) fn of(facts: &'f Facts<'_>, on: &'f Decl) -> Option<Self> {
        if !matches!(on.shape, Shape::One) {
            return None;
        }
        let of = |ty: &Ty| match ty {
            Ty::Int => Some(Self::Int),
            Ty::Unsigned => Some(Self::Unsigned),
            Ty::Bool => Some(Self::Bool),
            _ => None,
        };
        match facts.root(&on.ty)? {
            Meaning::Plain(ty) => of(ty),
            Meaning::Known(ty, Shape::One) => of(&ty),
            Meaning::Def(fact) if matches!(fact.def.body, Body::Enum(_)) => {
                Some(Self::Enum(fact.def))
            }
            _ => None,
        }
    }

    fn has(self, facts: &Facts<'_>, number: i128) -> bool {
        match self {
            Self::Int => i32::try_from(number).is_ok(),
            Self::Unsigned => u32::try_from(number).is_ok(),
            Self::Bool => (0..=1).contains(&number),
            Self::Enum(def) => {
                let Body::Enum(members) = &def.body else { return false };
                members.iter().any(|m| facts.values.get(&m.name.text) == Some(&number))
            }
        }
    }

    /// How many values there are; `None` when too many to name them all.
    pub(crate) fn values(self, facts: &Facts<'_>) -> Option<usize> {
        match self {
            Self::Int | Self::Unsigned => None,
            Self::Bool => Some(2),
            Self::Enum(def) => {
                let Body::Enum(members) = &def.body else { return None };
                let values = members.iter().map(|m| facts.values.get(&m.name.text));
                Some(values.collect::<HashSet<_>>().len())
            }
        }
    }
}
