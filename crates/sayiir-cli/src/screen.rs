//! Standard output: lines, tables that fit the terminal, or JSON. What nobody reads any more ends the verb quietly.

use std::io::{self, BufWriter, Stdout, Write};

use console::{Style, Term, measure_text_width, truncate_str};
use serde::Serialize;

use crate::ending::Failure;
use crate::text::clean;

/// A column is not cut below this.
const NARROWEST: usize = 8;

/// Standard output, or what is to be shown there at once.
pub(crate) struct Screen {
    out: Out,
    width: Option<usize>,
}

enum Out {
    Stdout(BufWriter<Stdout>),
    Kept(Vec<u8>),
}

impl Out {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Stdout(out) => out,
            Self::Kept(out) => out,
        }
    }
}

impl Screen {
    /// Standard output; it is as wide as `COLUMNS` says, or the terminal is, and else without end.
    pub(crate) fn new() -> Self {
        let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
        let terminal = || Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        Self { out: Out::Stdout(BufWriter::new(io::stdout())), width: columns.or_else(terminal) }
    }

    /// A page as wide as the screen, to be shown when it is whole.
    pub(crate) fn page() -> Self {
        Self { out: Out::Kept(Vec::new()), ..Self::new() }
    }

    /// What was written on a page.
    pub(crate) fn into_text(self) -> String {
        match self.out {
            Out::Stdout(_) => String::new(),
            Out::Kept(text) => String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// How many columns there are, if they end.
    pub(crate) const fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a line as it is.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(self.out.writer(), "{}", line.as_ref())?)
    }

    /// Writes text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.out.writer().write_all(text.as_bytes())?)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(anyhow::Error::from)?;
        self.line(line)
    }

    /// Writes a table.
    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        table.lines(self.width).iter().try_for_each(|line| self.line(line))
    }

    /// Lets the reader see what was written.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.out.writer().flush()?)
    }
}

/// A cell of a table: one line of text.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Stored text, which is made one harmless line.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), style: Style::new() }
    }

    /// In this style, where colours are wanted.
    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { style, ..Self::new(text) }
    }
}

/// Rows of cells under headings. Where they do not fit, the elastic column is cut first, then the last ones.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    elastic: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table whose column of this heading is cut first.
    pub(crate) fn new(headings: &[&'static str], elastic: &str) -> Self {
        let elastic = headings.iter().position(|heading| *heading == elastic).unwrap_or(0);
        Self { headings: headings.to_vec(), elastic, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines, the headings first.
    pub(crate) fn lines(&self, width: Option<usize>) -> Vec<String> {
        let widths = self.widths(width);
        let headings = self.headings.iter().map(|heading| Cell::styled(heading, Style::new().bold())).collect();
        std::iter::once(&headings).chain(&self.rows).map(|row| line(row, &widths, width)).collect()
    }

    fn widths(&self, width: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| heading.len()).collect();
        for row in &self.rows {
            for (wide, cell) in widths.iter_mut().zip(row) {
                *wide = (*wide).max(measure_text_width(&cell.text));
            }
        }
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let mut over = width.map_or(0, |width| total.saturating_sub(width));
        if let Some(elastic) = widths.get_mut(self.elastic) {
            shrink(elastic, &mut over);
        }
        // Then the widest of the others, but for the first, which is what a row is about.
        let mut others: Vec<&mut usize> = widths.iter_mut().skip(1).collect();
        others.sort_unstable_by(|a, b| b.cmp(a));
        for wide in others {
            shrink(wide, &mut over);
        }
        widths
    }
}

/// Takes from a column what is too much, down to the narrowest.
fn shrink(wide: &mut usize, over: &mut usize) {
    let less = (*over).min(wide.saturating_sub(NARROWEST));
    *wide -= less;
    *over -= less;
}

fn line(row: &[Cell], widths: &[usize], width: Option<usize>) -> String {
    let mut line = String::new();
    let mut left = width.unwrap_or(usize::MAX);
    for (at, (Cell { text, style }, wide)) in row.iter().zip(widths).enumerate() {
        if at > 0 {
            let space = left.min(2);
            line.push_str(&" ".repeat(space));
            left -= space;
        }
        let wide = left.min(*wide);
        if wide == 0 && !text.is_empty() {
            break;
        }
        let cut = truncate_str(text, wide, "…");
        line.push_str(&style.apply_to(&cut).to_string());
        if at + 1 < row.len() {
            line.push_str(&" ".repeat(wide.saturating_sub(measure_text_width(&cut))));
        }
        left -= wide;
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["INSTANCE", "STATUS", "DETAIL"], "DETAIL");
        for (id, status, detail) in [("order-17", "failed", "charge: attempt 3 failed:\nno money"), ("größe-漢字", "completed", "")] {
            table.row(vec![Cell::new(id), Cell::new(status), Cell::new(detail)]);
        }
        table
    }

    #[test]
    fn a_table_is_as_wide_as_it_needs() {
        let lines = table().lines(None);
        assert_eq!(
            lines,
            ["INSTANCE    STATUS     DETAIL", "order-17    failed     charge: attempt 3 failed: no money", "größe-漢字  completed"]
        );
    }

    #[test]
    fn a_table_fits_the_terminal() {
        assert_eq!(
            table().lines(Some(40)),
            ["INSTANCE    STATUS     DETAIL", "order-17    failed     charge: attempt …", "größe-漢字  completed"]
        );
        for width in 1..60 {
            for line in table().lines(Some(width)) {
                assert!(measure_text_width(&line) <= width, "{width}: {line:?}");
            }
        }
    }
}
