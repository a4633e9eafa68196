//! Frames of HTTP/2: RFC 9113, sections 4 and 6.

use crate::error::response::{ResponseError, excerpt};

/// Length of a frame header.
pub(super) const HEADER_BYTES: usize = 9;
/// Where the stream's number is in a frame header.
pub(super) const STREAM_AT: usize = 5;
/// The longest payload allowed by default, which this generator does not change.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The largest number of a stream.
pub(super) const STREAM_MAX: u32 = 0x7fff_ffff;

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

/// The entries of a SETTINGS frame: RFC 9113, section 6.5.2.
pub(super) mod setting {
    pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
    pub(crate) const ENABLE_PUSH: u16 = 2;
    pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// Bytes of the payload.
    pub(super) length: usize,
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
}

impl FrameHeader {
    /// The frame header at the start of `bytes` and the bytes after it, if it is complete.
    #[inline]
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let &[high, middle, low, kind, flags, ref stream @ ..] = header;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        // The highest bit of the stream is reserved.
        let stream = u32::from_be_bytes(*stream) & STREAM_MAX;
        Some((Self { length, kind, flags, stream }, rest))
    }

    #[inline]
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the whole payload is a part of a body.
    #[inline]
    pub(super) fn is_unpadded_data(&self) -> bool {
        self.kind == DATA && !self.has(PADDED)
    }

    /// The payload without padding and priority.
    pub(super) fn content<'p>(&self, mut payload: &'p [u8]) -> Result<&'p [u8], ResponseError> {
        if self.has(PADDED) {
            let padded = payload.split_first().and_then(|(&padding, rest)| {
                rest.len().checked_sub(padding.into()).map(|length| &rest[..length])
            });
            payload = padded.ok_or(ResponseError::Padding)?;
        }
        if self.kind == HEADERS && self.has(PRIORITY) {
            payload = payload.get(5..).ok_or(ResponseError::Priority)?;
        }
        Ok(payload)
    }
}

/// Appends a frame.
pub(super) fn append(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("frames sent are short").to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The error code in the four bytes of a payload at `at`, and the debug data after it.
pub(super) fn describe_error_code(payload: &[u8], at: usize) -> String {
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
        return "no error code".to_owned();
    };
    let code = u32::from_be_bytes(code);
    let name = NAMES.get(code as usize).map_or_else(|| format!("{code:#x}"), ToString::to_string);
    match payload.get(at + 4..) {
        Some(debug_data @ [_, ..]) => format!("{name}, {}", excerpt(debug_data)),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_returns_what_append_wrote() {
        let mut out = Vec::new();
        append(&mut out, HEADERS, END_HEADERS, 7, b"abc");
        let (header, rest) = FrameHeader::read(&out).unwrap();
        assert_eq!((header.length, header.kind, header.stream), (3, HEADERS, 7));
        assert_eq!(rest, b"abc");
        assert!(header.has(END_HEADERS) && !header.has(END_STREAM));
        assert!(FrameHeader::read(&out[..HEADER_BYTES - 1]).is_none());
    }

    #[test]
    fn content_strips_padding_and_priority() {
        let content = |kind, flags, payload: &'static [u8]| {
            FrameHeader { length: payload.len(), kind, flags, stream: 1 }.content(payload)
        };
        assert_eq!(content(DATA, PADDED, b"\x02abcd"), Ok(&b"ab"[..]));
        assert_eq!(content(HEADERS, PADDED | PRIORITY, b"\x01pppppxy."), Ok(&b"xy"[..]));
        assert_eq!(content(DATA, PADDED, b"\x04abcd"), Ok(&b""[..]));
        assert_eq!(content(DATA, PADDED, b"\x05abcd"), Err(ResponseError::Padding));
        assert_eq!(content(DATA, PADDED, b""), Err(ResponseError::Padding));
        assert_eq!(content(HEADERS, PRIORITY, b"pppp"), Err(ResponseError::Priority));
    }

    #[test]
    fn describe_error_code_names_code_and_debug_data() {
        assert_eq!(describe_error_code(&[0, 0, 0, 1, 0, 0, 0, 11], 4), "ENHANCE_YOUR_CALM");
        assert_eq!(describe_error_code(b"\0\0\0\x02oh", 0), "INTERNAL_ERROR, \"oh\"");
        assert_eq!(describe_error_code(&[0, 0, 1, 0], 0), "0x100");
        assert_eq!(describe_error_code(&[0, 0], 0), "no error code");
    }
}
