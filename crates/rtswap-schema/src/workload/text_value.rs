//! Values of parameters that are texts: a path, a name.

use std::sync::{Mutex, PoisonError};

/// The texts of this process. They are never dropped, so that a workload stays a value that is copied. A command
/// line names few.
static TEXTS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The value of no text.
pub(super) const NONE: u64 = 0;

/// The number that stands for a text in this process.
pub(super) fn code(text: &str) -> u64 {
    let mut texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    let index = texts.iter().position(|known| *known == text).unwrap_or_else(|| {
        texts.push(text.to_owned().leak());
        texts.len() - 1
    });
    index as u64 + 1
}

/// The text of a number that [`code`] has returned.
pub(super) fn decode(code: u64) -> Option<&'static str> {
    let texts = TEXTS.lock().unwrap_or_else(PoisonError::into_inner);
    texts.get(usize::try_from(code.checked_sub(1)?).ok()?).copied()
}

/// Whether a path can be part of a workload's name. Globs, Markdown and HTML use the other
/// characters.
pub(super) fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;=:@/?".contains(&byte))
}

/// Whether a text is the name of a request.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// What [`is_path`] accepts.
pub(super) const PATHS: &str = "a path that starts with `/`, of letters, digits and -._~%!$&'()+,;=:@/?; \
    any other path goes into `[http.NAME]` of rtswap.toml, for `request=NAME`";
/// What [`is_name`] accepts.
pub(super) const NAMES: &str =
    "the NAME of a section `[http.NAME]` of rtswap.toml, of letters, digits, `-` and `_`";
