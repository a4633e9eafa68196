//! Names of series, which history is keyed by.

use crate::summary::Cell;

/// `WORKLOAD/lane=LANE`, the workload by its full name.
///
/// Records may be forged, so whitespace, control characters and, in the lane, `/` and `%` are percent-encoded: the
/// name stays one field of one line, and no two lanes share one.
pub(super) fn cell(cell: &Cell) -> String {
    format!("{}/lane={}", encoded(&cell.name, ""), encoded(&cell.lane, "/%"))
}

/// The text with whitespace, control characters and those in `also` percent-encoded.
pub(super) fn encoded(text: &str, also: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() || also.contains(c) {
            let mut bytes = [0; 4];
            out.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_keeps_ordinary_names_and_one_field() {
        assert_eq!(encoded("tokio?delay_ns=110", "/%"), "tokio?delay_ns=110");
        assert_eq!(encoded("a b\n/\u{a0}é%", "/%"), "a%20b%0A%2F%C2%A0é%25");
    }
}
