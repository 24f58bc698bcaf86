//! shape: what a plot needs to know of lines beyond their values. Lines are named, not copied.

use crate::fit::Fit;
use serde::{Deserialize, Serialize};

/// Sides that are points over something: nanoseconds over modules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Curves of one plot have the same.
    pub plot: String,
    /// Name of this one in it.
    pub series: String,
    /// Which figure of the sides.
    pub figure: String,
    /// What the points are over, with its unit.
    pub axis: String,
    /// From left to right.
    pub points: Vec<Point>,
    /// The line through the medians; where there are fewer than three points, none.
    pub fit: Option<Fit>,
}

/// One point of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where on the axis.
    pub x: f64,
    /// The side with the figure.
    pub side: String,
}

/// A side whose figures, all of one unit, are parts of a whole. A figure `a;b` is part `b` of `a`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whole {
    /// Wholes of one plot have the same.
    pub plot: String,
    /// The side.
    pub side: String,
}

impl Curve {
    /// A curve with its fitted line; `None` where nothing was measured.
    pub(super) fn through(
        plot: &str,
        series: &str,
        figure: &str,
        axis: &str,
        points: Vec<Point>,
        medians: &[(f64, f64)],
    ) -> Option<Self> {
        let fit = Fit::through(medians);
        let [plot, series, figure, axis] = [plot, series, figure, axis].map(str::to_owned);
        (!points.is_empty()).then_some(Self { plot, series, figure, axis, points, fit })
    }
}
