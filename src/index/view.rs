//! An index over bytes of a pack: header checked, nothing copied.

use super::IndexKind;
use super::lists::{Lists, Metric};
use super::scale::Scales;
use crate::kernels::f16;
use crate::quant::{MAX_DIM, OpenQuantizerError, Opq, Pq, Rq, Trq};

/// Version of the index header.
pub(super) const INDEX_VERSION: u16 = 1;
/// Bytes of the quantizer section before the quantizer.
pub const INDEX_HEADER_LEN: usize = 32;

/// Why bytes are not an index.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenIndexError {
    /// Shorter than its header.
    #[error("the index header is cut off at {found} of {INDEX_HEADER_LEN} bytes")]
    Header {
        /// Bytes.
        found: usize,
    },
    /// A version or kind this reader does not know.
    #[error(
        "the index is of version {version}, kind {kind}, which this reader does not know: update the app"
    )]
    Unknown {
        /// Version.
        version: u16,
        /// Number of the kind.
        kind: u8,
    },
    /// Dimension, row length or scales that no builder writes, or reserved bytes that are not zero.
    #[error("the index header is malformed: {what}")]
    Malformed {
        /// Which field.
        what: &'static str,
    },
    /// The codes are not as long as rows times bytes a row.
    #[error("the codes have {found} bytes; {rows} rows of {row_len} need another number")]
    Codes {
        /// Bytes.
        found: usize,
        /// Rows.
        rows: u32,
        /// Bytes a row.
        row_len: u32,
    },
    /// The quantizer is malformed.
    #[error(transparent)]
    Quantizer(#[from] OpenQuantizerError),
}

/// How the rows of a view decode.
#[derive(Debug)]
pub(super) enum Store<'a> {
    Flat,
    Pq(Pq<'a>),
    Rq(Rq<'a>),
    Opq(Opq<'a>),
    Lists(Box<Lists<'a>>),
}

/// An index that borrows its quantizer and codes.
#[derive(Debug)]
pub struct IndexView<'a> {
    pub(super) dim: usize,
    rows: u32,
    pub(super) row_len: usize,
    pub(super) codes: &'a [u8],
    pub(super) store: Store<'a>,
    pub(super) scales: Scales,
}

/// The index header's bytes.
pub(super) fn header(kind: IndexKind, dim: usize, rows: usize, row_len: usize, scales: Scales) -> Vec<u8> {
    let kind = match kind {
        IndexKind::Flat => 1,
        IndexKind::Pq => 2,
        IndexKind::Rq => 3,
        IndexKind::Opq => 4,
        IndexKind::Trq => 5,
    };
    let mut out = Vec::with_capacity(INDEX_HEADER_LEN);
    out.extend(INDEX_VERSION.to_le_bytes());
    out.extend([kind, 0]);
    // build() refuses more rows or components than these hold.
    out.extend([dim as u32, rows as u32, row_len as u32].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(scales.min.to_le_bytes());
    out.extend([scales.step, scales.exponent, scales.constant].iter().flat_map(|v| v.to_le_bytes()));
    out
}

/// Makes an index's quantizer section that of another number of rows.
pub(super) fn set_rows(section: &mut [u8], rows: u32, codes: usize) {
    if let Some(head) = section.get_mut(..INDEX_HEADER_LEN) {
        head[8..12].copy_from_slice(&rows.to_le_bytes());
        if head[2] == 5 {
            // Of inverted lists it is an average.
            let row_len = codes.checked_div(rows as usize).unwrap_or(0) as u32;
            head[12..16].copy_from_slice(&row_len.to_le_bytes());
        }
    }
}

/// The quantizer section of inverted lists: rows compared by `metric`, whose codes err by `error` on average (squared).
pub fn lists_index(trq: &Trq<'_>, metric: Metric, error: f32, rows: u32, codes: &[u8]) -> Vec<u8> {
    let row_len = codes.len().checked_div(rows as usize).unwrap_or(0);
    let scales = Scales { min: error, ..Scales::default() };
    let mut out = header(IndexKind::Trq, trq.dim(), rows as usize, row_len, scales);
    out[3] = metric.number();
    out.extend(trq.to_bytes());
    out
}

impl<'a> IndexView<'a> {
    /// Reads the two parts of a [`BuiltIndex`](super::BuiltIndex).
    ///
    /// # Errors
    /// [`OpenIndexError`], one a cause.
    pub fn open(quantizer: &'a [u8], codes: &'a [u8]) -> Result<Self, OpenIndexError> {
        let Some((head, rest)) = quantizer.split_first_chunk::<INDEX_HEADER_LEN>() else {
            return Err(OpenIndexError::Header { found: quantizer.len() });
        };
        let word = |i: usize| head.as_chunks().0.get(i).map_or([0; 4], |b| *b);
        let [version_low, version_high, kind, metric] = word(0);
        let version = u16::from_le_bytes([version_low, version_high]);
        let [dim, rows, row_len] = [1, 2, 3].map(|i| u32::from_le_bytes(word(i)));
        let [min, step, exponent, constant] = [4, 5, 6, 7].map(|i| f32::from_le_bytes(word(i)));
        let scales = Scales { min, step, exponent, constant };
        if version != INDEX_VERSION || !(1..=5).contains(&kind) {
            return Err(OpenIndexError::Unknown { version, kind });
        }
        let malformed = |what| Err(OpenIndexError::Malformed { what });
        let metric = Metric::of(metric).filter(|m| kind == 5 || *m == Metric::Cosine);
        let Some(metric) = metric else { return malformed("the metric") };
        if matches!(kind, 1 | 5) && (word(6) != [0; 4] || word(7) != [0; 4]) {
            return malformed("reserved bytes are not zero");
        }
        if dim == 0 || dim as usize > MAX_DIM {
            return malformed("the dimension");
        }
        let store = match kind {
            1 if rest.is_empty() => Store::Flat,
            1 => return malformed("a flat index has no quantizer"),
            2 => Store::Pq(Pq::from_bytes(rest)?),
            3 => Store::Rq(Rq::from_bytes(rest)?),
            4 => Store::Opq(Opq::from_bytes(rest)?),
            _ => {
                let trq = Trq::from_bytes(rest)?;
                if trq.dim() != dim as usize {
                    return malformed("the dimension is not the quantizer's");
                }
                if scales.step != 0.0 || !(0.0..f32::MAX).contains(&scales.min) {
                    return malformed("the error of the codes");
                }
                if u64::from(row_len) != (codes.len() as u64).checked_div(u64::from(rows)).unwrap_or(0) {
                    return malformed("the bytes a row");
                }
                let lists = Box::new(Lists::open(trq, metric, scales.min, rows, codes)?);
                let (dim, row_len) = (dim as usize, row_len as usize);
                return Ok(Self { dim, rows, row_len, codes, store: Store::Lists(lists), scales });
            }
        };
        let (quantizer_dim, expected) = match &store {
            Store::Flat => (dim as usize, dim as usize * 2),
            Store::Pq(pq) => (pq.dim(), pq.code_len() + 1),
            Store::Rq(rq) => (rq.dim(), rq.code_len() + 1),
            Store::Opq(opq) => (opq.dim(), opq.code_len() + 1),
            Store::Lists(_) => (0, 0),
        };
        if quantizer_dim != dim as usize {
            return malformed("the dimension is not the quantizer's");
        }
        if expected != row_len as usize {
            return malformed("the bytes a row");
        }
        let flat = matches!(store, Store::Flat);
        let scales_ok = if flat { scales == Scales::default() } else { scales.valid() };
        if !scales_ok {
            return malformed("the scales");
        }
        if codes.len() as u64 != u64::from(rows) * u64::from(row_len) {
            return Err(OpenIndexError::Codes { found: codes.len(), rows, row_len });
        }
        Ok(Self { dim: dim as usize, rows, row_len: row_len as usize, codes, store, scales })
    }

    /// Rows.
    pub fn len(&self) -> u32 {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// How rows are stored.
    pub fn kind(&self) -> IndexKind {
        match self.store {
            Store::Flat => IndexKind::Flat,
            Store::Pq(_) => IndexKind::Pq,
            Store::Rq(_) => IndexKind::Rq,
            Store::Opq(_) => IndexKind::Opq,
            Store::Lists(_) => IndexKind::Trq,
        }
    }

    /// The inverted lists, if that is what it is.
    pub fn lists(&self) -> Option<&Lists<'a>> {
        match &self.store {
            Store::Lists(lists) => Some(lists),
            _ => None,
        }
    }

    /// Bytes a row.
    pub fn bytes_per_vector(&self) -> usize {
        self.row_len
    }

    /// The vector a row stands for, shape `[d]`: its inner product with a unit query is the row's score.
    ///
    /// `None` for inverted lists, which do not know where a row is: see [`Lists::places`].
    pub fn reconstruct(&self, row: u32) -> Option<Vec<f32>> {
        self.decode_row(self.codes.chunks_exact(self.row_len).nth(row as usize)?)
    }

    /// The vector that a row's bytes stand for, unless they are of inverted lists.
    pub(super) fn decode_row(&self, row: &[u8]) -> Option<Vec<f32>> {
        let (scale, code) = row.split_last()?;
        let mut vector = match &self.store {
            Store::Flat => return Some(f16::from_bytes(row)),
            Store::Pq(pq) => pq.decode(code),
            Store::Rq(rq) => rq.decode(code),
            Store::Opq(opq) => opq.decode(code),
            Store::Lists(_) => return None,
        };
        let scale = self.scales.of(*scale);
        vector.iter_mut().for_each(|v| *v *= scale);
        Some(vector)
    }

    /// Tables of one query, `[m, 256]`; none for flat rows.
    pub(super) fn tables(&self, query: &[f32]) -> Vec<f32> {
        match &self.store {
            Store::Flat => Vec::new(),
            Store::Pq(pq) => pq.tables(query),
            Store::Rq(rq) => rq.tables(query),
            Store::Opq(opq) => opq.tables(query),
            Store::Lists(_) => Vec::new(),
        }
    }
}
