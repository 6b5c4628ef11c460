//! `e^x` in float64, with the same bits on every processor and with every C library.

const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1; // its last 21 bits are 0
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const LOWEST: f64 = -700.0;
const TERMS: usize = 13; // of the series of e^r, |r| ≤ ln 2 / 2: the next is below 2^-57

/// `e^x` of a number up to 0, within 2 units in the last place; 0 below −700.
pub fn exp(x: f64) -> f64 {
    if x < LOWEST {
        return 0.0;
    }
    let n = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let series = (1..=TERMS).rev().fold(1.0, |sum, term| 1.0 + sum * r / term as f64);
    series * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_library_within_two_units_in_the_last_place() {
        for step in 0..200_000 {
            let x = -f64::from(step) * 0.0035;
            let expected = x.exp();
            assert!((exp(x) - expected).abs() <= expected * 2.0 * f64::EPSILON, "{x}");
        }
    }

    #[test]
    fn exp_of_nothing_is_nothing() {
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }
}
