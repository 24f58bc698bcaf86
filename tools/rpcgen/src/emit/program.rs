//! Programs: their numbers, a client and a server trait for each version, and what makes a program
//! of those that implement the traits.

mod client;
mod server;

use super::expr;
use super::out::Out;
use crate::ast::{Decl, Name, Procedure, Program, Value, Version};
use crate::check::Facts;
use crate::names::{self, Scope};

/// Names that are taken at the top.
pub(super) struct Scopes<'o> {
    /// Procedures that may be executed twice.
    idempotent: &'o [String],
    types: Scope,
    consts: Scope,
    /// Modules and functions.
    small: Scope,
}

impl<'o> Scopes<'o> {
    pub(super) fn new(facts: &Facts<'_>, idempotent: &'o [String]) -> Self {
        let taken: Vec<&str> = facts.consts.values().map(String::as_str).collect();
        let (types, consts) = (facts.type_scope.clone(), Scope::with(&taken));
        Self { idempotent, types, consts, small: Scope::default() }
    }
}

/// A version and its names in Rust.
struct Named<'p> {
    version: &'p Version,
    program: &'p Program,
    number: i128,
    /// The module of its procedures' numbers.
    module: String,
    /// The server trait.
    server: String,
    client: String,
    /// The function that answers.
    answer: String,
    methods: Vec<Method<'p>>,
}

impl Named<'_> {
    /// The file names procedure 0. Where it does not, as in C, it is there and does nothing: by it
    /// programs are found.
    fn has_null(&self) -> bool {
        self.methods.first().is_some_and(|method| method.number == 0)
    }
}

/// A procedure and its names in Rust.
struct Method<'p> {
    procedure: &'p Procedure,
    number: i128,
    constant: String,
    name: String,
    /// Names of the arguments.
    args: Vec<String>,
    /// It may be executed twice.
    idempotent: bool,
}

pub(super) fn emit(out: &mut Out, facts: &Facts<'_>, scopes: &mut Scopes<'_>, program: &Program) {
    let name = &program.name.text;
    let constant = scopes.consts.take(names::upper(name));
    let table = scopes.consts.take(format!("{constant}_VERSIONS"));
    let mut versions: Vec<Named<'_>> =
        program.versions.iter().map(|version| named(facts, scopes, program, version)).collect();
    versions.sort_by_key(|version| version.number);
    out.gap();
    out.line(&format!("/// Number of the program `{name}`."));
    out.line(&format!("pub const {constant}: u32 = {};", value(facts, &program.number)));
    out.gap();
    out.line(&format!("/// Versions and procedures of `{name}`."));
    infos(out, &table, &versions);
    for version in &versions {
        numbers(out, facts, version);
        client::emit(out, facts, version);
        server::emit(out, facts, version);
    }
    let adapter = scopes.types.take(format!("{}Server", names::camel(name)));
    server::adapter(out, &adapter, (&constant, &table), name, &versions);
}

fn named<'p>(
    facts: &Facts<'_>,
    scopes: &mut Scopes<'_>,
    program: &'p Program,
    version: &'p Version,
) -> Named<'p> {
    let number = value(facts, &version.number);
    let server = scopes.types.take(format!("{}V{number}", names::camel(&program.name.text)));
    let client = scopes.types.take(format!("{server}Client"));
    let module = scopes.small.take(format!("{}_v{number}", names::snake(&program.name.text)));
    let answer = scopes.small.take(format!("answer_{module}"));
    let (mut methods, mut constants) = (Scope::with(&METHODS), Scope::default());
    let mut methods: Vec<Method<'_>> = version
        .procedures
        .iter()
        .map(|procedure| {
            let mut args = Scope::with(&ARGS);
            let name = |decl: &Decl| args.take(names::snake(&decl.name.text));
            Method {
                procedure,
                number: value(facts, &procedure.number),
                constant: constants.take(names::upper(&procedure.name.text)),
                name: methods.take(names::snake(&procedure.name.text)),
                args: procedure.args.iter().map(name).collect(),
                idempotent: scopes.idempotent.contains(&procedure.name.text),
            }
        })
        .collect();
    methods.sort_by_key(|method| method.number);
    Named { version, program, number, module, server, client, answer, methods }
}

/// The constant of what the registry and statistics know.
fn infos(out: &mut Out, table: &str, versions: &[Named<'_>]) {
    let procedures = |version: &Named<'_>| -> Vec<String> {
        let info = |method: &Method<'_>| {
            let (number, name) = (method.number, &method.procedure.name.text);
            let twice = if method.idempotent { ".idempotent()" } else { "" };
            format!("ProcedureInfo::new({number}, \"{name}\"){twice}")
        };
        let null = (!version.has_null()).then(|| "ProcedureInfo::NULL".to_owned());
        null.into_iter().chain(version.methods.iter().map(info)).collect()
    };
    let one = |version: &Named<'_>| {
        let (number, procedures) = (version.number, procedures(version).join(", "));
        format!("VersionInfo {{ number: {number}, procedures: &[{procedures}] }}")
    };
    let ones: Vec<String> = versions.iter().map(one).collect();
    let head = format!("pub const {table}: &[VersionInfo] = &[");
    let whole = format!("{head}{}];", ones.join(", "));
    if out.fits(&whole) {
        return out.line(&whole);
    }
    if let [version] = versions {
        out.open(&format!("{head}VersionInfo {{"));
        info(out, version, &procedures(version));
        return out.close("}];");
    }
    out.open(&head);
    for (version, one) in versions.iter().zip(&ones) {
        if out.fits(&format!("{one},")) {
            out.line(&format!("{one},"));
            continue;
        }
        out.open("VersionInfo {");
        info(out, version, &procedures(version));
        out.close("},");
    }
    out.close("];");
}

fn info(out: &mut Out, version: &Named<'_>, procedures: &[String]) {
    out.line(&format!("number: {},", version.number));
    out.list("procedures: &[", procedures, "],");
}

/// The module of the procedures' numbers.
fn numbers(out: &mut Out, facts: &Facts<'_>, version: &Named<'_>) {
    let (name, program) = (&version.version.name.text, &version.program.name.text);
    out.gap();
    out.line(&format!("/// Procedures of `{name}`, version {} of `{program}`.", version.number));
    out.open(&format!("pub mod {} {{", version.module));
    out.line("use super::Procedure;");
    for method in &version.methods {
        out.gap();
        out.line(&format!("/// `{}`", prototype(method.procedure)));
        let parts = [
            format!("program: {}", value(facts, &version.program.number)),
            format!("version: {}", version.number),
            format!("number: {}", method.number),
        ];
        let head = format!("pub const {}: Procedure = Procedure {{ ", method.constant);
        out.list(&head, &parts, " };");
    }
    out.close("}");
}

/// A procedure as it stands in the file.
fn prototype(procedure: &Procedure) -> String {
    let args: Vec<String> = procedure.args.iter().map(passed).collect();
    let args = if args.is_empty() { "void".to_owned() } else { args.join(", ") };
    let result = procedure.result.as_ref().map_or("void".to_owned(), passed);
    format!("{result} {}({args})", procedure.name.text)
}

fn passed(decl: &Decl) -> String {
    let nameless = Decl { name: Name { text: String::new(), ..decl.name }, ..decl.clone() };
    expr::declared(&nameless).replace(" <", "<").trim_end().to_owned()
}

fn value(facts: &Facts<'_>, value: &Value) -> i128 {
    facts.number(value).unwrap_or(0)
}

/// Names that a client has of itself.
const METHODS: [&str; 3] = ["new", "caller", "into_caller"];

/// Names that stand beside the arguments.
const ARGS: [&str; 8] = ["self", "call", "take", "token", "to", "from", "program", "results"];
