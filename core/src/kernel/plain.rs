//! The operations in plain Rust: right on every processor, and slow where it has no fused multiply-add.

use super::simd::{Job, LANES, Lanes, Simd};

#[derive(Clone, Copy)]
pub struct Plain;

impl Simd for Plain {
    const PANELS: usize = 1;

    type Numbers = [f32; LANES];

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Numbers {
        [number; LANES]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::Numbers {
        from.0
    }

    #[inline(always)]
    fn store(self, numbers: Self::Numbers) -> Lanes {
        Lanes(numbers)
    }

    #[inline(always)]
    fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        std::array::from_fn(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Numbers, b: Self::Numbers, c: Self::Numbers) -> Self::Numbers {
        std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    fn max(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        std::array::from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }

    #[inline(always)]
    fn round(self, numbers: Self::Numbers) -> Self::Numbers {
        numbers.map(f32::round_ties_even)
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::Numbers) -> Self::Numbers {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }

    #[inline(always)]
    fn greater(self, a: Self::Numbers, b: Self::Numbers) -> u16 {
        (0..LANES).fold(0, |mask, lane| mask | u16::from(a[lane] > b[lane]) << lane)
    }

    fn run<J: Job>(self, job: J) -> J::Output {
        job.run(self)
    }
}
