//! What each fuzz target does with its bytes. A panic is a finding.

pub mod changes;
#[path = "../../core/tests/common/mod.rs"]
mod common;
pub mod control_lines;
pub mod ctl_messages;
pub mod dlpi_requests;
pub mod ether_arp;
pub mod filter_rules;
pub mod host;
pub mod icmp;
pub mod igmp;
pub mod ip_input;
pub mod nfs_calls;
pub mod offload_finish;
pub mod options;
pub mod port_memory;
pub mod reassembly;
pub mod recording;
pub mod request_record;
pub mod rpc_headers;
pub mod rpc_records;
pub mod rpcgen;
pub mod script;
pub mod tcp_machine;
pub mod tcp_options;
pub mod tpi_views;
pub mod udp_requests;
pub mod udp_view;
pub mod xdr_types;
