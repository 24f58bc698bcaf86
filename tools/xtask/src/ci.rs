//! ci: what a change has to pass, in the order in which failures are cheapest to find.

use crate::step::Step;
use crate::tidy;

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    if !args.is_empty() {
        return Err("ci takes no arguments".to_owned());
    }
    tidy::run(&[])?;
    let steps = [
        Step::new("format", "cargo fmt --all --check"),
        Step::new("lints", "cargo clippy --workspace --all-targets --quiet -- -D warnings"),
        Step::new("documentation", "cargo doc --workspace --no-deps --quiet")
            .env("RUSTDOCFLAGS", "-D warnings"),
        Step::new("tests", "cargo test --workspace"),
    ];
    for step in steps {
        if !step.show()?.passed {
            return Err(format!("{} failed", step.name));
        }
    }
    println!("\nall passed");
    Ok(())
}
