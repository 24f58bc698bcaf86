//! Types of a .x file, from any octets in blocks cut anywhere: what is read is written as it was.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::xdr_types::run(data));
