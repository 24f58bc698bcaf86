//! The server trait of a version, and what makes a program of those who implement it.

use super::super::expr::{self, Place};
use super::super::out::Out;
use super::{Method, Named, prototype};
use crate::check::Facts;

pub(super) fn emit(out: &mut Out, facts: &Facts<'_>, version: &Named<'_>) {
    let (name, program) = (&version.version.name.text, &version.program.name.text);
    out.gap();
    out.line(&format!(
        "/// Answers the procedures of `{name}`, version {} of `{program}`.",
        version.number
    ));
    out.open(&format!("pub trait {} {{", version.server));
    for (n, method) in version.methods.iter().enumerate() {
        if n > 0 {
            out.gap();
        }
        declaration(out, facts, method);
    }
    out.close("}");
    answer(out, facts, version);
}

fn declaration(out: &mut Out, facts: &Facts<'_>, method: &Method<'_>) {
    let procedure = method.procedure;
    // Procedure 0 does nothing, by convention.
    let null = method.number == 0 && procedure.args.is_empty() && procedure.result.is_none();
    let call = if null { "_call" } else { "call" };
    let mut params = vec!["&mut self".to_owned(), format!("{call}: &mut Asked<'_>")];
    for (decl, name) in procedure.args.iter().zip(&method.args) {
        params.push(format!("{name}: {}", expr::rust_type(facts, decl, "'_")));
    }
    let result = result(facts, method);
    out.line(&format!("/// `{}`", prototype(procedure)));
    let head = format!("fn {}(", method.name);
    if null {
        out.open_list(&head, &params, &format!(") -> Result<{result}, Answer> {{"));
        out.line("Ok(())");
        out.close("}");
    } else {
        out.list(&head, &params, &format!(") -> Result<{result}, Answer>;"));
    }
}

fn result(facts: &Facts<'_>, method: &Method<'_>) -> String {
    let decl = method.procedure.result.as_ref();
    decl.map_or("()".to_owned(), |decl| expr::rust_type(facts, decl, "'_"))
}

/// The function that decodes, calls the method, and encodes.
fn answer(out: &mut Out, facts: &Facts<'_>, version: &Named<'_>) {
    let results = version.methods.iter().any(|method| method.procedure.result.is_some());
    let params = [
        format!("program: &mut impl {}", version.server),
        "call: &mut Asked<'_>".to_owned(),
        "from: &mut Decoder<'_>".to_owned(),
        format!("{}: &mut Encoder<'_>", if results { "to" } else { "_" }),
    ];
    out.gap();
    out.open_list(&format!("fn {}(", version.answer), &params, ") -> Result<(), Answer> {");
    out.open("match call.procedure {");
    if !version.has_null() {
        out.line("0 => Ok(()),");
    }
    for method in &version.methods {
        arm(out, facts, method);
    }
    out.line("_ => Err(Answer::NoProcedure),");
    out.close("}");
    out.close("}");
}

fn arm(out: &mut Out, facts: &Facts<'_>, method: &Method<'_>) {
    out.open(&format!("{} => {{", method.number));
    for (decl, name) in method.procedure.args.iter().zip(&method.args) {
        out.line(&format!("let {name} = {}?;", expr::decode(facts, decl)));
    }
    out.line("from.end()?;");
    let args: Vec<String> =
        std::iter::once("call".to_owned()).chain(method.args.iter().cloned()).collect();
    match &method.procedure.result {
        None => out.list(&format!("program.{}(", method.name), &args, ")"),
        Some(decl) => {
            out.list(&format!("let results = program.{}(", method.name), &args, ")?;");
            let write = expr::encode(facts, decl, Place::Field("results"));
            out.line(&format!("Answer::written({write})"));
        }
    }
    out.close("}");
}

/// The type that is a program; `numbers` are the constants of its number and its versions.
pub(super) fn adapter(
    out: &mut Out,
    adapter: &str,
    numbers: (&str, &str),
    name: &str,
    versions: &[Named<'_>],
) {
    let traits: Vec<&str> = versions.iter().map(|version| &*version.server).collect();
    out.gap();
    out.line(&format!("/// The program `{name}`, answered by what it holds."));
    out.line("#[derive(Clone, Copy, Debug, Default)]");
    out.line(&format!("pub struct {adapter}<T>(pub T);"));
    out.gap();
    out.open(&format!("impl<T: {} + Send> Program for {adapter}<T> {{", traits.join(" + ")));
    out.open("fn number(&self) -> u32 {");
    out.line(numbers.0);
    out.close("}");
    out.gap();
    out.open("fn versions(&self) -> &'static [VersionInfo] {");
    out.line(numbers.1);
    out.close("}");
    out.gap();
    out.open("fn call(");
    for param in [
        "&mut self,",
        "call: &Call<'_>,",
        "mut args: Decoder<'_>,",
        "reply: &mut Encoder<'_>,",
        "later: &mut Later,",
    ] {
        out.line(param);
    }
    out.close(") -> Answer {");
    out.indent();
    out.line("let mut call = Asked::new(call, later);");
    out.open("Answer::of(match call.version {");
    for version in versions {
        let (number, answer) = (version.number, &version.answer);
        out.line(&format!("{number} => {answer}(&mut self.0, &mut call, &mut args, reply),"));
    }
    out.line("_ => Err(Answer::NoProcedure),");
    out.close("})");
    out.close("}");
    out.close("}");
}
