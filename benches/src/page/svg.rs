//! svg: shapes become inline SVG. Colours are classes, which the page's style gives for light and
//! for dark; text is of one width, so that a drawing knows how wide it is.

use super::text::escape;
use std::fmt::Write;

/// A drawing of one width and a height that is known when it is done.
pub(super) struct Svg {
    height: f64,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Width of every drawing. Pixels, as all lengths here.
pub(super) const WIDTH: f64 = 880.0;

/// Height of a line of text.
pub(super) const LINE: f64 = 16.0;

/// Width of a character: 0.602 of the font's 12 pixels, as monospaced fonts have it.
pub(super) const COLUMN: f64 = 7.3;

/// Colours that follow one another.
pub(super) const COLOURS: usize = 10;

impl Svg {
    pub(super) fn new(height: f64) -> Self {
        Self { height, body: String::new() }
    }

    /// A text whose baseline is at y.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }

    /// A filled rectangle; `told` is shown by a pointer that rests on it.
    pub(super) fn rect(&mut self, x: f64, y: f64, size: (f64, f64), class: &str, told: &str) {
        let (width, height) = size;
        let told = escape(told);
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>{told}</title></rect>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" />"
        );
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(self.body, "<polyline class=\"{class}\" points=\"{points}\" />");
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, class: &str) {
        let _ = writeln!(
            self.body,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" />"
        );
    }

    /// Makes room below.
    pub(super) fn grow_to(&mut self, height: f64) {
        self.height = self.height.max(height);
    }

    /// The element, with its name for those who do not see it.
    pub(super) fn finish(self, name: &str) -> String {
        let Self { height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{name}\" \
             viewBox=\"0 0 {WIDTH} {height:.0}\">\n{body}</svg>\n"
        )
    }
}

/// The class of the nth colour.
pub(super) fn colour(nth: usize) -> String {
    format!("c{}", nth % COLOURS)
}
