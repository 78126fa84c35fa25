//! Programs as words: every field is one little-endian u32 (f32 by its bits), or several in a fixed order.

use super::OpenPlanError;
use super::program::{
    AddU8, ArgMax, Attention, AttentionCausal, Binary, BinaryOp, ChannelNorm, Conv, ConvF32, ConvTranspose,
    Copy, Depthwise, DepthwiseF32, Dequantize, Element, Embed, Fill, LayerNorm, Linear, LinearF32,
    LinearRows, Lookup, MeanU8, Permute, Place, Pool, PoolOp, Port, Product, Program, Quantize,
    QuantizeInput, QuantizeRows, Range, Reduce, ReduceOp, Repeat, ResizeLinear, Select, Size, Slot, Softmax,
    Spread, Step, Take, ToFloat, Unary, UnaryOp,
};

/// A struct whose fields are written and read in their order.
macro_rules! record {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub struct $name { $($(#[$fdoc])* pub $field: $kind,)* }

        impl $crate::runtime::plan::codec::Word for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn get(from: &mut $crate::runtime::plan::codec::Words) -> Result<Self, $crate::runtime::plan::OpenPlanError> {
                Ok(Self { $($field: $crate::runtime::plan::codec::Word::get(from)?,)* })
            }
        }
    };
}
pub(super) use record;

/// Most entries of a list; a guard against files that ask for memory they do not fill.
const MAX_LIST: u32 = 1 << 20;

/// What can be written and read.
pub(super) trait Word: Sized {
    #[cfg_attr(not(feature = "onnx"), allow(dead_code, reason = "only the compiler writes plans"))]
    fn put(&self, out: &mut Vec<u8>);
    fn get(from: &mut Words) -> Result<Self, OpenPlanError>;
}

/// Bytes not read yet.
pub(super) struct Words<'a>(pub &'a [u8]);

impl Words<'_> {
    fn next(&mut self) -> Result<u32, OpenPlanError> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or(OpenPlanError::Truncated)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*word))
    }
}

impl Word for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        from.next()
    }
}

impl Word for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        u32::from(*self).put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        let word = from.next()?;
        Self::try_from(word).map_err(|_| OpenPlanError::broken(format!("{word} where a byte stands")))
    }
}

impl Word for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u32::from(*self).put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        match from.next()? {
            0 => Ok(false),
            1 => Ok(true),
            word => Err(OpenPlanError::broken(format!("{word} where 0 or 1 stands"))),
        }
    }
}

impl Word for f32 {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_bits().put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        let value = Self::from_bits(from.next()?);
        if value.is_nan() { Err(OpenPlanError::broken("a number is NaN".into())) } else { Ok(value) }
    }
}

impl<T: Word> Word for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        bool::get(from)?.then(|| T::get(from)).transpose()
    }
}

impl<T: Word> Word for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|value| value.put(out));
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        let count = from.next()?;
        // Every entry takes at least a word, so a longer list is not in the file.
        if count > MAX_LIST || count as usize > from.0.len() / 4 {
            return Err(OpenPlanError::Truncated);
        }
        (0..count).map(|_| T::get(from)).collect()
    }
}

impl Word for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend(self.as_bytes());
        out.resize(out.len().next_multiple_of(4), 0);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        let len = from.next()? as usize;
        let (text, rest) = len
            .checked_next_multiple_of(4)
            .and_then(|padded| Some((from.0.get(..len)?, from.0.get(padded..)?)))
            .ok_or(OpenPlanError::Truncated)?;
        from.0 = rest;
        Self::from_utf8(text.to_vec()).map_err(|_| OpenPlanError::broken("a name is not UTF-8".into()))
    }
}

impl Word for Size {
    fn put(&self, out: &mut Vec<u8>) {
        self.fixed.put(out);
        self.per.put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        Ok(Self { fixed: from.next()?, per: from.next()? })
    }
}

impl Word for Range {
    fn put(&self, out: &mut Vec<u8>) {
        self.offset.put(out);
        self.len.put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        Ok(Self { offset: from.next()?, len: from.next()? })
    }
}

impl Word for Element {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u32).put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        match from.next()? {
            0 => Ok(Self::U8),
            1 => Ok(Self::F32),
            2 => Ok(Self::I32),
            word => Err(OpenPlanError::broken(format!("unknown element kind {word}"))),
        }
    }
}

macro_rules! enums {
    ($($name:ident),*) => {$(
        impl Word for $name {
            fn put(&self, out: &mut Vec<u8>) {
                (*self as u32).put(out);
            }
            fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
                let word = from.next()?;
                Self::from_word(word)
                    .ok_or_else(|| OpenPlanError::broken(format!("unknown {} {word}", stringify!($name))))
            }
        }
    )*};
}
enums!(UnaryOp, BinaryOp, Spread, ReduceOp, PoolOp, Place);

macro_rules! steps {
    ($($name:ident = $word:literal,)*) => {
        impl Word for Step {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(step) => {
                        u32::put(&$word, out);
                        step.put(out);
                    })*
                }
            }
            fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
                match from.next()? {
                    $($word => Ok(Self::$name($name::get(from)?)),)*
                    word => Err(OpenPlanError::UnknownStep { word }),
                }
            }
        }

        impl Step {
            /// Its name, for profiles and messages.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }
        }
    };
}
steps! {
    QuantizeInput = 1,
    Conv = 2,
    Linear = 3,
    Depthwise = 4,
    AddU8 = 5,
    Lookup = 6,
    MeanU8 = 7,
    Dequantize = 8,
    Quantize = 9,
    Unary = 10,
    Binary = 11,
    Reduce = 12,
    Copy = 13,
    Permute = 14,
    Repeat = 15,
    LinearF32 = 16,
    QuantizeRows = 17,
    LinearRows = 18,
    LayerNorm = 19,
    Attention = 20,
    Embed = 21,
    ToFloat = 22,
    ConvF32 = 23,
    DepthwiseF32 = 24,
    ConvTranspose = 25,
    Pool = 26,
    Softmax = 27,
    Product = 28,
    ResizeLinear = 29,
    ChannelNorm = 30,
    Fill = 31,
    AttentionCausal = 32,
    ArgMax = 33,
    Take = 34,
    Select = 35,
}

impl Word for Program {
    fn put(&self, out: &mut Vec<u8>) {
        self.max_length.put(out);
        self.slots.put(out);
        self.inputs.put(out);
        self.outputs.put(out);
        self.steps.put(out);
    }
    fn get(from: &mut Words) -> Result<Self, OpenPlanError> {
        Ok(Self {
            max_length: from.next()?,
            slots: Vec::<Slot>::get(from)?,
            inputs: Vec::<Port>::get(from)?,
            outputs: Vec::<Port>::get(from)?,
            steps: Vec::<Step>::get(from)?,
        })
    }
}
