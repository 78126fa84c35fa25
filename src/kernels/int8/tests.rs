use proptest::prelude::*;

use super::*;

/// Every path this CPU has but the reference. The tests name them, so that a log shows what was covered.
fn paths() -> Vec<&'static Int8> {
    let found: Vec<_> = Isa::available().iter().filter_map(|&isa| Int8::of(isa)).collect();
    println!("paths: {:?}", found.iter().map(|p| p.isa).collect::<Vec<_>>());
    found
}

/// A path that is not there would be skipped without a word: this says which must be.
#[test]
fn every_path_that_this_cpu_has_is_available() {
    let found: Vec<Isa> = paths().iter().map(|path| path.isa).collect();
    let mut want = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = std::is_x86_feature_detected!("avx2");
        want.extend(
            (std::is_x86_feature_detected!("avx512bw") && std::is_x86_feature_detected!("avx512vnni"))
                .then_some(Isa::Avx512),
        );
        want.extend((avx2 && std::is_x86_feature_detected!("avxvnni")).then_some(Isa::AvxVnni));
        want.extend(avx2.then_some(Isa::Avx2));
    }
    #[cfg(target_arch = "aarch64")]
    {
        want.extend(std::arch::is_aarch64_feature_detected!("i8mm").then_some(Isa::I8mm));
        want.extend(std::arch::is_aarch64_feature_detected!("dotprod").then_some(Isa::Dotprod));
        want.push(Isa::Neon);
    }
    want.push(Isa::Scalar);
    assert_eq!(found, want);
    // What the machine is known to have, where somebody knows it: detection may be wrong as well.
    if let Ok(known) = std::env::var("SHELFSIGHT_PATHS") {
        let found: Vec<String> = found.iter().map(|isa| format!("{isa:?}")).collect();
        assert_eq!(found.join(" "), known);
    }
}

/// Runs `f` on the middle of a buffer and checks that nothing beside it was written.
fn guarded<T: Copy + PartialEq>(len: usize, mark: T, f: impl FnOnce(&mut [T])) -> Vec<T> {
    let mut buffer = vec![mark; len + 2 * SLACK];
    f(&mut buffer[SLACK..SLACK + len]);
    let untouched = |part: &[T]| part.iter().all(|v| *v == mark);
    assert!(untouched(&buffer[..SLACK]) && untouched(&buffer[SLACK + len..]), "written outside the output");
    buffer[SLACK..SLACK + len].to_vec()
}

/// Whole numbers from a seed: quick, and the whole range comes up.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        // Ends of the range are what overflows; they come up often.
        (0..n)
            .map(|_| match self.next() % 8 {
                0 => 255,
                1 => 0,
                v => (self.next() >> v) as u8,
            })
            .collect()
    }
    fn weights(&mut self, n: usize) -> Vec<i8> {
        self.bytes(n).into_iter().map(|b| b as i8).collect()
    }
    fn sums(&mut self, n: usize) -> Vec<i32> {
        (0..n).map(|_| self.next() as i32 % 100_000 - 50_000).collect()
    }
    fn scales(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() % 1000 + 1) as f32 * 1.7e-6).collect()
    }
    fn quant(&mut self) -> Quant {
        // Half of them with all of u8, as most layers have it.
        let (a, b) =
            if self.next().is_multiple_of(2) { (0, 255) } else { (self.next() as u8, self.next() as u8) };
        Quant { zero: self.next() as u8, low: a.min(b), high: a.max(b) }
    }
}

fn floats(bits: &[f32]) -> Vec<u32> {
    bits.iter().map(|v| v.to_bits()).collect()
}

/// The product without any packing.
fn plain(a: &[u8], stride: usize, rows: usize, w: &[i8], k: usize, n: usize, bias: &[i32]) -> Vec<i32> {
    let mut out = Vec::new();
    for r in 0..rows {
        for c in 0..n {
            out.push(
                bias[c] + (0..k).map(|i| i32::from(a[r * stride + i]) * i32::from(w[i * n + c])).sum::<i32>(),
            );
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn matrices_are_the_same_on_every_path(
        rows in 0usize..40, k in 1usize..70, n in 1usize..100, gap in 0usize..9, seed in any::<u64>(),
    ) {
        let mut r = Numbers(seed);
        let stride = k + gap;
        let data = r.bytes(rows * stride + SLACK);
        let w = r.weights(k * n);
        let (padded, weights) = (n.next_multiple_of(COLUMNS), pack_matrix(&w, k, n));
        let (bias, scale) = (r.sums(padded), r.scales(padded));
        let sums: Vec<i32> = (0..padded).map(|c| (0..k).filter(|_| c < n).map(|i| i32::from(w[i * n + c])).sum()).collect();
        let matrix = Matrix { k, n, weights: &weights, bias: &bias, sums: &sums, scale: &scale };
        let input = Rows { data: &data, stride, count: rows };
        let quant = r.quant();
        let ranges: Vec<_> = (0..rows).map(|_| RowQuant { zero: r.next() as u8, scale: (r.next() % 100) as f32 * 0.01 }).collect();
        let offset: Vec<f32> = r.scales(padded);

        let truth = plain(&data, stride, rows, &w, k, n, &bias);
        let want: Vec<u8> = truth.iter().enumerate().map(|(i, &s)| {
            let v = (f64::from(s as f32 * scale[i % n])).round_ties_even() + f64::from(quant.zero);
            v.clamp(f64::from(quant.low), f64::from(quant.high)) as u8
        }).collect();
        let reference = Int8::of(Isa::Reference).unwrap();
        for path in std::iter::once(reference).chain(paths()) {
            let out = guarded(rows * n, 9, |out| path.matrix_u8(&input, &matrix, quant, out));
            prop_assert_eq!(&out, &want, "{:?}", path.isa);
            for (ranges, offset) in [(None, &[][..]), (Some(&ranges[..]), &offset[..])] {
                let got = guarded(rows * n, 9.0, |out| path.matrix_f32(&input, &matrix, ranges, offset, out));
                let mut wanted = vec![9.0; rows * n];
                reference.matrix_f32(&input, &matrix, ranges, offset, &mut wanted);
                prop_assert_eq!(floats(&got), floats(&wanted), "{:?}", path.isa);
            }
        }
    }

    #[test]
    fn depthwise_is_the_same_on_every_path(
        kernel in prop::sample::select(vec![[1usize, 1], [3, 3], [5, 5], [7, 7], [3, 5], [2, 2]]),
        height in 1usize..9, width in 1usize..9, channels in 1usize..150,
        stride in 1usize..3, pad in 0usize..4, seed in any::<u64>(),
    ) {
        let [kh, kw] = kernel;
        prop_assume!(height + 2 * pad >= kh && width + 2 * pad >= kw);
        let (oh, ow) = ((height + 2 * pad - kh) / stride + 1, (width + 2 * pad - kw) / stride + 1);
        let mut r = Numbers(seed);
        let x = r.bytes(height * width * channels + SLACK);
        let w = r.weights(kh * kw * channels);
        let numbers = channels.next_multiple_of(CHANNELS);
        let (plain_bias, plain_scale) = (r.sums(numbers), r.scales(numbers));
        let (mut bias, mut scale) = (vec![0; numbers], vec![0.0; numbers]);
        for c in 0..channels {
            bias[depthwise_order(c)] = plain_bias[c];
            scale[depthwise_order(c)] = plain_scale[c];
        }
        let mut sums = vec![0; numbers];
        for (i, &w) in w.iter().enumerate() {
            sums[depthwise_order(i % channels)] += i32::from(w);
        }
        let outside = vec![r.next() as u8; channels + SLACK];
        let weights = pack_depthwise(&w, kh * kw, channels);
        let layer = Depthwise {
            x: &x, height, width, channels, kernel, stride: [stride; 2], pad: [pad; 2], out_width: ow,
            outside: &outside, weights: &weights, bias: &bias, sums: &sums, scale: &scale, quant: r.quant(),
        };
        let at = |y: usize, x_: usize, c: usize| {
            if (pad..pad + height).contains(&y) && (pad..pad + width).contains(&x_) {
                x[((y - pad) * width + x_ - pad) * channels + c]
            } else {
                outside[c]
            }
        };
        let mut want = Vec::new();
        for oy in 0..oh { for ox in 0..ow { for c in 0..channels {
            let mut sum = plain_bias[c];
            for ky in 0..kh { for kx in 0..kw {
                sum += i32::from(at(oy * stride + ky, ox * stride + kx, c)) * i32::from(w[(ky * kw + kx) * channels + c]);
            } }
            let v = f64::from(sum as f32 * plain_scale[c]).round_ties_even() + f64::from(layer.quant.zero);
            want.push(v.clamp(f64::from(layer.quant.low), f64::from(layer.quant.high)) as u8);
        } } }
        for path in std::iter::once(Int8::of(Isa::Reference).unwrap()).chain(paths()) {
            let out = guarded(oh * ow * channels, 9, |out| path.depthwise(&layer, 0, out));
            prop_assert_eq!(&out, &want, "{:?}", path.isa);
            // Any cut into runs of rows gives the same.
            let mut cut = vec![9; oh * ow * channels];
            let (top, rest) = cut.split_at_mut(oh / 2 * ow * channels);
            path.depthwise(&layer, 0, top);
            path.depthwise(&layer, oh / 2, rest);
            prop_assert_eq!(&cut, &want, "{:?}", path.isa);
        }
    }

    #[test]
    fn sums_of_quantised_arrays_are_the_same_on_every_path(n in 0usize..200, seed in any::<u64>()) {
        let mut r = Numbers(seed);
        let (a, b) = (r.bytes(n), r.bytes(n));
        let add = Add { ma: (r.next() % 200) as f32 * 0.01, mb: (r.next() % 200) as f32 * 0.01, c: (r.next() % 500) as f32 * -0.5, quant: r.quant() };
        let mut want = vec![9; n];
        Int8::of(Isa::Reference).unwrap().add(&a, &b, &add, &mut want);
        for (i, &w) in want.iter().enumerate() {
            let v = f64::from(f32::from(a[i]) * add.ma + (f32::from(b[i]) * add.mb + add.c)).round_ties_even();
            let v = (v + f64::from(add.quant.zero)).clamp(f64::from(add.quant.low), f64::from(add.quant.high));
            prop_assert_eq!(w, v as u8);
        }
        for path in paths() {
            let got = guarded(n, 9, |out| path.add(&a, &b, &add, out));
            prop_assert_eq!(&got, &want, "{:?}", path.isa);
        }
    }
}

#[test]
fn a_sum_is_rounded_to_even_and_held_in_range() {
    let bounds = Quant { zero: 10, low: 0, high: 255 }.bounds();
    for (value, want) in
        [(0.5, 10), (1.5, 12), (-0.5, 10), (-1.5, 8), (1e9, 255), (-1e9, 0), (f32::INFINITY, 255)]
    {
        assert_eq!(to_u8(value, bounds, 10), want, "{value}");
    }
}

/// Where 16-bit steps would saturate: nothing but the ends of the range.
#[test]
fn ends_of_the_range_do_not_saturate() {
    for path in paths() {
        for (x, w) in [(0u8, -128i8), (0, 127), (255, -128), (255, 127)] {
            let (rows, k, n) = (11, 1150, 27);
            let product = i32::from(x) * i32::from(w);
            let data = vec![x; rows * k + SLACK];
            let weights = pack_matrix(&vec![w; k * n], k, n);
            let (bias, sums) = ([-5; 32], [k as i32 * i32::from(w); 32]);
            let matrix = Matrix { k, n, weights: &weights, bias: &bias, sums: &sums, scale: &[1.0; 32] };
            let mut out = vec![0.0; rows * n];
            path.matrix_f32(&Rows { data: &data, stride: k, count: rows }, &matrix, None, &[], &mut out);
            assert_eq!(out, vec![(product * k as i32 - 5) as f32; rows * n], "{:?}", path.isa);

            let channels = 70;
            let data = vec![x; 49 * channels + SLACK];
            let weights = pack_depthwise(&vec![w; 49 * channels], 49, channels);
            let layer = Depthwise {
                x: &data,
                height: 7,
                width: 7,
                channels,
                kernel: [7; 2],
                stride: [1; 2],
                pad: [0; 2],
                out_width: 1,
                outside: &data,
                weights: &weights,
                bias: &[3; 128],
                sums: &[49 * i32::from(w); 128],
                scale: &[1e-4; 128],
                quant: Quant { zero: 128, low: 0, high: 255 },
            };
            let mut out = vec![0; channels];
            path.depthwise(&layer, 0, &mut out);
            let value = (f64::from(49 * product + 3) * 1e-4).round() + 128.0;
            assert_eq!(out, vec![value.clamp(0.0, 255.0) as u8; channels], "{:?}", path.isa);
        }
    }
}

/// The same inputs give the same outputs on every machine: this number is checked on x86-64 and on ARM.
#[test]
fn fingerprint() {
    for path in paths() {
        let mut r = Numbers(7);
        let (rows, k, n) = (37, 99, 83);
        let (data, w) = (r.bytes(rows * k + SLACK), r.weights(k * n));
        let weights = pack_matrix(&w, k, n);
        let mut sums = vec![0; 96];
        for (i, &w) in w.iter().enumerate() {
            sums[i % n] += i32::from(w);
        }
        let (bias, scale) = (r.sums(96), r.scales(96));
        let matrix = Matrix { k, n, weights: &weights, bias: &bias, sums: &sums, scale: &scale };
        let input = Rows { data: &data, stride: k, count: rows };
        let mut bytes = vec![0; rows * n];
        path.matrix_u8(&input, &matrix, Quant { zero: 100, low: 0, high: 255 }, &mut bytes);
        let ranges: Vec<_> = (0..rows).map(|_| RowQuant { zero: r.next() as u8, scale: 0.37 }).collect();
        let mut values = vec![0.0; rows * n];
        path.matrix_f32(&input, &matrix, Some(&ranges), &r.scales(96), &mut values);
        bytes.extend(values.iter().flat_map(|v| v.to_bits().to_le_bytes()));

        let (side, channels) = (9, 83);
        let (x, outside) = (r.bytes(side * side * channels + SLACK), vec![77; channels + SLACK]);
        let numbers = channels.next_multiple_of(CHANNELS);
        for kernel in [3, 5, 7] {
            let w = r.weights(kernel * kernel * channels);
            let weights = pack_depthwise(&w, kernel * kernel, channels);
            let mut sums = vec![0; numbers];
            for (i, &w) in w.iter().enumerate() {
                sums[depthwise_order(i % channels)] += i32::from(w);
            }
            let (bias, scale) = (r.sums(numbers), r.scales(numbers));
            let layer = Depthwise {
                x: &x,
                height: side,
                width: side,
                channels,
                kernel: [kernel; 2],
                stride: [1; 2],
                pad: [kernel / 2; 2],
                out_width: side,
                outside: &outside,
                weights: &weights,
                bias: &bias,
                sums: &sums,
                scale: &scale,
                quant: Quant { zero: 100, low: 10, high: 250 },
            };
            let mut out = vec![0; side * side * channels];
            path.depthwise(&layer, 0, &mut out);
            bytes.extend(out);
        }
        let (a, b) = (r.bytes(1000), r.bytes(1000));
        let mut out = vec![0; 1000];
        let quant = Quant { zero: 9, low: 0, high: 255 };
        path.add(&a, &b, &Add { ma: 0.61, mb: 0.37, c: -20.3, quant }, &mut out);
        bytes.extend(out);

        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        for byte in bytes {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        assert_eq!(hash, FINGERPRINT, "{:?}: {hash:#x}", path.isa);
    }
}

const FINGERPRINT: u64 = 0xdbb2_7023_2b0d_688a;
