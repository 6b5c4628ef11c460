//! The operations with AVX2 and FMA: sixteen numbers are two registers.

use std::arch::x86_64::*;

use super::simd::{Job, LANES, Lanes, Simd};

const HALF: usize = LANES / 2;

/// Proof that the processor has AVX2 and FMA.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    pub fn detect() -> Option<Self> {
        let has = std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }

    #[target_feature(enable = "avx2,fma")]
    fn compiled<J: Job>(self, job: J) -> J::Output {
        job.run(self)
    }
}

impl Simd for Avx2 {
    const PANELS: usize = 1; // 12 sums, the panel and the number of a user: 15 of 16 registers

    type Numbers = [__m256; 2];

    #[inline(always)]
    fn splat(self, number: f32) -> Self::Numbers {
        // SAFETY: `self` proves AVX2.
        [unsafe { _mm256_set1_ps(number) }; 2]
    }

    #[inline(always)]
    fn load(self, from: &Lanes) -> Self::Numbers {
        let at = from.0.as_ptr();
        // SAFETY: `self` proves AVX2; `Lanes` is twice 32 bytes, aligned to 64.
        unsafe { [_mm256_load_ps(at), _mm256_load_ps(at.add(HALF))] }
    }

    #[inline(always)]
    fn store(self, numbers: Self::Numbers) -> Lanes {
        let mut to = Lanes::splat(0.0);
        let at = to.0.as_mut_ptr();
        // SAFETY: `self` proves AVX2; `Lanes` is twice 32 bytes, aligned to 64.
        unsafe {
            _mm256_store_ps(at, numbers[0]);
            _mm256_store_ps(at.add(HALF), numbers[1]);
        }
        to
    }

    #[inline(always)]
    fn add(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::Numbers, b: Self::Numbers, c: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves FMA.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn max(self, a: Self::Numbers, b: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_max_ps(a[0], b[0]), _mm256_max_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn round(self, numbers: Self::Numbers) -> Self::Numbers {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        // SAFETY: `self` proves AVX2.
        numbers.map(|half| unsafe { _mm256_round_ps::<NEAREST>(half) })
    }

    #[inline(always)]
    fn power_of_two(self, n: Self::Numbers) -> Self::Numbers {
        // SAFETY: `self` proves AVX2.
        n.map(|half| unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(half), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        })
    }

    #[inline(always)]
    fn greater(self, a: Self::Numbers, b: Self::Numbers) -> u16 {
        // SAFETY: `self` proves AVX2.
        let [low, high] = [0, 1].map(|half| unsafe {
            _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a[half], b[half])) as u16
        });
        low | high << HALF
    }

    fn run<J: Job>(self, job: J) -> J::Output {
        // SAFETY: `self` proves AVX2 and FMA.
        unsafe { self.compiled(job) }
    }
}
