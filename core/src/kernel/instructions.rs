//! The instruction sets that the kernel has code for, and the best one of this processor.

#[cfg(target_arch = "x86_64")]
use super::avx2::Avx2;
#[cfg(target_arch = "x86_64")]
use super::avx512::Avx512;
#[cfg(target_arch = "aarch64")]
use super::neon::Neon;
use super::plain::Plain;
use super::simd::{Job, Simd};

/// An instruction set that this processor has.
#[derive(Clone, Copy)]
pub enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Plain(Plain),
}

impl Instructions {
    /// All that this processor has, the fastest first; the last one is plain Rust.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(Avx512::detect().map(Self::Avx512));
            found.extend(Avx2::detect().map(Self::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        found.extend(Neon::detect().map(Self::Neon));
        found.push(Self::Plain(Plain));
        found
    }

    pub fn best() -> Self {
        Self::available().swap_remove(0)
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|instructions| instructions.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
            Self::Plain(_) => "plain",
        }
    }

    /// Run a job in code that is compiled for this instruction set.
    pub fn run<J: Job>(self, job: J) -> J::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.run(job),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.run(job),
            #[cfg(target_arch = "aarch64")]
            Self::Neon(simd) => simd.run(job),
            Self::Plain(simd) => simd.run(job),
        }
    }
}
