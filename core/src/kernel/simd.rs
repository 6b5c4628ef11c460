//! Sixteen float32 at a time: the operations that the kernel is made of.
//!
//! Every implementation rounds every operation as IEEE 754 has it, a fused multiply-add once, and
//! the kernel alone decides on the order. So all of them give the same bits.

/// Numbers that one operation takes.
pub const LANES: usize = 16;

/// Sixteen numbers in memory, as wide as the widest register and a line of the cache.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lanes(pub [f32; LANES]);

impl Lanes {
    /// The same number in each.
    pub const fn splat(number: f32) -> Self {
        Self([number; LANES])
    }
}

/// Proof that the processor has an instruction set, with its operations on sixteen numbers.
pub trait Simd: Copy {
    /// Panels that one tile takes: as many as its registers hold for six users.
    const PANELS: usize;

    type Numbers: Copy;

    fn splat(self, number: f32) -> Self::Numbers;
    fn load(self, from: &Lanes) -> Self::Numbers;
    fn store(self, numbers: Self::Numbers) -> Lanes;
    fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;
    fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;

    /// `a · b + c`, rounded once.
    fn mul_add(self, a: Self::Numbers, b: Self::Numbers, c: Self::Numbers) -> Self::Numbers;

    /// The larger of two numbers; neither is NaN.
    fn max(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers;

    /// The nearest whole numbers, the even one of two.
    fn round(self, numbers: Self::Numbers) -> Self::Numbers;

    /// `2^n` of whole numbers from −126 to 127.
    fn power_of_two(self, n: Self::Numbers) -> Self::Numbers;

    /// One bit for each number: whether `a > b`.
    fn greater(self, a: Self::Numbers, b: Self::Numbers) -> u16;

    /// Run a job in code that is compiled for this instruction set.
    fn run<J: Job>(self, job: J) -> J::Output;
}

/// A computation over any instruction set; mark `run` and what it calls `#[inline(always)]`.
pub trait Job {
    type Output;

    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
const POLYNOMIAL: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// What every `e^x` is divided by: a power of two near the largest of them.
#[derive(Clone, Copy)]
pub struct Unit {
    exponent: f32,
    lowest: f32, // x below this is taken for it: its share is no subnormal number yet
}

impl Unit {
    const SPAN: f64 = 124.0; // exponents between the largest share and the least

    /// The least power of two that is not below `e^x`.
    pub fn above(x: f64) -> Self {
        let exponent = (x * std::f64::consts::LOG2_E).ceil();
        let lowest = (exponent - Self::SPAN) * std::f64::consts::LN_2;
        Self { exponent: exponent as f32, lowest: lowest as f32 }
    }

    /// The logarithm of it.
    pub fn ln(self) -> f64 {
        f64::from(self.exponent) * std::f64::consts::LN_2
    }
}

/// `e^x` in this unit, for numbers up to its logarithm, within 2 units in the last place.
///
/// `x = n·ln 2 + r`, and a polynomial of r with the coefficients of `expf` in Cephes (S. Moshier).
/// The unit changes the exponent alone, so it costs no bit, however far it is from `e^x`.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::Numbers, unit: Unit) -> S::Numbers {
    let x = simd.max(x, simd.splat(unit.lowest));
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-LN_2_HIGH), x);
    let r = simd.mul_add(n, simd.splat(-LN_2_LOW), r);
    let mut p = simd.splat(POLYNOMIAL[0]);
    for c in &POLYNOMIAL[1..] {
        p = simd.mul_add(p, r, simd.splat(*c));
    }
    let p = simd.add(simd.mul_add(p, simd.mul(r, r), r), simd.splat(1.0));
    simd.mul(p, simd.power_of_two(simd.add(n, simd.splat(-unit.exponent))))
}

#[cfg(test)]
mod tests {
    use super::super::instructions::Instructions;
    use super::*;

    struct Exp(Lanes, Unit);

    impl Job for Exp {
        type Output = Lanes;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Lanes {
            simd.store(exp(simd, simd.load(&self.0), self.1))
        }
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place_at_any_distance_from_the_unit() {
        for (x, above) in [(0.0, 0.0), (-3.7, 41.0), (31.25, 60.0), (88.0, 90.0), (200.5, 201.0)] {
            for step in 0..1000 {
                let x = x - step as f32 / 37.0;
                let unit = Unit::above(above);
                let expected = (f64::from(x) - unit.ln()).exp();
                if expected < 1e-36 {
                    continue;
                }
                let found = Instructions::best().run(Exp(Lanes::splat(x), unit)).0[0];
                let off = (f64::from(found) - expected).abs() / expected;
                assert!(off < 2.0 * f64::from(f32::EPSILON), "e^{x}: off by {off:.1e}");
            }
        }
    }

    #[test]
    fn exp_of_a_filler_is_next_to_nothing() {
        let found = Instructions::best().run(Exp(Lanes::splat(-1e30), Unit::above(10.0)));

        assert!(found.0[0] > 0.0 && found.0[0] < 1e-37);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let mut x = Lanes::splat(0.0);
        for step in 0..4000 {
            (0..LANES).for_each(|lane| x.0[lane] = 40.0 - (step * LANES + lane) as f32 * 0.0023);
            let of = |instructions: Instructions| instructions.run(Exp(x, Unit::above(40.0)));
            let found: Vec<_> = Instructions::available().into_iter().map(of).collect();
            assert!(found.iter().all(|bits| *bits == found[0]), "{x:?}");
        }
    }
}
