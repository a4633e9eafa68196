//! What is wrong with a response to an HTTP request.

use loona_hpack::decoder::DecoderError;

/// What is wrong with a lane's response to an HTTP request.
///
/// Bytes that the lane sent are shown escaped, and cut after 60 bytes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The bytes are not an HTTP/1 response.
    #[error("not an HTTP/1 response ({source}): {start}")]
    NotHttp1 {
        /// What the parser rejected.
        source: httparse::Error,
        /// The first bytes of the response.
        start: String,
    },
    /// The connection does not start with a SETTINGS frame of HTTP/2.
    #[error("not HTTP/2: {start}")]
    NotHttp2 {
        /// The first bytes on the connection.
        start: String,
    },
    /// The response has another minor version of HTTP/1.
    #[error("version is HTTP/1.{minor}, expected HTTP/1.1")]
    Version {
        /// The minor version found.
        minor: u8,
    },
    /// The status is not 200.
    #[error("status is {found}, expected 200")]
    Status {
        /// The status code found and, in HTTP/1, its reason phrase.
        found: String,
    },
    /// The answer to a request of the user's own has another status.
    #[error("status is {found}, expected {expected}")]
    OtherStatus {
        /// The status code found and its reason phrase.
        found: String,
        /// The status code expected.
        expected: u16,
    },
    /// The answer to a request of the user's own is not as expected.
    #[error("{source}; {origin}")]
    NotAsExpected {
        /// What is wrong.
        source: Box<Self>,
        /// Where the expectation comes from, and the remedy.
        origin: String,
    },
    /// A body in chunks is malformed.
    #[error("malformed chunk of the body: {start}")]
    Chunk {
        /// The bytes that are no chunk.
        start: String,
    },
    /// An HTTP/2 response has no `:status`.
    #[error("no :status")]
    MissingStatus,
    /// An HTTP/2 response has several.
    #[error("more than one :status")]
    RepeatedStatus,
    /// A header precedes the `:status` of an HTTP/2 response.
    #[error("header {name} comes before :status")]
    LateStatus {
        /// The header's name.
        name: String,
    },
    /// A header has another value than expected.
    #[error("{name} is {found}, expected {expected}")]
    Header {
        /// The header's name.
        name: String,
        /// Its value.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// A header that every response needs is missing.
    #[error("no {name} header")]
    MissingHeader {
        /// The header's name.
        name: &'static str,
    },
    /// The body is encoded.
    #[error("{name} is {found}, expected an unencoded body")]
    Encoded {
        /// The header that announces the encoding.
        name: String,
        /// Its value.
        found: String,
    },
    /// A header is not allowed in HTTP/2 (RFC 9113, section 8.2).
    #[error("header {name} is not allowed in HTTP/2")]
    ForbiddenHeader {
        /// The header's name.
        name: String,
    },
    /// The status line and headers, or the HTTP/2 header block, are too long.
    #[error("headers exceed {limit_bytes} bytes")]
    HeadersTooLong {
        /// The most that the generator accepts.
        limit_bytes: usize,
    },
    /// An HTTP/2 header block is malformed, or refers to a dynamic table.
    #[error("header block cannot be decoded without a dynamic table ({source}): {block}")]
    Undecodable {
        /// What the decoder rejected.
        source: DecoderError,
        /// The first bytes of the block.
        block: String,
    },
    /// Headers follow the headers of the same HTTP/2 response.
    #[error("second header block in one response")]
    RepeatedHeaders,
    /// A DATA frame precedes the headers of its response.
    #[error("body comes before the headers")]
    BodyBeforeHeaders,
    /// A byte of the body differs.
    #[error("byte {offset} of the body is {found:#04x}, expected {expected:#04x}")]
    BodyByte {
        /// The first byte that differs.
        offset: usize,
        /// The byte found.
        found: u8,
        /// The byte expected.
        expected: u8,
    },
    /// The body of an HTTP/2 response, or one in chunks, goes on after its expected end.
    #[error("body exceeds {expected_bytes} bytes")]
    BodyTooLong {
        /// The length expected.
        expected_bytes: usize,
    },
    /// The body of an HTTP/2 response, or one in chunks, ends early.
    #[error("body ends after {received_bytes} of {expected_bytes} bytes")]
    BodyTooShort {
        /// The length found.
        received_bytes: usize,
        /// The length expected.
        expected_bytes: usize,
    },
    /// Bytes follow the last response that was due on an HTTP/1 connection.
    #[error("{surplus_bytes} unrequested bytes follow it: {start}")]
    Unrequested {
        /// How many bytes were seen.
        surplus_bytes: usize,
        /// The first of them.
        start: String,
    },
    /// A frame came on an HTTP/2 stream without a request.
    #[error("frame on stream {stream}, which carries no request")]
    UnrequestedStream {
        /// The stream's number.
        stream: u32,
    },
    /// A frame came on an HTTP/2 stream whose response had ended.
    #[error("frame after the end of the response")]
    AfterEnd,
    /// A frame is longer than the limit that the generator keeps (`SETTINGS_MAX_FRAME_SIZE`).
    #[error("frame has {found_bytes} bytes, limit is {limit_bytes}")]
    FrameTooLong {
        /// The length of its payload.
        found_bytes: usize,
        /// The longest payload allowed.
        limit_bytes: usize,
    },
    /// A frame's padding is longer than its payload.
    #[error("frame has more padding than payload")]
    Padding,
    /// A HEADERS frame is too short for the priority that its flags announce.
    #[error("HEADERS frame is too short for its priority")]
    Priority,
    /// Another frame came where a CONTINUATION frame was due.
    #[error("another frame interrupts an unfinished header block")]
    HeadersInterrupted,
    /// A CONTINUATION frame came where no header block was unfinished.
    #[error("CONTINUATION frame without an unfinished header block")]
    UnexpectedContinuation,
    /// A SETTINGS frame has an incomplete entry.
    #[error("malformed SETTINGS frame: {payload}")]
    Settings {
        /// The first bytes of its payload.
        payload: String,
    },
    /// The lane allows fewer concurrent streams than one batch has requests.
    #[error("lane allows {allowed} concurrent requests, {needed} are needed")]
    ConcurrentStreams {
        /// `SETTINGS_MAX_CONCURRENT_STREAMS`.
        allowed: u32,
        /// Requests in one batch.
        needed: usize,
    },
    /// The lane keeps sending SETTINGS or PING frames, and does not read the replies.
    #[error("lane does not read the replies to its SETTINGS and PING frames")]
    RepliesUnread,
    /// The lane keeps sending frames that bring no response further: SETTINGS, PING, `WINDOW_UPDATE`, unknown
    /// ones, and DATA and CONTINUATION without content.
    #[error("more than {limit_bytes} bytes of frames that bring no response further")]
    IdleFrames {
        /// The most that the generator accepts between the ends of two responses.
        limit_bytes: usize,
    },
    /// The lane reset the stream.
    #[error("stream was reset: {reason}")]
    StreamReset {
        /// The error code.
        reason: String,
    },
    /// The lane announced that it closes the connection.
    #[error("lane ends the connection with GOAWAY: {reason}")]
    GoAway {
        /// The error code and debug data.
        reason: String,
    },
    /// The lane pushed a response although push is disabled.
    #[error("PUSH_PROMISE frame, although push is disabled")]
    Push,
}

impl ResponseError {
    /// The first difference between a part of a body and the same part of the expected body.
    /// `offset` is where the part starts.
    pub(crate) fn body(offset: usize, found: &[u8], expected: &[u8]) -> Self {
        let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let at = at.expect("the caller found a difference");
        Self::BodyByte { offset: offset + at, found: found[at], expected: expected[at] }
    }
}

/// The first bytes of what a lane sent, escaped and in quotation marks.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = 60;
    let (shown, ellipsis) = match bytes.get(..BYTES_MAX) {
        Some(shown) if bytes.len() > BYTES_MAX => (shown, "…"),
        _ => (bytes, ""),
    };
    format!("\"{}{ellipsis}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_reports_first_difference() {
        let error = ResponseError::body(100, b"abXdX", b"abcde");
        let (found, expected) = (b'X', b'c');
        assert_eq!(error, ResponseError::BodyByte { offset: 102, found, expected });
    }

    #[test]
    fn excerpt_escapes_and_cuts_after_60_bytes() {
        assert_eq!(excerpt(b"a\r\n\x1b"), r#""a\r\n\x1b""#);
        assert_eq!(excerpt(&[b'x'; 60]), format!("\"{}\"", "x".repeat(60)));
        assert_eq!(excerpt(&[b'x'; 61]), format!("\"{}…\"", "x".repeat(60)));
    }
}
