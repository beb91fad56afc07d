//! Text on its way into a page: what is not written in this program's source is escaped, by type.

/// A page being written.
#[derive(Debug)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(16 << 10))
    }

    /// Markup, which can only come from the source.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Anything else, safe within elements and quoted attributes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(' '),
                it if it.is_control() => self.0.push('\u{fffd}'),
                it => self.0.push(it),
            }
        }
        self
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}
