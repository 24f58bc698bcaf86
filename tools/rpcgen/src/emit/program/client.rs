//! The client of a version: each procedure to call and wait, to start and finish, and to send only.

use super::super::expr::{self, Place};
use super::super::out::Out;
use super::{Method, Named, prototype};
use crate::check::Facts;
use crate::names::Scope;

pub(super) fn emit(out: &mut Out, facts: &Facts<'_>, version: &Named<'_>) {
    let (client, name) = (&version.client, &version.version.name.text);
    out.gap();
    out.line(&format!("/// Calls `{name}` of `{}`.", version.program.name.text));
    out.line("#[derive(Clone, Debug)]");
    out.open(&format!("pub struct {client}<C> {{"));
    out.line("caller: C,");
    out.close("}");
    out.gap();
    out.open(&format!("impl<C: Caller> {client}<C> {{"));
    out.line("/// A client that calls through `caller`.");
    out.open("pub fn new(caller: C) -> Self {");
    out.line("Self { caller }");
    out.close("}");
    out.gap();
    out.line("/// What carries the calls.");
    out.open("pub fn caller(&mut self) -> &mut C {");
    out.line("&mut self.caller");
    out.close("}");
    out.gap();
    out.line("/// Gives back what carries the calls.");
    out.open("pub fn into_caller(self) -> C {");
    out.line("self.caller");
    out.close("}");
    let names: Vec<&str> = version.methods.iter().map(|method| &*method.name).collect();
    let mut scope = Scope::with(&names);
    for method in &version.methods {
        let call = Call::new(facts, version, method);
        call.emit(out, &method.name);
        call.emit_start(out, &scope.take(format!("start_{}", method.name)));
        call.emit_finish(out, &scope.take(format!("finish_{}", method.name)));
        call.emit_send(out, &scope.take(format!("send_{}", method.name)));
    }
    out.close("}");
}

/// The parts of a method.
struct Call {
    prototype: String,
    /// Path of the procedure's number.
    number: String,
    params: Vec<String>,
    /// What writes the arguments, each but the last with a `?` behind it.
    writes: Vec<String>,
    /// The closure that reads the results.
    results: String,
    result: String,
    /// The results borrow from the message: they are lent to a closure.
    lent: Option<String>,
}

impl Call {
    fn new(facts: &Facts<'_>, version: &Named<'_>, method: &Method<'_>) -> Self {
        let procedure = method.procedure;
        let mut params = vec!["&mut self".to_owned()];
        let mut writes = Vec::new();
        for (decl, name) in procedure.args.iter().zip(&method.args) {
            let ty = expr::rust_type(facts, decl, "'_");
            let scalar = expr::is_scalar(facts, decl);
            params.push(match ty.strip_prefix("Vec<").and_then(|of| of.strip_suffix('>')) {
                Some(of) => format!("{name}: &[{of}]"),
                None if scalar => format!("{name}: {ty}"),
                None => format!("{name}: &{ty}"),
            });
            let place = if scalar { Place::Field(name) } else { Place::Ref(name) };
            writes.push(expr::encode(facts, decl, place));
        }
        let (mut results, mut result, mut lent) = ("|_| Ok(())".to_owned(), "()".to_owned(), None);
        if let Some(decl) = &procedure.result {
            results = format!("|from| {}", expr::decode(facts, decl));
            result = expr::rust_type(facts, decl, "'_");
            if result.contains("'_") {
                results += ".map(take)";
                lent = Some(result);
                result = "R".to_owned();
            }
        }
        Self {
            prototype: prototype(procedure),
            number: format!("{}::{}", version.module, method.constant),
            params,
            writes,
            results,
            result,
            lent,
        }
    }

    fn emit(&self, out: &mut Out, name: &str) {
        let doc = format!("/// Calls `{}`", self.prototype);
        self.head(out, &doc, name, &self.params, true);
        if let Some(one) = self.writer() {
            out.list("self.caller.call(", &[self.number.clone(), one, self.results.clone()], ")");
        } else {
            out.open("self.caller.call(");
            out.line(&format!("{},", self.number));
            out.open("|to| {");
            self.write(out);
            out.close("},");
            out.line(&format!("{},", self.results));
            out.close(")");
        }
        out.close("}");
    }

    fn emit_start(&self, out: &mut Out, name: &str) {
        out.gap();
        out.line(&format!("/// Sends `{}` and does not wait.", self.prototype));
        let head = format!("pub fn {name}(");
        out.open_list(&head, &self.params, ") -> Result<C::Token, C::Error> {");
        self.send(out, "start");
        out.close("}");
    }

    fn emit_finish(&self, out: &mut Out, name: &str) {
        let params = ["&mut self".to_owned(), "token: C::Token".to_owned()];
        let doc = format!("/// Waits for what `{}` gives", self.prototype);
        self.head(out, &doc, name, &params, false);
        out.list("self.caller.finish(", &["token".to_owned(), self.results.clone()], ")");
        out.close("}");
    }

    fn emit_send(&self, out: &mut Out, name: &str) {
        out.gap();
        out.line(&format!("/// Sends `{}`, which is not answered.", self.prototype));
        let head = format!("pub fn {name}(");
        out.open_list(&head, &self.params, ") -> Result<(), C::Error> {");
        self.send(out, "send");
        out.close("}");
    }

    /// The call of the caller's `method`, which takes what is called and what writes.
    fn send(&self, out: &mut Out, method: &str) {
        let Some(one) = self.writer() else {
            out.open(&format!("self.caller.{method}({}, |to| {{", self.number));
            self.write(out);
            return out.close("})");
        };
        let call = format!(".{method}({}, {one})", self.number);
        if out.fits(&format!("self.caller{call}")) {
            out.line(&format!("self.caller{call}"));
        } else if out.fits(&format!("    {call}")) {
            out.follow("self.caller", &call);
        } else {
            out.list(&format!("self.caller.{method}("), &[self.number.clone(), one], ")");
        }
    }

    /// The closure that writes the arguments, where it is one expression.
    fn writer(&self) -> Option<String> {
        match self.writes.as_slice() {
            [] => Some("|_| Ok(())".to_owned()),
            [only] => Some(format!("|to| {only}")),
            _ => None,
        }
    }

    /// The lines of that closure, where it is several.
    fn write(&self, out: &mut Out) {
        for (n, write) in self.writes.iter().enumerate() {
            let last = n + 1 == self.writes.len();
            out.line(&if last { write.clone() } else { format!("{write}?;") });
        }
    }

    /// Doc and signature of what gives the results.
    fn head(&self, out: &mut Out, doc: &str, name: &str, params: &[String], waits: bool) {
        let waits = if waits { " and waits" } else { "" };
        let mut params = params.to_vec();
        let mut of = "";
        out.gap();
        match &self.lent {
            None => out.line(&format!("{doc}{waits}.")),
            Some(lent) => {
                out.line(&format!("{doc}{waits}; `take` gets the results, which borrow."));
                params.push(format!("take: impl FnOnce({lent}) -> R"));
                of = "<R>";
            }
        }
        let tail = format!(") -> Result<{}, C::Error> {{", self.result);
        out.open_list(&format!("pub fn {name}{of}("), &params, &tail);
    }
}
