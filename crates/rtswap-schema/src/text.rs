/// Foreign text (the last output of a lane, an error) on one line, without control characters.
///
/// A line break would end a line of a table or of the record, and an escape sequence would move the
/// terminal's cursor or change its colors.
pub fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_whitespace() || c.is_control();
    text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_removes_line_breaks_and_escapes() {
        assert_eq!(one_line("a\n\tb \u{1b}[31mc\r\n"), "a b [31mc");
        assert_eq!(one_line(" \n"), "");
    }
}
