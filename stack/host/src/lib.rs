//! Threads, clocks and descriptors around the core.
