//! Lines of the control socket: any bytes are a request or a sentence that says why not.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::control_lines::run(data));
