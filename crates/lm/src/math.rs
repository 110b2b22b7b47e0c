//! Matrix products and element-wise kernels, all on plain row-major slices.
//!
//! The element-wise loops are written so that the compiler vectorises them: sums run in 16 lanes
//! that are added in a fixed order, `exp` is a polynomial without branches.

/// One operand of a product: element `(i, j)` lies at `data[i * rs + j * cs]`.
#[derive(Clone, Copy)]
pub struct Mat<'a> {
    /// The elements.
    pub data: &'a [f32],
    /// Distance between rows.
    pub rs: usize,
    /// Distance between columns.
    pub cs: usize,
}

impl<'a> Mat<'a> {
    /// Row-major with row stride `rs`.
    pub fn rows(data: &'a [f32], rs: usize) -> Self {
        Self { data, rs, cs: 1 }
    }

    /// The transpose of a row-major matrix with row stride `rs`.
    pub fn transposed(data: &'a [f32], rs: usize) -> Self {
        Self { data, rs: 1, cs: rs }
    }

    fn holds(&self, rows: usize, cols: usize) -> bool {
        rows == 0 || cols == 0 || (rows - 1) * self.rs + (cols - 1) * self.cs < self.data.len()
    }
}

/// `C[m, n] = alpha * A[m, k] · B[k, n]`, or `C += ...` when `add`; `C` is row-major with row
/// stride `ldc`. Runs on the calling thread only.
#[allow(unsafe_code, reason = "the product itself is of the crate `gemm`")]
pub fn matmul((m, n, k): (usize, usize, usize), alpha: f32, a: Mat, b: Mat, c: &mut [f32], ldc: usize, add: bool) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n), "matmul operand too small for {m}x{n}x{k}");
    assert!(ldc >= n && (m - 1) * ldc + n <= c.len(), "matmul result too small for {m}x{n}");
    // `gemm` treats single rows or columns, and small products of two matrices that are both
    // contiguous along `k`, by methods that round differently. An element's result must not
    // depend on how many others are computed beside it, so these cases are given another form.
    if m == 1 {
        let mut twice = vec![0.0; 2 * n];
        if add {
            twice[..n].copy_from_slice(&c[..n]);
        }
        matmul((2, n, k), alpha, Mat { rs: 0, ..a }, b, &mut twice, n, add);
        c[..n].copy_from_slice(&twice[..n]);
        return;
    }
    if n == 1 {
        let mut twice = vec![0.0; 2 * m];
        for i in 0..m {
            twice[2 * i] = c[i * ldc];
        }
        matmul((m, 2, k), alpha, a, Mat { cs: 0, ..b }, &mut twice, 2, add);
        for i in 0..m {
            c[i * ldc] = twice[2 * i];
        }
        return;
    }
    let mut other = Vec::new();
    let a = if a.cs == 1 && b.rs == 1 && m * n <= 256 {
        other.reserve(m * k);
        for kk in 0..k {
            other.extend((0..m).map(|i| a.data[i * a.rs + kk]));
        }
        Mat::transposed(&other, m)
    } else {
        a
    };
    // The kernels write columns: a result in rows is the transposed product, written in columns.
    // SAFETY: the asserts above keep every index that is formed from the sizes and strides inside the three slices,
    // and `c` is borrowed mutably, so it overlaps neither `a` nor `b`.
    unsafe {
        gemm_f32::gemm::f32::get_gemm_fn()(
            n,
            m,
            k,
            c.as_mut_ptr(),
            ldc as isize,
            1,
            add,
            b.data.as_ptr(),
            b.rs as isize,
            b.cs as isize,
            a.data.as_ptr(),
            a.rs as isize,
            a.cs as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

/// `a * b + c`, fused where the machine can.
#[inline(always)]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_feature = "fma") { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x`, relative error below 2e-7 where the result is a normal number; 0 far below.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.3, 88.3);
    // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    let shifted = fma(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = fma(n, -0.693_359_4, x);
    let r = fma(n, 2.121_944_4e-4, r);
    let p = fma(r, 1.987_569_2e-4, 1.398_2e-3);
    let p = fma(p, r, 8.333_452e-3);
    let p = fma(p, r, 4.166_579_6e-2);
    let p = fma(p, r, 1.666_666_6e-1);
    let p = fma(p, r, 0.5);
    let p = fma(p * r, r, r) + 1.0;
    let scale = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    p * scale
}

const LANES: usize = 16;

#[inline(always)]
fn fold(acc: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut a = acc;
    let mut w = LANES / 2;
    while w > 0 {
        for i in 0..w {
            a[i] = f(a[i], a[i + w]);
        }
        w /= 2;
    }
    a[0]
}

/// Dot product.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0.0; LANES];
    let (ac, ar) = a.as_chunks::<LANES>();
    let (bc, br) = b.as_chunks::<LANES>();
    for (x, y) in ac.iter().zip(bc) {
        for i in 0..LANES {
            acc[i] = fma(x[i], y[i], acc[i]);
        }
    }
    let mut s = fold(acc, |x, y| x + y);
    for (x, y) in ar.iter().zip(br) {
        s += x * y;
    }
    s
}

/// Largest element (`-inf` for none).
pub fn max(a: &[f32]) -> f32 {
    let mut acc = [f32::NEG_INFINITY; LANES];
    let (ac, ar) = a.as_chunks::<LANES>();
    for x in ac {
        for i in 0..LANES {
            acc[i] = if x[i] > acc[i] { x[i] } else { acc[i] };
        }
    }
    let m = fold(acc, |x, y| if x > y { x } else { y });
    ar.iter().fold(m, |m, &x| if x > m { x } else { m })
}

/// Replaces every `x` by `exp(x - shift)` and returns the sum.
pub fn exp_shifted(a: &mut [f32], shift: f32) -> f32 {
    let mut acc = [0.0; LANES];
    let (ac, ar) = a.as_chunks_mut::<LANES>();
    for x in ac {
        for i in 0..LANES {
            x[i] = exp(x[i] - shift);
            acc[i] += x[i];
        }
    }
    let mut s = fold(acc, |x, y| x + y);
    for x in ar {
        *x = exp(*x - shift);
        s += *x;
    }
    s
}

/// Sum of `exp(x - shift)`, leaving `a` as it is.
pub fn sum_exp_shifted(a: &[f32], shift: f32) -> f32 {
    let mut acc = [0.0; LANES];
    let (ac, ar) = a.as_chunks::<LANES>();
    for x in ac {
        for i in 0..LANES {
            acc[i] += exp(x[i] - shift);
        }
    }
    let mut s = fold(acc, |x, y| x + y);
    for x in ar {
        s += exp(*x - shift);
    }
    s
}

/// `a *= s`.
pub fn scale(a: &mut [f32], s: f32) {
    for x in a {
        *x *= s;
    }
}

/// `a += b`.
pub fn add(a: &mut [f32], b: &[f32]) {
    for (x, y) in a.iter_mut().zip(b) {
        *x += y;
    }
}

/// `a += s * b`.
pub fn axpy(a: &mut [f32], s: f32, b: &[f32]) {
    for (x, y) in a.iter_mut().zip(b) {
        *x = fma(s, *y, *x);
    }
}

/// RMSNorm of every row of `x[t, h]` into `y`, with the inverse root mean squares in `inv`.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32], inv: &mut [f32]) {
    let h = weight.len();
    for ((x, y), inv) in x.chunks_exact(h).zip(y.chunks_exact_mut(h)).zip(inv) {
        let r = 1.0 / (dot(x, x) / h as f32 + eps).sqrt();
        *inv = r;
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * r * w;
        }
    }
}

/// RMSNorm of every row of `x[t, h]`, added to `y`.
pub fn rms_norm_add(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) {
    let h = weight.len();
    for (x, y) in x.chunks_exact(h).zip(y.chunks_exact_mut(h)) {
        let r = 1.0 / (dot(x, x) / h as f32 + eps).sqrt();
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y += x * r * w;
        }
    }
}

/// The normalised rows again, from the saved `inv` (nothing else is kept for the backward pass).
pub fn rms_norm_again(x: &[f32], weight: &[f32], inv: &[f32], y: &mut [f32]) {
    let h = weight.len();
    for ((x, y), &r) in x.chunks_exact(h).zip(y.chunks_exact_mut(h)).zip(inv) {
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * r * w;
        }
    }
}

/// Backward of [`rms_norm`]: adds the gradient of `x` to `dx` and that of the weight to `dw`.
pub fn rms_norm_backward(x: &[f32], weight: &[f32], inv: &[f32], dy: &[f32], dx: &mut [f32], dw: &mut [f32]) {
    let h = weight.len();
    let rows = x.chunks_exact(h).zip(dy.chunks_exact(h)).zip(dx.chunks_exact_mut(h)).zip(inv);
    for (((x, dy), dx), &r) in rows {
        let mut acc = [0.0f32; LANES];
        let mut tail = 0.0;
        let full = h / LANES * LANES;
        for j in (0..full).step_by(LANES) {
            let (x, dy, w) = (&x[j..j + LANES], &dy[j..j + LANES], &weight[j..j + LANES]);
            let dw = &mut dw[j..j + LANES];
            for i in 0..LANES {
                acc[i] = fma(dy[i] * w[i], x[i], acc[i]);
                dw[i] = fma(dy[i] * x[i], r, dw[i]);
            }
        }
        for j in full..h {
            tail += dy[j] * weight[j] * x[j];
            dw[j] += dy[j] * x[j] * r;
        }
        let s = (fold(acc, |a, b| a + b) + tail) * r * r * r / h as f32;
        for (((dx, dy), x), w) in dx.iter_mut().zip(dy).zip(x).zip(weight) {
            *dx += dy * w * r - x * s;
        }
    }
}

/// `act = silu(gate) * up` for rows `gu = [gate | up]`.
pub fn swiglu(gu: &[f32], inter: usize, act: &mut [f32]) {
    for (gu, act) in gu.chunks_exact(2 * inter).zip(act.chunks_exact_mut(inter)) {
        let (g, u) = gu.split_at(inter);
        for ((a, &g), &u) in act.iter_mut().zip(g).zip(u) {
            *a = g / (1.0 + exp(-g)) * u;
        }
    }
}

/// `act = gelu(gate) * up` for rows `gu = [gate | up]`, GELU by its formula with tanh.
pub fn geglu(gu: &[f32], inter: usize, act: &mut [f32]) {
    // sqrt(2 / pi), twice: (1 + tanh(z)) / 2 is the sigmoid of 2 z.
    const TWICE: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::SQRT_2;
    for (gu, act) in gu.chunks_exact(2 * inter).zip(act.chunks_exact_mut(inter)) {
        let (g, u) = gu.split_at(inter);
        for ((a, &g), &u) in act.iter_mut().zip(g).zip(u) {
            let z = TWICE * (g + 0.044_715 * g * g * g);
            *a = g / (1.0 + exp(-z)) * u;
        }
    }
}

/// Backward of [`swiglu`]: from `dact`, the gradients of gate and up; also writes `act` again.
pub fn swiglu_backward(gu: &[f32], inter: usize, dact: &[f32], dgu: &mut [f32], act: &mut [f32]) {
    let rows = gu.chunks_exact(2 * inter).zip(dact.chunks_exact(inter));
    let outs = dgu.chunks_exact_mut(2 * inter).zip(act.chunks_exact_mut(inter));
    for ((gu, da), (dgu, act)) in rows.zip(outs) {
        let (g, u) = gu.split_at(inter);
        let (dg, du) = dgu.split_at_mut(inter);
        for i in 0..inter {
            let s = 1.0 / (1.0 + exp(-g[i]));
            let silu = g[i] * s;
            act[i] = silu * u[i];
            du[i] = da[i] * silu;
            dg[i] = da[i] * u[i] * (s + silu * (1.0 - s));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        let mut worst = 0.0f64;
        for i in -87_000..88_000 {
            let x = i as f32 / 1000.0;
            let e = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - e).abs() / e);
        }
        assert!(worst < 3e-7, "relative error {worst}");
        assert!(exp(-1e9) < 1e-37);
    }

    #[test]
    fn rows_of_a_product_do_not_depend_on_their_number() {
        for (k, n) in [(32, 96), (128, 96), (448, 128), (24, 29), (8, 3), (32, 350), (350, 32)] {
            let a: Vec<f32> = (0..80 * k).map(|i| ((i * 37 % 101) as f32 - 50.0) / 37.0).collect();
            let b: Vec<f32> = (0..n * k).map(|i| ((i * 53 % 103) as f32 - 51.0) / 41.0).collect();
            let mut full = vec![0.0; 80 * n];
            matmul((80, n, k), 1.0, Mat::rows(&a, k), Mat::transposed(&b, k), &mut full, n, false);
            for m in 1..80 {
                let mut part = vec![0.0; m * n];
                let (a, b) = (Mat::rows(&a, k), Mat::transposed(&b, k));
                matmul((m, n, k), 1.0, a, b, &mut part, n, false);
                assert_eq!(part, full[..m * n], "m = {m}, k = {k}");
            }
        }
    }
}
