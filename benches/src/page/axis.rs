//! axis: values become places, with round numbers marked.

/// From a range of values to a range of places.
pub(super) struct Axis {
    values: (f64, f64),
    places: (f64, f64),
    log: bool,
}

impl Axis {
    /// From 0 to a round number at or above the largest value.
    pub(super) fn from_zero(largest: f64, places: (f64, f64)) -> Self {
        let step = step(largest.max(f64::MIN_POSITIVE), TICKS);
        let to = (largest / step).ceil().max(1.0) * step;
        Self { values: (0.0, to), places, log: false }
    }

    /// By powers, from the least to the largest of positive values.
    pub(super) fn log(least: f64, largest: f64, places: (f64, f64)) -> Self {
        let to = if largest > least { largest } else { least * 10.0 };
        Self { values: (least, to), places, log: true }
    }

    /// Where a value is.
    pub(super) fn place(&self, value: f64) -> f64 {
        let (from, to) = self.values;
        let share = match self.log {
            true => (value.max(from) / from).ln() / (to / from).ln(),
            false => (value - from) / (to - from),
        };
        self.places.0 + share.clamp(0.0, 1.0) * (self.places.1 - self.places.0)
    }

    /// Round values to mark.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (from, to) = self.values;
        if !self.log {
            let step = step(to, TICKS);
            return (0..)
                .map(|nth| f64::from(nth) * step)
                .take_while(|v| *v <= to * 1.0001)
                .collect();
        }
        // Few decades have room for 2 and 5.
        let per_decade: &[f64] = if to / from < 1e3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = (from.log10().floor() as i32)..=(to.log10().ceil() as i32);
        let all = decades.flat_map(|ten| per_decade.iter().map(move |by| by * 10_f64.powi(ten)));
        all.filter(|value| (from..=to).contains(value)).collect()
    }
}

/// Marks on an axis, about.
const TICKS: f64 = 5.0;

/// The round step that gives about so many.
fn step(largest: f64, count: f64) -> f64 {
    let raw = largest / count;
    let ten = 10_f64.powf(raw.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    ten * steps.into_iter().find(|step| step * ten >= raw * 0.9999).unwrap_or(10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_from_zero_ends_at_a_round_number_above_all_values() {
        let axis = Axis::from_zero(87.0, (100.0, 200.0));
        assert_eq!(axis.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!((axis.place(0.0), axis.place(50.0), axis.place(100.0)), (100.0, 150.0, 200.0));
    }

    #[test]
    fn an_axis_of_powers_marks_round_numbers() {
        let axis = Axis::log(3.0, 300.0, (0.0, 2.0));
        assert_eq!(axis.ticks(), [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        assert!((axis.place(30.0) - 1.0).abs() < 1e-9);
    }
}
