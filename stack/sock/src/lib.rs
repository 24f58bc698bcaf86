//! Streams and sockets of applications on a stack in the same process.
//!
//! ```no_run
//! use millstream::plan::{Interface, Line, Plan};
//! use millstream::{Stack, UdpSocket};
//!
//! let line = Line::Tap { name: "tap0".into(), host: vec!["10.9.0.1/24".parse()?], plain: false };
//! let tap = Interface { line, addresses: vec!["10.9.0.2/24".parse()?] };
//! let stack = Stack::start(Plan { interfaces: vec![tap], ..Plan::default() })?;
//! let socket = UdpSocket::bind(&stack, "10.9.0.2:7".parse()?)?;
//! let mut buf = [0; 2048];
//! let (n, peer) = socket.recv_from(&mut buf)?;
//! socket.send_to(&buf[..n], peer)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod in_process;
mod ioctl;
mod pipe;
mod request;
pub mod rpc;
mod set;
mod stack;
mod stream;
mod tcp;
mod udp;

pub use in_process::InProcess;
pub use millstream_core::dlpi;
pub use millstream_core::ioctl::{Area, Cred, MUXID_ALL, Reply};
pub use millstream_core::tpi;
pub use millstream_core::{
    ControlMode, Errno, ErrorOptions, Got, Mark, Mode, Partial, PollEvents, Priority, ReadOptions,
    Signals, Waiting, Want,
};
pub use millstream_drivers::netlink::Prefix;
pub use millstream_host::plan;
pub use millstream_host::port::{PortStat, ProgramStat, Quota};
pub use millstream_msg as msg;
pub use millstream_port as port;
pub use pipe::{Received, pipe};
pub use rpc::{RpcClient, RpcError};
pub use set::StreamSet;
pub use stack::{OpenError, Stack};
pub use stream::{Message, Stream};
pub use tcp::{Incoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
