//! The head of an HTTP/1 response: status line and headers.

use httparse::{EMPTY_HEADER, Response, Status};

use crate::error::response::{ResponseError, excerpt};
use crate::protocol::http::headers::RequiredHeaders;
use crate::target::Http;

/// More headers than any lane has reason to send.
const HEADERS_MAX: usize = 64;

/// Checks the head at the start of `bytes`. Returns its length, or `None` if it is incomplete.
pub(super) fn check(bytes: &[u8], expected: &Http) -> Result<Option<usize>, ResponseError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(source) => return Err(ResponseError::NotHttp1 { source, start: excerpt(bytes) }),
    };
    let (minor, code) = (response.version.unwrap_or_default(), response.code.unwrap_or_default());
    if minor != 1 {
        return Err(ResponseError::Version { minor });
    }
    if code != 200 {
        let reason = response.reason.unwrap_or_default();
        return Err(ResponseError::Status { found: format!("{code} {reason}") });
    }
    let mut required = RequiredHeaders::default();
    for header in &*response.headers {
        required.check(header.name, header.value, expected)?;
    }
    required.finish()?;
    Ok(Some(length))
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

    #[test]
    fn check_returns_length_of_complete_head() {
        let right = "HTTP/1.1 200 OK\r\nServer: x\r\nCONTENT-TYPE: text/plain\r\n\
                     connection: Keep-Alive\r\nContent-Length:  13\r\n\r\nHello";
        let length = right.len() - "Hello".len();
        assert_eq!(check(right.as_bytes(), &EXPECTED), Ok(Some(length)));
        for end in 0..length {
            assert_eq!(check(&right.as_bytes()[..end], &EXPECTED), Ok(None), "{end}");
        }
    }

    #[test]
    fn check_names_what_is_wrong() {
        let (status, length, content_type) =
            ("HTTP/1.1 200 OK", "content-length: 13", "content-type: text/plain");
        let cases: [(&[&str], &str); 13] = [
            (&["HTTP/1.1 404 Not Found", length, content_type], "404 Not Found, expected 200"),
            (&["HTTP/1.0 200 OK", length, content_type], "HTTP/1.0, expected HTTP/1.1"),
            (&[status, content_type], "no content-length"),
            (&[status, length], "no content-type"),
            (&[status, "content-length: 12", content_type], "length is \"12\", expected 13"),
            (&[status, "content-length: +13", content_type], "\"+13\""),
            (&[status, "content-length:", content_type], "\"\""),
            (&[status, length, "content-length: 14", content_type], "\"14\""),
            (&[status, length, "content-type: text/html"], "\"text/html\", expected text/plain"),
            (&[status, length, content_type, "transfer-encoding: chunked"], "\"chunked\""),
            (&[status, length, content_type, "content-encoding: br"], "\"br\""),
            (
                &[status, length, content_type, "connection: close"],
                "\"close\", expected keep-alive",
            ),
            (&["hello"], "not an HTTP/1 response"),
        ];
        for (lines, reason) in cases {
            let head = lines.join("\r\n") + "\r\n\r\n";
            let error = check(head.as_bytes(), &EXPECTED).unwrap_err().to_string();
            assert!(error.contains(reason), "{lines:?}: {error}");
        }
    }
}
