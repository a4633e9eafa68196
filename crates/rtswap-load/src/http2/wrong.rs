//! How an answer that is wrong is told.

use super::Connection;
use crate::LoadError;

impl Connection {
    fn answer(&self, message: u64, found: String) -> LoadError {
        LoadError::Answer { addr: self.wire.addr, conn: self.wire.number, message, found }
    }

    #[cold]
    pub(super) fn wrong(&self, found: String) -> LoadError {
        self.answer(self.message, found)
    }

    /// The same, of an answer of the present batch.
    #[cold]
    pub(super) fn wrong_on(&self, index: usize, found: String) -> LoadError {
        let answered = self.streams.len() as u64 - self.due;
        self.answer(self.message - answered + index as u64, found)
    }

    #[cold]
    pub(super) fn wrong_body(
        &self,
        index: usize,
        received: usize,
        due: &[u8],
        found: &[u8],
    ) -> LoadError {
        let mut pairs = due.iter().zip(found);
        let at = pairs.position(|(due, found)| due != found).unwrap_or_default();
        let (place, found, due) = (received + at, found[at], due[at]);
        self.wrong_on(index, format!("byte {place} of its body is {found:#04x} and not {due:#04x}"))
    }

    #[cold]
    pub(super) fn unasked(&self, stream: u32) -> LoadError {
        let found = format!("something came on stream {stream} that nobody had asked for");
        self.answer(self.message.saturating_sub(u64::from(self.due == 0)), found)
    }
}
