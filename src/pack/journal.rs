//! What was added to a pack after it was built: records appended to a file beside it, each durable when
//! [`Journal::append`] returns.
//!
//! | offset | bytes | |
//! |---:|---:|---|
//! | 0 | 8 | magic `89 53 48 4C 4A 0D 0A 1A` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | CRC-32 of the pack's section table: which pack it belongs to |
//! | 16 | 8 | bytes of the pack |
//! | 24 | 4 | 0 |
//! | 28 | 4 | CRC-32 of bytes 0 to 28 |
//!
//! Then records: length (4 bytes), CRC-32 of length and contents (4 bytes), contents. A crash can leave the last record
//! torn: reading stops at the first that is not whole, and the file is cut there, since nobody was told that it was
//! kept. A journal of another pack (the pack was replaced) is refused; one of the pack that this one was compacted from is
//! done with, and begun anew.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::{FormerPack, Pack};

const MAGIC: [u8; 8] = *b"\x89SHLJ\r\n\x1a";
const VERSION: u32 = 1;
/// Bytes before the first record.
pub const HEADER_LEN: usize = 32;
/// Longest record.
pub const MAX_RECORD: usize = 1 << 24;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no journal.
    #[error("{}: not a journal of this library; move it away to start a new one", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
    /// Of a later version.
    #[error("{}: the journal is of version {version}, this library reads up to {VERSION}: update the app", path.display())]
    Version {
        /// The journal.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It belongs to another pack.
    #[error("{}: the journal belongs to another pack; open it beside that pack, or remove it", path.display())]
    OtherPack {
        /// The journal.
        path: PathBuf,
    },
    /// Another process or another [`Journal`] has it open.
    #[error("{}: the journal is in use; close the other index that writes to it", path.display())]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A record too long to write.
    #[error("a record of {found} bytes; a journal takes up to {MAX_RECORD}")]
    TooLong {
        /// Bytes of the record.
        found: usize,
    },
}

/// An open journal, locked against other writers.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes known to be whole.
    end: u64,
}

/// What opening found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Contents of whole records, oldest first.
    pub records: Vec<Vec<u8>>,
    /// Bytes of a torn end that were cut off.
    pub dropped: u64,
}

impl Journal {
    /// Where the journal of a pack is: `shop.shelf.journal` beside `shop.shelf`.
    pub fn path_beside(pack: &Path) -> PathBuf {
        let mut name = pack.as_os_str().to_owned();
        name.push(".journal");
        PathBuf::from(name)
    }

    /// Opens the journal at `path`, or begins one, for `pack`.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn open(path: &Path, pack: &Pack) -> Result<(Self, Recovered), JournalError> {
        Self::open_for(path, &Owner::of(pack))
    }

    /// What the journal at `path` holds for `pack`; nothing if there is none. Unlike [`open`](Self::open) it neither
    /// waits for a writer nor changes the file.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn read(path: &Path, pack: &Pack) -> Result<Recovered, JournalError> {
        Self::read_for(path, &Owner::of(pack))
    }

    fn read_for(path: &Path, owner: &Owner) -> Result<Recovered, JournalError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovered::default()),
            Err(source) => return Err(JournalError::Io { path: path.to_owned(), source }),
        };
        match owner.begins(path, &bytes)? {
            Begins::Anew => Ok(Recovered::default()),
            Begins::Here => {
                let (records, end) = whole_records(&bytes);
                Ok(Recovered { records, dropped: (bytes.len() - end) as u64 })
            }
        }
    }

    fn open_for(path: &Path, owner: &Owner) -> Result<(Self, Recovered), JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let mut file = locked(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io)?;
        let mut journal = Self { path: path.to_owned(), file, end: HEADER_LEN as u64 };
        if let Begins::Anew = owner.begins(path, &bytes)? {
            journal.begin(&owner.header).map_err(io)?;
            return Ok((journal, Recovered { records: Vec::new(), dropped: bytes.len() as u64 }));
        }
        let (records, end) = whole_records(&bytes);
        let dropped = (bytes.len() - end) as u64;
        journal.end = end as u64;
        if dropped > 0 {
            journal.cut().map_err(io)?;
        }
        Ok((journal, Recovered { records, dropped }))
    }

    fn begin(&mut self, header: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(header)?;
        self.file.sync_all()?;
        super::writer::sync_folder(&self.path)
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync_all()
    }

    /// Appends a record. It is on disk when this returns; after an error it is as if it had never been.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn append(&mut self, record: &[u8]) -> Result<(), JournalError> {
        if record.len() > MAX_RECORD {
            return Err(JournalError::TooLong { found: record.len() });
        }
        let bytes = framed(record);
        let mut write = || {
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.write_all(&bytes)?;
            self.file.sync_data()
        };
        match write() {
            Ok(()) => {
                self.end += bytes.len() as u64;
                Ok(())
            }
            Err(source) => {
                // Should this fail too, what is left is a torn record or one that the next append overwrites.
                let _ = self.cut();
                Err(JournalError::Io { path: self.path.clone(), source })
            }
        }
    }

    /// Whether its file is still the one with its name: what is written to another is lost.
    pub fn is_in_place(&self) -> bool {
        is_at(&self.file, &self.path)
    }

    /// Bytes of the file.
    pub fn len(&self) -> u64 {
        self.end
    }

    /// Whether it has no record.
    pub fn is_empty(&self) -> bool {
        self.end == HEADER_LEN as u64
    }

    /// Removes the file, once what it held is in a new pack.
    ///
    /// # Errors
    /// [`JournalError`]
    pub fn remove(self) -> Result<(), JournalError> {
        // Locked until it is gone, so that nobody writes to a file without a name.
        std::fs::remove_file(&self.path).map_err(|source| JournalError::Io { path: self.path, source })
    }
}

/// Times and pauses after which a journal that is locked counts as in use: a tenth of a second.
const LOCK_TRIES: usize = 20;
const LOCK_WAIT: Duration = Duration::from_millis(5);

/// The file at `path`, begun if there is none, locked.
fn locked(path: &Path) -> Result<File, JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), source };
    // A child that this process just started holds its parent's files, and so the lock, until it runs its own program.
    for _ in 0..LOCK_TRIES {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match try_lock(&file) {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_WAIT),
            // Who held the lock may have removed the file, and another begun one, since this one was opened.
            Ok(()) if !is_at(&file, path) => {}
            // Where locks are not supported the caller alone must see to it.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
    Err(JournalError::InUse { path: path.to_owned() })
}

/// Whether `file` is what `path` names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let of = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let (open, named) = (file.metadata().map(of), std::fs::metadata(path).map(of));
    open.is_ok_and(|open| named.is_ok_and(|named| open == named))
}

/// Elsewhere a file that is open is not removed.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// As [`File::try_lock`], which the standard library has on Linux but not on Android.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    use rustix::fs::{FlockOperation, flock};
    use rustix::io::Errno;
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
        Errno::WOULDBLOCK => TryLockError::WouldBlock,
        error => TryLockError::Error(error.into()),
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn try_lock(file: &File) -> Result<(), TryLockError> {
    file.try_lock()
}

fn header(table_crc: u32, pack_len: u64) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend(VERSION.to_le_bytes());
    out.extend(table_crc.to_le_bytes());
    out.extend(pack_len.to_le_bytes());
    out.extend([0; 4]);
    let crc = crc32fast::hash(&out);
    out.extend(crc.to_le_bytes());
    out
}

/// The pack that a journal is for.
struct Owner {
    header: Vec<u8>,
    /// Header of a journal that is done with.
    former: Option<Vec<u8>>,
}

/// What the bytes of a journal are to its pack.
enum Begins {
    /// Its journal.
    Here,
    /// Nothing: an empty file, a header cut off as it was begun, another pack's journal without a record, or one whose
    /// records are in the pack.
    Anew,
}

impl Owner {
    fn of(pack: &Pack) -> Self {
        Self::new(pack.table_crc(), pack.file_len(), pack.meta().compacted_from)
    }

    fn new(table_crc: u32, pack_len: u64, former: Option<FormerPack>) -> Self {
        let former = former.map(|f| header(f.table_crc, f.bytes));
        Self { header: header(table_crc, pack_len), former }
    }

    fn begins(&self, path: &Path, bytes: &[u8]) -> Result<Begins, JournalError> {
        let path = path.to_owned();
        // A crash while it was begun leaves part of a header, and no record.
        if bytes.len() < HEADER_LEN && self.header.starts_with(bytes)
            || self.former.as_ref().is_some_and(|former| bytes.starts_with(former))
        {
            return Ok(Begins::Anew);
        }
        let word = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        if !bytes.starts_with(&MAGIC) || word(28) != bytes.get(..28).map(crc32fast::hash) {
            return Err(JournalError::NotAJournal { path });
        }
        match word(8) {
            Some(version) if version != VERSION => Err(JournalError::Version { path, version }),
            _ if bytes.starts_with(&self.header) => Ok(Begins::Here),
            _ if bytes.len() == HEADER_LEN => Ok(Begins::Anew),
            _ => Err(JournalError::OtherPack { path }),
        }
    }
}

/// Length, checksum, contents.
fn framed(record: &[u8]) -> Vec<u8> {
    // At most MAX_RECORD.
    let len = (record.len() as u32).to_le_bytes();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len);
    crc.update(record);
    let mut out = len.to_vec();
    out.extend(crc.finalize().to_le_bytes());
    out.extend_from_slice(record);
    out
}

/// Records up to the first that is not whole, and where that begins.
fn whole_records(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let (mut records, mut at) = (Vec::new(), HEADER_LEN);
    while let Some((len, rest)) = bytes.get(at..).and_then(|b| b.split_first_chunk::<4>()) {
        let len = u32::from_le_bytes(*len) as usize;
        let Some(record) = rest.get(4..).and_then(|b| b.get(..len)).filter(|_| len <= MAX_RECORD) else {
            break;
        };
        if framed(record).get(4..8) != rest.get(..4) {
            break;
        }
        records.push(record.to_vec());
        at += 8 + len;
    }
    (records, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn open(path: &Path) -> Result<(Journal, Recovered), JournalError> {
        Journal::open_for(path, &Owner::new(7, 1000, None))
    }

    #[test]
    fn records_outlive_the_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.shelf.journal");
        let (mut journal, found) = open(&path).unwrap();
        assert!(found == Recovered::default() && journal.is_empty());
        let records = [b"one".to_vec(), Vec::new(), vec![7; 5000]];
        records.iter().for_each(|r| journal.append(r).unwrap());
        assert!(matches!(open(&path), Err(JournalError::InUse { .. })));
        drop(journal);
        let (journal, found) = open(&path).unwrap();
        assert_eq!(found, Recovered { records: records.to_vec(), dropped: 0 });
        assert_eq!(journal.len(), std::fs::metadata(&path).unwrap().len());
        journal.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn who_waits_for_a_journal_writes_to_the_one_that_is_there_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (holder, _) = open(&path).unwrap();
        let (started, wait) = std::sync::mpsc::channel();
        let waiter = std::thread::spawn({
            let path = path.clone();
            move || {
                started.send(()).unwrap();
                // On a busy machine it may take longer than is waited for.
                let (mut journal, found) =
                    std::iter::repeat_with(|| open(&path)).find_map(Result::ok).unwrap();
                journal.append(b"waiter").unwrap();
                found.records
            }
        });
        wait.recv().unwrap();
        std::thread::sleep(LOCK_WAIT * 2);
        // As compacting does, and another writer right after it.
        let other = folder.path().join("other");
        let (mut journal, _) = open(&other).unwrap();
        journal.append(b"other").unwrap();
        drop(journal);
        assert!(holder.is_in_place());
        std::fs::rename(&other, &path).unwrap();
        assert!(!holder.is_in_place());
        drop(holder);
        assert_eq!(waiter.join().unwrap(), [b"other"]);
        assert_eq!(open(&path).unwrap().1.records, [&b"other"[..], b"waiter"]);
    }

    #[test]
    fn a_journal_cut_or_damaged_anywhere_gives_whole_records_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let records = [b"first".to_vec(), b"second one".to_vec(), b"3".to_vec()];
        let (mut journal, _) = open(&path).unwrap();
        records.iter().for_each(|r| journal.append(r).unwrap());
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for len in 0..=whole.len() {
            std::fs::write(&path, &whole[..len]).unwrap();
            let (mut journal, found) = open(&path).unwrap();
            assert!(records.starts_with(&found.records), "{len}");
            assert_eq!(
                found.dropped == 0,
                found.records.len() == 3 || [0, 32, 45, 63].contains(&len),
                "{len}"
            );
            // It goes on from there.
            journal.append(b"after").unwrap();
            drop(journal);
            let again = open(&path).unwrap().1;
            assert_eq!(again.records.len(), found.records.len() + 1);
            assert_eq!((again.records.last().unwrap().as_slice(), again.dropped), (&b"after"[..], 0));
        }
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            match open(&path) {
                Ok((_, found)) => {
                    assert!(bit >= HEADER_LEN * 8 && records.starts_with(&found.records) && found.dropped > 0)
                }
                Err(error) => assert!(bit < HEADER_LEN * 8, "{error}"),
            }
        }
    }

    #[test]
    fn what_is_no_journal_of_this_pack_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let (mut journal, _) = open(&path).unwrap();
        journal.append(b"kept").unwrap();
        drop(journal);
        let other = Owner::new(8, 1000, None);
        assert!(matches!(Journal::open_for(&path, &other), Err(JournalError::OtherPack { .. })));
        assert!(matches!(Journal::read_for(&path, &other), Err(JournalError::OtherPack { .. })));
        // A pack that says it holds the journal's records.
        let heir = Owner::new(8, 1000, Some(FormerPack { table_crc: 7, bytes: 1000 }));
        assert_eq!(Journal::read_for(&path, &heir).unwrap(), Recovered::default());
        let (mut journal, found) = Journal::open_for(&path, &heir).unwrap();
        assert!(found.records.is_empty() && journal.is_empty());
        assert_eq!(Journal::read_for(&path, &heir).unwrap(), Recovered::default());
        journal.append(b"new").unwrap();
        assert_eq!(Journal::read_for(&path, &heir).unwrap().records, [b"new"]);
        drop(journal);
        assert!(matches!(open(&path), Err(JournalError::OtherPack { .. })));
        std::fs::write(&path, b"id,title\n1,Milk\n").unwrap();
        assert!(matches!(open(&path), Err(JournalError::NotAJournal { .. })));
        assert!(path.exists(), "a file that is not ours stays");
        std::fs::remove_file(&path).unwrap();
        let (mut journal, _) = open(&path).unwrap();
        assert!(matches!(journal.append(&vec![0; MAX_RECORD + 1]), Err(JournalError::TooLong { .. })));
        assert!(matches!(open(&folder.path().join("no/such")), Err(JournalError::Io { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_end_somewhere(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut all = header(7, 1000);
            all.extend(&bytes);
            let (_, end) = whole_records(&all);
            prop_assert!(end <= all.len());
        }
    }
}
