//! Frames: RFC 9113, section 4 and 6.

use crate::http::quote;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 9;
/// The largest payload that is allowed unless one asks for more, which this generator does not.
pub(super) const LONGEST: usize = 16_384;
/// The largest number of a stream, and the largest window.
pub(super) const MOST: u32 = 0x7fff_ffff;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Bytes of its payload.
    pub(super) length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl Head {
    /// The head at the start of `bytes`, and what follows it, if it is whole.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let &[high, middle, low, kind, flags, ref stream @ ..] = head;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        // The highest bit of the stream means nothing.
        Some((Self { length, kind, flags, stream: u32::from_be_bytes(*stream) & MOST }, rest))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether its payload is a piece of a body, and nothing else.
    pub(super) fn is_bare_data(&self) -> bool {
        self.kind == DATA && !self.has(PADDED)
    }

    /// The payload without its padding, and without a priority that nobody asks for.
    pub(super) fn content<'p>(&self, mut payload: &'p [u8]) -> Result<&'p [u8], String> {
        if self.has(PADDED) {
            let padded = payload.split_first().and_then(|(&padding, rest)| {
                rest.len().checked_sub(padding.into()).map(|length| &rest[..length])
            });
            payload = padded.ok_or("a frame has more padding than payload")?;
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            payload = payload.get(5..).ok_or("a frame is too short for its priority")?;
        }
        Ok(payload)
    }
}

/// Appends a frame.
pub(super) fn put(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("what is sent is short").to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// What a lane means by an error code: the four bytes at `at`.
pub(super) fn reason(payload: &[u8], at: usize) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    let Some(&code) = payload.get(at..).and_then(<[u8]>::first_chunk::<4>) else {
        return "without a reason".to_owned();
    };
    let code = u32::from_be_bytes(code);
    let name = NAMES.get(code as usize).map_or_else(|| format!("{code:#x}"), ToString::to_string);
    match payload.get(at + 4..) {
        Some(more @ [_, ..]) => format!("{name}, {}", quote(more)),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_and_padding_and_priority_are_left_out() {
        let mut out = Vec::new();
        put(&mut out, HEADERS, END_HEADERS, 7, b"abc");
        let (head, rest) = Head::read(&out).unwrap();
        assert_eq!((head.length, head.kind, head.stream, rest), (3, HEADERS, 7, &b"abc"[..]));
        assert!(head.has(END_HEADERS) && !head.has(END_STREAM));
        assert!(Head::read(&out[..HEAD - 1]).is_none());

        let of = |kind, flags, payload: &'static [u8]| {
            Head { length: payload.len(), kind, flags, stream: 1 }.content(payload)
        };
        assert_eq!(of(DATA, PADDED, b"\x02abcd"), Ok(&b"ab"[..]));
        assert_eq!(of(HEADERS, PADDED | PRIORITY, b"\x01pppppxy."), Ok(&b"xy"[..]));
        assert_eq!(of(DATA, PADDED, b"\x04abcd"), Ok(&b""[..]));
        of(DATA, PADDED, b"\x05abcd").unwrap_err();
        of(DATA, PADDED, b"").unwrap_err();
        of(HEADERS, PRIORITY, b"pppp").unwrap_err();
    }

    #[test]
    fn reasons_have_names() {
        assert_eq!(reason(&[0, 0, 0, 1, 0, 0, 0, 11], 4), "ENHANCE_YOUR_CALM");
        assert_eq!(reason(b"\0\0\0\x02oh", 0), "INTERNAL_ERROR, \"oh\"");
        assert_eq!(reason(&[0, 0, 1, 0], 0), "0x100");
        assert_eq!(reason(&[0, 0], 0), "without a reason");
    }
}
