//! The end-to-end harness: the stack on TAPs against bare programs and the kernel.
//!
//! Every experiment runs its lines in turn (A B A B), so that what disturbs the machine disturbs
//! all; ratios are taken run by run, and what is reported is the median with its spread.
#![forbid(unsafe_code)]

pub mod bare;
pub mod bare_tcp;
pub mod baseline;
pub mod client;
pub mod echo;
pub mod experiments;
pub mod fit;
pub mod in_memory;
pub mod instructions;
pub mod kernel;
pub mod lab;
pub mod nfs;
pub mod page;
pub mod report;
pub mod rpc;
pub mod smoltcp;
pub mod sockets;
pub mod stack;
pub mod stream;
pub mod summary;
pub mod tcp;
pub mod usage;
pub mod work;

/// Chains of modules without a protocol: those of the benches of the core.
#[path = "../../stack/core/benches/common/mod.rs"]
mod chain;

/// A head, and what turns its messages round: that of the benches of the core.
#[path = "../../stack/core/benches/common/looped.rs"]
mod looped;

use report::{Options, Report};

/// An experiment: a report, or why it could not be done here.
pub type Experiment = fn(&Options) -> Result<Report, Trouble>;

/// Why something could not be done, for people. Experiments decide nothing from it.
pub type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// All experiments, in the order of `all`.
pub const EXPERIMENTS: &[(&str, Experiment)] = &[
    ("udp_echo", experiments::udp_echo::run),
    ("udp_echo_super", experiments::udp_echo_super::run),
    ("forward", experiments::forward::run),
    ("structure", experiments::structure::run),
    ("structures", experiments::structures::run),
    ("offloads", experiments::offloads::run),
    ("scale", experiments::scale::run),
    ("churn", experiments::churn::run),
    ("flood", experiments::flood::run),
    ("rr", experiments::rr::run),
    ("change", experiments::change::run),
    ("cost", experiments::cost::run),
    ("layers", experiments::layers::run),
    ("fused", experiments::fused::run),
    ("instructions", experiments::instructions::run),
    ("gather", experiments::gather::run),
    ("pressure", experiments::pressure::run),
    ("shim", experiments::shim::run),
    ("tcp_bulk", experiments::tcp_bulk::run),
    ("tcp_pair", experiments::tcp_pair::run),
    ("tcp_rr", experiments::tcp_rr::run),
    ("tcp_conn", experiments::tcp_conn::run),
    ("rpc", experiments::rpc::run),
    ("nfs", experiments::nfs::run),
];
