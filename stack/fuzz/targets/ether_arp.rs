//! Ethernet headers and ARP: the parsers, and the engine with frames both ways and time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::ether_arp::run(data));
