//! The operations with NEON: sixteen numbers are four registers.

use std::arch::aarch64::*;

use super::simd::{Job, LANES, Lanes, Simd};

const PARTS: usize = 4;
const PART: usize = LANES / PARTS;

/// Proof that the processor has NEON.
#[derive(Clone, Copy)]
pub struct Neon(());

impl Neon {
    pub fn detect() -> Option<Self> {
        std::arch::is_aarch64_feature_detected!("neon").then_some(Self(()))
    }

    #[target_feature(enable = "neon")]
    fn compiled<J: Job>(self, job: J) -> J::Output {
        job.run(self)
    }
}

impl Simd for Neon {
    const PANELS: usize = 1; // 24 sums, the panel and the number of a user: 29 of 32 registers

    type Numbers = [float32x4_t; PARTS];

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        [unsafe { vdupq_n_f32(number) }; PARTS]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::Numbers {
        let at = from.0.as_ptr();
        // SAFETY: `self` proves NEON; `Lanes` is four times four numbers.
        std::array::from_fn(|part| unsafe { vld1q_f32(at.add(part * PART)) })
    }

    #[inline(always)]
    fn store(self, numbers: Self::Numbers) -> Lanes {
        let mut to = Lanes::splat(0.0);
        for (part, numbers) in to.0.chunks_exact_mut(PART).zip(numbers) {
            // SAFETY: `self` proves NEON; the chunk is four numbers.
            unsafe { vst1q_f32(part.as_mut_ptr(), numbers) };
        }
        to
    }

    #[inline(always)]
    fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        std::array::from_fn(|part| unsafe { vaddq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        std::array::from_fn(|part| unsafe { vmulq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Numbers, b: Self::Numbers, c: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        std::array::from_fn(|part| unsafe { vfmaq_f32(c[part], a[part], b[part]) })
    }

    #[inline(always)]
    fn max(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        std::array::from_fn(|part| unsafe { vmaxq_f32(a[part], b[part]) })
    }

    #[inline(always)]
    fn round(self, numbers: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        numbers.map(|part| unsafe { vrndnq_f32(part) })
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves NEON.
        n.map(|part| unsafe {
            let exponent = vaddq_s32(vcvtq_s32_f32(part), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn greater(self, a: Self::Numbers, b: Self::Numbers) -> u16 {
        const BITS: [u32; PART] = [1, 2, 4, 8];
        (0..PARTS).fold(0, |mask, part| {
            // SAFETY: `self` proves NEON; `BITS` is four numbers.
            let found = unsafe {
                vaddvq_u32(vandq_u32(vcgtq_f32(a[part], b[part]), vld1q_u32(BITS.as_ptr())))
            };
            mask | (found as u16) << (part * PART)
        })
    }

    fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: `self` proves NEON.
        unsafe { self.compiled(job) }
    }
}
