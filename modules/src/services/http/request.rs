//! A request head becomes a [`Request`], or the status that answers a bad one (RFC 9112). Plain
//! functions on bytes; nothing is copied.
//!
//! Where a lenient reading could be another one than that of a program in between, the request is
//! refused: bare CR and LF, space in front of a colon, folded lines, two lengths, a length beside a
//! transfer coding.

use super::answer::Status;
use super::{date, range};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// HEAD: the answer has no content.
    pub head_only: bool,
    /// Path as it was sent, percent-encoded; begins with a slash.
    pub path: &'a str,
    /// The client takes further answers on this connection.
    pub keep_alive: bool,
    /// HTTP/1.0.
    pub old: bool,
    /// Octets of content behind the head, which are skipped.
    pub content: u64,
    /// One range of octets.
    pub range: Option<range::Asked>,
    /// The range is good only for the file of this date; `Some(None)`: for none that is here.
    pub if_range: Option<Option<u64>>,
    /// The file is wanted if it is younger than this: seconds since 1970.
    pub if_modified_since: Option<u64>,
    /// If-None-Match is there: the date is not looked at (RFC 9110 section 13.1.3).
    pub if_none_match: bool,
}

/// Octets of a head, its empty line included, when all of it is there. An empty line in front of
/// the request belongs to it.
pub(super) fn head_len(bytes: &[u8]) -> Option<usize> {
    let start = leading_lines(bytes);
    let rest = &bytes[start..];
    let mut from = 0;
    while let Some(at) = rest[from..].iter().position(|&byte| byte == b'\n') {
        let end = from + at + 1;
        match rest[end..] {
            [b'\n', ..] => return Some(start + end + 1),
            [b'\r', b'\n', ..] => return Some(start + end + 2),
            _ => from = end,
        }
    }
    None
}

/// Reads a head that [`head_len`] has found whole.
///
/// # Errors
/// The status of the answer; the connection ends with it.
pub(super) fn parse(head: &[u8]) -> Result<Request<'_>, Status> {
    let head = &head[leading_lines(head)..];
    // Behind the head's last field there is one empty line.
    let head = head.strip_suffix(b"\r\n\r\n").ok_or(Status::BadRequest)?;
    let mut lines = Lines(Some(head));
    let line = lines.next().ok_or(Status::BadRequest)??;
    let (method, target, minor) = request_line(line)?;
    let mut fields = Fields::default();
    let mut count = 0;
    for line in lines {
        count += 1;
        if count > FIELDS_MAX {
            return Err(Status::FieldsTooLarge);
        }
        fields.take(line?)?;
    }
    let path = target_path(target)?;
    if minor > 0 && fields.hosts != 1 || fields.hosts > 1 {
        return Err(Status::BadRequest);
    }
    let head_only = match method {
        b"GET" => false,
        b"HEAD" => true,
        b"POST" | b"PUT" | b"DELETE" | b"OPTIONS" | b"PATCH" | b"TRACE" | b"CONNECT" => {
            return Err(Status::MethodNotAllowed);
        }
        _ => return Err(Status::NotImplemented),
    };
    if fields.content.unwrap_or(0) > CONTENT_MAX {
        return Err(Status::ContentTooLarge);
    }
    Ok(Request {
        head_only,
        path,
        keep_alive: if minor > 0 { !fields.close } else { fields.keep_alive && !fields.close },
        old: minor == 0,
        content: fields.content.unwrap_or(0),
        range: fields.range.filter(|_| !head_only),
        if_range: fields.if_range,
        if_modified_since: fields.if_modified_since,
        if_none_match: fields.if_none_match,
    })
}

/// Octets of empty lines in front of a request (RFC 9112 section 2.2).
fn leading_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    while bytes[at..].starts_with(b"\r\n") {
        at += 2;
    }
    at
}

/// Method, target, minor version.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], u8), Status> {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Status::BadRequest);
    };
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return Err(Status::BadRequest);
    }
    if target.len() > TARGET_MAX {
        return Err(Status::UriTooLong);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => {
            Ok((method, target, minor - b'0'))
        }
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Status::VersionNotSupported)
        }
        _ => Err(Status::BadRequest),
    }
}

/// The path of a target in origin form, or in absolute form, without its query.
fn target_path(target: &[u8]) -> Result<&str, Status> {
    if !target.iter().all(u8::is_ascii_graphic) {
        return Err(Status::BadRequest);
    }
    let target = core::str::from_utf8(target).map_err(|_| Status::BadRequest)?;
    let scheme = target.split_at_checked(7).filter(|(s, _)| s.eq_ignore_ascii_case("http://"));
    let path = match scheme {
        Some((_, rest)) => match rest.find(['/', '?']) {
            Some(0) => return Err(Status::BadRequest),
            Some(at) if rest[at..].starts_with('/') => &rest[at..],
            _ => "/",
        },
        None => target,
    };
    let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
    if path.starts_with('/') { Ok(path) } else { Err(Status::BadRequest) }
}

/// Lines ended by CRLF; an error for one that a bare CR or LF is in.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = Result<&'a [u8], Status>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.take()?;
        let end = rest.iter().position(|&byte| matches!(byte, b'\r' | b'\n'));
        let Some(end) = end else { return Some(Ok(rest)) };
        let Some(behind) = rest[end..].strip_prefix(b"\r\n") else {
            return Some(Err(Status::BadRequest));
        };
        self.0 = Some(behind);
        Some(Ok(&rest[..end]))
    }
}

/// What the fields of a head say, as far as it matters here.
#[derive(Default)]
struct Fields {
    hosts: usize,
    close: bool,
    keep_alive: bool,
    content: Option<u64>,
    range: Option<range::Asked>,
    if_range: Option<Option<u64>>,
    if_modified_since: Option<u64>,
    if_none_match: bool,
}

impl Fields {
    fn take(&mut self, line: &[u8]) -> Result<(), Status> {
        let colon = line.iter().position(|&byte| byte == b':').ok_or(Status::BadRequest)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // Also a folded line and a space in front of the colon are no tokens.
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(Status::BadRequest);
        }
        if value.iter().any(|&byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
            return Err(Status::BadRequest);
        }
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("host") {
            self.hosts += 1;
        } else if is("connection") {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                self.close |= option.eq_ignore_ascii_case(b"close");
                self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            }
        } else if is("content-length") {
            if self.content.is_some() {
                return Err(Status::BadRequest);
            }
            self.content = Some(number(value).ok_or(Status::BadRequest)?);
        } else if is("transfer-encoding") {
            // No method that is served here has content that matters.
            return Err(Status::BadRequest);
        } else if is("range") {
            // Two of them are as good as none that can be read.
            self.range = if self.range.is_none() { range::parse(value) } else { None };
        } else if is("if-range") {
            self.if_range = Some(date::parse(value));
        } else if is("if-modified-since") {
            self.if_modified_since = date::parse(value);
        } else if is("if-none-match") {
            self.if_none_match = true;
        }
        Ok(())
    }
}

/// A number of decimal digits and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &digit| {
        let digit = digit.is_ascii_digit().then_some(u64::from(digit.wrapping_sub(b'0')))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// A character of a token (RFC 9110 section 5.6.2).
const fn is_token(byte: u8) -> bool {
    let sign = matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'|' | b'~');
    sign || byte.is_ascii_alphanumeric() || matches!(byte, b'^'..=b'`')
}

/// Octets of a target: longer ones get 414.
const TARGET_MAX: usize = 4096;
/// Fields of a head: more get 431.
const FIELDS_MAX: usize = 100;
/// Octets of content that are skipped: more get 413.
const CONTENT_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;

    fn get(fields: &str) -> String {
        format!("GET /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n")
    }

    fn refused(head: &str) -> Status {
        parse(head.as_bytes()).expect_err(head)
    }

    #[test]
    fn a_head_ends_with_its_empty_line_and_not_before() {
        let head = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nGET";
        assert_eq!(head_len(head), Some(head.len() - 3));
        for cut in 0..head.len() - 4 {
            assert_eq!(head_len(&head[..cut]), None, "{cut}");
        }
        assert_eq!(head_len(b"GET / HTTP/1.0\n\nGET"), Some(16), "to be refused at once");
    }

    #[test]
    fn a_request_is_read_with_what_matters_of_its_fields() {
        let head = "GET /a%20b?q HTTP/1.1\r\nhOST: x:80\r\nRange: bytes=1-2\r\n\
                    If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 7\r\n\
                    Connection: foo , Close\r\nX-Other:\r\n\r\n";
        let request = parse(head.as_bytes()).unwrap();
        assert_eq!((request.path, request.keep_alive, request.content), ("/a%20b", false, 7));
        assert_eq!(request.if_modified_since, Some(784_111_777));
        assert_eq!(request.range, range::parse(b"bytes=1-2"));
        let old = parse(b"HEAD http://x/b#f HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").unwrap();
        assert!(old.head_only && old.old && old.keep_alive);
        assert_eq!(old.path, "/b");
        assert!(!parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(parse(get("").as_bytes()).unwrap().keep_alive);
        for (target, path) in [("http://x", "/"), ("HTTP://x?q", "/"), ("http://x/y?q", "/y")] {
            let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(parse(head.as_bytes()).unwrap().path, path);
        }
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused_rfc9112_11_2() {
        for fields in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: identity\r\n",
            "Content-Length : 1\r\n",
            " folded\r\n",
            "X: a\r\n\tfolded: b\r\n",
            "X: a\rb\r\n",
            "X: a\nContent-Length: 1\r\n",
            "X: a\0b\r\n",
            "no colon\r\n",
            ": no name\r\n",
            "Host: y\r\n",
        ] {
            assert_eq!(refused(&get(fields)), Status::BadRequest, "{fields:?}");
        }
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / http/1.1\r\nHost: x\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.0\n\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\n",
        ] {
            assert_eq!(refused(head), Status::BadRequest, "{head:?}");
        }
    }

    #[test]
    fn each_limit_has_its_status() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(TARGET_MAX));
        assert_eq!(refused(&long), Status::UriTooLong);
        assert_eq!(refused(&get(&"X: y\r\n".repeat(FIELDS_MAX))), Status::FieldsTooLarge);
        assert_eq!(refused(&get("Content-Length: 65537\r\n")), Status::ContentTooLarge);
        assert_eq!(refused("GET / HTTP/2.0\r\n\r\n"), Status::VersionNotSupported);
        assert_eq!(refused("POST / HTTP/1.1\r\nHost: x\r\n\r\n"), Status::MethodNotAllowed);
        assert_eq!(refused("BREW / HTTP/1.1\r\nHost: x\r\n\r\n"), Status::NotImplemented);
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let head = get("Range: bytes=0-\r\nIf-Range: x\r\nContent-Length: 1\r\n");
        let mut bytes = head.clone().into_bytes();
        for at in 0..bytes.len() {
            for wrong in [0, b'\r', b'\n', b' ', b':', 0x7f, 0xff] {
                let was = core::mem::replace(&mut bytes[at], wrong);
                if let Some(len) = head_len(&bytes) {
                    let _whatever = parse(&bytes[..len]);
                }
                bytes[at] = was;
            }
        }
        for cut in 0..head.len() {
            let _whatever = parse(&head.as_bytes()[..cut]);
        }
    }
}
