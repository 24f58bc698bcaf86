//! What each fuzz target does with its bytes. A panic is a finding.

pub mod offload_finish;
