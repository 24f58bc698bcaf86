//! Writes Rust: one item after the other, in the order of the file.

mod expr;
mod out;
mod program;
mod types;
mod union;

use crate::ast::{ConstValue, Item, Spec};
use crate::check::Facts;
use crate::{Form, Options};
use out::Out;

/// The most octets of an `opaque[n]` that is an array; more are borrowed from the message.
pub(crate) const OCTETS_MAX: u64 = 1024;

/// The most elements of a `T[n]` that is an array; more are a vector.
pub(crate) const ARRAY_MAX: u64 = 64;

/// The text for `spec`, which comes from the file `name`.
pub(crate) fn emit(name: &str, spec: &Spec, facts: &Facts<'_>, options: &Options) -> String {
    let form = &options.form;
    let file = name.rsplit('/').next().unwrap_or(name).replace(['\n', '\r'], " ");
    let mut out = Out::new(usize::from(matches!(form, Form::Module(_))));
    let mut scope = program::Scopes::new(facts, &options.idempotent);
    let mut of_c = false;
    for item in &spec.items {
        let before = std::mem::replace(&mut of_c, matches!(item, Item::Verbatim(_)));
        match item {
            Item::Verbatim(text) => {
                if !before {
                    out.gap();
                }
                // For the C compiler: to be read only.
                text.lines().for_each(|line| out.line(format!("// %{line}").trim_end()));
                if text.is_empty() {
                    out.line("// %");
                }
            }
            Item::Const(constant) => {
                out.gap();
                let name = &constant.name.text;
                let rust = &facts.consts[name];
                out.line(&format!("/// `{name}`"));
                out.line(&match &constant.value {
                    ConstValue::Text(text) => format!("pub const {rust}: &str = {text:?};"),
                    ConstValue::Number(_) => number(rust, facts.values[name]),
                });
            }
            Item::Type(def) => types::emit(&mut out, facts, def),
            Item::Program(program) => program::emit(&mut out, facts, &mut scope, program),
        }
    }
    let body = out.into_text();
    let level = usize::from(matches!(form, Form::Module(_)));
    let mut whole = Out::new(level);
    imports(&mut whole, &body);
    let text = whole.into_text() + &body;
    let allowed = format!("[allow(\n    {}\n)]", ALLOWED.join(",\n    "));
    match form {
        Form::File => format!(
            "//! Types and procedures of `{file}`, written by `millstream rpcgen`: change that\n\
             //! file instead.\n#!{allowed}\n\n{text}",
        ),
        Form::Module(module) => format!(
            "/// Types and procedures of `{file}`.\n#{allowed}\npub mod {module} {{\n{text}}}\n"
        ),
    }
}

/// A constant, of the first type that holds it.
fn number(rust: &str, value: i128) -> String {
    let ty = match value {
        0.. if value <= u32::MAX.into() => "u32",
        0.. => "u64",
        _ if value >= i32::MIN.into() => "i32",
        _ => "i64",
    };
    format!("pub const {rust}: {ty} = {value};")
}

/// The names of the library that `body` uses.
fn imports(out: &mut Out, body: &str) {
    let used = |name: &&str| {
        body.match_indices(*name).any(|(at, _)| {
            let alone = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            alone(body[..at].chars().next_back()) && alone(body[at + name.len()..].chars().next())
        })
    };
    let mut lines = Vec::new();
    for (path, names) in LIBRARY {
        let names: Vec<&str> = names.iter().copied().filter(used).collect();
        match names.as_slice() {
            [] => {}
            [name] => lines.push(format!("use {path}::{name};")),
            names => lines.push(format!("use {path}::{{{}}};", names.join(", "))),
        }
    }
    lines.iter().for_each(|line| out.line(line));
}

const LIBRARY: [(&str, &[&str]); 4] = [
    ("millstream_onc::caller", &["Caller", "Procedure"]),
    ("millstream_onc::later", &["Later"]),
    (
        "millstream_onc::program",
        &["Answer", "Asked", "Call", "ProcedureInfo", "Program", "VersionInfo"],
    ),
    (
        "millstream_onc::xdr",
        &["Decode", "Decoder", "Encode", "Encoder", "Fault", "Opaque", "Quadruple", "Text"],
    ),
];

/// What generated text may do: nobody need use all of it, names are those of C, and sizes are
/// those of the protocol.
const ALLOWED: [&str; 8] = [
    "dead_code",
    "unreachable_pub",
    "clippy::enum_variant_names",
    "clippy::large_enum_variant",
    "clippy::redundant_closure",
    "clippy::should_implement_trait",
    "clippy::too_many_arguments",
    "clippy::use_self",
];
