//! One file per experiment: what its lines are, and what is compared with what.

pub mod change;
pub mod churn;
pub mod cost;
pub mod flood;
pub mod forward;
pub mod fused;
pub mod gather;
pub mod instructions;
pub mod layers;
pub mod nfs;
pub mod offloads;
pub mod pressure;
pub mod rpc;
pub mod rr;
pub mod scale;
pub mod shim;
pub mod structure;
pub mod structures;
pub mod tcp_bulk;
pub mod tcp_conn;
pub mod tcp_pair;
pub mod tcp_rr;
pub mod udp_echo;
pub mod udp_echo_super;
