//! UDP datagrams, wherever their blocks are cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::udp_view::run(data));
