//! run: an unchanged program starts with the library before its own that puts its sockets on a
//! stack.

mod program;

use super::up::interfaces::{Interfaces, Wanted};
use super::{Common, Failure};
use millstream::plan::Plan;
use millstream::port::policy::Policy;
use millstream_host::ctl::{self, Request};
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Run an unchanged program on a stack
///
/// Its sockets of IPv4 are the stack's, but for loopback and what the policy leaves to the kernel;
/// everything else is the kernel's as before, names of hosts among it. Many programs may be on one
/// stack that millstream up runs. With interfaces the stack is inside the program, as in millstream
/// nc, and ends with it; the program's children have none.
///
/// A program that the library cannot be loaded into is refused: one that is linked statically, or
/// that gets rights from its file.
#[derive(Debug, clap::Args)]
#[command(mut_arg("tap", |tap| tap.required_unless_present("program")))]
#[command(
    override_usage = "millstream run [--name NAME] [--policy RULES] -- PROGRAM [ARGUMENTS]\n       \
    millstream run --tap IF [--host ADDR/LEN] --addr ADDR/LEN \
    [--gateway ADDR] [--poll] [--policy RULES] -- PROGRAM [ARGUMENTS]"
)]
pub(crate) struct Run {
    #[command(flatten)]
    interfaces: Interfaces,
    /// Router for all that is not on an interface's network
    #[arg(long, value_name = "ADDR")]
    gateway: Option<IpAddr>,
    /// Ask the interfaces again and again instead of sleeping
    #[arg(long)]
    poll: bool,
    /// What goes to the stack, the first rule that fits: "kernel udp :53; stack 10.9.0.0/24", or
    /// @FILE; without, what the stack has routes to
    #[arg(long, value_name = "RULES|@FILE")]
    policy: Option<String>,
    /// The library; without, the one beside this program
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// What to run
    #[arg(value_name = "PROGRAM", required = true, last = true)]
    program: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        let interfaces = self.interfaces.0;
        if !interfaces.is_empty() && common.name.is_some() {
            let text = "run has a stack of its own, with interfaces, or one with a name";
            return Err(Failure::Usage(text.to_owned()));
        }
        let library = library(self.library)?;
        let [name, arguments @ ..] = &self.program[..] else {
            return Err(Failure::Usage("run needs a program".to_owned()));
        };
        let found = program::find(name).map_err(Failure::Failed)?;
        program::check(&found).map_err(Failure::Failed)?;
        let asked = self.policy.map(check_policy).transpose().map_err(Failure::Usage)?;
        let (variable, value, usual) = if interfaces.is_empty() {
            in_another_process(common)?
        } else {
            let interface = |wanted: Wanted| wanted.interface(false);
            let plan = Plan {
                interfaces: interfaces.into_iter().map(interface).collect(),
                gateway: self.gateway,
                polling: self.poll,
                ..Plan::default()
            };
            let words = plan.words().ok_or_else(|| {
                let text = "run has no --wrap: give the interface to millstream up";
                Failure::Usage(text.to_owned())
            })?;
            ("MILLSTREAM_PLAN", OsString::from(words), usual_policy(&plan))
        };
        let policy = asked.unwrap_or(usual);
        let failed = Command::new(&found)
            .arg0(name)
            .args(arguments)
            .env("LD_PRELOAD", preload(&library, std::env::var_os("LD_PRELOAD")))
            .env(variable, value)
            .env("MILLSTREAM_POLICY", policy)
            .exec();
        Err(Failure::Failed(format!("cannot run {}: {failed}", found.display())))
    }
}

/// The variable that names a stack which runs, its value, and the usual policy: its routes.
fn in_another_process(common: &Common) -> Result<(&'static str, OsString, String), Failure> {
    let mut stack = common.connect()?;
    let conf: ctl::Conf = stack.ask_for(&Request::Conf {})?;
    let ip = conf.muxes.iter().filter(|mux| mux.name == "ip");
    let routes = ip.filter_map(|ip| ip.fields.get("route")?.as_array());
    let rules = routes.flatten().filter_map(|route| {
        let to = route.as_str()?.split_whitespace().next()?;
        (!to.contains(':')).then(|| format!("stack {to}"))
    });
    let policy = rules.collect::<Vec<_>>().join("; ");
    Ok(("MILLSTREAM_PORT", stack.port().into_os_string(), policy))
}

/// The library's file.
fn library(asked: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let file = match asked {
        Some(file) => file,
        None => {
            let own = std::env::current_exe();
            let own = own.map_err(|why| Failure::Failed(format!("where am I: {why}")))?;
            own.with_file_name(LIBRARY)
        }
    };
    // The loader would only print a line and run the program without it.
    match file.canonicalize() {
        Ok(file) if file.is_file() => Ok(file),
        _ => Err(Failure::Failed(format!(
            "the library {} is missing: build it with cargo build --release at the root, or name \
             it with --library",
            file.display()
        ))),
    }
}

/// Before those that are loaded already.
fn preload(library: &Path, others: Option<OsString>) -> OsString {
    let mut all = library.as_os_str().to_owned();
    if let Some(others) = others.filter(|others| !others.is_empty()) {
        all.push(":");
        all.push(others);
    }
    all
}

/// Read here, where what is wrong can be told in time.
fn check_policy(text: String) -> Result<String, String> {
    let rules = match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)
            .map_err(|why| format!("cannot read the policy {file}: {why}"))?,
        None => text,
    };
    rules.parse::<Policy>().map(|policy| policy.to_string()).map_err(|why| why.to_string())
}

/// What the stack can reach.
fn usual_policy(plan: &Plan) -> String {
    if plan.gateway.is_some() {
        return "stack".to_owned();
    }
    let networks = plan.interfaces.iter().flat_map(|interface| &interface.addresses);
    let networks = networks.filter(|prefix| prefix.address().is_ipv4());
    let rules = networks.map(|at| format!("stack {}/{}", at.network(), at.length_bits()));
    rules.collect::<Vec<_>>().join("; ")
}

const LIBRARY: &str = "libmillstream_preload.so";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_stack_reaches_is_its_own_without_a_policy() {
        let mut plan: Plan = "tap t0 addr 10.9.0.2/24 addr 10.8.1.2/16".parse().unwrap();
        assert_eq!(usual_policy(&plan), "stack 10.9.0.0/24; stack 10.8.0.0/16");
        plan.gateway = Some([10, 9, 0, 1].into());
        assert_eq!(usual_policy(&plan), "stack");
        assert!(check_policy("fly".to_owned()).unwrap_err().contains("begins with stack"));
        assert!(check_policy("@/nowhere".to_owned()).unwrap_err().contains("cannot read"));
    }

    #[test]
    fn libraries_that_are_loaded_already_stay() {
        let others = Some(OsString::from("/a.so"));
        assert_eq!(preload(Path::new("/m.so"), others), "/m.so:/a.so");
        assert_eq!(preload(Path::new("/m.so"), Some(OsString::new())), "/m.so");
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let Err(Failure::Failed(why)) = library(Some("/nowhere/lib.so".into())) else { panic!() };
        assert!(why.contains("/nowhere/lib.so is missing"), "{why}");
    }
}
