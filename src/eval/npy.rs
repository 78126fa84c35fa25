//! Vectors of NumPy files: version 1 to 3, C order, `[n, d]` of u8, f16 or f32.

use std::path::{Path, PathBuf};

use crate::kernels::f16;

/// Longest header read.
const MAX_HEADER: usize = 1 << 16;

/// Why a file of vectors cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no NumPy file of vectors.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong and what is expected.
        reason: String,
    },
}

/// Rows of a NumPy file as f32, and their dimension.
///
/// # Errors
/// [`NpyError`]
pub fn read(path: &Path) -> Result<(Vec<f32>, usize), NpyError> {
    let bytes = std::fs::read(path).map_err(|source| NpyError::Io { path: path.to_owned(), source })?;
    parse(&bytes).map_err(|reason| NpyError::Format { path: path.to_owned(), reason })
}

fn parse(bytes: &[u8]) -> Result<(Vec<f32>, usize), String> {
    let no_npy = || "not a NumPy file; expected one written by numpy.save".to_owned();
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(no_npy)?;
    if !magic.starts_with(b"\x93NUMPY") {
        return Err(no_npy());
    }
    let (len, rest) = if magic[6] == 1 {
        let (len, rest) = rest.split_first_chunk::<2>().ok_or_else(no_npy)?;
        (usize::from(u16::from_le_bytes(*len)), rest)
    } else {
        let (len, rest) = rest.split_first_chunk::<4>().ok_or_else(no_npy)?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, data) = rest.split_at_checked(len).filter(|_| len <= MAX_HEADER).ok_or_else(no_npy)?;
    let header = std::str::from_utf8(header).map_err(|_| no_npy())?;
    let after = |key: &str| header.split_once(key).map(|(_, rest)| rest);
    if !after("'fortran_order':").is_some_and(|v| v.trim_start().starts_with("False")) {
        return Err("columns come first; save numpy.ascontiguousarray(...) of it".to_owned());
    }
    let shape = after("'shape':").and_then(|v| v.split_once('(')?.1.split_once(')')).map_or("", |(v, _)| v);
    let dims: Vec<usize> = shape.split(',').filter_map(|v| v.trim().parse().ok()).collect();
    let &[n, d] = dims.as_slice() else {
        return Err(format!("shape ({shape}); expected [n, d]"));
    };
    let kind = after("'descr':").and_then(|v| v.split('\'').nth(1)).unwrap_or_default();
    let size = match kind {
        "|u1" => 1,
        "<f2" => 2,
        "<f4" => 4,
        _ => return Err(format!("numbers of type '{kind}'; expected u8, f16 or f32, little-endian")),
    };
    let expected = n.checked_mul(d).and_then(|v| v.checked_mul(size));
    if expected != Some(data.len()) || d == 0 {
        return Err(format!("{} bytes of data for {n} rows of {d}", data.len()));
    }
    let values = match kind {
        "|u1" => data.iter().map(|&v| f32::from(v)).collect(),
        "<f2" => f16::from_bytes(data),
        _ => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
    };
    Ok((values, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn reads_what_numpy_writes() {
        let bytes = file("|u1", "False", "(2, 3)", &[1, 2, 3, 4, 5, 255]);
        assert_eq!(parse(&bytes).unwrap(), (vec![1.0, 2.0, 3.0, 4.0, 5.0, 255.0], 3));
        let floats: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(parse(&file("<f4", "False", "(1, 2)", &floats)).unwrap(), (vec![0.5, -2.0], 2));
        assert_eq!(parse(&file("<f2", "False", "(1, 1)", &[0, 0x3c])).unwrap(), (vec![1.0], 1));
    }

    #[test]
    fn says_what_is_wrong() {
        for (bytes, want) in [
            (b"id,title\n".to_vec(), "not a NumPy file"),
            (file("<f8", "False", "(1, 1)", &[0; 8]), "'<f8'"),
            (file("|u1", "True", "(1, 1)", &[0]), "columns come first"),
            (file("|u1", "False", "(4,)", &[0; 4]), "expected [n, d]"),
            (file("|u1", "False", "(2, 3)", &[0; 5]), "5 bytes of data"),
            (file("|u1", "False", "(18446744073709551615, 3)", &[0; 5]), "5 bytes of data"),
        ] {
            let error = parse(&bytes).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        let whole = file("|u1", "False", "(1, 1)", &[0]);
        for len in 0..whole.len() {
            assert!(parse(&whole[..len]).is_err());
        }
    }
}
