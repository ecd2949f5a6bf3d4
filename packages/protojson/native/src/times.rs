//! Timestamps and durations as text, both ways.

use crate::error::{problem, show, Result};
use crate::text;

const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;
const MAX_DURATION: i64 = 315_576_000_000;
const NANOS: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

pub fn check_timestamp(seconds: i64, nanos: i64) -> Result<()> {
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return problem(format!("timestamp of {seconds} seconds is outside the years 1 to 9999"));
    }
    if !(0..NANOS).contains(&nanos) {
        return problem(format!("timestamp has {nanos} nanos, which are not 0 to 999999999"));
    }
    Ok(())
}

pub fn check_duration(seconds: i64, nanos: i64) -> Result<()> {
    let signs_differ = (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0);
    let in_range = (-MAX_DURATION..=MAX_DURATION).contains(&seconds);
    if !in_range || nanos.abs() >= NANOS || signs_differ {
        return problem(format!("duration of {seconds} seconds and {nanos} nanos is not valid"));
    }
    Ok(())
}

pub fn put_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i64) -> Result<()> {
    check_timestamp(seconds, nanos)?;
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let time = seconds.rem_euclid(DAY) as u32;
    out.push(b'"');
    two(out, year / 100);
    two(out, year % 100);
    for (mark, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', time / 3600),
        (b':', time / 60 % 60),
        (b':', time % 60),
    ] {
        out.push(mark);
        two(out, value);
    }
    put_fraction(out, nanos as u32);
    out.extend_from_slice(b"Z\"");
    Ok(())
}

pub fn put_duration(out: &mut Vec<u8>, seconds: i64, nanos: i64) -> Result<()> {
    check_duration(seconds, nanos)?;
    out.push(b'"');
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    text::integer(out, seconds.unsigned_abs());
    put_fraction(out, nanos.unsigned_abs() as u32);
    out.extend_from_slice(b"s\"");
    Ok(())
}

fn two(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}

/// Three, six or nine digits, as many as it takes.
fn put_fraction(out: &mut Vec<u8>, nanos: u32) {
    if nanos == 0 {
        return;
    }
    let groups = [nanos / 1_000_000, nanos / 1_000 % 1_000, nanos % 1_000];
    let used = if groups[2] != 0 { 3 } else { 2 - usize::from(groups[1] == 0) };
    out.push(b'.');
    for group in &groups[..used] {
        out.push(b'0' + (group / 100) as u8);
        two(out, group % 100);
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`).
fn civil(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

/// Days since 1970 of a date (the same paper, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A number of exactly `N` digits at the beginning, and what is behind it.
fn digits<const N: usize>(text: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_first_chunk::<N>()?;
    let mut value = 0;
    for byte in head {
        value = value * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some((value, rest))
}

/// Nanos of `.5`, if there is a fraction, and what is behind it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else {
        return Some((0, text));
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let mut value = 0;
    for at in 0..9 {
        value = value * 10 + if at < count { i64::from(rest[at] - b'0') } else { 0 };
    }
    Some((value, &rest[count..]))
}

struct Stamp {
    year: i64,
    month: i64,
    day: i64,
    time: [i64; 3],
    nanos: i64,
    /// Seconds east of Greenwich, and the minutes alone as they are written.
    offset: i64,
    zone_minute: i64,
}

fn stamp(text: &[u8]) -> Option<Stamp> {
    let (year, rest) = digits::<4>(text)?;
    let (month, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let (day, rest) = digits::<2>(rest.strip_prefix(b"-")?)?;
    let (hour, rest) = digits::<2>(rest.strip_prefix(b"T")?)?;
    let (minute, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let (second, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
    let (nanos, rest) = fraction(rest)?;
    let (mut offset, mut zone_minute) = (0, 0);
    if rest != b"Z" {
        let (&sign, rest) = rest.split_first()?;
        let (zone_hour, rest) = digits::<2>(rest)?;
        let (found, rest) = digits::<2>(rest.strip_prefix(b":")?)?;
        if !rest.is_empty() || !matches!(sign, b'+' | b'-') {
            return None;
        }
        zone_minute = found;
        offset = (zone_hour * 60 + found) * 60 * if sign == b'-' { -1 } else { 1 };
    }
    Some(Stamp { year, month, day, time: [hour, minute, second], nanos, offset, zone_minute })
}

/// Seconds and nanos of RFC 3339 text, whose zone is not optional.
pub fn timestamp(text: &[u8]) -> Result<(i64, i64)> {
    let Some(found) = stamp(text) else {
        return problem(format!("{} is not RFC 3339, such as 2006-01-02T15:04:05.5Z", show(text)));
    };
    let month_exists = (1..=12).contains(&found.month) && found.year >= 1;
    let last = days_of_month(found.year, found.month);
    if !month_exists || !(1..=last).contains(&found.day) {
        return problem(format!("{} is no day of the calendar", show(text)));
    }
    let [hour, minute, second] = found.time;
    if hour > 23 || minute > 59 || second > 59 || found.zone_minute > 59 {
        return problem(format!("{} is no time of a day", show(text)));
    }
    if found.offset.abs() >= DAY {
        return problem(format!("{} has a zone of more than a day", show(text)));
    }
    let day = days(found.year, found.month, found.day);
    let seconds = day * DAY + hour * 3600 + minute * 60 + second - found.offset;
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return problem(format!("{} is outside the years 1 to 9999", show(text)));
    }
    Ok((seconds, found.nanos))
}

fn span(text: &[u8]) -> Option<(bool, i64, i64)> {
    let rest = text.strip_suffix(b"s")?;
    let (negative, rest) = match rest.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=12).contains(&count) {
        return None;
    }
    let seconds = rest[..count].iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    let (nanos, rest) = fraction(&rest[count..])?;
    rest.is_empty().then_some((negative, seconds, nanos))
}

/// Seconds and nanos of a duration such as `-1.5s`.
pub fn duration(text: &[u8]) -> Result<(i64, i64)> {
    let Some((negative, seconds, nanos)) = span(text) else {
        return problem(format!("{} is no duration, such as 3.5s", show(text)));
    };
    if seconds > MAX_DURATION {
        let text = show(text);
        return problem(format!("duration {text} is longer than 315576000000.999999999s"));
    }
    Ok(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}
