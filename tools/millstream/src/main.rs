//! The millstream command: brings stacks up, and reads and changes those that run.

mod cmd;
mod decode;
mod render;

fn main() -> std::process::ExitCode {
    cmd::run()
}
