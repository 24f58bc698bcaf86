//! IGMP: queries, reports, joins, leaves and time in any order; what is sent is sound.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::igmp::run(data));
