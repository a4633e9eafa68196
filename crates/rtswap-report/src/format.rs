//! Numbers, dates and lists as text.
//!
//! Figures have three significant digits whatever their unit, so that a column compares at a glance and
//! no digit is noise. The crates for sizes and durations round to fixed decimals.

use std::time::{Duration, UNIX_EPOCH};

pub use rtswap_schema::one_line;

use crate::summary::Interval;

/// Three significant digits, without exponent: `0.0613`, `8.05`, `124`, `1,240`.
pub fn number(value: f64) -> String {
    significant(value, 3)
}

/// A count per operation: two significant digits, since its noise exceeds the third.
pub(crate) fn count(value: f64) -> String {
    significant(value, 2)
}

fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals =
        |value: f64| (f64::from(digits - 1) - value.abs().log10().floor()).clamp(0.0, 7.0);
    // Rounded first, so that 9.999 becomes 10.0 and not 10.00.
    let scale = 10_f64.powf(decimals(value));
    let rounded = (value * scale).round() / scale;
    let decimals = if rounded == 0.0 { 0 } else { decimals(rounded) as usize };
    thousands(&format!("{rounded:.decimals$}"))
}

/// Operations per second.
pub fn rate(per_s: f64) -> String {
    if per_s >= 1000.0 { thousands(&format!("{per_s:.0}")) } else { number(per_s) }
}

fn thousands(digits: &str) -> String {
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// Nanoseconds in the unit that leaves one to three digits before the point.
pub fn time(ns: f64) -> String {
    let (divisor, unit) = match ns.abs() {
        ns if ns < 999.5 => (1.0, "ns"),
        ns if ns < 999.5e3 => (1e3, "µs"),
        ns if ns < 999.5e6 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    format!("{} {unit}", number(ns / divisor))
}

/// `10 ms` for `10.0 ms`: for round numbers, as on an axis.
pub(crate) fn whole(text: &str) -> String {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number} {unit}").trim_end().to_owned()
}

/// Bytes in binary units.
pub fn bytes(bytes: f64) -> String {
    let mut value = bytes;
    let mut units = ["B", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{} {unit}", if unit == "B" { format!("{value:.0}") } else { number(value) })
}

/// Decimals of a ratio at most; a ratio below 0.1 has as many more as it has zeros.
const RATIO_DECIMALS: usize = 3;

/// Ratios from here on are multiples, `86×`.
const MULTIPLE: f64 = 10.0;

/// The decimals of a ratio that its interval warrants: those of the first significant digit of the half width.
fn decimals(of: &Interval) -> usize {
    let zeros =
        if of.ratio > 0.0 { (-of.ratio.log10().floor() - 1.0).clamp(0.0, 6.0) } else { 0.0 };
    let most = RATIO_DECIMALS + zeros as usize;
    let half = of.hi.map_or(0.0, |hi| (hi - of.lo) / 2.0);
    if half <= 0.0 {
        // No width is known: as many digits as for a narrow interval, three of a multiple.
        return if of.ratio < MULTIPLE { most } else { 1 };
    }
    let least = usize::from(of.ratio < MULTIPLE);
    let digits = ((-half.log10()).ceil().max(0.0) as usize).clamp(least, most.max(least));
    // An interval that excludes 1 must not seem to contain it.
    let seems_to_hold_one = |digits: &usize| {
        let rounded = |end: f64| format!("{end:.*}", *digits).parse() == Ok(1.0);
        !of.holds_one() && (rounded(of.lo) || of.hi.is_some_and(rounded))
    };
    (digits..most.max(least)).find(|digits| !seems_to_hold_one(digits)).unwrap_or(digits.max(most))
}

fn fixed(value: f64, decimals: usize) -> String {
    thousands(&format!("{value:.decimals$}"))
}

/// Another ratio with the digits that an interval warrants.
pub(crate) fn ratio_as(ratio: f64, of: &Interval) -> String {
    fixed(ratio, decimals(of))
}

/// A ratio without its interval, with the digits that the interval warrants: `0.78`, `86×`.
pub fn ratio(of: &Interval) -> String {
    let text = fixed(of.ratio, decimals(of));
    if of.ratio < MULTIPLE { text } else { text + "×" }
}

/// `0.78 [0.77, 0.79]`, `0.998 [0.996, 1.001]`.
pub(crate) fn interval(of: &Interval) -> String {
    let decimals = decimals(of);
    match of.hi {
        Some(hi) => {
            let [lo, hi] = [of.lo, hi].map(|end| fixed(end, decimals));
            format!("{} [{lo}, {hi}]", fixed(of.ratio, decimals))
        }
        None => format!("{} [unknown]", fixed(of.ratio, decimals)),
    }
}

/// A relative size: `0.6 %`, `22 %`.
pub fn percent(part: f64) -> String {
    format!("{} %", percent_digits(part, 0))
}

/// A relative size that was chosen, not measured: `3 %`, `2.5 %`.
pub(crate) fn chosen(part: f64) -> String {
    let rounded = (part * 1e6).round() / 1e4;
    format!("{rounded} %")
}

/// A relative size with `more` decimals than usual, without its sign.
fn percent_digits(part: f64, more: usize) -> String {
    let value = part * 100.0;
    let decimals = match value.abs() {
        value if (9.95..=95.0).contains(&value) || value >= 100.0 => 0,
        value if value >= 0.095 => 1,
        _ => 2,
    };
    let text = format!("{value:.*}", decimals + more);
    // 99.97 % fewer must not become 100 % fewer.
    let whole = text.parse() == Ok(100.0) && value < 100.0;
    if whole { format!("{value:.3}") } else { text }
}

/// Two relative sizes, ascending, with as many decimals as it takes to tell them apart, up to two more
/// than usual: `between 21 and 23 %`.
pub(crate) fn between(a: f64, b: f64) -> String {
    let (a, b) = (a.min(b), a.max(b));
    let mut texts = (String::new(), String::new());
    for more in 0..=2 {
        texts = (percent_digits(a, more), percent_digits(b, more));
        if texts.0 != texts.1 {
            break;
        }
    }
    if texts.0 == texts.1 {
        format!("{} %", texts.0)
    } else {
        format!("between {} and {} %", texts.0, texts.1)
    }
}

/// The plural of a noun.
pub(crate) fn plural(noun: &str) -> String {
    if ["s", "x", "ch", "sh"].iter().any(|end| noun.ends_with(end)) {
        return format!("{noun}es");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}

/// `1 round`, `12 rounds`.
pub fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {}", plural(noun)) }
}

/// `12 rounds of 3 to 9 blocks`: workloads may differ in their blocks.
pub fn rounds(rounds: u32, blocks: u32, blocks_most: u32) -> String {
    let most = counted(blocks_most as usize, "block");
    let of = if blocks < blocks_most { format!("{blocks} to {most}") } else { most };
    format!("{} of {of}", counted(rounds as usize, "round"))
}

/// Seconds since 1970 as `2026-01-31 12:34:56 UTC`.
pub(crate) fn date(unix_s: u64) -> String {
    let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s)) else {
        return "unknown date".to_owned();
    };
    // Beyond the year 9999 there is no RFC 3339 date, and humantime's Display fails, which would
    // make `to_string` panic.
    if unix_s >= 253_402_300_800 {
        return "unknown date".to_owned();
    }
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace('T', " ").replace('Z', " UTC")
}

/// A name in lines of at most `width` columns. Names have no spaces to break at.
pub(crate) fn broken(name: &str, width: usize) -> String {
    let options = textwrap::Options::new(width.max(1))
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(true);
    textwrap::fill(name, options)
}

/// The text in ASCII, for terminals without Unicode.
pub(crate) fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'µ' => plain.push('u'),
            '±' => plain.push_str("+-"),
            '≥' => plain.push_str(">="),
            '≤' => plain.push_str("<="),
            '≈' => plain.push('~'),
            '†' => plain.push('#'),
            '‡' => plain.push_str("##"),
            '∞' => plain.push_str("inf"),
            '×' => plain.push('x'),
            '▲' => plain.push('+'),
            '▼' | '–' | '─' => plain.push('-'),
            '│' => plain.push('|'),
            '●' | '○' => plain.push('o'),
            '…' => plain.push_str("..."),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_has_three_significant_digits() {
        let written = [0.0, 0.0613, 8.046, 99.99, 124.4, 1240.0, 1_234_567.0].map(number);
        assert_eq!(written, ["0", "0.0613", "8.05", "100", "124", "1,240", "1,234,567"]);
        assert_eq!(
            [4.0, 0.1, 0.063, 12.4, 1234.4].map(count),
            ["4.0", "0.10", "0.063", "12", "1,234"]
        );
        assert_eq!([0.94, 812.3, 124_124.4].map(rate), ["0.940", "812", "124,124"]);
    }

    #[test]
    fn ratio_has_digits_of_interval() {
        let of = |ratio, lo, hi| Interval { ratio, lo, hi: Some(hi) };
        let written = [
            of(0.781, 0.7699, 0.7899),
            of(0.9984, 0.9961, 1.0012),
            of(1.0001, 0.9998, 1.0003),
            of(1.24, 1.02, 1.51),
            of(0.0312, 0.0306, 0.0318),
            of(86.31, 83.2, 90.1),
            of(3.07, 1.67, 5.23),
            of(0.987, 0.974, 0.9972),
        ];
        assert_eq!(
            written.map(|it| interval(&it)),
            [
                "0.78 [0.77, 0.79]",
                "0.998 [0.996, 1.001]",
                "1.000 [1.000, 1.000]",
                "1.24 [1.02, 1.51]",
                "0.0312 [0.0306, 0.0318]",
                "86 [83, 90]",
                "3.1 [1.7, 5.2]",
                "0.987 [0.974, 0.997]",
            ]
        );
        assert_eq!(written.map(|it| ratio(&it))[4..6], ["0.0312", "86×"]);
        let unknown = Interval { ratio: 1.2345, lo: 0.0, hi: None };
        assert_eq!(
            (interval(&unknown), ratio(&unknown)),
            ("1.234 [unknown]".into(), "1.234".into())
        );
    }

    #[test]
    fn time_and_bytes_change_unit_before_fourth_digit() {
        let times = [0.5, 812.0, 999.6, 8050.0, 999_600.0, 2.4e9].map(time);
        assert_eq!(times, ["0.500 ns", "812 ns", "1.00 µs", "8.05 µs", "1.00 ms", "2.40 s"]);
        assert_eq!([12.0, 2048.0, 12.9e6].map(bytes), ["12 B", "2.00 KiB", "12.3 MiB"]);
    }

    #[test]
    fn percent_rounds_to_neither_zero_nor_hundred() {
        let written = [0.006, 0.0004, 0.219, 0.996, 0.9997, 1.0, 2.1].map(percent);
        assert_eq!(written, ["0.6 %", "0.04 %", "22 %", "99.6 %", "99.970 %", "100 %", "210 %"]);
        assert_eq!(between(0.21, 0.23), "between 21 and 23 %");
        assert_eq!(between(0.2314, 0.2302), "between 23.0 and 23.1 %");
        assert_eq!(between(0.25, 0.25), "25.00 %");
    }

    #[test]
    fn plural_follows_ending() {
        let nouns = ["message", "switch", "query", "round trip", "fetch"].map(plural);
        assert_eq!(nouns, ["messages", "switches", "queries", "round trips", "fetches"]);
    }

    #[test]
    fn broken_cuts_name_at_width() {
        assert_eq!(broken("tokio?delay_ns=110", 8), "tokio?de\nlay_ns=1\n10");
        assert_eq!(broken("tokio-local", 11), "tokio-local");
    }

    #[test]
    fn date_is_utc() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(1_769_862_896), "2026-01-31 12:34:56 UTC");
        assert_eq!(date(u64::MAX), "unknown date");
        assert_eq!(date(253_402_300_800), "unknown date");
    }
}
