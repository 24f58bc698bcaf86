//! What `http` needs from outside: files below a root, which modules cannot reach themselves; and
//! what their names say of their content.

use alloc::boxed::Box;
use bytes::Bytes;

/// Files below a root. No path leads out of it, by no link either.
pub trait Files: Send {
    /// What is at a path below the root, `a/b`; the root itself is an empty path.
    ///
    /// # Errors
    /// Why there is nothing for the client.
    fn find(&mut self, path: &str) -> Result<Found, Missing>;
}

/// What is at a path.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File(File),
    /// A folder.
    Folder,
}

/// Why a path leads to nothing for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing is there.
    None,
    /// It may not be read, or it is no file, or it lies outside.
    Forbidden,
    /// Not now: descriptors or memory are used up, or the disk has failed.
    Busy,
}

/// A file as it was when it was found.
#[derive(Debug)]
pub struct File {
    /// Octets.
    pub len: u64,
    /// When it was changed: seconds since 1970.
    pub modified_s: u64,
    /// What is in it.
    pub content: Content,
}

/// Where the octets of a file come from.
#[derive(Debug)]
pub enum Content {
    /// All of them are here.
    Here(Bytes),
    /// They are read piece by piece.
    Pieces(Box<dyn Pieces>),
}

/// A file that is open.
pub trait Pieces: Send + core::fmt::Debug {
    /// Octets from a place on, at most so many; `None` when there are none any more.
    fn read(&mut self, from: u64, most: usize) -> Option<Bytes>;
}

/// Content-Type of a file by the end of its name; octets when it says nothing.
pub(super) fn content_type(path: &str) -> &'static str {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((_, extension)) = name.rsplit_once('.') else { return OCTETS };
    let known = TYPES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
    known.map_or(OCTETS, |(_, content_type)| content_type)
}

const OCTETS: &str = "application/octet-stream";

const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("xml", "application/xml"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("ico", "image/vnd.microsoft.icon"),
    ("pdf", "application/pdf"),
    ("wasm", "application/wasm"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("ttf", "font/ttf"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("gz", "application/gzip"),
    ("zip", "application/zip"),
    ("tar", "application/x-tar"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_says_what_is_in_a_file() {
        assert_eq!(content_type("a/b/index.HTML"), "text/html; charset=utf-8");
        assert_eq!(content_type("a.tar.gz"), "application/gzip");
        for other in ["", "README", "a.html/b", ".css/", "a."] {
            assert_eq!(content_type(other), OCTETS, "{other}");
        }
    }
}
