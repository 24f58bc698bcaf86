//! Options of an IPv4 header: faults are inside, and what fragments repeat is sound.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::options::run(data));
