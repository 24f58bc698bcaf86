//! ifname: text becomes the name of an interface as the kernel wants it, or an error.

use std::fmt;

/// A name of 1 to 15 bytes, padded with zeros to the 16 of `ifr_name`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct IfName([u8; libc::IFNAMSIZ]);

impl IfName {
    /// A name by the rules of `dev_valid_name` in the kernel, without patterns.
    pub(crate) fn new(name: &str) -> Result<Self, BadName> {
        if name.contains('%') {
            return Err(BadName::new(name, "it contains '%'"));
        }
        Self::pattern(name)
    }

    /// As [`IfName::new`], but may contain `%d` once: the kernel puts the first free number there.
    pub(crate) fn pattern(name: &str) -> Result<Self, BadName> {
        let refuse = |reason| Err(BadName::new(name, reason));
        if name.is_empty() {
            return refuse("it is empty");
        }
        if name.len() >= libc::IFNAMSIZ {
            return refuse("it is longer than 15 bytes");
        }
        if name == "." || name == ".." {
            return refuse("it is a name of a directory");
        }
        if name.contains(['/', ':', '\0']) {
            return refuse("it contains '/', ':' or NUL");
        }
        if name.chars().any(char::is_whitespace) {
            return refuse("it contains a space");
        }
        if name.replacen("%d", "", 1).contains('%') {
            return refuse("it contains '%' other than in one %d");
        }
        let mut bytes = [0; libc::IFNAMSIZ];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }

    /// A name that the kernel wrote.
    pub(crate) fn from_kernel(bytes: [u8; libc::IFNAMSIZ]) -> Self {
        Self(bytes)
    }

    /// The content of `ifr_name`.
    pub(crate) fn bytes(&self) -> [u8; libc::IFNAMSIZ] {
        self.0
    }

    /// The content of an attribute such as IFLA_IFNAME: the name and one NUL.
    pub(crate) fn with_nul(&self) -> &[u8] {
        &self.0[..=self.len().min(libc::IFNAMSIZ - 1)]
    }

    fn len(&self) -> usize {
        self.0.iter().position(|&b| b == 0).unwrap_or(libc::IFNAMSIZ)
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0[..self.len()]))
    }
}

/// A text that cannot be the name of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot name an interface because {reason}: \
     use 1 to 15 bytes without '/', ':', '%' and spaces"
)]
pub struct BadName {
    name: String,
    reason: &'static str,
}

impl BadName {
    fn new(name: &str, reason: &'static str) -> Self {
        Self { name: name.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_up_to_15_bytes_pass_and_16_do_not() {
        let longest = "a23456789012345";
        assert_eq!(IfName::new(longest).unwrap().to_string(), longest);
        assert_eq!(IfName::new(longest).unwrap().with_nul().len(), 16);
        assert!(IfName::new("a234567890123456").is_err());
    }

    #[test]
    fn names_the_kernel_refuses_are_refused_with_the_reason() {
        for (name, reason) in [
            ("", "empty"),
            (".", "directory"),
            ("..", "directory"),
            ("a/b", "'/'"),
            ("a:1", "':'"),
            ("a b", "space"),
            ("a\0", "NUL"),
            ("tap%d", "'%'"),
        ] {
            let text = IfName::new(name).map(|n| n.to_string()).unwrap_err().to_string();
            assert!(text.contains(reason), "{name:?}: {text}");
        }
    }

    #[test]
    fn a_pattern_has_one_number() {
        assert!(IfName::pattern("tap%d").is_ok());
        assert!(IfName::pattern("tap%d%d").is_err());
        assert!(IfName::pattern("tap%s").is_err());
    }

    #[test]
    fn the_attribute_form_ends_with_one_nul() {
        assert_eq!(IfName::new("lo").unwrap().with_nul(), b"lo\0");
    }
}
