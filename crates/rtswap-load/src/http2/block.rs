//! The headers of an answer: what they have to say.
//!
//! The generator allows lanes no dynamic table (RFC 7541, section 4.2), so that a block of headers means the
//! same wherever it comes. Then one that equals another, byte for byte, is as right as that was, as
//! with HTTP/1; and with tables, every connection would have to follow the lane's in each block that
//! has something new, which the date is once a second.

use loona_hpack::Decoder;

use crate::Http;
use crate::http::{Seen, quote};

/// How a block may begin that needs no table: by saying so.
const NO_TABLE: u8 = 0x20;

/// The block without what says that no table is used, which the first on a connection has.
#[inline]
pub(super) fn plain(block: &[u8]) -> &[u8] {
    block.strip_prefix(&[NO_TABLE]).unwrap_or(block)
}

/// Checks a whole block.
///
/// # Errors
/// What came, and what was expected.
pub(super) fn check(block: &[u8], expected: &Http) -> Result<(), String> {
    let mut decoder = Decoder::new();
    decoder.set_max_table_size(0);
    decoder.set_max_allowed_table_size(0);
    let mut seen = Seen::default();
    let mut status = false;
    let mut trouble = None;
    let decoded = decoder.decode_with_cb(block, |name, value| {
        let taken = match name.as_ref() {
            b":status" if status => Err("it has more than one status".to_owned()),
            b":status" if value.as_ref() == b"200" => {
                status = true;
                Ok(())
            }
            b":status" => Err(format!("its status is {} and not 200", value.escape_ascii())),
            name => header(&mut seen, status, name, &value, expected),
        };
        // The first trouble is the one that is told.
        trouble = trouble.take().or(taken.err());
    });
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    decoded.map_err(|error| {
        format!("its headers cannot be decoded without a table ({error}): {}", quote(block))
    })?;
    if !status {
        return Err("it has no status".to_owned());
    }
    seen.all()
}

fn header(
    seen: &mut Seen,
    after_status: bool,
    name: &[u8],
    value: &[u8],
    expected: &Http,
) -> Result<(), String> {
    let allowed = !name.is_empty() && name.iter().all(|byte| matches!(byte, b'!'..=b'~'))
        && !name.iter().any(u8::is_ascii_uppercase)
        // What HTTP/2 has other means for.
        && !matches!(name, b"connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade")
        && name[0] != b':';
    match str::from_utf8(name) {
        Ok(name) if allowed && after_status => seen.take(name, value, expected),
        Ok(_) if allowed => Err(format!("its status comes after {}", quote(name))),
        _ => Err(format!("it has a header that HTTP/2 does not allow: {}", quote(name))),
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

    /// In literals.
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
    const KIND: (&str, &str) = ("content-type", "text/plain");

    #[test]
    fn a_right_block_may_be_spelled_in_any_way_that_needs_no_table() {
        check(&block(&[STATUS, LENGTH, KIND, ("date", "now")]), &EXPECTED).unwrap();
        // Indexed in the static table; a name from there, and a value in Huffman's code; literals that
        // would be kept if there were a table.
        let short = b"\x88\x0f\x0d\x82\x0b\x3f\x5f\x0atext/plain";
        check(short, &EXPECTED).unwrap();
        assert_eq!(plain(&[&[NO_TABLE], &short[..]].concat()), short);
        assert_eq!(plain(short), short);
    }

    #[test]
    fn what_needs_a_table_is_refused() {
        let first_of_the_table = 0x80 | 0x3e;
        let error = check(&[0x88, first_of_the_table], &EXPECTED).unwrap_err();
        assert!(error.contains("without a table"), "{error}");
        let larger = check(&[0x3f, 0xe1, 0x1f, 0x88], &EXPECTED).unwrap_err();
        assert!(larger.contains("without a table"), "{larger}");
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        let cases: [(&[(&str, &str)], &str); 12] = [
            (&[(":status", "404"), LENGTH, KIND], "404 and not 200"),
            (&[LENGTH, KIND], "status comes after \"content-length\""),
            (&[("date", "now")], "status comes after \"date\""),
            (&[STATUS, STATUS, LENGTH, KIND], "more than one status"),
            (&[STATUS, KIND], "no content-length"),
            (&[STATUS, LENGTH], "no content-type"),
            (&[STATUS, LENGTH, KIND, ("content-length", "14")], "\"14\" and not 13"),
            (&[STATUS, LENGTH, ("content-type", "text/html")], "\"text/html\" and not text/plain"),
            (&[STATUS, LENGTH, KIND, ("transfer-encoding", "chunked")], "does not allow"),
            (&[STATUS, LENGTH, KIND, ("connection", "keep-alive")], "does not allow"),
            (&[STATUS, LENGTH, ("Content-Type", "text/plain")], "does not allow"),
            (&[STATUS, (":path", "/"), LENGTH, KIND], "does not allow: \":path\""),
        ];
        for (headers, told) in cases {
            let error = check(&block(headers), &EXPECTED).unwrap_err();
            assert!(error.contains(told), "{headers:?}: {error}");
        }
    }

    #[test]
    fn no_garbage_is_taken_for_headers() {
        assert_eq!(check(&[], &EXPECTED), Err("it has no status".to_owned()));
        let right = block(&[STATUS, LENGTH, KIND]);
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
