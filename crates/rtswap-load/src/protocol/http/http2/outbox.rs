//! Bytes that wait to be sent.

use super::frame;
use super::requests::Requests;

/// The requests of the present batch, and frames between them, until all of them are sent.
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Where the requests of the present batch start; `None` once they are sent.
    requests_at: Option<usize>,
}

impl Outbox {
    pub(super) fn new(preface: &[u8]) -> Self {
        Self { bytes: preface.to_vec(), sent: 0, requests_at: None }
    }

    pub(super) fn append_requests(&mut self, requests: &Requests, first_stream: u32, count: usize) {
        self.requests_at = Some(self.bytes.len());
        requests.append(&mut self.bytes, first_stream, count);
    }

    pub(super) fn append_frame(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        frame::append(&mut self.bytes, kind, flags, 0, payload);
    }

    /// Bytes appended since all were sent the last time.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Records that so many more bytes were sent. Returns whether that was all.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) -> bool {
        self.sent += count;
        if self.sent < self.bytes.len() {
            return false;
        }
        self.bytes.clear();
        self.sent = 0;
        self.requests_at = None;
        true
    }

    /// How many requests of the batch are sent, at least in part. `None` if all are.
    #[inline]
    pub(super) fn requests_sent(&self, request_bytes: usize) -> Option<usize> {
        self.requests_at.map(|start| self.sent.saturating_sub(start).div_ceil(request_bytes))
    }
}
