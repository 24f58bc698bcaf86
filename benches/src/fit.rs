//! fit: points become a straight line by least squares, with what it may be off by.

use serde::{Deserialize, Serialize};

/// y = intercept + slope x.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// Of y for each x.
    pub slope: f64,
    /// At x = 0.
    pub intercept: f64,
    /// The slope is this far from the true one at most, with 95 % confidence.
    pub slope_off: f64,
    /// The same of the intercept.
    pub intercept_off: f64,
}

impl Fit {
    /// Through three points or more, at two places or more.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let freedom = points.len().checked_sub(2).filter(|left| *left > 0)?;
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + p.0 / n, sum.1 + p.1 / n));
        let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
        let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
        if below == 0.0 {
            return None;
        }
        let slope = above / below;
        let intercept = y - slope * x;
        let left: f64 = points.iter().map(|p| (p.1 - intercept - slope * p.0).powi(2)).sum();
        let variance = left / freedom as f64;
        let t = student(freedom);
        Some(Self {
            slope,
            intercept,
            slope_off: t * (variance / below).sqrt(),
            intercept_off: t * (variance * (1.0 / n + x * x / below)).sqrt(),
        })
    }
}

impl std::fmt::Display for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { slope, intercept, slope_off, intercept_off } = self;
        write!(
            f,
            "slope {slope:.2} ± {slope_off:.2}, intercept {intercept:.1} ± {intercept_off:.1}"
        )
    }
}

/// The median of differences in pairs, and between what it is with 95 % confidence, whatever their
/// distribution: the values at the ranks n/2 ± 0.98 √n. `None` without pairs.
pub fn median_of_pairs(mut differences: Vec<f64>) -> Option<[f64; 3]> {
    differences.sort_by(f64::total_cmp);
    let last = differences.len().checked_sub(1)? as f64;
    let off = 0.98 * (last + 1.0).sqrt();
    let at = |rank: f64| differences[rank.clamp(0.0, last).round() as usize];
    Some([at(last / 2.0), at((last / 2.0 - off).floor()), at((last / 2.0 + off).ceil())])
}

/// Student's t for 95 %, two-sided; from 30 degrees on that of the normal distribution with its
/// first correction, which is off by less than 0.1 %.
fn student(freedom: usize) -> f64 {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    T.get(freedom - 1).copied().unwrap_or(1.96 + 2.4 / freedom as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_it_back_and_are_off_by_nothing() {
        let fit = Fit::through(&[(0.0, 3.0), (1.0, 5.0), (4.0, 11.0)]).unwrap();
        assert!((fit.slope - 2.0).abs() < 1e-12 && (fit.intercept - 3.0).abs() < 1e-12);
        assert!(fit.slope_off < 1e-9 && fit.intercept_off < 1e-9);
    }

    #[test]
    fn the_interval_is_that_of_a_worked_example() {
        // Slope 2, residuals 1, -1, -1, 1: variance 4 / 2, sum of squares 5.
        let fit = Fit::through(&[(0.0, 1.0), (1.0, 1.0), (2.0, 3.0), (3.0, 7.0)]).unwrap();
        assert!((fit.slope - 2.0).abs() < 1e-12);
        assert!((fit.slope_off - 4.303 * (2.0_f64 / 5.0).sqrt()).abs() < 1e-9);
    }

    #[test]
    fn too_few_points_and_points_above_each_other_give_no_line() {
        assert_eq!(Fit::through(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(Fit::through(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn the_median_of_pairs_is_between_the_values_at_its_ranks() {
        let pairs: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(median_of_pairs(pairs), Some([50.0, 40.0, 60.0]));
        assert_eq!(median_of_pairs(vec![3.0]), Some([3.0, 3.0, 3.0]));
        assert_eq!(median_of_pairs(Vec::new()), None);
    }
}
