//! The record that transports put in front of packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::request_record::run(data));
