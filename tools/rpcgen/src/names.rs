//! Names of C become names of Rust.

use std::collections::HashSet;

/// Names that are taken in one scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope(HashSet<String>);

impl Scope {
    /// A scope in which `names` are taken.
    pub(crate) fn with(names: &[&str]) -> Self {
        Self(names.iter().map(|&name| name.to_owned()).collect())
    }

    /// `wanted`, with as many underscores as it takes to be alone, and to be no keyword.
    pub(crate) fn take(&mut self, wanted: String) -> String {
        let mut name = wanted;
        while KEYWORDS.contains(&name.as_str()) || self.0.contains(&name) {
            name.push('_');
        }
        self.0.insert(name.clone());
        name
    }
}

/// `nfs_fh3` becomes `NfsFh3`, `NFS3ERR_IO` `Nfs3errIo`; `READ3args` stays.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::new();
    for part in name.split('_').filter(|part| !part.is_empty()) {
        let shouted = !part.bytes().any(|c| c.is_ascii_lowercase());
        let (first, rest) = part.split_at(1);
        // Digits that an underscore held apart stay apart.
        if out.ends_with(|c: char| c.is_ascii_digit()) && first.as_bytes()[0].is_ascii_digit() {
            out.push('_');
        }
        out += &first.to_ascii_uppercase();
        out += &if shouted { rest.to_ascii_lowercase() } else { rest.to_owned() };
    }
    start_with_letter(out, 'N')
}

/// `READ3args` becomes `read3args`, `fileName` `file_name`.
pub(crate) fn snake(name: &str) -> String {
    let shouted = !name.bytes().any(|c| c.is_ascii_lowercase());
    let mut out = String::new();
    let mut last = '_';
    for c in name.chars() {
        let humped = c.is_ascii_uppercase() && last.is_ascii_lowercase() && !shouted;
        if (humped || c == '_') && !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
        if c != '_' {
            out.push(c.to_ascii_lowercase());
        }
        last = c;
    }
    start_with_letter(out.trim_end_matches('_').to_owned(), 'n')
}

/// `nfsport` becomes `NFSPORT`.
pub(crate) fn upper(name: &str) -> String {
    snake(name).to_ascii_uppercase()
}

fn start_with_letter(name: String, letter: char) -> String {
    match name.bytes().next() {
        Some(c) if !c.is_ascii_digit() => name,
        _ => format!("{letter}{name}"),
    }
}

/// Words that no name of Rust 2024 may be.
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "Self",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_camel_case() {
        let names =
            ["nfs_fh3", "NFS3ERR_IO", "READ3args", "READ", "_x__y", "__", "a_1_2", "fattr3"];
        let camels = ["NfsFh3", "Nfs3errIo", "READ3args", "Read", "XY", "N", "A1_2", "Fattr3"];
        assert_eq!(names.map(camel), camels);
    }

    #[test]
    fn members_are_in_snake_case_and_constants_shout() {
        let names = ["fileName", "READ3args", "NFSPROC3_NULL", "a__b", "_1", "aB_C"];
        let snakes = ["file_name", "read3args", "nfsproc3_null", "a_b", "n1", "a_b_c"];
        assert_eq!(names.map(snake), snakes);
        assert_eq!(upper("nfsPort"), "NFS_PORT");
    }

    #[test]
    fn names_that_collide_and_keywords_get_underscores() {
        let mut scope = Scope::with(&["Vec"]);
        let taken = ["Vec", "a", "a", "type", "a"].map(|name| scope.take(name.to_owned()));
        assert_eq!(taken, ["Vec_", "a", "a_", "type_", "a__"]);
    }
}
