//! Ioctls at the multiplexors: what they do not know is refused, and programs link through them.

use millstream_core::ioctl::{Arg, Cred, LinkCommand, Progress, Reply, Request};
use millstream_core::{Config, Errno, Perimeter, StreamId};
use millstream_modules::ip::Ip;
use millstream_modules::udp::Udp;
use millstream_msg::{Pool, PoolConfig};

fn perimeter() -> Perimeter {
    Perimeter::new(Config { pool: Pool::new(PoolConfig::TINY), seed: 1, clock: None })
}

fn result(
    p: &mut Perimeter,
    stream: StreamId,
    id: millstream_core::ioctl::IocId,
) -> Result<Reply, Errno> {
    p.turn(0, 1000);
    match p.ioctl_progress(stream, id) {
        Some(Progress::Done(result)) => result,
        other => panic!("not over: {other:?}"),
    }
}

#[test]
fn ip_and_udp_refuse_ioctls_that_they_do_not_know() {
    let mut p = perimeter();
    let muxes = [p.add_mux(Box::new(Ip::new(1))), p.add_mux(Box::new(Udp::new(1)))];
    for mux in muxes {
        let stream = p.open_mux(mux, "stream").unwrap();
        for arg in [Arg::Data(b"data"), Arg::Transparent(7)] {
            let request = Request { cmd: 1, timeout: 0, cred: Cred::default(), arg };
            let id = p.ioctl(stream, request).unwrap();
            assert_eq!(result(&mut p, stream, id), Err(Errno::EINVAL));
        }
    }
}

#[test]
fn a_program_links_ip_below_udp_and_undoes_it() {
    let mut p = perimeter();
    let (ip, udp) = (p.add_mux(Box::new(Ip::new(1))), p.add_mux(Box::new(Udp::new(1))));
    let control = p.open_mux(udp, "control").unwrap();
    let (one, two) = (p.open_mux(ip, "one").unwrap(), p.open_mux(ip, "two").unwrap());
    let command = |p: &mut Perimeter, command| {
        let id = p.link_command(control, command, 0, Cred::default()).unwrap();
        result(p, control, id).map(|reply| reply.rval)
    };
    let muxid = command(&mut p, LinkCommand::Link(one)).unwrap();
    // UDP has one stream below.
    assert_eq!(command(&mut p, LinkCommand::Link(two)), Err(Errno::EBUSY));
    assert_eq!(command(&mut p, LinkCommand::Unlink(muxid)), Ok(0));
    assert!(command(&mut p, LinkCommand::Link(two)).unwrap() > muxid);
}
