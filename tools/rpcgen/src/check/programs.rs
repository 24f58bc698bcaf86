//! Programs: numbers that fit and are there once, arguments whose types are there.

use super::{Facts, members_are_unique, types};
use crate::ast::{Item, Name, Program, Spec, Value, Version};
use crate::error::Fault;
use std::collections::HashSet;

pub(super) fn check(spec: &Spec, facts: &Facts<'_>, faults: &mut Vec<Fault>) {
    let programs = || {
        spec.items.iter().filter_map(|item| match item {
            Item::Program(program) => Some(program),
            _ => None,
        })
    };
    let named = programs().map(|program| (&program.name, &program.number));
    numbers(facts, named, "program", faults);
    programs().for_each(|program| check_program(program, facts, faults));
}

fn check_program(program: &Program, facts: &Facts<'_>, faults: &mut Vec<Fault>) {
    let named = program.versions.iter().map(|version| (&version.name, &version.number));
    numbers(facts, named, "version", faults);
    program.versions.iter().for_each(|version| check_version(version, facts, faults));
}

fn check_version(version: &Version, facts: &Facts<'_>, faults: &mut Vec<Fault>) {
    let named = version.procedures.iter().map(|procedure| (&procedure.name, &procedure.number));
    numbers(facts, named, "procedure", faults);
    for procedure in &version.procedures {
        let passed = procedure.args.iter().chain(&procedure.result);
        passed.for_each(|decl| types::decl(facts, decl, faults));
        members_are_unique(procedure.args.iter(), faults);
    }
}

/// Names and numbers of one `kind` are there once.
fn numbers<'p>(
    facts: &Facts<'_>,
    named: impl Iterator<Item = (&'p Name, &'p Value)>,
    kind: &str,
    faults: &mut Vec<Fault>,
) {
    let (mut names, mut numbers) = (HashSet::new(), HashSet::new());
    for (name, value) in named {
        if !names.insert(&name.text) {
            let sentence = format!("{kind} `{}` is there twice", name.text);
            faults.push(Fault::new(name.at, sentence));
        }
        match facts.number(value) {
            Some(number) if u32::try_from(number).is_err() => {
                let sentence = format!("{number} is no number of a {kind}: it has 32 bits");
                faults.push(Fault::new(value.at(), sentence));
            }
            Some(number) if !numbers.insert(number) => {
                let sentence = format!("{kind} {number} is there twice");
                faults.push(Fault::new(value.at(), sentence));
            }
            Some(_) => {}
            None => types::no_number(value, faults),
        }
    }
}
