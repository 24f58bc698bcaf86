//! Messages: chains of reference-counted blocks, passed and not copied.
