//! How long criterion measures what takes nanoseconds and does not vary: many short samples.

use criterion::Criterion;
use std::time::Duration;

/// 30 samples in half a second, no plots.
pub(crate) fn short() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .sample_size(30)
        .without_plots()
}
