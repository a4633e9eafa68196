//! The header block of a response.
//!
//! The generator allows lanes no dynamic table (RFC 7541, section 4.2), so the meaning of a header block
//! does not depend on earlier blocks. As with HTTP/1, a block that equals a verified one byte for byte is
//! right, too, on any connection. With dynamic tables, every connection would have to track the
//! lane's table in each block with new headers, and the date is new once a second.

use loona_hpack::Decoder;

use crate::error::response::{ResponseError, excerpt};
use crate::protocol::http::headers::RequiredHeaders;
use crate::target::Http;

/// A dynamic table size update to 0.
pub(super) const NO_TABLE: u8 = 0x20;

/// The block without the table size update that the first block on a connection starts with.
#[inline]
pub(super) fn without_size_update(block: &[u8]) -> &[u8] {
    block.strip_prefix(&[NO_TABLE]).unwrap_or(block)
}

/// Checks a complete block.
pub(super) fn check(block: &[u8], expected: &Http) -> Result<(), ResponseError> {
    let mut decoder = Decoder::new();
    decoder.set_max_table_size(0);
    decoder.set_max_allowed_table_size(0);
    let mut required = RequiredHeaders::default();
    let mut has_status = false;
    let mut first_error = None;
    let decoded = decoder.decode_with_cb(block, |name, value| {
        let checked = match name.as_ref() {
            b":status" if has_status => Err(ResponseError::RepeatedStatus),
            b":status" if value.as_ref() == b"200" => {
                has_status = true;
                Ok(())
            }
            b":status" => Err(ResponseError::Status { found: value.escape_ascii().to_string() }),
            name => check_header(&mut required, has_status, name, &value, expected),
        };
        if first_error.is_none() {
            first_error = checked.err();
        }
    });
    if let Some(error) = first_error {
        return Err(error);
    }
    decoded.map_err(|source| ResponseError::Undecodable { source, block: excerpt(block) })?;
    if !has_status {
        return Err(ResponseError::MissingStatus);
    }
    required.finish()
}

fn check_header(
    required: &mut RequiredHeaders,
    has_status: bool,
    name: &[u8],
    value: &[u8],
    expected: &Http,
) -> Result<(), ResponseError> {
    let is_valid = !name.is_empty()
        && name[0] != b':'
        && name.iter().all(|byte| matches!(byte, b'!'..=b'~') && !byte.is_ascii_uppercase());
    // RFC 9113, section 8.2.2.
    let is_connection_specific =
        matches!(name, b"connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade");
    match str::from_utf8(name) {
        Ok(name) if is_valid && !is_connection_specific && has_status => {
            required.check(name, value, expected)
        }
        Ok(_) if is_valid && !is_connection_specific => {
            Err(ResponseError::LateStatus { name: excerpt(name) })
        }
        _ => Err(ResponseError::ForbiddenHeader { name: excerpt(name) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Http = Http {
        path: "/plaintext",
        content_type: "text/plain",
        body: b"Hello, World!",
        pipeline: 1,
        h2: true,
    };

    /// A block of literals.
    fn block(headers: &[(&str, &str)]) -> Vec<u8> {
        let mut block = vec![NO_TABLE];
        for (name, value) in headers {
            for text in [name, value] {
                if text == name {
                    block.push(0);
                }
                block.push(u8::try_from(text.len()).unwrap());
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }

    const STATUS: (&str, &str) = (":status", "200");
    const LENGTH: (&str, &str) = ("content-length", "13");
    const TYPE: (&str, &str) = ("content-type", "text/plain");

    #[test]
    fn check_accepts_every_encoding_without_dynamic_table() {
        check(&block(&[STATUS, LENGTH, TYPE, ("date", "now")]), &EXPECTED).unwrap();
        // An entry of the static table; a name from it with a Huffman-coded value; a name from it
        // with a literal value.
        let indexed = b"\x88\x0f\x0d\x82\x0b\x3f\x5f\x0atext/plain";
        check(indexed, &EXPECTED).unwrap();
        assert_eq!(without_size_update(&[&[NO_TABLE], &indexed[..]].concat()), indexed);
        assert_eq!(without_size_update(indexed), indexed);
    }

    #[test]
    fn check_rejects_references_to_dynamic_table() {
        let first_dynamic_entry = 0x80 | 0x3e;
        let error = check(&[0x88, first_dynamic_entry], &EXPECTED).unwrap_err();
        assert!(matches!(error, ResponseError::Undecodable { .. }), "{error}");
        let size_update_to_4096 = [0x3f, 0xe1, 0x1f];
        let error = check(&[&size_update_to_4096[..], &[0x88]].concat(), &EXPECTED).unwrap_err();
        assert!(matches!(error, ResponseError::Undecodable { .. }), "{error}");
    }

    #[test]
    fn check_names_what_is_wrong() {
        let cases: [(&[(&str, &str)], &str); 12] = [
            (&[(":status", "404"), LENGTH, TYPE], "404, expected 200"),
            (&[LENGTH, TYPE], "\"content-length\" comes before :status"),
            (&[("date", "now")], "\"date\" comes before :status"),
            (&[STATUS, STATUS, LENGTH, TYPE], "more than one :status"),
            (&[STATUS, TYPE], "no content-length"),
            (&[STATUS, LENGTH], "no content-type"),
            (&[STATUS, LENGTH, TYPE, ("content-length", "14")], "\"14\", expected 13"),
            (
                &[STATUS, LENGTH, ("content-type", "text/html")],
                "\"text/html\", expected text/plain",
            ),
            (&[STATUS, LENGTH, TYPE, ("transfer-encoding", "chunked")], "is not allowed"),
            (&[STATUS, LENGTH, TYPE, ("connection", "keep-alive")], "is not allowed"),
            (&[STATUS, LENGTH, ("Content-Type", "text/plain")], "is not allowed"),
            (&[STATUS, (":path", "/"), LENGTH, TYPE], "\":path\" is not allowed"),
        ];
        for (headers, reason) in cases {
            let error = check(&block(headers), &EXPECTED).unwrap_err().to_string();
            assert!(error.contains(reason), "{headers:?}: {error}");
        }
    }

    #[test]
    fn check_rejects_truncated_block_and_repeated_bytes() {
        assert_eq!(check(&[], &EXPECTED), Err(ResponseError::MissingStatus));
        let right = block(&[STATUS, LENGTH, TYPE]);
        for end in 0..right.len() {
            assert!(check(&right[..end], &EXPECTED).is_err(), "{end}");
        }
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                assert!(check(&vec![byte; length], &EXPECTED).is_err(), "{length} times {byte}");
            }
        }
    }
}
