//! Writing a pack: sections stream to a file beside the target, which replaces it only when whole.

use super::error::WritePackError;
use super::format::{
    BLOCK_LEN, HEADER_LEN, Header, MAX_SECTIONS, SectionId, SectionInfo, SectionKind, VERSION, aligned,
};
use super::meta::PackMeta;
use super::reader::{OpenOptions, Pack};
use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf, is_separator};
use std::sync::atomic::{AtomicU64, Ordering};

/// Lays a pack out on anything that can be written and sought.
#[derive(Debug)]
struct Assembler<W> {
    out: W,
    end: u64,
    sections: Vec<SectionInfo>,
    sums: Vec<u32>,
}

enum AssembleError {
    Io(io::Error),
    Other(WritePackError),
}

impl From<io::Error> for AssembleError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<W: Write + Seek> Assembler<W> {
    fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&[0; HEADER_LEN])?;
        Ok(Self { out, end: HEADER_LEN as u64, sections: Vec::new(), sums: Vec::new() })
    }

    /// Zeros up to the next multiple of 64.
    fn pad(&mut self) -> Result<u64, AssembleError> {
        let too_large = AssembleError::Other(WritePackError::TooLarge { what: "2^64 bytes" });
        let start = aligned(self.end).ok_or(too_large)?;
        io::copy(&mut io::Read::take(io::repeat(0), start - self.end), &mut self.out)?;
        Ok(start)
    }

    fn section(&mut self, id: SectionId, required: bool, bytes: &[u8]) -> Result<(), AssembleError> {
        let refuse = |e| Err(AssembleError::Other(e));
        if self.sections.iter().any(|s| s.id == id) {
            return refuse(WritePackError::Duplicate { id });
        }
        if self.sections.len() >= MAX_SECTIONS as usize {
            return refuse(WritePackError::TooLarge { what: "256 sections" });
        }
        if u32::try_from(self.sums.len() + bytes.len().div_ceil(BLOCK_LEN)).is_err() {
            return refuse(WritePackError::TooLarge { what: "2^32 blocks" });
        }
        let first_block = self.sums.len() as u32;
        let offset = self.pad()?;
        self.out.write_all(bytes)?;
        let len = bytes.len() as u64;
        self.sums.extend(bytes.chunks(BLOCK_LEN).map(crc32fast::hash));
        self.sections.push(SectionInfo { id, required, offset, len, first_block });
        self.end = offset + len;
        Ok(())
    }

    fn finish(mut self) -> Result<W, AssembleError> {
        let table_offset = self.pad()?;
        let mut table: Vec<u8> = self.sections.iter().flat_map(SectionInfo::encode).collect();
        table.extend(self.sums.iter().flat_map(|s| s.to_le_bytes()));
        self.out.write_all(&table)?;
        let header = Header {
            version: VERSION,
            min_reader: VERSION,
            flags: 0,
            file_len: table_offset + table.len() as u64,
            table_offset,
            section_count: self.sections.len() as u32,
            block_count: self.sums.len() as u32,
            table_crc: crc32fast::hash(&table),
        };
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header.encode())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes one pack file. Dropped before [`finish`](Self::finish), it leaves nothing behind.
///
/// Sections go to a temporary file beside the target (`.NAME.PID-N.tmp`), which is flushed to disk, opened and
/// checked, and only then renamed over the target; the folder is flushed last. Readers that have the old pack open keep it.
/// The temporary file is locked while its writer lives, so that what a killed writer left is known as such: the next
/// writer of the same pack removes it.
#[derive(Debug)]
pub struct PackWriter {
    target: PathBuf,
    temporary: TemporaryFile,
    assembler: Assembler<BufWriter<File>>,
}

impl PackWriter {
    /// Begins a pack at `path`; a file already there stays as it is until the new pack is complete.
    ///
    /// # Errors
    /// [`WritePackError`] if the folder cannot be written to or `path` is a folder or device.
    pub fn create(path: &Path) -> Result<Self, WritePackError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let not_a_file = || WritePackError::NotAFile { path: path.to_owned() };
        // A link stays; what it leads to is replaced.
        let target = match path.canonicalize() {
            Ok(target) if path.is_symlink() => target,
            _ if path.is_symlink() => return Err(not_a_file()),
            _ => path.to_owned(),
        };
        let path = target.as_path();
        let name = path.file_name().ok_or_else(not_a_file)?;
        let ends_in_slash =
            path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| is_separator(b.into()));
        if ends_in_slash || fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
            return Err(not_a_file());
        }
        remove_leftovers(path, name);
        let io = |source| WritePackError::Io { path: path.to_owned(), source };
        let beside = || {
            let mut hidden = std::ffi::OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
            path.with_file_name(hidden)
        };
        let (temporary, file) = loop {
            let temporary = beside();
            // create_new: never write into a file that someone else has. A killed writer may have left one of this
            // name (in a container process ids repeat), so go on to the next.
            let file = match File::options().write(true).create_new(true).open(&temporary) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(io)?,
            };
            // Another writer may have taken the file for a leftover before it was locked: then it is gone or about to
            // be. Where locks are not supported, leftovers are not removed either.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock));
            if !taken && temporary.exists() {
                break (temporary, file);
            }
        };
        let temporary = TemporaryFile(Some(temporary));
        let assembler = Assembler::new(BufWriter::with_capacity(1 << 18, file)).map_err(io)?;
        Ok(Self { target: path.to_owned(), temporary, assembler })
    }

    /// Adds the meta section; its format version is set to the writer's.
    ///
    /// # Errors
    /// [`WritePackError`]
    pub fn meta(&mut self, meta: &PackMeta) -> Result<(), WritePackError> {
        self.section(SectionKind::Meta, &meta_json(meta))
    }

    /// Adds a section. Sections lie in the order given.
    ///
    /// # Errors
    /// [`WritePackError`] if the disk is full or the kind was given before.
    pub fn section(&mut self, kind: SectionKind, bytes: &[u8]) -> Result<(), WritePackError> {
        self.raw_section(kind.into(), kind.required(), bytes)
    }

    /// Adds a section of any number, for extensions. Readers that do not know it skip it unless `required`.
    ///
    /// # Errors
    /// As [`section`](Self::section).
    pub fn raw_section(&mut self, id: SectionId, required: bool, bytes: &[u8]) -> Result<(), WritePackError> {
        self.assembler.section(id, required, bytes).map_err(|e| with_path(e, &self.target))
    }

    /// Completes the pack and puts it in place of what was there.
    ///
    /// # Errors
    /// [`WritePackError`]; the old file is then untouched and the temporary one removed.
    pub fn finish(self) -> Result<(), WritePackError> {
        self.finish_checked(|written| {
            let options = OpenOptions { max_bytes: u64::MAX, verify: false };
            match Pack::open(written, &options) {
                Ok(_) => Ok(()),
                Err(e) => Err(WritePackError::Invalid(Box::new(e))),
            }
        })
    }

    /// As [`finish`](Self::finish), but `check` decides whether the pack is good: it is given the complete file, still
    /// under its temporary name, and may keep nothing of it open.
    ///
    /// # Errors
    /// Those of `check`, and [`WritePackError`]; the old file is then untouched and the temporary one removed.
    pub fn finish_checked<T, E: From<WritePackError>>(
        mut self,
        check: impl FnOnce(&Path) -> Result<T, E>,
    ) -> Result<T, E> {
        let target = self.target;
        let io = |source| WritePackError::Io { path: target.clone(), source };
        let out = self.assembler.finish().map_err(|e| with_path(e, &target))?;
        // Open, and so locked, until it has its name.
        let file = out.into_inner().map_err(|e| io(e.into_error()))?;
        file.sync_all().map_err(io)?;
        let temporary = self.temporary.0.as_deref().unwrap_or(&target);
        let checked = check(temporary)?;
        fs::rename(temporary, &target).map_err(io)?;
        self.temporary.0 = None;
        sync_folder(&target).map_err(io)?;
        drop(file);
        Ok(checked)
    }
}

/// Removes what killed writers of the same pack left beside it; a living writer's file is locked. What cannot be removed
/// stays: it is in no one's way.
fn remove_leftovers(path: &Path, name: &OsStr) {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_temporary_of(&entry.file_name(), name) || !entry.file_type().is_ok_and(|t| t.is_file()) {
            continue;
        }
        let file = File::options().write(true).open(entry.path());
        if let Ok(file) = file
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether `file` is `.NAME.PID-N.tmp`.
fn is_temporary_of(file: &OsStr, name: &OsStr) -> bool {
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let middle = || {
        let rest = file.as_encoded_bytes().strip_prefix(b".")?.strip_prefix(name.as_encoded_bytes())?;
        rest.strip_prefix(b".")?.strip_suffix(b".tmp")
    };
    let Some(middle) = middle() else { return false };
    let mut parts = middle.split(|&b| b == b'-');
    matches!((parts.next(), parts.next(), parts.next()), (Some(pid), Some(n), None) if number(pid) && number(n))
}

/// Lays a pack out in memory.
#[derive(Debug)]
pub struct PackBuffer(Assembler<Cursor<Vec<u8>>>);

impl PackBuffer {
    /// No section yet.
    ///
    /// # Errors
    /// None in practice; the type is that of [`PackWriter`].
    pub fn new() -> Result<Self, WritePackError> {
        let io = |source| WritePackError::Io { path: PathBuf::from("memory"), source };
        Assembler::new(Cursor::new(Vec::new())).map(Self).map_err(io)
    }

    /// Adds the meta section; its format version is set to the writer's.
    ///
    /// # Errors
    /// [`WritePackError::Duplicate`]
    pub fn meta(&mut self, meta: &PackMeta) -> Result<(), WritePackError> {
        self.section(SectionKind::Meta, &meta_json(meta))
    }

    /// Adds a section.
    ///
    /// # Errors
    /// [`WritePackError::Duplicate`]
    pub fn section(&mut self, kind: SectionKind, bytes: &[u8]) -> Result<(), WritePackError> {
        self.raw_section(kind.into(), kind.required(), bytes)
    }

    /// Adds a section of any number.
    ///
    /// # Errors
    /// [`WritePackError::Duplicate`]
    pub fn raw_section(&mut self, id: SectionId, required: bool, bytes: &[u8]) -> Result<(), WritePackError> {
        self.0.section(id, required, bytes).map_err(|e| with_path(e, Path::new("memory")))
    }

    /// The pack's bytes. Unlike [`PackWriter::finish`] it does not open them.
    ///
    /// # Errors
    /// None in practice; the type is that of [`PackWriter`].
    pub fn finish(self) -> Result<Vec<u8>, WritePackError> {
        let out = self.0.finish().map_err(|e| with_path(e, Path::new("memory")))?;
        Ok(out.into_inner())
    }
}

fn meta_json(meta: &PackMeta) -> Vec<u8> {
    // Strings, numbers and maps with string keys always serialise.
    serde_json::to_vec_pretty(&PackMeta { format: VERSION, ..meta.clone() }).unwrap_or_default()
}

fn with_path(error: AssembleError, path: &Path) -> WritePackError {
    match error {
        AssembleError::Io(source) => WritePackError::Io { path: path.to_owned(), source },
        AssembleError::Other(error) => error,
    }
}

/// A rename is only sure to outlive a power cut once its folder is on disk.
#[cfg(unix)]
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(folder)?.sync_all() {
        // Some network and FUSE file systems cannot sync a folder; the pack itself is in place.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        done => done,
    }
}

#[cfg(not(unix))]
pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Removes the file when dropped, unless it was taken out.
#[derive(Debug)]
struct TemporaryFile(Option<PathBuf>);

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // Nothing more can be done about a file that cannot be removed.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full after some bytes.
    struct Full {
        left: usize,
        at: u64,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.left == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let n = bytes.len().min(self.left);
            self.left -= n;
            self.at += n as u64;
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            if self.left == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl Seek for Full {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(self.at)
        }
    }

    #[test]
    fn a_disk_full_at_any_byte_is_an_error() {
        let write = |left| -> Result<(), AssembleError> {
            let mut pack = Assembler::new(Full { left, at: 0 })?;
            pack.section(SectionKind::Meta.into(), true, b"{}")?;
            pack.section(SectionKind::Records.into(), true, &[7; 100])?;
            pack.finish().map(|_| ())
        };
        // Header twice (first as zeros), two sections and their padding, table and sums.
        let whole = 64 + 64 + 128 + 2 * 32 + 2 * 4 + 64;
        for left in 0..whole {
            let error = write(left).err();
            assert!(
                matches!(error, Some(AssembleError::Io(e)) if e.kind() == io::ErrorKind::StorageFull),
                "{left}"
            );
        }
        assert!(write(whole + 1).is_ok());
    }

    #[test]
    fn sections_are_counted() {
        let mut pack = PackBuffer::new().unwrap();
        for id in 0..MAX_SECTIONS {
            pack.raw_section(SectionId(id + 1000), false, b"").unwrap();
        }
        let error = pack.raw_section(SectionId(1), false, b"").unwrap_err();
        assert!(matches!(error, WritePackError::TooLarge { .. }));
    }
}
