//! ss: the TCP sockets of a stack become a table.

use super::{Common, Failure};
use crate::render::{self, Table};
use millstream_host::ctl::{Flow, Owner, Request, Socket, Sockets, WhichSockets};

/// Show the TCP connections of a stack: queues, windows, times, what was sent again
///
/// Windows are in segments; "retrans" is bytes. Of a listener, Recv-Q is the connections that wait
/// to be accepted and Send-Q how many may. The owner is a program of another process, with its
/// number, or the stream above, in the process of the stack: see conf.
#[derive(Debug, clap::Args)]
pub(crate) struct Ss {
    /// Show listeners instead of connections
    #[arg(short, long)]
    listening: bool,
    /// Show both, and sockets that are only bound
    #[arg(short, long, conflicts_with = "listening")]
    all: bool,
    /// Only those in this state, as estab or time-wait
    #[arg(long, value_name = "STATE", value_parser = STATES, ignore_case = true)]
    state: Option<String>,
    /// Only those with this port at one of their ends
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

impl Ss {
    pub(crate) fn run(self, common: &Common) -> Result<(), Failure> {
        // A state says by itself which are meant.
        let which = match (self.all || self.state.is_some(), self.listening) {
            (_, true) => WhichSockets::Listening,
            (true, false) => WhichSockets::All,
            (false, false) => WhichSockets::Connected,
        };
        let request = Request::Sockets { which, state: self.state, port: self.port };
        let mut client = common.connect()?;
        if common.json {
            render::json(&client.ask(&request)?);
        } else {
            render::line(&text(&client.ask_for(&request)?));
        }
        Ok(())
    }
}

fn text(all: &Sockets) -> String {
    let columns = [
        "State",
        ">Recv-Q",
        ">Send-Q",
        "Local",
        "Peer",
        "cc",
        ">cwnd",
        ">ssthresh",
        ">rtt/var",
        ">rto",
        ">retrans",
        ">pacing",
        "owner",
    ];
    let mut table = Table::new(&columns);
    for socket in &all.sockets {
        table.row(row(socket));
    }
    match all.omitted {
        0 => table.text(),
        n => format!("{}\n{} more", table.text(), render::count(n as u64)),
    }
}

fn row(socket: &Socket) -> Vec<String> {
    let mut cells = vec![
        socket.state.clone(),
        socket.recv_q.to_string(),
        socket.send_q.to_string(),
        socket.local.to_string(),
        socket.peer.map_or_else(|| "*".to_owned(), |peer| peer.to_string()),
    ];
    match &socket.flow {
        Some(flow) => cells.extend(figures(flow)),
        None => cells.extend(std::iter::repeat_n(String::new(), 7)),
    }
    cells.push(owner(socket));
    cells
}

fn owner(socket: &Socket) -> String {
    let program = |program: &Owner| {
        let name = program.name.as_deref().unwrap_or("?");
        format!("{name}/{}", program.pid)
    };
    match &socket.programs[..] {
        [] => socket.owner.clone().unwrap_or_else(|| "-".to_owned()),
        [one] => program(one),
        [one, others @ ..] => format!("{}+{}", program(one), others.len()),
    }
}

fn figures(flow: &Flow) -> [String; 7] {
    let segments = |octets: u32| octets.div_ceil(u32::from(flow.mss.max(1))).to_string();
    let unknown = || "-".to_owned();
    let rtt = |ns| format!("{}/{}", render::time(ns), render::time(flow.rttvar_ns));
    let pacing = |octets: u64| format!("{}bit/s", render::short(octets.saturating_mul(8)));
    [
        flow.congestion.clone(),
        segments(flow.cwnd),
        flow.ssthresh.map_or_else(unknown, segments),
        flow.rtt_ns.map_or_else(unknown, rtt),
        render::time(flow.rto_ns),
        render::count(flow.retransmitted.into()),
        flow.pacing.map_or_else(unknown, pacing),
    ]
}

/// As `ss` of iproute2 shows them.
const STATES: [&str; 11] = [
    "estab",
    "syn-sent",
    "syn-recv",
    "fin-wait-1",
    "fin-wait-2",
    "close-wait",
    "closing",
    "last-ack",
    "time-wait",
    "listen",
    "close",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(flow: Option<Flow>) -> Socket {
        Socket {
            state: if flow.is_some() { "ESTAB" } else { "LISTEN" }.to_owned(),
            local: "10.9.0.2:80".parse().unwrap(),
            peer: flow.is_some().then(|| "10.9.0.1:50000".parse().unwrap()),
            recv_q: 0,
            send_q: 1448,
            owner: Some("http".to_owned()),
            owner_id: Some(7),
            programs: Vec::new(),
            flow,
        }
    }

    fn flow() -> Flow {
        Flow {
            congestion: "cubic".to_owned(),
            cwnd: 14_480,
            ssthresh: None,
            mss: 1448,
            rtt_ns: Some(1_500_000),
            rttvar_ns: 200_000,
            rto_ns: 201_500_000,
            backoff: 0,
            retransmitted: 2896,
            pacing: Some(125_000_000),
            acked: 1,
            received: 1,
        }
    }

    #[test]
    fn a_connection_is_a_row_of_figures_and_a_listener_has_none() {
        let text =
            text(&Sockets { sockets: vec![socket(Some(flow())), socket(None)], omitted: 1000 });
        let words = |line: usize| text.lines().nth(line).unwrap().split_whitespace();
        assert_eq!(
            words(1).collect::<Vec<_>>().join(" "),
            "ESTAB 0 1448 10.9.0.2:80 10.9.0.1:50000 cubic 10 - 1.5 ms/200.0 us 201.5 ms 2,896 \
             1.0Gbit/s http"
        );
        assert_eq!(
            words(2).collect::<Vec<_>>(),
            ["LISTEN", "0", "1448", "10.9.0.2:80", "*", "http"]
        );
        assert_eq!(text.lines().last(), Some("1,000 more"));
    }
    #[test]
    fn a_socket_of_programs_is_theirs() {
        let program = |pid, name: Option<&str>| Owner { pid, name: name.map(str::to_owned) };
        let mut one = socket(None);
        one.programs = vec![program(7, Some("nginx")), program(8, Some("nginx"))];
        assert_eq!(owner(&one), "nginx/7+1");
        one.programs = vec![program(9, None)];
        assert_eq!(owner(&one), "?/9");
    }
}
