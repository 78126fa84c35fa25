//! A plan's bytes; `docs/runtime.md` has the table.

use super::OpenPlanError;
use super::codec::{Word, Words};
use super::program::Program;

/// First bytes of every plan.
pub const MAGIC: [u8; 8] = *b"SHLFPLAN";
/// Version written and read.
pub const VERSION: u32 = 1;
/// Length of the header.
const HEADER: usize = 64;
/// What offsets of weights are multiples of.
pub(in crate::runtime) const ALIGN: usize = 64;

/// Puts header, program and weights together.
///
/// # Errors
/// [`OpenPlanError::TooLarge`] beyond 4 GiB.
#[cfg(feature = "onnx")]
pub(in crate::runtime) fn write(program: &Program, weights: &[u8]) -> Result<Vec<u8>, OpenPlanError> {
    let mut words = Vec::new();
    program.put(&mut words);
    let start = (HEADER + words.len()).next_multiple_of(ALIGN);
    let end = u32::try_from(start + weights.len()).map_err(|_| OpenPlanError::TooLarge { what: "file" })?;
    let mut out = Vec::with_capacity(end as usize);
    out.extend(MAGIC);
    let fields = [VERSION, words.len() as u32, start as u32, weights.len() as u32];
    for field in fields.into_iter().chain([crc32fast::hash(&words), crc32fast::hash(weights)]) {
        out.extend(field.to_le_bytes());
    }
    out.resize(HEADER, 0);
    out.extend(words);
    out.resize(start, 0);
    out.extend(weights);
    Ok(out)
}

/// Whether these bytes say that they are a plan.
pub fn is_plan(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Program and place of the weights. The program's checksum is compared, the weights' only in [`verify`].
pub(super) fn read(bytes: &[u8]) -> Result<(Program, std::ops::Range<usize>), OpenPlanError> {
    let header = Header::read(bytes)?;
    let words = &bytes[HEADER..HEADER + header.program];
    if crc32fast::hash(words) != header.program_crc {
        return Err(OpenPlanError::Checksum { what: "program" });
    }
    let mut words = Words(words);
    let program = Program::get(&mut words)?;
    if !words.0.is_empty() {
        return Err(OpenPlanError::broken(format!("{} bytes after the last step", words.0.len())));
    }
    Ok((program, header.weights))
}

/// The bytes that tell one plan from another: header (with the weights' checksum) and program, without the weights.
/// Everything, if this is no sound plan.
pub fn identity(bytes: &[u8]) -> &[u8] {
    match Header::read(bytes) {
        Ok(header) => &bytes[..header.weights.start],
        Err(_) => bytes,
    }
}

/// Compares the weights' checksum too.
///
/// # Errors
/// [`OpenPlanError`] if the header is broken or the weights are not what was written.
pub fn verify(bytes: &[u8]) -> Result<(), OpenPlanError> {
    let header = Header::read(bytes)?;
    if crc32fast::hash(&bytes[header.weights]) == header.weights_crc {
        Ok(())
    } else {
        Err(OpenPlanError::Checksum { what: "weights" })
    }
}

struct Header {
    program: usize,
    program_crc: u32,
    weights: std::ops::Range<usize>,
    weights_crc: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Result<Self, OpenPlanError> {
        if !is_plan(bytes) {
            return Err(OpenPlanError::NotAPlan);
        }
        let head = bytes.get(..HEADER).ok_or(OpenPlanError::Truncated)?;
        let field = |i: usize| {
            let at = MAGIC.len() + 4 * i;
            u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
        };
        if field(0) != VERSION {
            return Err(OpenPlanError::Version { found: field(0) });
        }
        let (program, start, len) = (field(1) as usize, field(2) as usize, field(3) as usize);
        let end = start.checked_add(len).ok_or(OpenPlanError::Truncated)?;
        let gap = HEADER.checked_add(program).ok_or(OpenPlanError::Truncated)?;
        if gap > start || end > bytes.len() {
            return Err(OpenPlanError::Truncated);
        }
        let padding = &bytes[gap..start];
        let unused = head[32..].iter().chain(padding).any(|&b| b != 0) || end != bytes.len();
        if unused || !start.is_multiple_of(ALIGN) || padding.len() >= ALIGN {
            return Err(OpenPlanError::broken("header and sections do not fit together".into()));
        }
        Ok(Self { program, program_crc: field(4), weights: start..end, weights_crc: field(5) })
    }
}
