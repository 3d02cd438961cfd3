//! SIMD for loops over samples: one source text for AVX2 with FMA, for NEON, and for all other processors. The compiler vectorizes most
//! loops over slices by itself; for the rest there are the few operations of `Simd`.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions of AVX2")
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as avx;
#[cfg(target_arch = "x86_64")]
use std::mem;

/// Samples in an AVX2 vector, and rows that are processed together.
pub(crate) const LANES: usize = 8;

/// The same sample of `LANES` rows, or `LANES` samples of one row.
pub(crate) type Lane = [f32; LANES];

/// The vector operations of an instruction set.
pub(crate) trait Simd {
    /// A `Lane` in a register.
    type Vector: Copy;

    /// `a * b + c`, in one instruction if there is one; otherwise `f32::mul_add` would be a function call.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;

    /// Transposes a square: rows become columns.
    fn turned(rows: &[Lane; LANES]) -> [Lane; LANES];

    fn load(lane: &Lane) -> Self::Vector;

    fn store(vector: Self::Vector, lane: &mut Lane);

    /// A vector with the same number in all lanes.
    fn splat(value: f32) -> Self::Vector;

    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn divide(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// `a * b + c`
    fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    fn least(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    fn greatest(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The square root.
    fn root(a: Self::Vector) -> Self::Vector;

    /// `low` where `a <= b`, `high` elsewhere.
    fn choose(
        a: Self::Vector,
        b: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector;
}

/// The instruction set that the program is compiled for.
pub(crate) struct Baseline;

impl Simd for Baseline {
    type Vector = Lane;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        // 64-bit ARM always has this instruction; other baselines do not.
        if cfg!(target_arch = "aarch64") {
            a.mul_add(b, c)
        } else {
            a * b + c
        }
    }

    #[inline(always)]
    fn turned(rows: &[Lane; LANES]) -> [Lane; LANES] {
        std::array::from_fn(|x| std::array::from_fn(|y| rows[y][x]))
    }

    #[inline(always)]
    fn load(lane: &Lane) -> Lane {
        *lane
    }

    #[inline(always)]
    fn store(vector: Lane, lane: &mut Lane) {
        *lane = vector;
    }

    #[inline(always)]
    fn splat(value: f32) -> Lane {
        [value; LANES]
    }

    #[inline(always)]
    fn add(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at] + b[at])
    }

    #[inline(always)]
    fn subtract(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at] - b[at])
    }

    #[inline(always)]
    fn multiply(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at] * b[at])
    }

    #[inline(always)]
    fn divide(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at] / b[at])
    }

    #[inline(always)]
    fn multiply_add(a: Lane, b: Lane, c: Lane) -> Lane {
        std::array::from_fn(|at| Self::mul_add(a[at], b[at], c[at]))
    }

    #[inline(always)]
    fn least(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at].min(b[at]))
    }

    #[inline(always)]
    fn greatest(a: Lane, b: Lane) -> Lane {
        std::array::from_fn(|at| a[at].max(b[at]))
    }

    #[inline(always)]
    fn root(a: Lane) -> Lane {
        std::array::from_fn(|at| a[at].sqrt())
    }

    #[inline(always)]
    fn choose(a: Lane, b: Lane, low: Lane, high: Lane) -> Lane {
        std::array::from_fn(|at| if a[at] <= b[at] { low[at] } else { high[at] })
    }
}

/// AVX2 and FMA. Only functions with these target features may use this type, and they may run only on processors that have both.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Simd for Avx2 {
    type Vector = avx::__m256;

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        // Without optimisation, `f32::mul_add` is a nested function call for each sample, which was a third of the time of the slowest
        // tests.
        if cfg!(debug_assertions) {
            a * b + c
        } else {
            a.mul_add(b, c)
        }
    }

    #[inline(always)]
    fn turned(rows: &[Lane; LANES]) -> [Lane; LANES] {
        // SAFETY: the processor has AVX2, or this would not run.
        unsafe { turned_avx2(rows) }
    }

    #[inline(always)]
    fn load(lane: &Lane) -> Self::Vector {
        // Not by `_mm256_loadu_ps`, which without optimisation checks its pointer for longer than it takes to add a row.
        // SAFETY: both are eight samples, of which any bits are right.
        unsafe { mem::transmute::<Lane, avx::__m256>(*lane) }
    }

    #[inline(always)]
    fn store(vector: Self::Vector, lane: &mut Lane) {
        // SAFETY: as above.
        *lane = unsafe { mem::transmute::<avx::__m256, Lane>(vector) };
    }

    #[inline(always)]
    fn splat(value: f32) -> Self::Vector {
        Self::load(&[value; LANES])
    }

    #[inline(always)]
    fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn subtract(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn multiply(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn divide(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn multiply_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has FMA.
        unsafe { avx::_mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn least(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_min_ps(a, b) }
    }

    #[inline(always)]
    fn greatest(a: Self::Vector, b: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_max_ps(a, b) }
    }

    #[inline(always)]
    fn root(a: Self::Vector) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    fn choose(
        a: Self::Vector,
        b: Self::Vector,
        low: Self::Vector,
        high: Self::Vector,
    ) -> Self::Vector {
        // SAFETY: the processor has AVX.
        unsafe { avx::_mm256_blendv_ps(high, low, avx::_mm256_cmp_ps::<{ avx::_CMP_LE_OQ }>(a, b)) }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn turned_avx2(rows: &[Lane; LANES]) -> [Lane; LANES] {
    let [a, b, c, d, e, f, g, h] = rows.each_ref().map(Avx2::load);
    // First single samples of two rows, then pairs of four rows, then halves of eight.
    let (ab, ab2) = (avx::_mm256_unpacklo_ps(a, b), avx::_mm256_unpackhi_ps(a, b));
    let (cd, cd2) = (avx::_mm256_unpacklo_ps(c, d), avx::_mm256_unpackhi_ps(c, d));
    let (ef, ef2) = (avx::_mm256_unpacklo_ps(e, f), avx::_mm256_unpackhi_ps(e, f));
    let (gh, gh2) = (avx::_mm256_unpacklo_ps(g, h), avx::_mm256_unpackhi_ps(g, h));
    const LOW: i32 = 0x44;
    const HIGH: i32 = 0xEE;
    let low = [
        avx::_mm256_shuffle_ps::<LOW>(ab, cd),
        avx::_mm256_shuffle_ps::<HIGH>(ab, cd),
        avx::_mm256_shuffle_ps::<LOW>(ab2, cd2),
        avx::_mm256_shuffle_ps::<HIGH>(ab2, cd2),
    ];
    let high = [
        avx::_mm256_shuffle_ps::<LOW>(ef, gh),
        avx::_mm256_shuffle_ps::<HIGH>(ef, gh),
        avx::_mm256_shuffle_ps::<LOW>(ef2, gh2),
        avx::_mm256_shuffle_ps::<HIGH>(ef2, gh2),
    ];
    let mut made = [[0.0; LANES]; LANES];
    for x in 0..4 {
        let first = avx::_mm256_permute2f128_ps::<0x20>(low[x], high[x]);
        let second = avx::_mm256_permute2f128_ps::<0x31>(low[x], high[x]);
        Avx2::store(first, &mut made[x]);
        Avx2::store(second, &mut made[x + 4]);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::Baseline;
    use super::LANES;
    use super::Lane;
    use super::Simd;

    #[test]
    fn rows_become_columns() {
        let mut next = 0.0;
        let rows: [Lane; LANES] = std::array::from_fn(|_| {
            std::array::from_fn(|_| {
                next += 1.0;
                next
            })
        });
        let columns: [Lane; LANES] = std::array::from_fn(|x| rows.map(|row| row[x]));
        assert_eq!(Baseline::turned(&rows), columns);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            assert_eq!(super::Avx2::turned(&rows), columns);
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_machine_says_the_same() {
        fn said<M: Simd>([a, b, c]: [&Lane; 3]) -> [Lane; 9] {
            let [a, b, c] = [a, b, c].map(M::load);
            let made = [
                M::add(a, b),
                M::subtract(a, b),
                M::multiply(a, b),
                M::divide(a, M::add(M::multiply(b, b), M::splat(1.0))),
                M::multiply_add(a, b, c),
                M::least(a, b),
                M::greatest(a, b),
                M::root(M::multiply(a, a)),
                M::choose(a, b, c, M::splat(7.0)),
            ];
            made.map(|vector| {
                let mut lane = [0.0; LANES];
                M::store(vector, &mut lane);
                lane
            })
        }
        // Halves, of which nothing is rounded.
        let a = [-2.0, -0.5, 0.0, 0.5, 1.0, 1.5, 3.0, 8.0];
        let b = [1.0, -0.5, -3.0, 0.5, 2.0, -1.5, 3.5, 0.0];
        let c = [4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0];
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            assert_eq!(
                said::<super::Avx2>([&a, &b, &c]),
                said::<Baseline>([&a, &b, &c])
            );
        }
    }
}
