//! What a plan does: slots of numbers and steps over them.
//!
//! A step is a plain record; `codec` writes and reads it, `check` proves that it stays
//! inside its slots and weights, `exec` runs it. Pictures lie as `[height, width, channels]`. The batch
//! axis is a loop around the program, so no step knows it. One length (of a text) may be free: a [`Size`] says how
//! a count grows with it.

use super::codec::record;

/// A count: `fixed + per · length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Size {
    /// Without the free length.
    pub fixed: u32,
    /// For each unit of it.
    pub per: u32,
}

impl Size {
    /// A count that does not change.
    pub const fn of(fixed: u32) -> Self {
        Self { fixed, per: 0 }
    }

    /// The count at a length; cannot overflow u64.
    pub fn at(self, length: u32) -> u64 {
        u64::from(self.fixed) + u64::from(self.per) * u64::from(length)
    }
}

/// Element kind of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// Quantised values.
    U8,
    /// Floats.
    F32,
    /// Token numbers and masks.
    I32,
}

/// A stretch of the weights, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte, a multiple of 64.
    pub offset: u32,
    /// Length.
    pub len: u32,
}

record! {
    /// Memory that steps read and write.
    pub struct Slot {
        /// Of its values.
        element: Element,
        /// How many.
        size: Size,
        /// Its values, if they never change; empty otherwise.
        constant: Range,
    }
}

record! {
    /// An input or output of the network.
    pub struct Port {
        /// Its name.
        name: String,
        /// Whether whole numbers are wanted (an input) or given.
        whole: bool,
        /// Sides after the batch axis.
        dims: Vec<Size>,
        /// Where it lies.
        slot: u32,
    }
}

record! {
    /// Output range of a quantised step.
    pub struct Range8 {
        /// Zero point.
        zero: u8,
        /// Least value.
        low: u8,
        /// Greatest value.
        high: u8,
    }
}

record! {
    /// A picture `[channels, pixels]` of floats (NCHW) to u8 `[pixels, channels]`: `round(x / scale) + zero`.
    pub struct QuantizeInput {
        x: u32,
        y: u32,
        pixels: u32,
        channels: u32,
        scale: f32,
        zero: u8,
    }
}

record! {
    /// Where a convolution reads.
    pub struct Window {
        height: u32,
        width: u32,
        channels: u32,
        kernel_h: u32,
        kernel_w: u32,
        stride_h: u32,
        stride_w: u32,
        /// Rows above and columns left of the picture.
        pad_top: u32,
        pad_left: u32,
        dilation_h: u32,
        dilation_w: u32,
        out_height: u32,
        out_width: u32,
    }
}

record! {
    /// Weights of a quantised layer: packed s8 values and a number of each kind for every padded column.
    pub struct Packed {
        weights: Range,
        /// i32.
        bias: Range,
        /// i32, sum of the column's weights.
        sums: Range,
        /// f32.
        scale: Range,
    }
}

record! {
    /// A dense convolution of u8 values to u8 (`to` says how) or, without `to`, to f32.
    pub struct Conv {
        x: u32,
        y: u32,
        window: Window,
        /// What lies outside the picture.
        outside: u8,
        out_channels: u32,
        packed: Packed,
        to: Option<Range8>,
    }
}

record! {
    /// Rows of u8 values times a matrix, to u8 or f32.
    pub struct Linear {
        x: u32,
        y: u32,
        rows: Size,
        k: u32,
        n: u32,
        packed: Packed,
        to: Option<Range8>,
    }
}

record! {
    /// A depthwise convolution, u8 to u8.
    pub struct Depthwise {
        x: u32,
        y: u32,
        window: Window,
        outside: u8,
        packed: Packed,
        to: Range8,
    }
}

record! {
    /// `clamp(round(a · ma + (b · mb + c)) + zero)` over u8 values.
    pub struct AddU8 {
        a: u32,
        b: u32,
        y: u32,
        len: Size,
        ma: f32,
        mb: f32,
        c: f32,
        to: Range8,
    }
}

record! {
    /// Each u8 value looked up in a table of 256.
    pub struct Lookup {
        x: u32,
        y: u32,
        len: Size,
        table: Range,
    }
}

record! {
    /// Mean over pixels of u8 `[pixels, channels]`: `(sum − pixels · zero) · (scale / pixels)`.
    pub struct MeanU8 {
        x: u32,
        y: u32,
        pixels: u32,
        channels: u32,
        scale: f32,
        zero: u8,
    }
}

record! {
    /// `(x − zero) · scale`.
    pub struct Dequantize {
        x: u32,
        y: u32,
        len: Size,
        scale: f32,
        zero: u8,
    }
}

record! {
    /// `clamp(round(x / scale) + zero, 0, 255)`.
    pub struct Quantize {
        x: u32,
        y: u32,
        len: Size,
        scale: f32,
        zero: u8,
    }
}

record! {
    /// One operation on each float; `a` and `b` are its parameters where it has any.
    pub struct Unary {
        op: UnaryOp,
        x: u32,
        y: u32,
        len: Size,
        a: f32,
        b: f32,
    }
}

record! {
    /// `y[o, i] = a[o, i] ∘ b[…]`, where `b` has a value for each of `[outer, inner]` as `spread` says.
    pub struct Binary {
        op: BinaryOp,
        spread: Spread,
        a: u32,
        b: u32,
        y: u32,
        outer: Size,
        inner: Size,
    }
}

record! {
    /// Floats `[outer, middle, inner]` to `[outer, inner]`.
    pub struct Reduce {
        op: ReduceOp,
        x: u32,
        y: u32,
        outer: Size,
        middle: Size,
        inner: Size,
    }
}

record! {
    /// `rows` runs of `width` values, from `x_at + row · x_step` to `y_at + row · y_step`.
    pub struct Copy {
        x: u32,
        y: u32,
        rows: Size,
        width: Size,
        x_at: Size,
        x_step: Size,
        y_at: Size,
        y_step: Size,
    }
}

record! {
    /// `[dims]` to `[dims[perm[0]], dims[perm[1]], …]`.
    pub struct Permute {
        x: u32,
        y: u32,
        dims: Vec<Size>,
        perm: Vec<u32>,
    }
}

record! {
    /// Each pixel of `[height, width, channels]` repeated `down` times down and `right` times right.
    pub struct Repeat {
        x: u32,
        y: u32,
        height: u32,
        width: u32,
        channels: u32,
        down: u32,
        right: u32,
    }
}

record! {
    /// Rows of floats times a matrix `[k, n rounded up to 16]`, with a bias as long as its rows.
    pub struct LinearF32 {
        x: u32,
        y: u32,
        rows: Size,
        k: u32,
        n: u32,
        weights: Range,
        bias: Range,
    }
}

record! {
    /// Rows of floats to u8, each over its own range; `ranges` gets its zero point and scale.
    pub struct QuantizeRows {
        x: u32,
        y: u32,
        ranges: u32,
        rows: Size,
        width: u32,
    }
}

record! {
    /// Rows of u8 values with ranges of their own times a matrix, to f32; `offset` is added to every row.
    pub struct LinearRows {
        x: u32,
        ranges: u32,
        y: u32,
        rows: Size,
        k: u32,
        n: u32,
        packed: Packed,
        offset: Range,
    }
}

record! {
    /// `(x − mean) / √(variance + epsilon) · gain + shift` for rows of `width` floats.
    pub struct LayerNorm {
        x: u32,
        y: u32,
        rows: Size,
        width: u32,
        gain: Range,
        shift: Range,
        epsilon: f32,
    }
}

record! {
    /// `softmax(q · kᵀ · scale + mask) · v` for each head; rows are `[heads · width]`.
    pub struct Attention {
        q: u32,
        k: u32,
        v: u32,
        /// Added to the scores of every query: `[keys]`.
        mask: Option<u32>,
        y: u32,
        rows: Size,
        keys: Size,
        heads: u32,
        width: u32,
        scale: f32,
    }
}

record! {
    /// As [`Attention`] of rows to one another, where each sees itself and those before it.
    pub struct AttentionCausal {
        q: u32,
        k: u32,
        v: u32,
        /// Added to the scores of every query: `[rows]`.
        mask: Option<u32>,
        y: u32,
        rows: Size,
        heads: u32,
        width: u32,
        scale: f32,
    }
}

record! {
    /// Rows of a table of `words` rows, by number: s8 with a scale a row, or f32 without.
    pub struct Embed {
        ids: u32,
        y: u32,
        count: Size,
        words: u32,
        width: u32,
        table: Range,
        scale: Option<Range>,
    }
}

record! {
    /// A dense convolution of floats. Weights are `[kernel_h · kernel_w · channels, n rounded up to 16]`, the bias as
    /// long as one of their rows; outside the picture are zeros.
    pub struct ConvF32 {
        x: u32,
        y: u32,
        window: Window,
        out_channels: u32,
        weights: Range,
        bias: Range,
    }
}

record! {
    /// A depthwise convolution of floats: weights `[kernel_h · kernel_w, channels]`, bias `[channels]`.
    pub struct DepthwiseF32 {
        x: u32,
        y: u32,
        window: Window,
        weights: Range,
        bias: Range,
    }
}

record! {
    /// A transposed convolution of floats: pixel `(y, x)` adds its products to output pixels
    /// `(y · stride_h + tap · dilation_h − pad_top, …)`. Weights are `[channels, taps · out_channels rounded up to 16]`,
    /// bias `[out_channels]`.
    pub struct ConvTranspose {
        x: u32,
        y: u32,
        window: Window,
        out_channels: u32,
        weights: Range,
        bias: Range,
    }
}

record! {
    /// Greatest or mean value of each window, channel by channel; `all` divides means by all taps, not by those
    /// inside. Greatest values also of u8.
    pub struct Pool {
        op: PoolOp,
        x: u32,
        y: u32,
        window: Window,
        all: bool,
    }
}

record! {
    /// `e^x / Σe^x` of rows of floats.
    pub struct Softmax {
        x: u32,
        y: u32,
        rows: Size,
        width: Size,
    }
}

record! {
    /// `[batch, rows, k]` times `[batch, k, n]`, or times one `[k, n]` where `shared`.
    pub struct Product {
        a: u32,
        b: u32,
        y: u32,
        batch: Size,
        rows: Size,
        k: Size,
        n: Size,
        shared: bool,
    }
}

record! {
    /// Bilinear resize of a float picture; `place` says where an output pixel lies in the input.
    pub struct ResizeLinear {
        x: u32,
        y: u32,
        height: u32,
        width: u32,
        channels: u32,
        out_height: u32,
        out_width: u32,
        place: Place,
    }
}

record! {
    /// Normalises each channel over the pixels of a float picture: `(x − mean) / √(variance + epsilon) · gain + shift`.
    pub struct ChannelNorm {
        x: u32,
        y: u32,
        pixels: u32,
        channels: u32,
        gain: Range,
        shift: Range,
        epsilon: f32,
    }
}

record! {
    /// One value everywhere; in u8 slots a level.
    pub struct Fill {
        y: u32,
        len: Size,
        value: f32,
    }
}

record! {
    /// Where each row of floats has its greatest value: the first place of equals, or with `last` the last.
    pub struct ArgMax {
        x: u32,
        y: u32,
        rows: Size,
        width: Size,
        last: bool,
    }
}

record! {
    /// Rows of a computed table by computed numbers, `y[i] = x[ids[i]]`. Numbers below 0 count from the end; what is
    /// still outside reads the nearest end.
    pub struct Take {
        x: u32,
        ids: u32,
        y: u32,
        count: Size,
        rows: Size,
        width: Size,
    }
}

record! {
    /// `a` where `when` is not 0, else `b`, over `[outer, inner]`; each of the three is laid over it in its own way.
    pub struct Select {
        when: u32,
        when_spread: Spread,
        a: u32,
        a_spread: Spread,
        b: u32,
        b_spread: Spread,
        y: u32,
        outer: Size,
        inner: Size,
    }
}

record! {
    /// Whole numbers as floats.
    pub struct ToFloat {
        x: u32,
        y: u32,
        len: Size,
    }
}

/// Numbers of an enum in a file.
macro_rules! words {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant = $word,)* }

        impl $name {
            pub(super) fn from_word(word: u32) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// What [`Unary`] does.
    pub enum UnaryOp {
        /// `e^x`
        Exp = 0,
        /// `1 / (1 + e^−x)`
        Sigmoid = 1,
        /// Hyperbolic tangent.
        Tanh = 2,
        /// Error function.
        Erf = 3,
        /// Square root.
        Sqrt = 4,
        /// `−x`
        Neg = 5,
        /// `max(x, a)` then `min(·, b)`
        Clip = 6,
        /// `x · (1 + erf(x / √2)) / 2`
        Gelu = 7,
        /// `x · sigmoid(a · x)`
        Swish = 8,
        /// `clamp(a · x + b, 0, 1)`
        HardSigmoid = 9,
        /// `x · clamp(x / 6 + 1/2, 0, 1)`
        HardSwish = 10,
        /// Absolute value.
        Abs = 11,
        /// `x < 0 ? a · x : x`
        LeakyRelu = 12,
        /// `x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))) / 2`
        GeluTanh = 13,
        /// `x < 0 ? a · (e^x − 1) : x`
        Elu = 14,
        /// `ln x`
        Log = 15,
    }
}

words! {
    /// What [`Binary`] does.
    pub enum BinaryOp {
        /// `a + b`
        Add = 0,
        /// `a − b`
        Sub = 1,
        /// `a · b`
        Mul = 2,
        /// `a / b`
        Div = 3,
        /// `b − a`
        SubFrom = 4,
        /// `b / a`
        DivInto = 5,
        /// Lesser.
        Min = 6,
        /// Greater.
        Max = 7,
        /// `a^b`, where b is 3, 2, 1, 0.5, −0.5 or −1 everywhere.
        Pow = 8,
        /// 1 where `a = b`, else 0, as are the others.
        Equal = 9,
        /// `a < b`
        Less = 10,
        /// `a ≤ b`
        AtMost = 11,
        /// `a > b`
        Greater = 12,
        /// `a ≥ b`
        AtLeast = 13,
        /// `a ≠ b`
        Differs = 14,
    }
}

words! {
    /// How the second operand of [`Binary`] is laid over `[outer, inner]`.
    pub enum Spread {
        /// One for each.
        Same = 0,
        /// `[inner]`
        Row = 1,
        /// `[outer]`
        Column = 2,
        /// A single value.
        Single = 3,
    }
}

words! {
    /// What [`Reduce`] does.
    pub enum ReduceOp {
        /// Sum.
        Sum = 0,
        /// Mean.
        Mean = 1,
        /// Greatest.
        Max = 2,
        /// Least.
        Min = 3,
        /// `√Σx²`
        L2 = 4,
    }
}

words! {
    /// What [`Pool`] does.
    pub enum PoolOp {
        /// Greatest.
        Max = 0,
        /// Mean.
        Mean = 1,
    }
}

words! {
    /// Where output pixel `o` of [`ResizeLinear`] lies in the input, held inside it.
    pub enum Place {
        /// `(o + 0.5) · in / out − 0.5`
        HalfPixel = 0,
        /// `o · in / out`
        Asymmetric = 1,
        /// `o · (in − 1) / (out − 1)`
        AlignCorners = 2,
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// See the record.
    QuantizeInput(QuantizeInput),
    /// See the record.
    Conv(Conv),
    /// See the record.
    Linear(Linear),
    /// See the record.
    Depthwise(Depthwise),
    /// See the record.
    AddU8(AddU8),
    /// See the record.
    Lookup(Lookup),
    /// See the record.
    MeanU8(MeanU8),
    /// See the record.
    Dequantize(Dequantize),
    /// See the record.
    Quantize(Quantize),
    /// See the record.
    Unary(Unary),
    /// See the record.
    Binary(Binary),
    /// See the record.
    Reduce(Reduce),
    /// See the record.
    Copy(Copy),
    /// See the record.
    Permute(Permute),
    /// See the record.
    Repeat(Repeat),
    /// See the record.
    LinearF32(LinearF32),
    /// See the record.
    QuantizeRows(QuantizeRows),
    /// See the record.
    LinearRows(LinearRows),
    /// See the record.
    LayerNorm(LayerNorm),
    /// See the record.
    Attention(Attention),
    /// See the record.
    Embed(Embed),
    /// See the record.
    ToFloat(ToFloat),
    /// See the record.
    ConvF32(ConvF32),
    /// See the record.
    DepthwiseF32(DepthwiseF32),
    /// See the record.
    ConvTranspose(ConvTranspose),
    /// See the record.
    Pool(Pool),
    /// See the record.
    Softmax(Softmax),
    /// See the record.
    Product(Product),
    /// See the record.
    ResizeLinear(ResizeLinear),
    /// See the record.
    ChannelNorm(ChannelNorm),
    /// See the record.
    Fill(Fill),
    /// See the record.
    AttentionCausal(AttentionCausal),
    /// See the record.
    ArgMax(ArgMax),
    /// See the record.
    Take(Take),
    /// See the record.
    Select(Select),
}

/// A whole network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// Greatest free length; 0 where nothing is free.
    pub max_length: u32,
    /// Memory.
    pub slots: Vec<Slot>,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Steps in order.
    pub steps: Vec<Step>,
}
