//! Float layers over pictures: convolutions, pools, norms, padding.

use super::window::{Filters, pads, window};
use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{
    Binary, BinaryOp, ChannelNorm, ConvF32, ConvTranspose, Copy, DepthwiseF32, Element, Fill, Pool, PoolOp,
    Size, Spread, Step, Window,
};

/// What a batch normalisation does to each channel: `x · scale + shift`.
struct Affine {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Lowering<'_> {
    /// Constant floats behind an input, dequantised if need be, and their shape.
    pub(super) fn float_weights(
        &self,
        node: &Node,
        input: usize,
    ) -> Result<(Vec<f32>, Vec<usize>), CompileError> {
        let refuse = || node.refuse(format!("its input {input} is no float constant"));
        if let Some(constant) = self.constant(node, input) {
            return Ok((constant.floats().ok_or_else(refuse)?.to_vec(), constant.dims.clone()));
        }
        let q = node.input(input).and_then(|name| self.quantised.get(name)).ok_or_else(refuse)?;
        let constant = self.constants_by_name(&q.constant).ok_or_else(refuse)?;
        let values = constant.wholes().ok_or_else(refuse)?;
        let side = if q.scale.len() == 1 { 1 } else { *constant.dims.get(q.axis).ok_or_else(refuse)? };
        if side != q.scale.len() {
            return Err(refuse());
        }
        let inner: usize = constant.dims.iter().skip(q.axis + 1).product();
        let of = |i: usize| if side == 1 { 0 } else { i / inner % side };
        let values =
            values.iter().enumerate().map(|(i, &v)| (v - q.zero[of(i)]) as f32 * q.scale[of(i)]).collect();
        Ok((values, constant.dims.clone()))
    }

    /// The bias of a layer of `n` outputs; zeros if it has none.
    pub(super) fn float_bias(&self, node: &Node, n: usize) -> Result<Vec<f32>, CompileError> {
        if node.input(2).is_none() {
            return Ok(vec![0.0; n]);
        }
        let (bias, _) = self.float_weights(node, 2)?;
        if bias.len() == n && self.by_column(node, n) {
            return Ok(bias);
        }
        Err(node.refuse("its bias is not a constant a column"))
    }

    /// Whether a layer's bias, as long as it has outputs, lies along them: Gemm takes a number a row too.
    pub(super) fn by_column(&self, node: &Node, n: usize) -> bool {
        let constant = node.input(2).and_then(|name| match self.quantised.get(name) {
            Some(quantised) => self.constants_by_name(&quantised.constant),
            None => self.constants_by_name(name),
        });
        n == 1 || constant.is_some_and(|c| c.dims.last() == Some(&n))
    }

    /// A picture of floats with fixed sides.
    pub(super) fn float_picture(&mut self, node: &Node) -> Result<(Value, [usize; 3]), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        self.picture(node, &mut x)?;
        let sides = x.sides(node)?;
        Ok((x, sides))
    }

    /// Name, factors and bias of a layer's `n` outputs, with the batch normalisation that alone reads them taken in.
    fn with_norm(&mut self, node: &Node, n: usize) -> Result<(String, Vec<f32>, Vec<f32>), CompileError> {
        let mut bias = self.float_bias(node, n)?;
        let norm = self.graph.only_reader(&node.outputs[0]).filter(|n| n.op == "BatchNormalization");
        let affine = norm.and_then(|norm| Some((norm, self.affine(norm).ok()?)));
        let Some((norm, affine)) = affine.filter(|(_, affine)| affine.scale.len() == n) else {
            return Ok((node.outputs[0].clone(), vec![1.0; n], bias));
        };
        bias.iter_mut().zip(&affine.scale).zip(&affine.shift).for_each(|((b, s), t)| *b = *b * s + t);
        let name = norm.outputs[0].clone();
        self.done.insert(name.clone());
        Ok((name, affine.scale, bias))
    }

    fn affine(&self, node: &Node) -> Result<Affine, CompileError> {
        if node.int("training_mode", 0) != 0 {
            return Err(node.refuse("it is in training mode; export the model in evaluation mode"));
        }
        let floats = |input| self.constant(node, input).and_then(Constant::floats);
        let (Some(gain), Some(shift), Some(mean), Some(variance)) =
            (floats(1), floats(2), floats(3), floats(4))
        else {
            return Err(node.refuse("its numbers are not constant floats"));
        };
        let n = gain.len();
        if n == 0 || [shift.len(), mean.len(), variance.len()].iter().any(|&len| len != n) {
            return Err(node.refuse("its numbers differ in length"));
        }
        let epsilon = f64::from(node.float("epsilon", 1e-5));
        let scale: Vec<f64> =
            (0..n).map(|i| f64::from(gain[i]) / (f64::from(variance[i]) + epsilon).sqrt()).collect();
        let shift = (0..n).map(|i| (f64::from(shift[i]) - f64::from(mean[i]) * scale[i]) as f32).collect();
        Ok(Affine { scale: scale.into_iter().map(|s| s as f32).collect(), shift })
    }

    /// A convolution with float weights; takes in a batch normalisation right after it.
    pub(super) fn conv_f32(&mut self, node: &Node) -> Result<(), CompileError> {
        let (x, [channels, height, width]) = self.float_picture(node)?;
        let (mut values, dims) = self.float_weights(node, 1)?;
        let filters = Filters::of(node, &dims, channels)?;
        let out = filters.out;
        let window = window(node, [height, width, channels], filters.kernel)?;
        let (name, scale, mut bias) = self.with_norm(node, out)?;
        let each = values.len() / out;
        for (values, scale) in values.chunks_exact_mut(each).zip(&scale) {
            values.iter_mut().for_each(|v| *v *= scale);
        }
        let shape = vec![Size::of(out as u32), Size::of(window.out_height), Size::of(window.out_width)];
        let y = self.fresh(shape, true, None)?;
        if filters.depthwise() {
            let by_tap = filters.by_tap(&values);
            let (weights, bias) = (self.weights.floats(&by_tap)?, self.weights.floats(&bias)?);
            self.step(Step::DepthwiseF32(DepthwiseF32 { x: x.buffer, y: y.buffer, window, weights, bias }));
        } else {
            let columns = out.next_multiple_of(16);
            let matrix = filters.matrix(&values, columns);
            bias.resize(columns, 0.0);
            let (weights, bias) = (self.weights.floats(&matrix)?, self.weights.floats(&bias)?);
            let out_channels = out as u32;
            let step = ConvF32 { x: x.buffer, y: y.buffer, window, out_channels, weights, bias };
            self.step(Step::ConvF32(step));
        }
        self.values.insert(name, y);
        Ok(())
    }

    pub(super) fn conv_transpose(&mut self, node: &Node) -> Result<(), CompileError> {
        let (x, [channels, height, width]) = self.float_picture(node)?;
        let (values, dims) = self.float_weights(node, 1)?;
        let [inputs, out, kh, kw] = dims[..] else {
            return Err(node.refuse("only convolutions over pictures are compiled"));
        };
        if inputs != channels || node.int("group", 1) != 1 || out * kh * kw == 0 {
            return Err(node.refuse(format!("weights {dims:?} do not fit {channels} channels in one group")));
        }
        let pair = |name: &str, default: [i64; 2]| match node.ints(name) {
            None => Ok(default),
            Some(&[a, b]) if (0..1 << 14).contains(&a) && (0..1 << 14).contains(&b) => Ok([a, b]),
            Some(other) => Err(node.refuse(format!("{name} {other:?}"))),
        };
        let (stride, dilation) = (pair("strides", [1, 1])?, pair("dilations", [1, 1])?);
        let more = pair("output_padding", [0, 0])?;
        let pads = pads(node)?.map(|p| p as i64);
        if node.ints("output_shape").is_some() || !matches!(node.text("auto_pad", "NOTSET"), "NOTSET" | "") {
            return Err(node.refuse("auto_pad and output_shape are not held; export with pads"));
        }
        if stride.contains(&0) || dilation.contains(&0) {
            return Err(node.refuse("a stride or dilation of 0"));
        }
        let side = |i: usize, side: usize, kernel: usize| {
            let whole = (side as i64 - 1) * stride[i] + (kernel as i64 - 1) * dilation[i] + 1 + more[i];
            u32::try_from(whole - pads[i] - pads[i + 2]).ok().filter(|s| *s > 0)
        };
        let (Some(out_height), Some(out_width)) = (side(0, height, kh), side(1, width, kw)) else {
            return Err(node.refuse("its pads leave nothing"));
        };
        let window = Window {
            height: height as u32,
            width: width as u32,
            channels: channels as u32,
            kernel_h: kh as u32,
            kernel_w: kw as u32,
            stride_h: stride[0] as u32,
            stride_w: stride[1] as u32,
            pad_top: pads[0] as u32,
            pad_left: pads[1] as u32,
            dilation_h: dilation[0] as u32,
            dilation_w: dilation[1] as u32,
            out_height,
            out_width,
        };
        let (name, scale, bias) = self.with_norm(node, out)?;
        let taps = kh * kw;
        let columns = (taps * out).next_multiple_of(16);
        let mut matrix = vec![0.0; channels * columns];
        for (i, &w) in values.iter().enumerate() {
            let (input, column, tap) = (i / (out * taps), i / taps % out, i % taps);
            matrix[input * columns + tap * out + column] = w * scale[column];
        }
        let (weights, bias) = (self.weights.floats(&matrix)?, self.weights.floats(&bias)?);
        let shape = vec![Size::of(out as u32), Size::of(out_height), Size::of(out_width)];
        let y = self.fresh(shape, true, None)?;
        let out_channels = out as u32;
        let step = ConvTranspose { x: x.buffer, y: y.buffer, window, out_channels, weights, bias };
        self.step(Step::ConvTranspose(step));
        self.values.insert(name, y);
        Ok(())
    }

    pub(super) fn pool(&mut self, node: &Node) -> Result<(), CompileError> {
        let op = if node.op == "MaxPool" { PoolOp::Max } else { PoolOp::Mean };
        let mut x = self.value(node, 0)?;
        if op == PoolOp::Mean {
            x = self.floats(&x);
        }
        self.picture(node, &mut x)?;
        let [channels, height, width] = x.sides(node)?;
        let Some(&[kh, kw]) =
            node.ints("kernel_shape").filter(|k| k.iter().all(|k| (1..1 << 14).contains(k)))
        else {
            return Err(node.refuse("its kernel_shape is no height and width"));
        };
        let all = node.int("count_include_pad", 0) != 0;
        // The other ways to pad round by themselves.
        let given = matches!(node.text("auto_pad", "NOTSET"), "NOTSET" | "");
        let ceil = node.int("ceil_mode", 0) != 0 && (given || node.text("auto_pad", "") == "VALID");
        if node.int("storage_order", 0) != 0 || ceil && all && op == PoolOp::Mean {
            return Err(node.refuse("storage_order, and ceil_mode with count_include_pad, must be 0"));
        }
        let mut window = window(node, [height, width, channels], [kh as usize, kw as usize])?;
        if ceil {
            // One more window where some of it is left over, if it begins before the end of the picture.
            let more = |side: usize, pads: [usize; 2], kernel: u32, dilation: u32, stride: u32| {
                let (side, stride) = (side as u32 + pads[0] as u32, stride.max(1));
                let reach = (kernel - 1) * dilation + 1;
                let count = (side + pads[1] as u32).saturating_sub(reach).div_ceil(stride) + 1;
                if (count - 1) * stride >= side { count - 1 } else { count }
            };
            let [top, left, bottom, right] = if given { pads(node)? } else { [0; 4] };
            let w = &window;
            let out_height = more(height, [top, bottom], w.kernel_h, w.dilation_h, w.stride_h);
            let out_width = more(width, [left, right], w.kernel_w, w.dilation_w, w.stride_w);
            (window.out_height, window.out_width) = (out_height, out_width);
        }
        let shape = vec![x.dims[0], Size::of(window.out_height), Size::of(window.out_width)];
        let y = self.fresh(shape, true, x.levels)?;
        self.step(Step::Pool(Pool { op, x: x.buffer, y: y.buffer, window, all }));
        self.set(node, y);
        Ok(())
    }

    pub(super) fn batch_norm(&mut self, node: &Node) -> Result<(), CompileError> {
        let affine = self.affine(node)?;
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        if x.dims.len() == 3 {
            self.picture(node, &mut x)?;
        }
        let n = Size::of(affine.scale.len() as u32);
        if x.bare || x.dims.first() != Some(&n) || !matches!(x.dims.len(), 1 | 3) {
            return Err(node.refuse("its numbers do not fit its input"));
        }
        let outer = product(&x.dims[1..]).ok_or_else(|| node.refuse("its shape is too large"))?;
        for (op, numbers) in [(BinaryOp::Mul, &affine.scale), (BinaryOp::Add, &affine.shift)] {
            let b = self.constant_values(numbers)?;
            let y = self.fresh(x.dims.clone(), x.picture, None)?;
            let (spread, a, y_buffer) = (Spread::Row, x.buffer, y.buffer);
            self.step(Step::Binary(Binary { op, spread, a, b, y: y_buffer, outer, inner: n }));
            x = y;
        }
        self.set(node, x);
        Ok(())
    }

    /// A buffer of floats that never change. Infinite ones, which masks are made of, become the largest there are.
    pub(super) fn constant_values(&mut self, values: &[f32]) -> Result<u32, CompileError> {
        let held: Vec<f32> = values.iter().map(|v| v.clamp(f32::MIN, f32::MAX)).collect();
        let constant = self.weights.floats(&held)?;
        let buffer = self.buffer(Element::F32, Size::of(values.len() as u32));
        self.buffers[buffer as usize].constant = constant;
        Ok(buffer)
    }

    pub(super) fn instance_norm(&mut self, node: &Node) -> Result<(), CompileError> {
        let (x, [channels, height, width]) = self.float_picture(node)?;
        let numbers = |this: &Self, input| {
            let values = this.constant(node, input).and_then(Constant::floats);
            values.filter(|v| v.len() == channels).map(<[f32]>::to_vec)
        };
        let (Some(gain), Some(shift)) = (numbers(self, 1), numbers(self, 2)) else {
            return Err(node.refuse("its numbers are not constants a channel"));
        };
        let (gain, shift) = (self.weights.floats(&gain)?, self.weights.floats(&shift)?);
        let y = self.fresh(x.dims.clone(), true, None)?;
        self.step(Step::ChannelNorm(ChannelNorm {
            x: x.buffer,
            y: y.buffer,
            pixels: (height * width) as u32,
            channels: channels as u32,
            gain,
            shift,
            epsilon: node.float("epsilon", 1e-5),
        }));
        self.set(node, y);
        Ok(())
    }

    /// A constant frame around a picture.
    pub(super) fn pad(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut x = self.value(node, 0)?;
        self.picture(node, &mut x)?;
        let [channels, height, width] = x.sides(node)?;
        let pads = match self.constant(node, 1).and_then(Constant::wholes) {
            Some(pads) => pads,
            None => node.ints("pads").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let (0, 0, 0, 0, [top, left, bottom, right]) = (match pads[..] {
            [n0, c0, t, l, n1, c1, b, r] => (n0, c0, n1, c1, [t, l, b, r]),
            _ => return Err(node.refuse(format!("pads {pads:?}"))),
        }) else {
            return Err(node.refuse("it pads other axes than height and width"));
        };
        if [top, left, bottom, right].iter().any(|p| !(0..1 << 14).contains(p))
            || node.text("mode", "constant") != "constant"
            || node.input(3).is_some()
        {
            return Err(node.refuse("only a constant frame around height and width is held"));
        }
        let given = match node.input(2) {
            Some(_) => self.constant(node, 2).and_then(Constant::float),
            None => Some(node.float("value", 0.0)),
        };
        let given = given.ok_or_else(|| node.refuse("its value is no constant float"))?;
        let value = match x.levels {
            Some(levels) if given == 0.0 => f32::from(levels.zero),
            Some(_) => {
                x = self.floats(&x);
                given
            }
            None => given,
        };
        let [top, left, bottom, right] = [top, left, bottom, right].map(|p| p as u32);
        let (height, width, channels) = (height as u32, width as u32, channels as u32);
        let (out_height, out_width) = (height + top + bottom, width + left + right);
        let shape = vec![Size::of(channels), Size::of(out_height), Size::of(out_width)];
        let y = self.fresh(shape, true, x.levels)?;
        self.step(Step::Fill(Fill { y: y.buffer, len: y.len(), value }));
        let of = |n: u32| Size::of(n * channels);
        self.step(Step::Copy(Copy {
            x: x.buffer,
            y: y.buffer,
            rows: Size::of(height),
            width: of(width),
            x_at: Size::of(0),
            x_step: of(width),
            y_at: of(top * out_width + left),
            y_step: of(out_width),
        }));
        self.set(node, y);
        Ok(())
    }
}
