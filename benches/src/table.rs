//! Tables in Markdown: names on the left, numbers on the right.

/// A table.
pub struct Table(String);

impl Table {
    /// A table with these titles and no rows.
    pub fn new<const N: usize>(
        names: [&str; N],
        titles: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        let mut line = format!("| {} |", names.join(" | "));
        let mut rule = format!("|{}", "---|".repeat(N));
        for title in titles {
            line += &format!(" {} |", title.as_ref());
            rule += "---:|";
        }
        Self(format!("{line}\n{rule}\n"))
    }

    /// Adds a row; each number with its decimal places.
    pub fn row<const N: usize>(
        &mut self,
        names: [&str; N],
        values: impl IntoIterator<Item = (Option<f64>, usize)>,
    ) {
        self.0 += &format!("| {} |", names.join(" | "));
        for (value, digits) in values {
            self.0 += &match value {
                Some(value) => format!(" {value:.digits$} |"),
                None => " – |".to_owned(),
            };
        }
        self.0.push('\n');
    }

    /// The whole table.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}
