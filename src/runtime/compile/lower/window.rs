//! Geometry of a convolution.

use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::Window;

/// Filters of a convolution as ONNX has them, `[out, channels of a group, height, width]`.
#[derive(Clone, Copy)]
pub(super) struct Filters {
    pub out: usize,
    pub kernel: [usize; 2],
    channels: usize,
    per_group: usize,
    group: usize,
}

impl Filters {
    /// Refuses shapes that do not fit a picture of so many channels.
    pub fn of(node: &Node, dims: &[usize], channels: usize) -> Result<Self, CompileError> {
        let [out, per_group, kh, kw] = *dims else {
            return Err(node.refuse("only convolutions over pictures are compiled"));
        };
        let group = usize::try_from(node.int("group", 1)).unwrap_or(0);
        if group == 0
            || per_group.checked_mul(group) != Some(channels)
            || out % group != 0
            || out == 0
            || kh * kw == 0
        {
            return Err(
                node.refuse(format!("weights {dims:?} do not fit {channels} channels in {group} groups"))
            );
        }
        Ok(Self { out, kernel: [kh, kw], channels, per_group, group })
    }

    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Whether each channel has one filter of its own.
    pub fn depthwise(&self) -> bool {
        self.group == self.channels && self.out == self.channels && self.group > 1
    }

    /// Weights of a depthwise convolution as `[taps, channels]`.
    pub fn by_tap<T: Copy + Default>(&self, weights: &[T]) -> Vec<T> {
        let taps = self.taps();
        let mut out = vec![T::default(); weights.len()];
        for (i, &w) in weights.iter().enumerate() {
            out[i % taps * self.channels + i / taps] = w;
        }
        out
    }

    /// Weights as a dense matrix `[taps · channels, columns]`, in which groups are blocks.
    pub fn matrix<T: Copy + Default>(&self, weights: &[T], columns: usize) -> Vec<T> {
        let (taps, per_group) = (self.taps(), self.per_group);
        let mut matrix = vec![T::default(); taps * self.channels * columns];
        for (i, &w) in weights.iter().enumerate() {
            let (column, input, tap) = (i / (taps * per_group), i / taps % per_group, i % taps);
            let channel = column / (self.out / self.group) * per_group + input;
            matrix[(tap * self.channels + channel) * columns + column] = w;
        }
        matrix
    }
}

/// The attribute `pads`: top, left, bottom, right.
pub(super) fn pads(node: &Node) -> Result<[usize; 4], CompileError> {
    match node.ints("pads") {
        None => Ok([0; 4]),
        Some(&[t, l, b, r]) if [t, l, b, r].iter().all(|p| (0..1 << 14).contains(p)) => {
            Ok([t as usize, l as usize, b as usize, r as usize])
        }
        Some(other) => Err(node.refuse(format!("pads {other:?}"))),
    }
}

/// Geometry of a convolution from its attributes.
pub(super) fn window(
    node: &Node,
    [height, width, channels]: [usize; 3],
    kernel: [usize; 2],
) -> Result<Window, CompileError> {
    let pair = |name: &str| -> Result<[usize; 2], CompileError> {
        match node.ints(name) {
            None => Ok([1, 1]),
            Some(&[a, b]) if [a, b].iter().all(|s| (1..1 << 14).contains(s)) => Ok([a as usize, b as usize]),
            Some(other) => Err(node.refuse(format!("{name} {other:?}"))),
        }
    };
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let reach = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1];
    let sides = [height, width];
    let auto = node.text("auto_pad", "NOTSET");
    let pads: [usize; 4] = match auto {
        "NOTSET" | "" => pads(node)?,
        "VALID" => [0; 4],
        "SAME_UPPER" | "SAME_LOWER" => {
            let all = |i: usize| {
                ((sides[i].div_ceil(stride[i]) - 1) * stride[i] + reach[i]).saturating_sub(sides[i])
            };
            let first = |total: usize| if auto == "SAME_LOWER" { total.div_ceil(2) } else { total / 2 };
            let (h, w) = (all(0), all(1));
            [first(h), first(w), h - first(h), w - first(w)]
        }
        other => return Err(node.refuse(format!("auto_pad {other}"))),
    };
    let out = |i: usize| {
        let padded = sides[i] + pads[i] + pads[i + 2];
        padded.checked_sub(reach[i]).map(|room| room / stride[i] + 1)
    };
    let (Some(out_height), Some(out_width)) = (out(0), out(1)) else {
        return Err(node.refuse("its filter is larger than its picture"));
    };
    let [height, width, channels, out_height, out_width] =
        [height, width, channels, out_height, out_width].map(|v| v as u32);
    Ok(Window {
        height,
        width,
        channels,
        kernel_h: kernel[0] as u32,
        kernel_w: kernel[1] as u32,
        stride_h: stride[0] as u32,
        stride_w: stride[1] as u32,
        pad_top: pads[0] as u32,
        pad_left: pads[1] as u32,
        dilation_h: dilation[0] as u32,
        dilation_w: dilation[1] as u32,
        out_height,
        out_width,
    })
}
