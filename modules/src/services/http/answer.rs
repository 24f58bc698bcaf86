//! A status and what is known of a file become the head of an answer.

use super::date;
use super::range::Part;

/// Status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 206
    PartialContent,
    /// 301
    MovedPermanently,
    /// 304
    NotModified,
    /// 400
    BadRequest,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 413
    ContentTooLarge,
    /// 414
    UriTooLong,
    /// 416
    RangeNotSatisfiable,
    /// 431
    FieldsTooLarge,
    /// 501
    NotImplemented,
    /// 503
    ServiceUnavailable,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// Number and phrase.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::PartialContent => "206 Partial Content",
            Self::MovedPermanently => "301 Moved Permanently",
            Self::NotModified => "304 Not Modified",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::ContentTooLarge => "413 Content Too Large",
            Self::UriTooLong => "414 URI Too Long",
            Self::RangeNotSatisfiable => "416 Range Not Satisfiable",
            Self::FieldsTooLarge => "431 Request Header Fields Too Large",
            Self::NotImplemented => "501 Not Implemented",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// It answers a request that was understood.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::PartialContent | Self::NotModified)
    }
}

/// What the head of an answer says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// Its status.
    pub status: Status,
    /// Now: seconds since 1970.
    pub now_s: u64,
    /// The file, for an answer that is about one.
    pub file: Option<About>,
    /// Where else it is, percent-encoded.
    pub location: Option<&'a str>,
    /// What becomes of the connection.
    pub connection: Connection,
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// It goes on, as a client of HTTP/1.1 expects.
    GoesOn,
    /// It goes on, which a client of HTTP/1.0 has to be told.
    KeepAlive,
    /// It ends behind this answer.
    Close,
}

/// A file, as an answer tells of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct About {
    /// Octets of all of it.
    pub len: u64,
    /// When it was changed: seconds since 1970.
    pub modified_s: u64,
    /// Content-Type.
    pub content_type: &'static str,
    /// The part that is sent.
    pub part: Part,
}

impl Head<'_> {
    /// Writes the head, and behind it the line that people see where there is no file. With
    /// `head_only` without that line.
    pub(super) fn write<'o>(&self, head_only: bool, out: &'o mut [u8; HEAD_MAX]) -> &'o [u8] {
        let mut out = Out { bytes: out, len: 0 };
        out.texts(&["HTTP/1.1 ", self.status.line(), "\r\nServer: millstream\r\nDate: "]);
        out.date(self.now_s);
        match (self.status, self.file) {
            (Status::RangeNotSatisfiable, Some(file)) => {
                out.text("Content-Range: bytes */");
                out.number(file.len);
                out.text("\r\n");
            }
            (_, Some(file)) => self.about(&file, &mut out),
            (Status::MethodNotAllowed, None) => out.text("Allow: GET, HEAD\r\n"),
            _ => {}
        }
        if let Some(location) = self.location {
            out.texts(&["Location: ", location, "\r\n"]);
        }
        match self.connection {
            Connection::GoesOn => {}
            Connection::KeepAlive => out.text("Connection: keep-alive\r\n"),
            Connection::Close => out.text("Connection: close\r\n"),
        }
        if self.status.is_success() {
            out.text("\r\n");
        } else {
            let line = self.status.line();
            out.text("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ");
            out.number(line.len() as u64 + 1);
            out.texts(&["\r\n\r\n", if head_only { "" } else { line }]);
            out.text(if head_only { "" } else { "\n" });
        }
        let Out { bytes, len } = out;
        &bytes[..len]
    }

    fn about(&self, file: &About, out: &mut Out<'_>) {
        out.text("Last-Modified: ");
        out.date(file.modified_s);
        if self.status == Status::NotModified {
            return;
        }
        out.texts(&["Accept-Ranges: bytes\r\nContent-Type: ", file.content_type]);
        out.text("\r\nContent-Length: ");
        out.number(file.part.len);
        if self.status == Status::PartialContent {
            out.text("\r\nContent-Range: bytes ");
            out.number(file.part.from);
            out.text("-");
            out.number(file.part.from + file.part.len - 1);
            out.text("/");
            out.number(file.len);
        }
        out.text("\r\n");
    }
}

struct Out<'a> {
    bytes: &'a mut [u8; HEAD_MAX],
    len: usize,
}

impl Out<'_> {
    /// What does not fit is cut: [`HEAD_MAX`] holds the longest head.
    fn text(&mut self, text: &str) {
        let n = text.len().min(HEAD_MAX - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&text.as_bytes()[..n]);
        self.len += n;
    }

    fn texts(&mut self, texts: &[&str]) {
        texts.iter().for_each(|text| self.text(text));
    }

    fn number(&mut self, value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = value;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text(core::str::from_utf8(&digits[at..]).unwrap_or_default());
    }

    fn date(&mut self, unix_s: u64) {
        self.texts(&[core::str::from_utf8(&date::format(unix_s)).unwrap_or_default(), "\r\n"]);
    }
}

/// Octets of a head: the fixed fields are less than 512, and a Location is a path of which every
/// octet may be encoded as three.
pub(super) const HEAD_MAX: usize = 512 + 3 * (super::path::PATH_MAX + 2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    const FILE: About = About {
        len: 1000,
        modified_s: 784_111_777,
        content_type: "text/plain",
        part: Part { from: 0, len: 1000 },
    };

    fn text(status: Status, file: Option<About>, head_only: bool) -> String {
        let connection = Connection::GoesOn;
        let head = Head { status, now_s: 0, file, location: None, connection };
        let mut out = [0; HEAD_MAX];
        String::from_utf8_lossy(head.write(head_only, &mut out)).to_string()
    }

    #[test]
    fn the_head_of_a_file_says_what_a_client_needs() {
        let expected = "HTTP/1.1 200 OK\r\nServer: millstream\r\n\
            Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
            Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nAccept-Ranges: bytes\r\n\
            Content-Type: text/plain\r\nContent-Length: 1000\r\n\r\n";
        assert_eq!(text(Status::Ok, Some(FILE), false), expected);
    }

    #[test]
    fn a_part_says_where_it_is_and_what_cannot_be_given_how_long_the_file_is() {
        let part = About { part: Part { from: 10, len: 5 }, ..FILE };
        let head = text(Status::PartialContent, Some(part), false);
        assert!(head.contains("Content-Length: 5\r\nContent-Range: bytes 10-14/1000\r\n"));
        let head = text(Status::RangeNotSatisfiable, Some(FILE), false);
        assert!(head.contains("Content-Range: bytes */1000\r\n") && !head.contains("Modified"));
        assert!(head.ends_with("\r\n\r\n416 Range Not Satisfiable\n"), "{head}");
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_described_rfc9110_15_4_5() {
        let head = text(Status::NotModified, Some(FILE), false);
        assert!(head.contains("Last-Modified") && !head.contains("Content-"), "{head}");
        assert!(head.ends_with("\r\n\r\n"));
    }

    #[test]
    fn an_error_is_a_line_for_people_whose_length_head_tells_too() {
        let whole = text(Status::MethodNotAllowed, None, false);
        assert!(whole.contains("Allow: GET, HEAD\r\n"), "{whole}");
        let line = "405 Method Not Allowed\n";
        assert_eq!(whole.strip_suffix(line), Some(&*text(Status::MethodNotAllowed, None, true)));
        assert!(whole.contains("Content-Length: 23\r\n"));
    }

    #[test]
    fn the_longest_head_fits() {
        let part = About {
            len: u64::MAX,
            part: Part { from: u64::MAX / 2, len: u64::MAX / 2 },
            content_type: "text/markdown; charset=utf-8",
            ..FILE
        };
        assert!(text(Status::PartialContent, Some(part), false).len() < 512);
    }
}
