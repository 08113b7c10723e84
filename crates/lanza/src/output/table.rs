//! Tables and field lists.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use lanza_model::clock::Time;

/// Renders rows below their headings; empty when there are none.
///
/// Each row is one line, on a terminal too: what is cut to fit cannot be copied.
pub(crate) fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(headings.iter().map(|h| h.to_uppercase()));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.add_rows(rows.into_iter().map(|row| row.into_iter().map(|c| one_line(&c)).collect::<Vec<_>>()));
    // The first column begins at the margin, and no line has blanks at its end.
    let columns = table.column_count();
    for index in 0..columns {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, 2));
        }
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Renders names and values of one object, a pair a line; empty values are left out.
pub(crate) fn fields(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(k, _)| k.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (key, value) in pairs.iter().filter(|(_, v)| !v.is_empty()) {
        let mut lines = value.lines();
        let _ = writeln!(text, "{key:width$}  {}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "{:width$}  {line}", "");
        }
    }
    text
}

/// A value that may be missing.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| v.to_string())
}

/// How long ago something was, in one unit.
pub(crate) fn ago(time: Time, now: Time) -> String {
    format!("{} ago", duration(now.since_ms(time)))
}

/// A length of time in one unit.
pub(crate) fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A size in bytes, readable.
pub(crate) fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes.max(0) as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_below_their_headings() {
        let rows = vec![vec!["gpu".into(), "12".into()], vec!["a-long-name".into(), "3\n4".into()]];
        assert_eq!(table(&["name", "items"], rows), "NAME         ITEMS\ngpu          12\na-long-name  3 4\n");
        assert_eq!(table(&["name"], Vec::new()), "");
    }

    #[test]
    fn empty_fields_are_left_out_and_long_ones_are_indented() {
        let text = fields(&[("state", "failed".into()), ("phase", String::new()), ("why", "one\ntwo".into())]);
        assert_eq!(text, "state  failed\nwhy    one\n       two\n");
    }

    #[test]
    fn lengths_and_sizes_have_one_unit() {
        assert_eq!(duration(59_999), "59 s");
        assert_eq!(duration(3_600_000), "1 h");
        assert_eq!(duration(-5), "0 s");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(12), "12 B");
    }
}
