//! Files that the command writes: first whether it may, and then whole or not at all.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes beside the place, then moves there, so that a full disk or a kill leaves an older file whole. A link is
/// followed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = beside(path)?;
    file.write_all(bytes).map_err(bare).with_context(failed)?;
    file.persist(target(path)).map_err(|e| bare(e.error)).with_context(failed)?;
    Ok(())
}

/// What is known of a file that stands where the command is to write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page.
    Html,
    /// Lines of text.
    Text,
}

/// Whether an output can be written, to know it before long work: the place takes a file, which is none of the command's
/// `inputs` and replaces nothing of another kind.
pub fn check_output(flag: &str, path: &Path, kind: Kind, inputs: &[&Path]) -> Result<()> {
    beside(path)?;
    if inputs.iter().any(|input| same(path, input)) {
        bail!("{flag} {}: the command reads or writes that file already; name another", path.display());
    }
    let Ok(file) = std::fs::File::open(path) else { return Ok(()) };
    let mut start = Vec::new();
    file.take(512).read_to_end(&mut start).with_context(|| path.display().to_string())?;
    let text =
        !start.contains(&0) && std::str::from_utf8(&start).map_or_else(|e| e.error_len().is_none(), |_| true);
    let page = start.trim_ascii_start().first().is_none_or(|&first| first == b'<');
    if !text || (kind == Kind::Html && !page) {
        bail!(
            "{flag} {}: a file of another kind is there, so it is not replaced; name another",
            path.display()
        );
    }
    Ok(())
}

/// Whether a file can be written at `path`.
pub fn check_writable(path: &Path) -> Result<()> {
    beside(path).map(drop)
}

/// Where a path leads to.
fn target(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let known = std::fs::metadata(path);
    if known.as_ref().is_ok_and(|meta| !meta.is_file()) || path.file_name().is_none() {
        bail!("cannot write {}: it is not a file; name one", path.display());
    }
    if known.is_err() && path.is_symlink() {
        bail!("cannot write {}: it is a link that leads nowhere; name a file", path.display());
    }
    let target = target(path);
    let folder = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: what the user's umask leaves of this.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder).map_err(bare).with_context(|| format!("cannot write {}", path.display()))
}

/// An error without tempfile's own words, which name the temporary file.
fn bare(error: io::Error) -> io::Error {
    io::Error::from(error.kind())
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

    #[test]
    #[cfg(unix)]
    fn links_are_followed_and_kept() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("far")).unwrap();
        std::fs::write(at("far/real.html"), "<old>").unwrap();
        symlink(at("far/real.html"), at("link.html")).unwrap();
        write(&at("link.html"), b"<new>").unwrap();
        assert_eq!(std::fs::read(at("far/real.html")).unwrap(), b"<new>");
        assert!(at("link.html").is_symlink());
        symlink(at("gone"), at("nowhere")).unwrap();
        assert!(write(&at("nowhere"), b"").unwrap_err().to_string().contains("leads nowhere"));
        // As readable as any file made here.
        std::fs::write(at("any"), "").unwrap();
        let mode = |name: &str| std::fs::metadata(at(name)).unwrap().mode();
        assert_eq!(mode("far/real.html"), mode("any"));
    }

    #[test]
    fn outputs_replace_nothing_of_another_kind() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("page.html"), "<!doctype html>").unwrap();
        std::fs::write(at("table.csv"), "q1,a b\n").unwrap();
        std::fs::write(at("photo.jpg"), b"\xff\xd8\xff\xe0\0\x10JFIF").unwrap();
        let check = |name: &str, kind, inputs: &[&Path]| check_output("--out", &at(name), kind, inputs);
        for name in ["page.html", "new.html"] {
            check(name, Kind::Html, &[&at("table.csv")]).unwrap();
        }
        check("table.csv", Kind::Text, &[]).unwrap();
        assert!(check("table.csv", Kind::Html, &[]).is_err());
        assert!(check("photo.jpg", Kind::Text, &[]).is_err());
        let said = check("table.csv", Kind::Text, &[&at("./table.csv")]).unwrap_err().to_string();
        assert!(said.contains("reads or writes that file already"), "{said}");
    }
}
