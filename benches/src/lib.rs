//! Benches: criterion, end-to-end harness, daemon baseline.
