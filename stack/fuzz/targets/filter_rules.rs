//! Rules of the filter: any text is refused with a place or read back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::filter_rules::run(data));
