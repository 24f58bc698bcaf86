//! `Quadruple`: 128 bits of floating point, for which Rust has no type.

/// The sixteen octets of a quadruple (IEEE 754 binary128, big-endian).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quadruple(pub [u8; 16]);

impl Quadruple {
    /// The nearest double; a tie goes to the even one. What is too large becomes infinite, what is
    /// too small zero.
    pub fn to_f64(self) -> f64 {
        let bits = u128::from_be_bytes(self.0);
        let sign = ((bits >> 127) as u64) << 63;
        let exponent = (bits >> FRACTION) as i32 & EXPONENT_MAX;
        let fraction = bits & ((1 << FRACTION) - 1);
        let magnitude = match exponent {
            EXPONENT_MAX if fraction == 0 => f64::INFINITY.to_bits(),
            EXPONENT_MAX => f64::NAN.to_bits() | (fraction >> LOST) as u64,
            // Below 2^-16382: far below the least double.
            0 => 0,
            _ => round(exponent - BIAS, fraction | 1 << FRACTION),
        };
        f64::from_bits(sign | magnitude)
    }
}

impl From<f64> for Quadruple {
    /// Exact.
    fn from(value: f64) -> Self {
        let bits = value.to_bits();
        let sign = u128::from(bits >> 63) << 127;
        let exponent = (bits >> 52) as i32 & 0x7ff;
        let fraction = u128::from(bits & ((1 << 52) - 1));
        let magnitude = match exponent {
            0 if fraction == 0 => 0,
            // A subnormal double is a normal quadruple.
            0 => {
                let high = 127 - fraction.leading_zeros() as i32;
                let exponent = (high - 1074 + BIAS) as u128;
                exponent << FRACTION | (fraction << (FRACTION - high) & ((1 << FRACTION) - 1))
            }
            0x7ff => (EXPONENT_MAX as u128) << FRACTION | fraction << LOST,
            _ => ((exponent - 1023 + BIAS) as u128) << FRACTION | fraction << LOST,
        };
        Self((sign | magnitude).to_be_bytes())
    }
}

impl From<Quadruple> for f64 {
    fn from(value: Quadruple) -> Self {
        value.to_f64()
    }
}

/// Bits of the double nearest to `significand` * 2^(`exponent` - 112), 2^112 <= significand.
fn round(exponent: i32, significand: u128) -> u64 {
    if exponent > 1023 {
        return f64::INFINITY.to_bits();
    }
    // Subnormal doubles have fewer bits: more of the significand is lost.
    let lost = LOST + (-1022 - exponent).max(0);
    if lost > FRACTION + 1 {
        return 0;
    }
    let kept = (significand >> lost) as u64;
    let rest = significand & ((1 << lost) - 1);
    let half = 1 << (lost - 1);
    let up = rest > half || rest == half && kept & 1 == 1;
    // The implicit bit adds one to the exponent, and so does a carry: both as they should.
    let base = if exponent >= -1022 { (exponent + 1022) as u64 } else { 0 };
    (base << 52) + kept + u64::from(up)
}

/// Bits of a quadruple's fraction.
const FRACTION: i32 = 112;

/// Bits of the fraction that a double has not.
const LOST: i32 = FRACTION - 52;

const BIAS: i32 = 16383;

const EXPONENT_MAX: i32 = 0x7fff;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_double_comes_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let back = Quadruple::from(value).to_f64();
            prop_assert!(back.to_bits() == bits || value.is_nan() && back.is_nan());
        }
    }

    #[test]
    fn the_octets_are_those_of_ieee_754() {
        let one = Quadruple::from(1.0).0;
        assert_eq!(one[..4], [0x3f, 0xff, 0, 0]);
        let minus_two = Quadruple::from(-2.0).0;
        assert_eq!(minus_two[..4], [0xc0, 0, 0, 0]);
        // 0.1 as the double it is: fraction 999999999999a.
        let tenth = Quadruple::from(0.1).0;
        assert_eq!(tenth[..10], [0x3f, 0xfb, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0xa0, 0]);
    }

    #[test]
    fn what_lies_between_two_doubles_goes_to_the_nearest_and_a_tie_to_the_even() {
        let one = u128::from_be_bytes(Quadruple::from(1.0).0);
        let half = 1_u128 << (LOST - 1);
        let of = |bits: u128| Quadruple(bits.to_be_bytes()).to_f64();
        assert_eq!(of(one + half), 1.0);
        assert_eq!(of(one + half + 1), 1.0 + f64::EPSILON);
        assert_eq!(of(one + 3 * half), 1.0 + 2.0 * f64::EPSILON);
        assert_eq!(of(one - 1), 1.0);
    }

    #[test]
    fn what_is_too_large_is_infinite_and_what_is_too_small_zero() {
        let of = |exponent: u128| Quadruple((exponent << FRACTION).to_be_bytes()).to_f64();
        assert_eq!(of(0x7ffe), f64::INFINITY);
        assert_eq!(of(1), 0.0);
        // Half of the least double is a tie, and zero is even; three quarters are not.
        assert_eq!(of((BIAS - 1075) as u128), 0.0);
        let more = Quadruple((((BIAS - 1075) as u128) << FRACTION | 1).to_be_bytes());
        assert_eq!(more.to_f64(), f64::from_bits(1));
    }
}
