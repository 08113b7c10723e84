//! Reading columns: the five column types to Rust.

use std::fmt::Write;

use lanza_model::clock::Time;
use serde::de::DeserializeOwned;
use sqlx::{Row, any::AnyRow};

use crate::{Error, Result};

/// Typed access to the columns of a row, by name.
pub(crate) trait Columns {
    fn text(&self, column: &str) -> Result<String>;
    fn maybe_text(&self, column: &str) -> Result<Option<String>>;
    fn int(&self, column: &str) -> Result<i64>;
    fn maybe_int(&self, column: &str) -> Result<Option<i64>>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>>;
    fn float(&self, column: &str) -> Result<f64>;

    fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &str) -> Result<Time> {
        self.int(column).map(Time)
    }

    fn maybe_time(&self, column: &str) -> Result<Option<Time>> {
        Ok(self.maybe_int(column)?.map(Time))
    }

    fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|source| Error::Corrupt { what: column, source })
    }

    fn maybe_json<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?
            .map(|t| serde_json::from_str(&t).map_err(|source| Error::Corrupt { what: column, source }))
            .transpose()
    }

    /// Reads an id or another word that this program wrote.
    fn parsed<T: std::str::FromStr>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| Error::Config(format!("the stored {column} `{text}` is not legal")))
    }

    fn maybe_parsed<T: std::str::FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        let Some(text) = self.maybe_text(column)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Error::Config(format!("the stored {column} `{text}` is not legal")))
    }
}

/// How many rows one statement has: few different numbers, so that each statement stays prepared, and close enough to
/// each other that a handful of rows takes two or three statements. What a statement costs is mostly the way to the
/// database's thread and back.
const BATCHES: [usize; 5] = [32, 16, 4, 2, 1];

/// Cuts rows into batches for inserts of several rows at once.
pub(crate) fn batches<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = *BATCHES.iter().find(|n| **n <= rest.len())?;
        let (batch, later) = rest.split_at(size);
        rest = later;
        Some(batch)
    })
}

/// Returns the parameters of `rows` rows of `columns` columns each: `($1, $2), ($3, $4)`.
pub(crate) fn rows_of(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let _ = write!(text, "{}${}", if column == 1 { "" } else { ", " }, row * columns + column);
        }
        text.push(')');
    }
    text
}

/// As [`rows_of`], each column with its type: Postgres takes the parameters of a bare `VALUES` list for text.
pub(crate) fn rows_as(rows: usize, types: &[&str]) -> String {
    let row = |row: usize| {
        let columns = types.iter().enumerate().map(|(i, t)| format!("CAST(${} AS {t})", row * types.len() + i + 1));
        format!("({})", columns.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

impl Columns for AnyRow {
    fn text(&self, column: &str) -> Result<String> {
        Ok(self.try_get(column)?)
    }
    fn maybe_text(&self, column: &str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }
    fn int(&self, column: &str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }
    fn maybe_int(&self, column: &str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }
    fn float(&self, column: &str) -> Result<f64> {
        Ok(self.try_get(column)?)
    }
    fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        Ok(self.try_get(column)?)
    }
}
