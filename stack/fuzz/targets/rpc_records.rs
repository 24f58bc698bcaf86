//! Records of RPC, against a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::rpc_records::run(data));
