//! Where the texts of a drawing are, from its elements alone.

use roxmltree::Node;

/// Room of a text: left, top, right, bottom.
type Box = [f64; 4];

/// Of a font of 12 pixels, as drawings assume it.
const COLUMN: f64 = 7.3;
const ABOVE: f64 = 9.0;
const BELOW: f64 = 2.0;

/// Texts that overlap, or stand outside.
pub(crate) fn faults(drawing: &Node<'_, '_>) -> Vec<String> {
    let frame: Vec<f64> = drawing
        .attribute("viewBox")
        .unwrap()
        .split(' ')
        .map(|number| number.parse().unwrap())
        .collect();
    let texts: Vec<(String, Box)> = drawing
        .descendants()
        .filter(|node| node.tag_name().name() == "text")
        .map(|node| (node.text().unwrap_or_default().to_owned(), room(&node)))
        .collect();
    let mut faults = Vec::new();
    for (nth, (text, [left, top, right, bottom])) in texts.iter().enumerate() {
        if *left < -1.0 || *top < -1.0 || *right > frame[2] + 1.0 || *bottom > frame[3] + 1.0 {
            faults.push(format!("{text:?} is outside"));
        }
        for (other, [l, t, r, b]) in &texts[nth + 1..] {
            if left < r && l < right && top < b && t < bottom {
                faults.push(format!("{text:?} over {other:?}"));
            }
        }
    }
    faults
}

fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn room(text: &Node<'_, '_>) -> Box {
    let width = text.text().unwrap_or_default().chars().count() as f64 * COLUMN;
    let (x, y) = (number(text, "x"), number(text, "y"));
    let left = match text.attribute("text-anchor") {
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        _ => x,
    };
    [left, y - ABOVE, left + width, y + BELOW]
}

/// Whether a drawing has more than its grid and its texts.
pub(crate) fn shows_something(drawing: &Node<'_, '_>) -> bool {
    drawing.descendants().any(|node| match node.tag_name().name() {
        "rect" => number(&node, "width") > 0.0 && number(&node, "height") > 0.0,
        "polyline" => node.attribute("points").unwrap_or_default().contains(' '),
        "circle" => true,
        _ => false,
    })
}
