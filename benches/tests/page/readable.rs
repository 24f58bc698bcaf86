//! Whether a page can be read: its drawings, from their elements alone.

use super::boxes;
use roxmltree::{Document, Node, ParsingOptions};

pub(crate) fn look<T>(page: &str, at: impl FnOnce(&Document<'_>) -> T) -> T {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    at(&Document::parse_with_options(page, options).unwrap())
}

pub(crate) fn elements<'a>(of: &Node<'a, 'a>, name: &'static str) -> Vec<Node<'a, 'a>> {
    of.descendants().filter(|node| node.tag_name().name() == name).collect()
}

/// Each drawing shows something, its texts stand apart and inside, and figures are under it.
pub(crate) fn is_readable(page: &str) {
    look(page, |document| {
        let figures = elements(&document.root(), "figure");
        assert!(!figures.is_empty());
        for figure in figures {
            let title = elements(&figure, "figcaption")[0].text().unwrap_or_default();
            let drawing = elements(&figure, "svg")[0];
            let faults = boxes::faults(&drawing);
            assert!(faults.is_empty(), "{title}: {faults:#?}");
            assert!(boxes::shows_something(&drawing), "{title}: an empty plot");
            assert!(elements(&figure, "tr").len() > 1, "{title}: no figures under the plot");
        }
    });
}
