//! The points of a key as bytes: all of them, and in buckets of a few.

use std::collections::HashMap;

use lanza_store::series::Part;

use super::scan::Numbers;

/// Points in a bucket.
pub(super) const BUCKET: usize = 32;
/// Bytes of a bucket: four numbers.
const WIDTH: usize = 32;

/// A step with its value, or several points as one: the last step and value, the least and the greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) step: f64,
    pub(super) value: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Point {
    pub(super) fn of(step: f64, value: f64) -> Self {
        Self { step, value, least: value, greatest: value }
    }

    /// Makes one of several.
    pub(super) fn joined(points: &[Self]) -> Option<Self> {
        let last = points.last()?;
        // The comparison keeps what is a number when only one side is.
        let least = points.iter().map(|p| p.least).fold(f64::NAN, f64::min);
        let greatest = points.iter().map(|p| p.greatest).fold(f64::NAN, f64::max);
        Some(Self { least, greatest, ..*last })
    }
}

/// Joins every few points.
pub(super) fn coarse(points: &[Point]) -> Vec<Point> {
    points.chunks(BUCKET).filter_map(Point::joined).collect()
}

/// Joins points until there are at most `most`.
pub(super) fn at_most(points: &[Point], most: usize) -> Vec<Point> {
    let buckets = points.len().min(most).max(1);
    (0..buckets)
        .filter_map(|b| Point::joined(&points[b * points.len() / buckets..(b + 1) * points.len() / buckets]))
        .collect()
}

/// Collects the points of many rows.
#[derive(Debug, Default)]
pub(super) struct Builder {
    columns: Vec<Column>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Steps and values.
    points: Vec<(f64, f64)>,
}

impl Builder {
    /// Adds the numbers of a line at its step, or at its place when it has none.
    pub(super) fn add(&mut self, numbers: &Numbers, line: &str, by: &str, place: f64) {
        let step = numbers.get(line, by).unwrap_or(place);
        for (nth, (key, value)) in numbers.of(line).enumerate() {
            // Rows have their keys in the same order as a rule.
            if let Some(column) = self.columns.get_mut(nth)
                && column.name == key
            {
                column.points.push((step, value));
            } else if let Some(column) = self.places.get(key) {
                self.columns[*column].points.push((step, value));
            } else {
                self.places.insert(key.to_owned(), self.columns.len());
                self.columns.push(Column { name: key.to_owned(), points: vec![(step, value)] });
            }
        }
    }

    /// Makes a part of all that was added.
    pub(super) fn finish(self) -> Vec<Part> {
        // The steps are with the points.
        let columns = self.columns.into_iter().filter(|c| c.name != "_step");
        let points = |c: &Column| c.points.iter().map(|(step, value)| Point::of(*step, *value)).collect();
        columns.map(|c| part(c.name.clone(), points(&c))).collect()
    }
}

/// Puts points into the order of their steps.
pub(super) fn sort(points: &mut [Point]) {
    if !points.is_sorted_by(|a, b| a.step.total_cmp(&b.step).is_le()) {
        points.sort_by(|a, b| a.step.total_cmp(&b.step));
    }
}

fn part(name: String, mut points: Vec<Point>) -> Part {
    sort(&mut points);
    let (first, last) = (points[0].step, points[points.len() - 1].step);
    Part {
        name,
        points: points.len() as i64,
        first_step: first,
        last_step: last,
        buckets: buckets_to_bytes(&coarse(&points)),
        body: to_bytes(&points),
    }
}

fn buckets_to_bytes(points: &[Point]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(points.len() * WIDTH);
    for p in points {
        for number in [p.step, p.value, p.least, p.greatest] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
    }
    bytes
}

fn number(bytes: &[u8], at: usize) -> f64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(f64::NAN, f64::from_le_bytes)
}

/// Reads buckets.
pub(super) fn buckets_of_bytes(bytes: &[u8], points: &mut Vec<Point>) {
    points.extend(bytes.chunks_exact(WIDTH).map(|b| Point {
        step: number(b, 0),
        value: number(b, 8),
        least: number(b, 16),
        greatest: number(b, 24),
    }));
}

/// Steps that are whole numbers are written as differences, one byte each as a rule.
fn to_bytes(points: &[Point]) -> Vec<u8> {
    let whole = points.iter().all(|p| p.step.fract() == 0.0 && p.step.abs() < 9e15);
    let mut bytes = vec![u8::from(whole)];
    bytes.extend_from_slice(&(points.len() as u32).to_le_bytes());
    let mut before = 0_i64;
    for p in points {
        if whole {
            let step = p.step as i64;
            let mut rest = zigzag(step - before);
            before = step;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        } else {
            bytes.extend_from_slice(&p.step.to_le_bytes());
        }
    }
    for p in points {
        bytes.extend_from_slice(&p.value.to_le_bytes());
    }
    bytes
}

/// Reads points; none when the bytes are not what was written.
pub(super) fn of_bytes(bytes: &[u8], points: &mut Vec<Point>) -> Option<()> {
    let whole = *bytes.first()? == 1;
    let count = u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
    let values = bytes.len().checked_sub(count * 8)?;
    let (mut at, mut before) = (5, 0_i64);
    points.reserve(count);
    for i in 0..count {
        let step = if whole {
            let (mut rest, mut shift) = (0_u64, 0);
            loop {
                let byte = *bytes.get(at)?;
                at += 1;
                rest |= u64::from(byte & 0x7f).checked_shl(shift)?;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            before = before.wrapping_add(unzigzag(rest));
            before as f64
        } else {
            at += 8;
            number(bytes, at - 8)
        };
        points.push(Point::of(step, number(bytes, values + i * 8)));
    }
    Some(())
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn points_are_read_as_they_were_written(steps in prop::collection::vec(any::<i32>(), 1..80), half in any::<bool>()) {
            let points: Vec<Point> = steps.iter().enumerate()
                .map(|(i, s)| Point::of(f64::from(*s) + if half && i == 0 { 0.5 } else { 0.0 }, i as f64 / 3.0))
                .collect();
            let mut sorted = points.clone();
            sort(&mut sorted);
            let part = part("k".into(), points);
            let mut read = Vec::new();
            prop_assert!(of_bytes(&part.body, &mut read).is_some());
            prop_assert_eq!(&read, &sorted);
            let mut buckets = Vec::new();
            buckets_of_bytes(&part.buckets, &mut buckets);
            prop_assert_eq!(buckets, coarse(&sorted));
            for end in 0..part.body.len() {
                prop_assert!(of_bytes(&part.body[..end], &mut Vec::new()).is_none_or(|()| true));
            }
        }
    }

    #[test]
    fn buckets_keep_extremes_and_words() {
        let points: Vec<Point> = (0..10).map(|n| Point::of(f64::from(n), f64::from(n % 4))).collect();
        let two = at_most(&points, 2);
        assert_eq!((two[0].step, two[0].value, two[0].least, two[0].greatest), (4.0, 0.0, 0.0, 3.0));
        assert_eq!((two[1].step, two[1].value, two[1].least, two[1].greatest), (9.0, 1.0, 0.0, 3.0));
        let one = at_most(&[Point::of(0.0, f64::NAN), Point::of(1.0, 2.5)], 1);
        assert_eq!((one[0].value, one[0].least, one[0].greatest), (2.5, 2.5, 2.5));
        assert!(at_most(&[Point::of(0.0, f64::NAN)], 5)[0].least.is_nan() && at_most(&[], 5).is_empty());
    }
}
