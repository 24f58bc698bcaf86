//! What types contain: circles, lists, what borrows, what is too deep or too large.

use super::{Facts, HEIGHT_MAX, Meaning, TypeFact};
use crate::ast::{Body, Decl, Shape, Ty, TypeDef};
use crate::emit::{ARRAY_MAX, OCTETS_MAX};
use crate::error::Fault;
use crate::graph::groups;

/// Fills in what is known of each type; all names are there.
pub(super) fn find(facts: &mut Facts<'_>, faults: &mut Vec<Fault>) {
    no_circles_by_value(facts, faults);
    if !faults.is_empty() {
        return;
    }
    for at in 0..facts.types.len() {
        facts.types[at].list = is_list(facts, facts.types[at].def);
    }
    let edges = edges(facts, |_| true);
    for group in groups(&edges) {
        let circle = group.len() > 1 || edges[group[0]].contains(&group[0]);
        group.iter().for_each(|&at| facts.types[at].recursive = circle);
        // Within a circle each looks at others that are not known yet: what spreads takes at most
        // as many turns as there are types.
        for _ in 0..=usize::from(circle) * group.len().min(CIRCLE_MAX) {
            for &at in &group {
                let summary = summary(facts, at, circle);
                let fact = &mut facts.types[at];
                fact.borrows = summary.borrows;
                fact.copy = summary.copy;
                fact.size = summary.size;
                fact.height = summary.height;
            }
        }
        for &at in &group {
            limits(&facts.types[at], group.len(), faults);
        }
    }
}

fn limits(fact: &TypeFact<'_>, circle: usize, faults: &mut Vec<Fault>) {
    let name = &fact.def.name;
    let mut tell = |sentence| faults.push(Fault::new(name.at, sentence));
    if fact.height > HEIGHT_MAX {
        tell(format!("`{}` has types within types, more than {HEIGHT_MAX} deep", name.text));
    } else if circle > CIRCLE_MAX {
        tell(format!("`{}` is one of {circle} types in a circle", name.text));
    } else if fact.size > SIZE_MAX {
        tell(format!("`{}` takes more than {} KiB in place", name.text, SIZE_MAX >> 10));
    }
}

/// A type that contains itself, with nothing between that may be absent, has no end.
fn no_circles_by_value(facts: &Facts<'_>, faults: &mut Vec<Fault>) {
    let edges = edges(facts, |shape| matches!(shape, Shape::One | Shape::Fixed(_)));
    for group in groups(&edges) {
        if group.len() > 1 || edges[group[0]].contains(&group[0]) {
            let Some(first) = group.iter().min() else { continue };
            let name = &facts.types[*first].def.name;
            let sentence = format!("`{}` contains itself: use `*` or `<>`", name.text);
            faults.push(Fault::new(name.at, sentence));
        }
    }
}

/// The last member is an optional of the same kind, and it is the only one.
fn is_list(facts: &Facts<'_>, def: &TypeDef) -> bool {
    let Body::Struct(members) = &def.body else { return false };
    let to_itself = |decl: &&Decl| is_link_to(facts, decl, def);
    members.last().is_some_and(|last| to_itself(&last))
        && members.iter().filter(to_itself).count() == 1
}

/// `NAME *`, or a name that stands for it.
fn is_link_to(facts: &Facts<'_>, decl: &Decl, def: &TypeDef) -> bool {
    let is_def = |ty: &Ty| match facts.root(ty) {
        Some(Meaning::Def(fact)) => std::ptr::eq(fact.def, def),
        _ => false,
    };
    match decl.shape {
        Shape::Optional => is_def(&decl.ty),
        Shape::One => match facts.root(&decl.ty) {
            Some(Meaning::Def(TypeFact { def: TypeDef { body: Body::Alias(of), .. }, .. })) => {
                matches!(of.shape, Shape::Optional) && is_def(&of.ty)
            }
            _ => false,
        },
        _ => false,
    }
}

/// What each type refers to in a way that `counts`; a list's last member is no reference.
fn edges(facts: &Facts<'_>, counts: impl Fn(&Shape) -> bool) -> Vec<Vec<usize>> {
    let of = |fact: &TypeFact<'_>| {
        let decls = decls(fact);
        let named = decls.into_iter().filter(|decl| counts(&decl.shape));
        let to = named.filter_map(|decl| match &decl.ty {
            Ty::Named(name) => facts.by_name.get(name.text.as_str()).copied(),
            _ => None,
        });
        to.collect()
    };
    facts.types.iter().map(of).collect()
}

/// What a type is made of; a list's last member is left out.
fn decls<'s>(fact: &TypeFact<'s>) -> Vec<&'s Decl> {
    match &fact.def.body {
        Body::Enum(_) => Vec::new(),
        Body::Alias(of) => vec![of],
        Body::Struct(members) => {
            members.iter().take(members.len() - usize::from(fact.list)).collect()
        }
        Body::Union(body) => {
            let arms = body.arms.iter().filter_map(|arm| arm.decl.as_ref());
            let default = body.default.iter().filter_map(|default| default.decl.as_ref());
            arms.chain(default).chain([&body.on]).collect()
        }
    }
}

#[derive(Clone, Copy)]
struct Summary {
    borrows: bool,
    copy: bool,
    size: u64,
    height: usize,
}

/// What is known of type `at` from what is known of those it is made of.
fn summary(facts: &Facts<'_>, at: usize, circle: bool) -> Summary {
    let fact = &facts.types[at];
    let mut sum = Summary { borrows: false, copy: !circle, size: 0, height: 1 };
    if matches!(fact.def.body, Body::Enum(_)) {
        return Summary { size: 4, ..sum };
    }
    for decl in decls(fact) {
        let part = of_decl(facts, decl);
        sum.borrows |= part.borrows;
        sum.copy &= part.copy;
        sum.size = sum.size.saturating_add(part.size);
        // In a circle there is no height: what nests is bounded when it is read.
        sum.height = if circle { 1 } else { sum.height.max(part.height + 1) };
    }
    sum
}

fn of_decl(facts: &Facts<'_>, decl: &Decl) -> Summary {
    let one = match facts.meaning(&decl.ty) {
        Some(Meaning::Def(fact)) => Summary {
            borrows: fact.borrows,
            copy: fact.copy && !fact.list,
            size: if fact.list { POINTERS } else { fact.size },
            height: fact.height,
        },
        Some(Meaning::Known(Ty::Opaque, _)) => {
            Summary { borrows: true, copy: false, size: POINTERS, height: 0 }
        }
        _ => Summary {
            borrows: matches!(decl.ty, Ty::Opaque | Ty::String),
            copy: !matches!(decl.ty, Ty::String),
            size: 16,
            height: 0,
        },
    };
    let number = |value| facts.number(value).unwrap_or(0).unsigned_abs() as u64;
    match (&decl.shape, &decl.ty) {
        (Shape::One, _) => one,
        (Shape::Optional, _) => {
            let (list, boxed) = match facts.root(&decl.ty) {
                Some(Meaning::Def(fact)) => (fact.list, fact.recursive),
                _ => (false, false),
            };
            let size = if list || boxed { POINTERS } else { one.size + 8 };
            Summary { copy: one.copy && !list, size, ..one }
        }
        (Shape::Fixed(n), Ty::Opaque) if number(n) <= OCTETS_MAX => {
            Summary { borrows: false, copy: true, size: number(n), height: 0 }
        }
        (Shape::Fixed(n), ty) if number(n) <= ARRAY_MAX && !matches!(ty, Ty::Opaque) => {
            Summary { size: one.size.saturating_mul(number(n)), ..one }
        }
        (Shape::Fixed(_) | Shape::Variable(_), _) => Summary { copy: false, size: POINTERS, ..one },
    }
}

/// Bytes of a vector or of what borrows.
const POINTERS: u64 = 40;

/// The most types of a circle.
const CIRCLE_MAX: usize = 100;

/// The most bytes of a type in place: it lies on the stack while it is read.
const SIZE_MAX: u64 = 64 << 10;
