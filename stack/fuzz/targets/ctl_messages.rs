//! M_CTL messages between modules: whatever is read is written as it was.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::ctl_messages::run(data));
