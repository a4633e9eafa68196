//! Bodies in chunks (RFC 9112, section 7.1).

use crate::error::response::{ResponseError, excerpt};

/// How far a body in chunks has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunked(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the size of a chunk, with so many digits.
    Size { bytes: usize, digits: u8 },
    /// After the size, until the end of the line.
    Extension { bytes: usize },
    /// So many bytes of the chunk are due.
    Data { bytes: usize },
    /// Before the line end that follows a chunk.
    DataEnd,
    /// In a line after the last chunk, with so many bytes.
    Trailer { bytes: usize },
}

/// What the next bytes of a body are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'b> {
    /// Content.
    Data(&'b [u8]),
    /// All bytes were used, and the body has not ended.
    Nothing,
    /// The body has ended.
    End,
}

/// More than any chunk has; a size of 16 digits would overflow.
const DIGITS_MAX: u8 = 15;
/// The longest line after the last chunk.
const TRAILER_BYTES_MAX: usize = 8 << 10;

impl Chunked {
    pub(crate) const START: Self = Self(State::Size { bytes: 0, digits: 0 });

    /// Takes the next piece off `bytes`.
    pub(crate) fn next<'b>(&mut self, bytes: &mut &'b [u8]) -> Result<Piece<'b>, ResponseError> {
        while let Some((&byte, rest)) = bytes.split_first() {
            let malformed = || ResponseError::Chunk { start: excerpt(bytes) };
            self.0 = match (self.0, byte) {
                (State::Data { bytes: due }, _) => {
                    let (data, after) = bytes.split_at(due.min(bytes.len()));
                    *bytes = after;
                    self.0 = match due - data.len() {
                        0 => State::DataEnd,
                        bytes => State::Data { bytes },
                    };
                    return Ok(Piece::Data(data));
                }
                (State::Size { bytes, digits }, _) if byte.is_ascii_hexdigit() => {
                    let digit = char::from(byte).to_digit(16).unwrap_or_default() as usize;
                    if digits == DIGITS_MAX {
                        return Err(malformed());
                    }
                    State::Size { bytes: bytes << 4 | digit, digits: digits + 1 }
                }
                (State::Size { bytes, digits: 1.. } | State::Extension { bytes }, b'\n') => {
                    match bytes {
                        0 => State::Trailer { bytes: 0 },
                        bytes => State::Data { bytes },
                    }
                }
                (State::Size { bytes, digits: 1.. }, b'\r' | b';' | b' ' | b'\t')
                | (State::Extension { bytes }, _) => State::Extension { bytes },
                (State::DataEnd, b'\r') => State::DataEnd,
                (State::DataEnd, b'\n') => State::Size { bytes: 0, digits: 0 },
                (State::Trailer { bytes: 0 }, b'\n') => {
                    *bytes = rest;
                    return Ok(Piece::End);
                }
                (State::Trailer { .. }, b'\n') => State::Trailer { bytes: 0 },
                (State::Trailer { bytes }, b'\r') => State::Trailer { bytes },
                (State::Trailer { bytes }, _) if bytes < TRAILER_BYTES_MAX => {
                    State::Trailer { bytes: bytes + 1 }
                }
                (State::Size { .. } | State::DataEnd | State::Trailer { .. }, _) => {
                    return Err(malformed());
                }
            };
            *bytes = rest;
        }
        Ok(Piece::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, and what follows the body; `None` if it has not ended.
    fn decode(parts: &[&[u8]]) -> Result<(Vec<u8>, Option<Vec<u8>>), ResponseError> {
        let (mut chunked, mut content) = (Chunked::START, Vec::new());
        for (at, mut bytes) in parts.iter().copied().enumerate() {
            loop {
                match chunked.next(&mut bytes)? {
                    Piece::Data(data) => content.extend_from_slice(data),
                    Piece::Nothing => break,
                    Piece::End => {
                        return Ok((content, Some([bytes, &parts[at + 1..].concat()].concat())));
                    }
                }
            }
        }
        Ok((content, None))
    }

    const WHOLE: &[u8] = b"5\r\nHello\r\n8;name=\"x\"\r\n, World!\r\n0\r\nX-Trailer: 1\r\n\r\nHTTP";

    #[test]
    fn next_decodes_body_in_any_pieces() {
        let expected = (b"Hello, World!".to_vec(), Some(b"HTTP".to_vec()));
        assert_eq!(decode(&[WHOLE]), Ok(expected.clone()));
        for at in 0..WHOLE.len() {
            let (first, second) = WHOLE.split_at(at);
            assert_eq!(decode(&[first, second]), Ok(expected.clone()), "{at}");
        }
        let single: Vec<_> = WHOLE.chunks(1).collect();
        assert_eq!(decode(&single), Ok(expected));
        assert_eq!(decode(&[b"0\r\n\r\n"]), Ok((Vec::new(), Some(Vec::new()))));
        assert_eq!(decode(&[b"A\r\n0123456789\r\n0\r\n"]), Ok((b"0123456789".to_vec(), None)));
    }

    #[test]
    fn next_rejects_malformed_chunks() {
        let wrong: [&[u8]; 5] = [b"x\r\n", b"\r\n", b"-1\r\n", b"1\r\nab", b"ffffffffffffffff\r\n"];
        for bytes in wrong {
            assert!(matches!(decode(&[bytes]), Err(ResponseError::Chunk { .. })), "{bytes:?}");
        }
    }
}
