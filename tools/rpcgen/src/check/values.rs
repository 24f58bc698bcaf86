//! Numbers that names stand for: each is written, or that of another name, or one more than the
//! name before it in its enum.

use crate::ast::{Body, ConstValue, Item, Name, Spec, Value};
use crate::error::Fault;
use std::collections::HashMap;

/// The numbers of constants and names of enums. A name that has none is told in `faults`.
pub(super) fn values(spec: &Spec, faults: &mut Vec<Fault>) -> HashMap<String, i128> {
    let mut nodes = Nodes::default();
    for item in &spec.items {
        match item {
            Item::Const(constant) => match &constant.value {
                ConstValue::Number(value) => nodes.add(&constant.name, from_value(value), false),
                ConstValue::Text(_) => {}
            },
            Item::Type(def) => {
                let Body::Enum(members) = &def.body else { continue };
                for (n, member) in members.iter().enumerate() {
                    let from = match (&member.value, n) {
                        (Some(value), _) => from_value(value),
                        (None, 0) => From::Written(0),
                        (None, _) => From::Before,
                    };
                    nodes.add(&member.name, from, true);
                }
            }
            Item::Program(_) | Item::Verbatim(_) => {}
        }
    }
    let found: Vec<Option<i128>> = nodes.resolve(faults);
    let mut values = HashMap::from([("TRUE".to_owned(), 1), ("FALSE".to_owned(), 0)]);
    for (node, value) in nodes.list.iter().zip(found) {
        let Some(value) = value else { continue };
        let (range, kind) = if node.of_enum {
            (i32::MIN.into()..=i32::MAX.into(), "32 bits, as a name of an enum")
        } else {
            (i64::MIN.into()..=u64::MAX.into(), "64 bits")
        };
        if !range.contains(&value) {
            faults.push(Fault::new(node.name.at, format!("{value} does not fit into {kind}")));
        }
        values.insert(node.name.text.clone(), value);
    }
    values
}

#[derive(Default)]
struct Nodes<'s> {
    list: Vec<Node<'s>>,
    by_name: HashMap<&'s str, usize>,
}

struct Node<'s> {
    name: &'s Name,
    from: From<'s>,
    of_enum: bool,
}

#[derive(Clone, Copy)]
enum From<'s> {
    Written(i128),
    Name(&'s Name),
    /// One more than the node before.
    Before,
}

fn from_value(value: &Value) -> From<'_> {
    match value {
        Value::Number(number, _) => From::Written(*number),
        Value::Name(name) => From::Name(name),
    }
}

impl<'s> Nodes<'s> {
    fn add(&mut self, name: &'s Name, from: From<'s>, of_enum: bool) {
        self.by_name.entry(&name.text).or_insert(self.list.len());
        self.list.push(Node { name, from, of_enum });
    }

    fn resolve(&self, faults: &mut Vec<Fault>) -> Vec<Option<i128>> {
        let mut found = vec![None; self.list.len()];
        let mut seen = vec![false; self.list.len()];
        for start in 0..self.list.len() {
            self.follow(start, &mut found, &mut seen, faults);
        }
        found
    }

    /// Finds the values of `start` and of those it stands for: a way without a fork.
    fn follow(
        &self,
        start: usize,
        found: &mut [Option<i128>],
        seen: &mut [bool],
        faults: &mut Vec<Fault>,
    ) {
        let mut way = Vec::new();
        let mut at = start;
        let mut value = loop {
            if seen[at] {
                if found[at].is_none() && way.contains(&at) {
                    let name = self.list[at].name;
                    let sentence = format!("`{}` stands for itself", name.text);
                    faults.push(Fault::new(name.at, sentence));
                }
                break found[at];
            }
            seen[at] = true;
            way.push(at);
            at = match self.list[at].from {
                From::Written(number) => {
                    way.pop();
                    found[at] = Some(number);
                    break found[at];
                }
                From::Before => at - 1,
                From::Name(name) => match (self.by_name.get(name.text.as_str()), &*name.text) {
                    (Some(&to), _) => to,
                    (None, "TRUE" | "FALSE") => {
                        way.pop();
                        found[at] = Some(i128::from(name.text == "TRUE"));
                        break found[at];
                    }
                    (None, _) => {
                        let sentence = format!("`{}` is no constant", name.text);
                        faults.push(Fault::new(name.at, sentence));
                        break None;
                    }
                },
            };
        };
        for at in way.into_iter().rev() {
            if matches!(self.list[at].from, From::Before) {
                value = value.map(|value| value + 1);
            }
            found[at] = value;
        }
    }
}
