//! HTTP/2 requests with prior knowledge, without TLS: RFC 9113.

mod batch;
mod control_frames;
mod frame;
mod header_block;
mod outbox;
pub(crate) mod requests;

use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use self::batch::{Batch, ResponseState};
use self::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameHeader, HEADER_BYTES, HEADERS,
    PAYLOAD_BYTES_MAX, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use self::outbox::Outbox;
use self::requests::{Requests, WINDOW_BYTES};
use crate::LoadError;
use crate::error::response::{ResponseError, excerpt};
use crate::io::socket::{Progress, Socket};
use crate::protocol::{Connection, ReadOutcome, Received};

/// The longest header block that is accepted.
const HEADER_BLOCK_BYTES_MAX: usize = 16 << 10;

/// The most bytes of frames that bring no response further, from the end of one response to the end of
/// the next. A lane could send such frames for ever, faster than they are read: without a limit, `receive`
/// would never return to the driver, which looks at the clock and at the cancellation.
const IDLE_BYTES_MAX: usize = 64 << 10;

pub(crate) struct Http2Connection {
    socket: Socket,
    /// Requests answered since the connection was opened.
    message: u64,
    /// Requests answered in the present exchange.
    completed: u64,
    outbox: Outbox,
    started_at: Instant,
    batch: Batch,
    /// The part of an incomplete frame. Its memory is reused.
    partial_frame: Vec<u8>,
    /// A DATA frame whose payload is incomplete.
    partial_data: Option<DataFrame>,
    /// A header block that continues in another frame.
    partial_block: Option<HeaderBlock>,
    /// Whether the lane has sent its connection preface, which is a SETTINGS frame.
    has_preface: bool,
    /// Bytes of the connection's flow-control window that the lane has used.
    window_used_bytes: u32,
    /// Bytes that have come of the response that came last.
    received: usize,
    /// Bytes of frames that brought no response further, since the last end of one.
    idle_bytes: usize,
}

/// The rest of a DATA frame.
#[derive(Clone, Copy)]
struct DataFrame {
    /// The index of its response in the batch.
    index: usize,
    rest_bytes: usize,
    ends_stream: bool,
}

struct HeaderBlock {
    stream: u32,
    ends_stream: bool,
    bytes: Vec<u8>,
}

impl Http2Connection {
    fn progress(&self) -> Progress {
        Progress { message: self.message, received: self.received }
    }

    /// Checks received bytes.
    fn check(&mut self, requests: &mut Requests, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            bytes = match self.partial_data.take() {
                Some(data) => self.check_body(requests, data, bytes)?,
                None => match self.check_frame(requests, bytes)? {
                    Some(rest) => rest,
                    None => return Ok(()),
                },
            };
        }
        Ok(())
    }

    /// Checks a frame, or the start of a DATA frame. Returns what follows it, or `None` if it is
    /// incomplete.
    #[inline]
    fn check_frame<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        if self.partial_frame.is_empty()
            && let Some((header, after)) = FrameHeader::read(bytes)
        {
            self.check_frame_header(header, bytes)?;
            if header.is_unpadded_data() {
                return self.start_data(requests, header, after).map(Some);
            }
            if let Some((payload, rest)) = after.split_at_checked(header.length) {
                self.check_whole_frame(requests, header, payload)?;
                return Ok(Some(rest));
            }
        }
        self.check_partial_frame(requests, bytes)
    }

    /// Collects a part of a frame: first of the frame header, which contains the length.
    #[cold]
    fn check_partial_frame<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        let mut part = mem::take(&mut self.partial_frame);
        let mut rest = fill(&mut part, bytes, HEADER_BYTES);
        if let Some((header, _)) = FrameHeader::read(&part) {
            self.check_frame_header(header, &part)?;
            if header.is_unpadded_data() {
                part.clear();
                self.partial_frame = part;
                return self.start_data(requests, header, rest).map(Some);
            }
            let length = HEADER_BYTES + header.length;
            rest = fill(&mut part, rest, length);
            if part.len() == length {
                self.check_whole_frame(requests, header, &part[HEADER_BYTES..])?;
                part.clear();
                self.partial_frame = part;
                return Ok(Some(rest));
            }
        }
        self.partial_frame = part;
        Ok(None)
    }

    /// Fails if such a frame is not allowed now. `bytes` start with it.
    #[inline]
    fn check_frame_header(&self, header: FrameHeader, bytes: &[u8]) -> Result<(), LoadError> {
        let is_too_long = header.length > PAYLOAD_BYTES_MAX;
        if !self.has_preface && (header.kind != SETTINGS || header.has(ACK) || is_too_long) {
            return Err(self.wrong(ResponseError::NotHttp2 { start: excerpt(bytes) }));
        }
        if is_too_long {
            let (found_bytes, limit_bytes) = (header.length, PAYLOAD_BYTES_MAX);
            return Err(self.wrong(ResponseError::FrameTooLong { found_bytes, limit_bytes }));
        }
        match &self.partial_block {
            Some(block) if (header.kind, header.stream) != (CONTINUATION, block.stream) => {
                Err(self.wrong(ResponseError::HeadersInterrupted))
            }
            None if header.kind == CONTINUATION => {
                Err(self.wrong(ResponseError::UnexpectedContinuation))
            }
            _ => Ok(()),
        }
    }

    fn check_whole_frame(
        &mut self,
        requests: &mut Requests,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<(), LoadError> {
        match header.kind {
            HEADERS => {
                let block = header.content(payload).map_err(|error| self.wrong(error))?;
                let ends_stream = header.has(END_STREAM);
                if header.has(END_HEADERS) {
                    return self.check_headers(requests, header.stream, ends_stream, block);
                }
                self.index_of(requests, header.stream)?;
                let (stream, bytes) = (header.stream, block.to_vec());
                self.partial_block = Some(HeaderBlock { stream, ends_stream, bytes });
                Ok(())
            }
            CONTINUATION => self.continue_headers(requests, header, payload),
            // Padding counts towards the window, too.
            DATA => {
                let content = header.content(payload).map_err(|error| self.wrong(error))?;
                let index = self.index_of(requests, header.stream)?;
                self.use_window(header.length);
                let ends_stream = header.has(END_STREAM);
                if content.is_empty() {
                    self.count_idle(header)?;
                }
                let data = DataFrame { index, rest_bytes: content.len(), ends_stream };
                self.check_body(requests, data, content).map(drop)
            }
            RST_STREAM => {
                let index = self.index_of(requests, header.stream)?;
                let reason = frame::describe_error_code(payload, 0);
                Err(self.wrong_at(index, ResponseError::StreamReset { reason }))
            }
            kind => {
                self.count_idle(header)?;
                self.has_preface |= kind == SETTINGS;
                let pipeline = requests.expected.pipeline;
                control_frames::handle(header, payload, pipeline, &mut self.outbox)
                    .map_err(|error| self.wrong(error))
            }
        }
    }

    #[cold]
    fn continue_headers(
        &mut self,
        requests: &mut Requests,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<(), LoadError> {
        if payload.is_empty() {
            self.count_idle(header)?;
        }
        let mut block = self.partial_block.take().expect("check_frame_header has seen one");
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > HEADER_BLOCK_BYTES_MAX {
            let limit_bytes = HEADER_BLOCK_BYTES_MAX;
            return Err(self.wrong(ResponseError::HeadersTooLong { limit_bytes }));
        }
        if header.has(END_HEADERS) {
            return self.check_headers(requests, block.stream, block.ends_stream, &block.bytes);
        }
        self.partial_block = Some(block);
        Ok(())
    }

    /// Checks the headers of a response.
    #[inline]
    fn check_headers(
        &mut self,
        requests: &mut Requests,
        stream: u32,
        ends_stream: bool,
        block: &[u8],
    ) -> Result<(), LoadError> {
        let index = self.index_of(requests, stream)?;
        if self.batch.responses[index] != ResponseState::Headers {
            return Err(self.wrong_at(index, ResponseError::RepeatedHeaders));
        }
        let block = header_block::without_size_update(block);
        if requests.verified_block.is_empty() || block != requests.verified_block {
            header_block::check(block, &requests.expected)
                .map_err(|error| self.wrong_at(index, error))?;
            requests.verified_block.clear();
            requests.verified_block.extend_from_slice(block);
        }
        self.batch.responses[index] = ResponseState::Body(0);
        self.received = 0;
        if ends_stream { self.end_response(requests, index) } else { Ok(()) }
    }

    fn start_data<'b>(
        &mut self,
        requests: &mut Requests,
        header: FrameHeader,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], LoadError> {
        let index = self.index_of(requests, header.stream)?;
        self.use_window(header.length);
        if header.length == 0 {
            self.count_idle(header)?;
        }
        let (rest_bytes, ends_stream) = (header.length, header.has(END_STREAM));
        self.check_body(requests, DataFrame { index, rest_bytes, ends_stream }, bytes)
    }

    /// Checks the part of a DATA frame that has come. Returns what follows it.
    fn check_body<'b>(
        &mut self,
        requests: &Requests,
        mut data: DataFrame,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], LoadError> {
        let index = data.index;
        let ResponseState::Body(received) = self.batch.responses[index] else {
            return Err(self.wrong_at(index, ResponseError::BodyBeforeHeaders));
        };
        let (part, after) = bytes.split_at(data.rest_bytes.min(bytes.len()));
        let body = requests.expected.body;
        let Some((due, _)) = body[received..].split_at_checked(part.len()) else {
            let expected_bytes = body.len();
            return Err(self.wrong_at(index, ResponseError::BodyTooLong { expected_bytes }));
        };
        if part != due {
            return Err(self.wrong_body(index, received, part, due));
        }
        self.batch.responses[index] = ResponseState::Body(received + part.len());
        self.received = received + part.len();
        data.rest_bytes -= part.len();
        if data.rest_bytes > 0 {
            self.partial_data = Some(data);
        } else if data.ends_stream {
            self.end_response(requests, index)?;
        }
        Ok(after)
    }

    fn end_response(&mut self, requests: &Requests, index: usize) -> Result<(), LoadError> {
        let expected_bytes = requests.expected.body.len();
        if self.batch.responses[index] != ResponseState::Body(expected_bytes) {
            let received_bytes = self.received;
            let error = ResponseError::BodyTooShort { received_bytes, expected_bytes };
            return Err(self.wrong_at(index, error));
        }
        self.batch.responses[index] = ResponseState::Ended;
        self.batch.due -= 1;
        self.received = 0;
        self.idle_bytes = 0;
        self.message += 1;
        self.completed += 1;
        Ok(())
    }

    /// The index in the batch of a stream whose response is due.
    #[inline]
    fn index_of(&self, requests: &Requests, stream: u32) -> Result<usize, LoadError> {
        let sent = self.outbox.requests_sent(requests.request_bytes).unwrap_or(usize::MAX);
        match self.batch.index_of(stream, sent) {
            Some(index) if self.batch.responses[index] != ResponseState::Ended => Ok(index),
            Some(index) => Err(self.wrong_at(index, ResponseError::AfterEnd)),
            None => Err(self.unrequested(stream)),
        }
    }

    /// Counts a frame that brings no response further. Fails if there were too many.
    #[cold]
    fn count_idle(&mut self, header: FrameHeader) -> Result<(), LoadError> {
        self.idle_bytes += HEADER_BYTES + header.length;
        if self.idle_bytes > IDLE_BYTES_MAX {
            let limit_bytes = IDLE_BYTES_MAX;
            return Err(self.wrong(ResponseError::IdleFrames { limit_bytes }));
        }
        Ok(())
    }

    /// Counts bytes that use the connection's window, and renews the window when half of it is used.
    fn use_window(&mut self, bytes: usize) {
        self.window_used_bytes += bytes as u32;
        if self.window_used_bytes > WINDOW_BYTES / 2 {
            let increment = mem::take(&mut self.window_used_bytes).to_be_bytes();
            self.outbox.append_frame(WINDOW_UPDATE, 0, &increment);
        }
    }

    /// An error that concerns the connection. It is attributed to the request that is due next.
    #[cold]
    fn wrong(&self, error: ResponseError) -> LoadError {
        self.wrong_in(self.message, error)
    }

    /// An error in a response of the present batch.
    #[cold]
    fn wrong_at(&self, index: usize, error: ResponseError) -> LoadError {
        self.wrong_in(self.message - self.batch.ended() + index as u64, error)
    }

    #[cold]
    fn wrong_body(&self, index: usize, received: usize, found: &[u8], due: &[u8]) -> LoadError {
        self.wrong_at(index, ResponseError::body(received, found, due))
    }

    /// A frame that belongs to no request. It is attributed to the request that is due next or, if
    /// none is due, to the last one.
    #[cold]
    fn unrequested(&self, stream: u32) -> LoadError {
        let message = self.message.saturating_sub(u64::from(self.batch.due == 0));
        self.wrong_in(message, ResponseError::UnrequestedStream { stream })
    }

    fn wrong_in(&self, message: u64, error: ResponseError) -> LoadError {
        let (addr, conn) = (self.socket.addr, self.socket.conn);
        LoadError::Answer { addr, conn, message, source: Box::new(error) }
    }
}

/// Fills `part` up to `length`. Returns what is left.
fn fill<'b>(part: &mut Vec<u8>, bytes: &'b [u8], length: usize) -> &'b [u8] {
    let (taken, rest) = bytes.split_at(length.saturating_sub(part.len()).min(bytes.len()));
    part.extend_from_slice(taken);
    rest
}

impl Connection for Http2Connection {
    type Shared = Requests;

    fn new(stream: TcpStream, addr: SocketAddr, conn: usize, requests: &Requests) -> Self {
        Self {
            socket: Socket::new(stream, addr, conn),
            message: 0,
            completed: 0,
            outbox: Outbox::new(&requests.preface),
            started_at: Instant::now(),
            batch: Batch::new(),
            partial_frame: Vec::new(),
            partial_data: None,
            partial_block: None,
            has_preface: false,
            window_used_bytes: 0,
            received: 0,
            idle_bytes: 0,
        }
    }

    fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    fn start_exchange(&mut self) {
        self.completed = 0;
    }

    fn start_batch(
        &mut self,
        requests: &Requests,
        now: Instant,
        messages_max: u64,
    ) -> Result<bool, LoadError> {
        let count = messages_max.min(requests.expected.pipeline as u64) as usize;
        if !self.batch.start_next(count) {
            let (addr, conn) = (self.socket.addr, self.socket.conn);
            return Err(LoadError::Spent { addr, conn, message: self.message });
        }
        self.outbox.append_requests(requests, self.batch.first_stream, count);
        self.started_at = now;
        self.send(requests)
    }

    fn has_unsent(&self, _: &Requests) -> bool {
        !self.outbox.unsent().is_empty()
    }

    fn send(&mut self, _: &Requests) -> Result<bool, LoadError> {
        let progress = self.progress();
        let count = self.socket.send(self.outbox.unsent(), progress)?;
        Ok(self.outbox.advance(count))
    }

    fn receive(
        &mut self,
        requests: &mut Requests,
        buffer: &mut [u8],
        until_end: bool,
    ) -> Result<Received, LoadError> {
        let (first, queued, mut moved) = (self.completed + 1, self.outbox.len(), false);
        while let Some(count) = self.socket.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.socket.closed(self.progress()));
            }
            self.check(requests, &buffer[..count])?;
            moved = true;
            if count < buffer.len() && !until_end {
                break;
            }
        }
        // The lane waits for these replies, which are rare. If the socket buffer has no room for
        // them, requests wait for room, too, and the driver watches for writability.
        if self.outbox.len() > queued {
            self.send(requests)?;
        }
        let outcome = ReadOutcome::of_batch(moved, self.batch.due);
        Ok(Received { outcome, completed: first..=self.completed })
    }

    fn started_at(&self) -> Instant {
        self.started_at
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::target::Http;

    #[test]
    fn start_batch_fails_without_stream_numbers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let expected =
            Http { path: "/", content_type: "text/plain", body: b"x", pipeline: 2, h2: true };
        let requests = Requests::new(addr, expected);
        let stream = TcpStream::connect(addr).unwrap();
        let mut connection = Http2Connection::new(stream, addr, 0, &requests);
        connection.batch.first_stream = frame::STREAM_MAX;
        let error = connection.start_batch(&requests, Instant::now(), 2).unwrap_err();
        assert!(matches!(error, LoadError::Spent { conn: 0, message: 0, .. }), "{error}");
        assert!(!error.is_wrong_answer());
    }
}
