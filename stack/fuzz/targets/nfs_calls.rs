//! Calls of NFS and MOUNT with any arguments, on a file system in memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::nfs_calls::run(data));
