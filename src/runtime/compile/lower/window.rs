//! Geometry of a convolution.

use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::Window;

/// Geometry of a convolution from its attributes.
pub(super) fn window(
    node: &Node,
    [height, width, channels]: [usize; 3],
    kernel: [usize; 2],
) -> Result<Window, CompileError> {
    let pair = |name: &str| -> Result<[usize; 2], CompileError> {
        match node.ints(name) {
            None => Ok([1, 1]),
            Some(&[a, b]) if a > 0 && b > 0 => Ok([a as usize, b as usize]),
            Some(other) => Err(node.refuse(format!("{name} {other:?}"))),
        }
    };
    let (stride, dilation) = (pair("strides")?, pair("dilations")?);
    let reach = [(kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1];
    let sides = [height, width];
    let auto = node.text("auto_pad", "NOTSET");
    let pads: [usize; 4] = match auto {
        "NOTSET" | "" => match node.ints("pads") {
            None => [0; 4],
            Some(&[t, l, b, r]) if [t, l, b, r].iter().all(|p| (0..1 << 14).contains(p)) => {
                [t as usize, l as usize, b as usize, r as usize]
            }
            Some(other) => return Err(node.refuse(format!("pads {other:?}"))),
        },
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
