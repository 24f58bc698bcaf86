//! Lines with their indentation.

/// Text that grows line by line.
pub(super) struct Out {
    text: String,
    level: usize,
}

impl Out {
    pub(super) fn new(level: usize) -> Self {
        Self { text: String::new(), level }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: &str) {
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("    ", self.level));
            self.text += line;
        }
        self.text.push('\n');
    }

    /// An empty line between items.
    pub(super) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A line that opens a block.
    pub(super) fn open(&mut self, line: &str) {
        self.line(line);
        self.level += 1;
    }

    /// A line that closes a block.
    pub(super) fn close(&mut self, line: &str) {
        self.level -= 1;
        self.line(line);
    }

    /// `head`, `parts` with commas, `tail`: in one line, or where that is too long in several.
    pub(super) fn list(&mut self, head: &str, parts: &[String], tail: &str) {
        let one = format!("{head}{}{tail}", parts.join(", "));
        if self.fits(&one) {
            return self.line(&one);
        }
        self.open(head.trim_end());
        parts.iter().for_each(|part| self.line(&format!("{part},")));
        self.close(tail.trim_start());
    }

    /// Two lines, the second further in.
    pub(super) fn follow(&mut self, line: &str, behind: &str) {
        self.open(line);
        self.line(behind);
        self.level -= 1;
    }

    /// As [`Out::list`], and opens a block.
    pub(super) fn open_list(&mut self, head: &str, parts: &[String], tail: &str) {
        self.list(head, parts, tail);
        self.indent();
    }

    /// The lines that follow are in a block.
    pub(super) fn indent(&mut self) {
        self.level += 1;
    }

    pub(super) fn fits(&self, line: &str) -> bool {
        4 * self.level + line.chars().count() <= COLUMNS_MAX
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

const COLUMNS_MAX: usize = 100;
