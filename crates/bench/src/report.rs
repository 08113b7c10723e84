//! Figures beside their budgets.

use std::fmt;

/// What was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<[String; 4]>,
}

impl Report {
    /// Adds a figure that has a budget.
    pub(crate) fn add(&mut self, what: &str, figure: String, budget: &str, kept: bool) {
        eprintln!("   {what}: {figure} (budget {budget})");
        let verdict = if kept { "kept" } else { "MISSED" };
        self.rows.push([what.to_owned(), figure, budget.to_owned(), verdict.to_owned()]);
    }

    /// Adds a figure that explains others.
    pub(crate) fn note(&mut self, what: &str, figure: String) {
        eprintln!("   {what}: {figure}");
        self.rows.push([what.to_owned(), figure, String::new(), String::new()]);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | measured | budget | |")?;
        writeln!(f, "|---|---|---|---|")?;
        for [what, figure, budget, verdict] in &self.rows {
            writeln!(f, "| {what} | {figure} | {budget} | {verdict} |")?;
        }
        Ok(())
    }
}

/// Returns the value below which `percent` of the sorted values lie.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&values, 50.0) - 50.0).abs() < 1e-9);
        assert!((percentile(&values, 95.0) - 95.0).abs() < 1e-9);
        assert!((percentile(&[7.0], 95.0) - 7.0).abs() < 1e-9);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
