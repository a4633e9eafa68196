//! The head of an answer to a request of the user's own.

use httparse::{EMPTY_HEADER, Response, Status};

use super::Framing;
use crate::error::response::{ResponseError, excerpt};
use crate::exchange::Exchange;

/// More headers than any server has reason to send.
const HEADERS_MAX: usize = 100;

/// What a head says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnHead {
    /// Bytes of the head.
    pub(crate) length: usize,
    pub(crate) status: u16,
    /// The status and its reason phrase.
    pub(crate) shown_status: String,
    pub(crate) framing: Framing,
}

/// Reads the head at the start of `bytes`, the answer to a request with this method. `None` if it is incomplete.
pub(crate) fn read(bytes: &[u8], method: &str) -> Result<Option<OwnHead>, ResponseError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(source) => return Err(ResponseError::NotHttp1 { source, start: excerpt(bytes) }),
    };
    let (minor, status) = (response.version.unwrap_or_default(), response.code.unwrap_or_default());
    if minor != 1 {
        return Err(ResponseError::Version { minor });
    }
    let shown_status = format!("{status} {}", response.reason.unwrap_or_default());
    let (mut content_length, mut is_chunked) = (None, false);
    for header in &*response.headers {
        let is = |known: &str| header.name.eq_ignore_ascii_case(known);
        let encoded = || {
            let (name, found) = (header.name.to_owned(), excerpt(header.value));
            Err(ResponseError::Encoded { name, found })
        };
        if is("content-length") {
            content_length = Some(bytes_of_length(header.name, header.value)?);
        } else if is("transfer-encoding") {
            if !header.value.eq_ignore_ascii_case(b"chunked") {
                return encoded();
            }
            is_chunked = true;
        } else if is("content-encoding") && !header.value.eq_ignore_ascii_case(b"identity") {
            return encoded();
        } else if is("connection") && contains(header.value, b"close") {
            let (name, found) = (header.name.to_owned(), excerpt(header.value));
            return Err(ResponseError::Header { name, found, expected: "keep-alive".to_owned() });
        }
    }
    let framing = match content_length {
        _ if method == "HEAD" || status == 204 || status == 304 => Framing::Length(0),
        _ if is_chunked => Framing::Chunked,
        Some(bytes) => Framing::Length(bytes),
        None => return Err(ResponseError::MissingHeader { name: "content-length" }),
    };
    Ok(Some(OwnHead { length, status, shown_status, framing }))
}

/// Checks the head at the start of `bytes`. Returns its length and where the body ends; `None` if it is incomplete.
pub(super) fn check(
    bytes: &[u8],
    exchange: &Exchange,
) -> Result<Option<(usize, Framing)>, ResponseError> {
    let Some(head) = read(bytes, &exchange.request.method)? else { return Ok(None) };
    if head.status != exchange.status {
        let (found, expected) = (head.shown_status, exchange.status);
        return Err(ResponseError::OtherStatus { found, expected });
    }
    if let (Framing::Length(found), Some(body)) = (head.framing, &exchange.body)
        && found != body.len()
    {
        let (found, expected) = (found.to_string(), body.len().to_string());
        return Err(ResponseError::Header { name: "content-length".to_owned(), found, expected });
    }
    Ok(Some((head.length, head.framing)))
}

fn bytes_of_length(name: &str, value: &[u8]) -> Result<usize, ResponseError> {
    // `parse` accepts a sign, which a length must not have.
    let digits = value.iter().all(u8::is_ascii_digit).then(|| str::from_utf8(value).ok()).flatten();
    digits.and_then(|text| text.parse().ok()).ok_or_else(|| ResponseError::Header {
        name: name.to_owned(),
        found: excerpt(value),
        expected: "a number of bytes".to_owned(),
    })
}

/// Whether a list of tokens contains one.
fn contains(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[&str], method: &str) -> Result<Option<OwnHead>, ResponseError> {
        read((lines.join("\r\n") + "\r\n\r\n").as_bytes(), method)
    }

    #[test]
    fn read_finds_status_and_framing() {
        let framing = |lines: &[&str], method| head(lines, method).unwrap().unwrap().framing;
        let ok = "HTTP/1.1 200 OK";
        assert_eq!(framing(&[ok, "Content-Length: 7"], "GET"), Framing::Length(7));
        assert_eq!(framing(&[ok, "Transfer-Encoding: Chunked"], "GET"), Framing::Chunked);
        assert_eq!(framing(&[ok, "content-length: 7"], "HEAD"), Framing::Length(0));
        assert_eq!(framing(&["HTTP/1.1 204 No Content"], "GET"), Framing::Length(0));
        let found = head(&["HTTP/1.1 404 Not Found", "content-length: 0"], "GET");
        let found = found.unwrap().unwrap();
        assert_eq!((found.status, found.shown_status.as_str()), (404, "404 Not Found"));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\ncontent-le", "GET"), Ok(None));
    }

    #[test]
    fn read_names_what_is_wrong() {
        let ok = "HTTP/1.1 200 OK";
        let cases: [(&[&str], &str); 7] = [
            (&["HTTP/1.0 200 OK", "content-length: 1"], "HTTP/1.0, expected HTTP/1.1"),
            (&[ok], "no content-length"),
            (&[ok, "content-length: +1"], "\"+1\", expected a number"),
            (&[ok, "content-length: 1", "content-encoding: gzip"], "\"gzip\""),
            (&[ok, "transfer-encoding: gzip, chunked"], "\"gzip, chunked\""),
            (&[ok, "content-length: 1", "connection: x, Close"], "expected keep-alive"),
            (&["hello"], "not an HTTP/1 response"),
        ];
        for (lines, reason) in cases {
            let error = head(lines, "GET").unwrap_err().to_string();
            assert!(error.contains(reason), "{lines:?}: {error}");
        }
    }
}
