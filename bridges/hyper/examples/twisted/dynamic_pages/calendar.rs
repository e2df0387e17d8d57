//! A year's calendar, in the format of Python's module `calendar`.

use std::fmt::Write;

use hyper::StatusCode;

use super::{HEAD, Page, not_found, page};

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/// The page of a year. Not found unless it is a year from 1 to 9999 (the original answers 500 to other numbers).
pub fn year_page(year: &str) -> Page {
    match year.parse() {
        Ok(year @ 1..10_000) => page(StatusCode::OK, format!("{HEAD}<pre>{}</pre>", calendar(year))),
        _ => not_found(),
    }
}

fn calendar(year: u32) -> String {
    let mut text = format!("{}\n", format!("{year:^72}").trim_end());
    for quarter in 0..4 {
        let months = [0, 1, 2].map(|month| quarter * 3 + month);
        let weeks = months.map(|month| weeks(year, month));
        let height = weeks.iter().map(Vec::len).max().unwrap_or_default();
        text.push('\n');
        line(&mut text, &months.map(|month| MONTHS[month]));
        line(&mut text, &["Mo Tu We Th Fr Sa Su"; 3]);
        for row in 0..height {
            line(&mut text, &weeks.each_ref().map(|weeks| weeks.get(row).map_or("", String::as_str)));
        }
    }
    text
}

fn line(text: &mut String, columns: &[&str; 3]) {
    let [first, second, third] = columns;
    let line = format!("{first:^20}      {second:^20}      {third:^20}");
    writeln!(text, "{}", line.trim_end()).expect("a String takes everything");
}

/// The weeks of a month, 0 for January, from Monday to Sunday.
fn weeks(year: u32, month: usize) -> Vec<String> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let past = year - 1;
    // January 1 of the year 1 was a Monday.
    let days = past * 365 + past / 4 - past / 100 + past / 400 + lengths[..month].iter().sum::<u32>();
    let mut cells = vec!["  ".to_owned(); (days % 7) as usize];
    cells.extend((1..=lengths[month]).map(|day| format!("{day:2}")));
    cells.resize(cells.len().next_multiple_of(7), "  ".to_owned());
    cells.chunks(7).map(|week| week.join(" ")).collect()
}
