//! The path of a request becomes a path below the root of the files, or none.

use super::answer::Status;
use alloc::string::String;

/// A path that lies below the root: components apart by slashes, none of them empty, `.` or `..`.
#[derive(Clone, Copy)]
pub(super) struct Path {
    bytes: [u8; PATH_MAX],
    len: usize,
    /// It was asked for as a folder.
    pub is_folder: bool,
}

impl Path {
    /// Decodes an encoded path that begins with a slash.
    ///
    /// # Errors
    /// 400: an encoding that is none, NUL, no UTF-8. 403: `..`, however it is written, for what is
    /// above the root is nobody's business. 414: too long.
    pub(super) fn decode(encoded: &str) -> Result<Self, Status> {
        let mut path = Self { bytes: [0; PATH_MAX], len: 0, is_folder: true };
        let mut start = 0;
        let mut rest = encoded.as_bytes();
        while let Some((&byte, behind)) = rest.split_first() {
            let byte = match (byte, behind) {
                (b'%', [high, low, ..]) => {
                    rest = &behind[2..];
                    hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
                }
                (b'%', _) => None,
                _ => {
                    rest = behind;
                    Some(byte)
                }
            };
            match byte.ok_or(Status::BadRequest)? {
                0 => return Err(Status::BadRequest),
                b'/' => {
                    path.end_component(start)?;
                    start = path.len;
                }
                byte => path.push(byte)?,
            }
        }
        path.is_folder = path.len == start || path.bytes[start..path.len] == *b".";
        path.end_component(start)?;
        if path.bytes[..path.len].last() == Some(&b'/') {
            path.len -= 1;
        }
        match core::str::from_utf8(&path.bytes[..path.len]) {
            Ok(_) => Ok(path),
            Err(_) => Err(Status::BadRequest),
        }
    }

    /// The path; empty for the root itself.
    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// The file of this name in the folder that this path is.
    ///
    /// # Errors
    /// 414: too long.
    pub(super) fn child(mut self, name: &str) -> Result<Self, Status> {
        if self.len > 0 {
            self.push(b'/')?;
        }
        name.bytes().try_for_each(|byte| self.push(byte))?;
        self.is_folder = false;
        Ok(self)
    }

    /// Where the folder is that this path is, percent-encoded, from the root on: one slash in
    /// front, so that it names no other host.
    pub(super) fn folder_location(&self) -> String {
        let mut location = String::from("/");
        for byte in self.as_str().bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~') {
                location.push(char::from(byte));
            } else {
                location.push('%');
                location.push(char::from(HEX[usize::from(byte >> 4)]));
                location.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
        location.push('/');
        location
    }

    /// Ends a component, which began at `start`, with a slash; one that says nothing vanishes.
    fn end_component(&mut self, start: usize) -> Result<(), Status> {
        match &self.bytes[start..self.len] {
            b"" | b"." => {
                self.len = start;
                Ok(())
            }
            b".." => Err(Status::Forbidden),
            _ => self.push(b'/'),
        }
    }

    fn push(&mut self, byte: u8) -> Result<(), Status> {
        *self.bytes.get_mut(self.len).ok_or(Status::UriTooLong)? = byte;
        self.len += 1;
        Ok(())
    }
}

impl core::fmt::Debug for Path {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";
/// Octets of a path: as many as Linux takes in a name of a few components.
pub(super) const PATH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn decode(encoded: &str) -> (String, bool) {
        let path = Path::decode(encoded).unwrap_or_else(|why| panic!("{encoded}: {why:?}"));
        (path.as_str().to_string(), path.is_folder)
    }

    #[test]
    fn a_path_is_decoded_and_says_whether_a_folder_is_meant() {
        for (encoded, path, is_folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("//a//b.txt", "a/b.txt", false),
            ("/./a/.", "a", true),
            ("/a%20b%2fc", "a b/c", false),
            ("/%C3%a9", "\u{e9}", false),
            ("/...", "...", false),
            ("/.well-known/x", ".well-known/x", false),
        ] {
            assert_eq!(decode(encoded), (path.to_string(), is_folder), "{encoded}");
        }
    }

    #[test]
    fn nothing_leaves_the_root_however_it_is_written() {
        for encoded in [
            "/..",
            "/../etc/passwd",
            "/a/../../etc",
            "/%2e%2e/etc",
            "/.%2E/etc",
            "/a%2f..%2fb",
            "/a/..",
            "/..%2f",
        ] {
            assert_eq!(Path::decode(encoded).err(), Some(Status::Forbidden), "{encoded}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for encoded in ["/%", "/%2", "/%zz", "/a%00b", "/%ff", "/%+1"] {
            assert_eq!(Path::decode(encoded).err(), Some(Status::BadRequest), "{encoded}");
        }
        let long = String::from("/") + &"a".repeat(PATH_MAX);
        assert_eq!(Path::decode(&long).err(), Some(Status::UriTooLong));
        let folder = Path::decode(&long[..PATH_MAX]).unwrap();
        assert_eq!(folder.child("index.html").err(), Some(Status::UriTooLong));
    }

    #[test]
    fn a_folder_is_found_by_its_encoded_path_on_this_host() {
        let location = |encoded| Path::decode(encoded).unwrap().folder_location();
        assert_eq!(location("//evil.example/a"), "/evil.example/a/");
        assert_eq!(location("/a%20b%0d%0ac/~d"), "/a%20b%0D%0Ac/~d/");
    }

    #[test]
    fn a_file_of_a_folder_lies_below_it() {
        for (folder, file) in [("/", "index.html"), ("/a/", "a/index.html")] {
            let child = Path::decode(folder).and_then(|path| path.child("index.html")).unwrap();
            assert_eq!((child.as_str(), child.is_folder), (file, false));
        }
    }
}
