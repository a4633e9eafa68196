//! The requests of one batch, and how far their responses have come.

use super::frame::STREAM_MAX;

/// A batch uses consecutive odd stream numbers. The next batch continues after them.
pub(super) struct Batch {
    pub(super) first_stream: u32,
    pub(super) responses: Vec<ResponseState>,
    /// Responses that are due.
    pub(super) due: u64,
}

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseState {
    Headers,
    /// So many bytes of the body have come.
    Body(usize),
    Ended,
}

impl Batch {
    /// An empty batch, before the first.
    pub(super) fn new() -> Self {
        Self { first_stream: 1, responses: Vec::new(), due: 0 }
    }

    /// Starts the next batch, of `count` requests. Returns whether there are stream numbers left for
    /// it.
    pub(super) fn start_next(&mut self, count: usize) -> bool {
        debug_assert!(self.due == 0, "one batch at a time");
        let first_stream = self.first_stream + 2 * self.responses.len() as u32;
        let last_stream = first_stream + 2 * (count as u32 - 1);
        if last_stream > STREAM_MAX {
            return false;
        }
        self.first_stream = first_stream;
        self.responses.clear();
        self.responses.resize(count, ResponseState::Headers);
        self.due = count as u64;
        true
    }

    /// The index of the request on a stream. `None` if the stream is not among the first `sent` of
    /// the batch.
    #[inline]
    pub(super) fn index_of(&self, stream: u32, sent: usize) -> Option<usize> {
        let index = (stream.checked_sub(self.first_stream)? / 2) as usize;
        (stream % 2 == 1 && index < sent.min(self.responses.len())).then_some(index)
    }

    /// Responses of the batch that have ended.
    pub(super) fn ended(&self) -> u64 {
        self.responses.len() as u64 - self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_of_finds_sent_requests_of_batch_only() {
        let mut batch = Batch::new();
        assert!(batch.start_next(2));
        batch.due = 0;
        assert!(batch.start_next(3));
        let indices = [1, 3, 4, 5, 7, 8, 9, 11].map(|stream| batch.index_of(stream, 3));
        assert_eq!(indices, [None, None, None, Some(0), Some(1), None, Some(2), None]);
        assert_eq!(batch.index_of(9, 2), None);
    }

    #[test]
    fn start_next_uses_last_stream_number_and_then_fails() {
        let mut batch = Batch::new();
        batch.first_stream = STREAM_MAX - 2;
        assert!(batch.start_next(2));
        batch.due = 0;
        assert!(!batch.start_next(1));
    }
}
