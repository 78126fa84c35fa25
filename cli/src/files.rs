//! Files that the command writes: first whether it may, and then whole or not at all.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Writes beside the place, then moves there, so that a full disk or a kill leaves an older file whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = beside(path)?;
    file.write_all(bytes).with_context(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).with_context(failed)?;
    }
    file.persist(path).map_err(|e| e.error).with_context(failed)?;
    Ok(())
}

/// Whether a file can be written at `path`, to know it before long work.
pub fn check_writable(path: &Path) -> Result<()> {
    beside(path).map(drop)
}

fn beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) || path.file_name().is_none() {
        bail!("cannot write {}: it is not a file; name one", path.display());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    // Without tempfile's own words, which name the temporary file.
    tempfile::NamedTempFile::new_in(folder)
        .map_err(|e| std::io::Error::from(e.kind()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether two paths lead to one existing file.
pub fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.html");
        check_writable(&path).unwrap();
        assert!(!path.exists());
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        for bad in [folder.path().join("missing/a.html"), folder.path().to_owned(), path.join("b")] {
            for error in [check_writable(&bad).unwrap_err(), write(&bad, b"").unwrap_err()] {
                assert!(error.to_string().contains(&bad.display().to_string()), "{error}");
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(same(&path, &folder.path().join(".").join("a.html")));
        assert!(!same(&path, &folder.path().join("b.html")));
    }
}
