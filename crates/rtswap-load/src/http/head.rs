//! The head of an answer: what it has to say.

use httparse::{EMPTY_HEADER, Response, Status};

use crate::Http;

/// More headers than any lane has reason to send.
const HEADERS: usize = 64;

/// Checks the head at the start of `bytes`. Returns its length, or `None` if it is not whole yet.
///
/// # Errors
/// What came, and what was expected.
pub(super) fn check(bytes: &[u8], expected: &Http) -> Result<Option<usize>, String> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("this is no HTTP ({error}): {}", quote(bytes))),
    };
    let (version, code) = (response.version.unwrap_or_default(), response.code.unwrap_or_default());
    if version != 1 {
        return Err(format!("it is HTTP/1.{version} and not HTTP/1.1"));
    }
    if code != 200 {
        let reason = response.reason.unwrap_or_default();
        return Err(format!("its status is {code} {reason} and not 200"));
    }
    let mut seen = Seen::default();
    for header in &*response.headers {
        seen.take(header.name, header.value, expected)?;
    }
    seen.all().map(|()| Some(length))
}

/// Which headers there are.
#[derive(Default)]
pub(crate) struct Seen {
    length: bool,
    content_type: bool,
}

impl Seen {
    /// Takes in a header, and says what is wrong with it.
    pub(crate) fn take(&mut self, name: &str, value: &[u8], expected: &Http) -> Result<(), String> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let differs = |from: &str| Err(format!("its {name} is {} and not {from}", quote(value)));
        if is("content-length") {
            self.length = true;
            let due = expected.body.len();
            // Digits alone are a length, as no `+13` is; and a length may be given once, or as often.
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length =
                std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
            if !digits || length != Some(due) {
                return differs(&due.to_string());
            }
        } else if is("content-type") {
            self.content_type = true;
            if value != expected.content_type.as_bytes() {
                return differs(expected.content_type);
            }
        } else if is("transfer-encoding") || is("content-encoding") {
            let value = quote(value);
            return Err(format!("it has a {name}, {value}, where bytes as they are were expected"));
        } else if is("connection") && !value.eq_ignore_ascii_case(b"keep-alive") {
            return differs("keep-alive");
        }
        Ok(())
    }

    /// Fails if one is missing.
    pub(crate) fn all(&self) -> Result<(), String> {
        match self {
            Self { length: false, .. } => Err("it has no content-length".to_owned()),
            Self { content_type: false, .. } => Err("it has no content-type".to_owned()),
            Self { .. } => Ok(()),
        }
    }
}

/// The beginning of what came, on one line.
pub(crate) fn quote(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    let (some, more) = match bytes.get(..LONGEST) {
        Some(some) if bytes.len() > LONGEST => (some, "…"),
        _ => (bytes, ""),
    };
    format!("\"{}{more}\"", some.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Http = Http {
        path: "/plaintext",
        content_type: "text/plain",
        body: b"Hello, World!",
        pipeline: 1,
        h2: false,
    };

    fn of(lines: &[&str]) -> Result<Option<usize>, String> {
        let text = lines.join("\r\n") + "\r\n\r\n";
        let length = check(text.as_bytes(), &EXPECTED)?;
        assert!(length.is_none_or(|length| length == text.len()));
        Ok(length)
    }

    #[test]
    fn a_right_head_has_a_length_and_a_part_of_it_none() {
        let right = "HTTP/1.1 200 OK\r\nServer: x\r\nCONTENT-TYPE: text/plain\r\n\
                     connection: Keep-Alive\r\nContent-Length:  13\r\n\r\nHello";
        let length = right.len() - "Hello".len();
        assert_eq!(check(right.as_bytes(), &EXPECTED), Ok(Some(length)));
        for end in 0..length {
            assert_eq!(check(&right.as_bytes()[..end], &EXPECTED), Ok(None), "{end}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        let (status, length, kind) =
            ("HTTP/1.1 200 OK", "content-length: 13", "content-type: text/plain");
        let cases: [(&[&str], &str); 12] = [
            (&["HTTP/1.1 404 Not Found", length, kind], "404 Not Found and not 200"),
            (&["HTTP/1.0 200 OK", length, kind], "HTTP/1.0 and not HTTP/1.1"),
            (&[status, kind], "no content-length"),
            (&[status, length], "no content-type"),
            (&[status, "content-length: 12", kind], "content-length is \"12\" and not 13"),
            (&[status, "content-length: +13", kind], "\"+13\""),
            (&[status, "content-length:", kind], "\"\""),
            (&[status, length, "content-length: 14", kind], "\"14\""),
            (&[status, length, "content-type: text/html"], "\"text/html\" and not text/plain"),
            (&[status, length, kind, "transfer-encoding: chunked"], "\"chunked\""),
            (&[status, length, kind, "connection: close"], "\"close\" and not keep-alive"),
            (&["hello"], "no HTTP"),
        ];
        for (lines, told) in cases {
            let error = of(lines).unwrap_err();
            assert!(error.contains(told), "{lines:?}: {error}");
        }
    }
}
