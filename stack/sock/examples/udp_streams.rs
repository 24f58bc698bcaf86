//! putmsg and getmsg in 30 lines: a UDP echo server on a TAP, as a STREAMS program.
//!
//! Run as root: `cargo run --release -p millstream --example udp_streams`, then send datagrams to
//! 10.9.0.2 port 7777.

use millstream::plan::{Interface, Line, Plan};
use millstream::tpi::{self, Primitive};
use millstream::{Priority, Stack};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = vec!["10.9.0.1/24".parse()?];
    let line = Line::Tap { name: "mill0".into(), host, plain: false };
    let tap = Interface { line, addresses: vec!["10.9.0.2/24".parse()?] };
    let stack = Stack::start(Plan { interfaces: vec![tap], ..Plan::default() })?;

    let udp = stack.open("udp")?;
    let bind = Primitive::bind_req("10.9.0.2:7777".parse()?);
    udp.putmsg(Some(bind.as_bytes()), None, Priority::Band(0))?;
    println!("{:?} above {:?}", udp.getmsg()?.and_then(|ack| ack.control), udp.list()?);

    while let Some(message) = udp.getmsg()? {
        let Some(control) = message.control else { continue };
        if tpi::primitive(&control) == Some(tpi::T_UNITDATA_IND)
            && let Some(from) = tpi::address_at(&control, 4)
        {
            let reply = Primitive::unitdata_req(from);
            udp.putmsg(Some(reply.as_bytes()), message.data.as_deref(), Priority::Band(0))?;
        }
    }
    Ok(())
}
