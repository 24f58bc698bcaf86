//! The kernel's own echo, on the far side of a veth.

use crate::Trouble;
use crate::client::OUTSTANDING_MAX;
use crate::lab::{Lab, Mode, Service, Stop, TICK_MS};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, sendmmsg};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How the kernel's echo calls the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// recvmmsg and sendmmsg on a connected socket.
    Many,
    /// recvfrom and sendto.
    One,
}

/// Serves the far side of the veth of a lab, which is made here.
///
/// # Errors
/// As [`Lab::veth`].
pub fn echo(lab: &Lab, core: Option<usize>, calls: Calls, mode: Mode) -> Result<Service, Trouble> {
    let peer = lab.veth()?;
    let socket = peer.run(|| UdpSocket::bind(lab.echo()))??;
    socket.set_read_timeout(Some(Duration::from_millis(TICK_MS)))?;
    socket.set_nonblocking(mode == Mode::Polling)?;
    Service::start("kernel echo", core, move |stop| {
        let _alive = peer;
        match calls {
            Calls::Many => many(&socket, mode, stop),
            Calls::One => one(&socket, stop),
        }
    })
}

fn one(socket: &UdpSocket, stop: &Stop) -> Result<(), Trouble> {
    let mut data = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv_from(&mut data) {
            Ok((n, from)) => {
                // What the interface does not take is the client's loss.
                let _lost = socket.send_to(&data[..n], from);
            }
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

fn many(socket: &UdpSocket, mode: Mode, stop: &Stop) -> Result<(), Trouble> {
    let mut data = vec![[0; 2048]; OUTSTANDING_MAX];
    let mut lens = [0; OUTSTANDING_MAX];
    let mut headers = MultiHeaders::<()>::preallocate(OUTSTANDING_MAX, None);
    let mut connected = false;
    let (fd, none) = (socket.as_raw_fd(), [None::<()>; OUTSTANDING_MAX]);
    let flags = match mode {
        Mode::Sleeping => MsgFlags::MSG_WAITFORONE,
        Mode::Polling => MsgFlags::MSG_DONTWAIT,
    };
    while !stop.load(Ordering::Relaxed) {
        if !connected {
            // One client: its address is looked up once.
            match socket.peek_from(&mut data[0]) {
                Ok((_, from)) => socket.connect(from)?,
                Err(why) if why.kind() == ErrorKind::WouldBlock => continue,
                Err(why) => return Err(why.into()),
            }
            connected = true;
        }
        let mut count = 0;
        {
            let mut slices: Vec<_> = data.iter_mut().map(|d| [IoSliceMut::new(d)]).collect();
            match recvmmsg(fd, &mut headers, &mut slices, flags, None) {
                Ok(results) => {
                    for result in results {
                        lens[count] = result.bytes;
                        count += 1;
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ECONNREFUSED) => continue,
                Err(errno) => return Err(errno.into()),
            }
        }
        let answers: Vec<_> =
            data[..count].iter().zip(lens).map(|(d, len)| [IoSlice::new(&d[..len])]).collect();
        // What the interface does not take is the client's loss.
        let _lost = sendmmsg(fd, &mut headers, &answers, none, [], MsgFlags::empty());
    }
    Ok(())
}
