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

#[cfg(test)]
mod tests {
    use super::super::frame::PING;
    use super::*;
    use crate::target::Http;

    #[test]
    fn requests_sent_counts_started_requests_after_preface() {
        let addr = "127.0.0.1:7000".parse().unwrap();
        let expected = Http { path: "/", content_type: "", body: b"x", pipeline: 2, h2: true };
        let requests = Requests::new(addr, expected);
        let request_bytes = requests.request_bytes;
        let mut outbox = Outbox::new(&requests.preface);
        outbox.append_requests(&requests, 1, 2);
        outbox.append_frame(PING, 0, &[0; 8]);
        let after_requests = outbox.len() - requests.preface.len() - 2 * request_bytes;
        for (count, sent) in
            [(requests.preface.len(), 0), (1, 1), (request_bytes - 1, 1), (request_bytes, 2)]
        {
            assert!(!outbox.advance(count));
            assert_eq!(outbox.requests_sent(request_bytes), Some(sent));
        }
        assert!(outbox.advance(after_requests));
        assert_eq!(outbox.requests_sent(request_bytes), None);
        assert_eq!((outbox.len(), outbox.unsent()), (0, &[][..]));
    }
}
