//! plain: programs that are written for the kernel's calls and know of nothing else.

use crate::Trouble;
use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

/// Sends back what comes, over one connection after another.
///
/// # Errors
/// Nobody can listen there.
pub fn echo(port: u16) -> Result<(), Trouble> {
    for stream in TcpListener::bind(("0.0.0.0", port))?.incoming() {
        // To its end, in order or not.
        let _ended = serve(stream?);
    }
    Ok(())
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut data = vec![0; 1 << 16];
    loop {
        match stream.read(&mut data)? {
            0 => return Ok(()),
            n => stream.write_all(&data[..n])?,
        }
    }
}

/// A call on a descriptor of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Calls {
    /// A byte of /dev/zero.
    Read,
    /// A byte to /dev/null.
    Write,
}

impl Calls {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// Calls of one turn.
const TURN: u32 = 4096;

/// With each line that comes: takes so many calls, and says how many nanoseconds one took.
///
/// # Errors
/// The kernel's.
pub fn calls(what: Calls) -> Result<(), Trouble> {
    let mut zero = File::open("/dev/zero")?;
    let mut null = File::create("/dev/null")?;
    let mut byte = [0];
    let (asked, mut said) = (std::io::stdin().lock().lines(), std::io::stdout().lock());
    for line in asked {
        line?;
        let start = Instant::now();
        for _ in 0..TURN {
            let done = match what {
                Calls::Read => zero.read(&mut byte),
                Calls::Write => null.write(&byte),
            };
            done?;
        }
        let one = start.elapsed().as_nanos() as f64 / f64::from(TURN);
        writeln!(said, "{one}")?;
        said.flush()?;
    }
    Ok(())
}
