//! pair: two stacks back to back on one thread, and connections between them.

use super::{BACKLOG, accept, call, control, free, listen};
use crate::Trouble;
use crate::lab::PORT;
use bytes::Bytes;
use millstream_core::{NodeId, StreamId, tpi};
use millstream_drivers::pair;
use millstream_host::plan::{Interface, Line, Plan, Stack};
use millstream_host::{GivenClock, Shard};
use millstream_msg::offload::Can;
use std::net::{IpAddr, SocketAddr};

/// The two stacks.
#[derive(Debug)]
pub struct Two {
    hosts: [Host; 2],
}

/// One of them: 10.9.0.1 or 10.9.0.2.
#[derive(Debug)]
struct Host {
    shard: Shard,
    ip: NodeId,
    tcp: NodeId,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// At the first host.
    pub out: StreamId,
    /// At the second.
    pub in_: StreamId,
}

/// Rounds in which a connection must have come about.
const ROUNDS: usize = 64;

/// Connections from one address: less than it has ports to call from.
const PER_ADDRESS: usize = 20_000;

/// What one message of the sender carries: 44 packets of 1460 bytes.
static DATA: [u8; 44 * 1460] = [b'x'; 44 * 1460];

impl Two {
    /// Joins them. Their devices leave checksums alone and cut nothing.
    ///
    /// # Errors
    /// As [`Plan::build`].
    pub fn new() -> Result<Self, Trouble> {
        Self::on(None)
    }

    /// As [`Two::new`], by a clock of the caller's if there is one.
    ///
    /// # Errors
    /// As [`Two::new`].
    pub fn on(clock: Option<GivenClock>) -> Result<Self, Trouble> {
        let can = Can { csum: true, ..Can::NOTHING };
        let (a, b) = pair(1500, [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]]);
        let host = |end, address: &str| -> Result<Host, Trouble> {
            let line = Line::Pair("pair".into(), end);
            let interface = Interface { line, addresses: vec![address.parse()?] };
            let clock = clock.clone();
            let plan = Plan { interfaces: vec![interface], clock, ..Plan::default() };
            let Stack { shard, ip, tcp, .. } = plan.build()?;
            Ok(Host { shard, ip, tcp })
        };
        let hosts = [
            host(a.with_offloads(can), "10.9.0.1/24")?,
            host(b.with_offloads(can), "10.9.0.2/24")?,
        ];
        Ok(Self { hosts })
    }

    /// A stream of the second host that listens on a port.
    fn listen(&mut self, port: u16) -> Result<StreamId, Trouble> {
        let Host { shard, tcp, .. } = &mut self.hosts[1];
        Ok(listen(shard.core(), *tcp, SocketAddr::from(([10, 9, 0, 2], port)), BACKLOG)?)
    }

    /// A connection from an address of the first host to a listener of the second.
    fn connect(
        &mut self,
        from: IpAddr,
        listener: StreamId,
        port: u16,
    ) -> Result<Connection, Trouble> {
        let Host { shard, tcp, .. } = &mut self.hosts[0];
        let out = call(shard.core(), *tcp, from, SocketAddr::from(([10, 9, 0, 2], port)))?;
        let mut in_ = None;
        for _ in 0..ROUNDS {
            self.turn()?;
            let [here, there] = &mut self.hosts;
            if in_.is_none() {
                in_ = accept(there.shard.core(), there.tcp, listener)?;
            }
            let Some(in_) = in_ else { continue };
            let answer = control(here.shard.core(), out)?;
            match answer.as_deref().map(tpi::primitive) {
                Some(Some(tpi::T_CONN_CON)) => return Ok(Connection { out, in_ }),
                Some(other) => return Err(format!("not connected: {other:?}").into()),
                None => {}
            }
        }
        Err("the two did not connect".into())
    }

    /// A connection on the usual port.
    ///
    /// # Errors
    /// When it does not come about.
    pub fn connected(&mut self) -> Result<Connection, Trouble> {
        let listener = self.listen(PORT)?;
        self.connect(IpAddr::from([10, 9, 0, 1]), listener, PORT)
    }

    /// So many connections, each of which stands and is still.
    ///
    /// # Errors
    /// When one does not come about.
    pub fn idle(&mut self, count: usize) -> Result<Vec<Connection>, Trouble> {
        let mut all = Vec::with_capacity(count);
        let listener = self.listen(PORT + 1)?;
        for nth in 101.. {
            let from = IpAddr::from([10, 9, 0, nth]);
            let Host { shard, ip, .. } = &mut self.hosts[0];
            let set = shard.core().set_mux(*ip, "address", &format!("0 {from}/24"));
            set.map_err(|why| why.to_string())?;
            for _ in 0..PER_ADDRESS.min(count - all.len()) {
                all.push(self.connect(from, listener, PORT + 1)?);
            }
            if all.len() == count {
                break;
            }
        }
        Ok(all)
    }

    /// Both run until what was sent has arrived and what it caused too.
    ///
    /// # Errors
    /// The kernel's, from the wait sets.
    pub fn turn(&mut self) -> Result<(), Trouble> {
        for host in &mut self.hosts {
            host.shard.turn(false)?;
        }
        Ok(())
    }

    /// Sends what there is room for, takes it, and lets the ACKs come back; bytes that arrived.
    ///
    /// # Errors
    /// Those of the streams.
    pub fn round(&mut self, connection: Connection) -> Result<usize, Trouble> {
        let core = self.hosts[0].shard.core();
        for _ in 0..MESSAGES {
            let data = core.pool().wrap_bytes(Bytes::from_static(&DATA));
            match core.putmsg(connection.out, data.map_err(|why| why.to_string())?) {
                Ok(()) => {}
                Err((_, data)) => {
                    core.pool().free(data);
                    break;
                }
            }
        }
        self.turn()?;
        let core = self.hosts[1].shard.core();
        let mut bytes = 0;
        while let Ok(Some(got)) = core.getmsg(connection.in_) {
            bytes += free(core, got);
        }
        Ok(bytes)
    }
}

/// Messages offered in one round: what is under way stays in the second-level cache.
const MESSAGES: usize = 4;
