//! The headers that a response must have, in either version of HTTP.

use crate::error::response::{ResponseError, excerpt};
use crate::target::Http;

/// The required headers that have been found so far.
#[derive(Default)]
pub(super) struct RequiredHeaders {
    length: bool,
    content_type: bool,
}

impl RequiredHeaders {
    /// Checks one header of a response.
    pub(super) fn check(
        &mut self,
        name: &str,
        value: &[u8],
        expected: &Http,
    ) -> Result<(), ResponseError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let differs = |from: &str| {
            let (name, found, expected) = (name.to_owned(), excerpt(value), from.to_owned());
            Err(ResponseError::Header { name, found, expected })
        };
        if is("content-length") {
            self.length = true;
            let due = expected.body.len();
            // `parse` accepts a sign, which a length must not have.
            let is_number = value.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
            if !is_number || length != Some(due) {
                return differs(&due.to_string());
            }
        } else if is("content-type") {
            self.content_type = true;
            if value != expected.content_type.as_bytes() {
                return differs(expected.content_type);
            }
        } else if is("transfer-encoding") || is("content-encoding") {
            return Err(ResponseError::Encoded { name: name.to_owned(), found: excerpt(value) });
        } else if is("connection") && !value.eq_ignore_ascii_case(b"keep-alive") {
            return differs("keep-alive");
        }
        Ok(())
    }

    /// Fails if a required header is missing.
    pub(super) fn finish(&self) -> Result<(), ResponseError> {
        for (found, name) in [(self.length, "content-length"), (self.content_type, "content-type")]
        {
            if !found {
                return Err(ResponseError::MissingHeader { name });
            }
        }
        Ok(())
    }
}
