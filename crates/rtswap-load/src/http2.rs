//! Requests on one connection of HTTP/2: RFC 9113, with prior knowledge.

mod block;
mod control;
mod frame;
mod request;
mod wrong;

use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Instant;

use self::frame::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Head, LONGEST, MOST, SETTINGS,
    WINDOW_UPDATE,
};
use self::request::WINDOW;
use crate::LoadError;
use crate::connection::Pulled;
use crate::http::quote;
use crate::kept::Talk;
use crate::wire::{Progress, Wire};

pub(crate) use self::request::Script;

/// Longest block of headers that is taken in.
const BLOCK_MOST: usize = 16 << 10;

pub(crate) struct Connection {
    wire: Wire,
    /// Requests answered since the connection was opened.
    message: u64,
    /// Requests answered in the present exchange.
    completed: u64,
    /// Answers that are due.
    due: u64,
    /// What is on its way, how much of it is sent, and where in it the requests start that are not
    /// known to be sent.
    out: Vec<u8>,
    sent: usize,
    requests_at: Option<usize>,
    begun: Instant,
    /// The streams of the present batch: the number of the first, and where each is. The next batch
    /// goes on where they end.
    first: u32,
    streams: Vec<Stream>,
    /// A frame of which a part has come. Its memory is kept.
    part: Vec<u8>,
    /// A frame of body that is coming.
    data: Option<Data>,
    /// Headers that go on in another frame.
    headers: Option<Headers>,
    /// Whether the lane has greeted.
    greeted: bool,
    /// Bytes of body that the lane was not told yet to have been taken.
    taken: u32,
    /// Bytes that have come of the answer that was last heard of.
    received: usize,
}

/// Where an answer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Headers,
    /// So many bytes of the body have come.
    Body(usize),
    Ended,
}

/// The rest of a frame of body.
#[derive(Clone, Copy)]
struct Data {
    /// The index of its stream in the batch.
    index: usize,
    left: usize,
    ends: bool,
}

struct Headers {
    stream: u32,
    ends: bool,
    block: Vec<u8>,
}

impl Connection {
    fn progress(&self) -> Progress {
        Progress { message: self.message, received: self.received }
    }

    /// Goes through what has come.
    fn check(&mut self, script: &mut Script, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            bytes = match self.data.take() {
                Some(data) => self.body(script, data, bytes)?,
                None => match self.frame(script, bytes)? {
                    Some(rest) => rest,
                    None => return Ok(()),
                },
            };
        }
        Ok(())
    }

    /// Takes in a frame, or the beginning of one that is body. Returns what follows it, or `None` if
    /// it is not whole yet.
    #[inline]
    fn frame<'b>(
        &mut self,
        script: &mut Script,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        if self.part.is_empty()
            && let Some((head, after)) = Head::read(bytes)
        {
            self.allow(head, bytes)?;
            if head.is_bare_data() {
                return self.begin_data(script, head, after).map(Some);
            }
            if let Some((payload, rest)) = after.split_at_checked(head.length) {
                self.whole(script, head, payload)?;
                return Ok(Some(rest));
            }
        }
        self.piece(script, bytes)
    }

    /// Takes in a piece of a frame: first of the head, as that says how much more there is.
    #[cold]
    fn piece<'b>(
        &mut self,
        script: &mut Script,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        let mut part = mem::take(&mut self.part);
        let mut rest = fill(&mut part, bytes, frame::HEAD);
        if let Some((head, _)) = Head::read(&part) {
            self.allow(head, &part)?;
            if head.is_bare_data() {
                part.clear();
                self.part = part;
                return self.begin_data(script, head, rest).map(Some);
            }
            let length = frame::HEAD + head.length;
            rest = fill(&mut part, rest, length);
            if part.len() == length {
                self.whole(script, head, &part[frame::HEAD..])?;
                part.clear();
                self.part = part;
                return Ok(Some(rest));
            }
        }
        self.part = part;
        Ok(None)
    }

    /// Fails if such a frame may not come now. `bytes` begin with it.
    #[inline]
    fn allow(&self, head: Head, bytes: &[u8]) -> Result<(), LoadError> {
        if !self.greeted && (head.kind != SETTINGS || head.has(ACK) || head.length > LONGEST) {
            return Err(self.wrong(format!("this is no HTTP/2: {}", quote(bytes))));
        }
        if head.length > LONGEST {
            let length = head.length;
            return Err(self.wrong(format!("a frame has {length} bytes, more than {LONGEST}")));
        }
        match &self.headers {
            Some(headers) if (head.kind, head.stream) != (CONTINUATION, headers.stream) => {
                Err(self.wrong("its headers have no end, and something else follows".to_owned()))
            }
            None if head.kind == CONTINUATION => {
                Err(self.wrong("headers go on that were at their end".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Takes in a whole frame.
    fn whole(&mut self, script: &mut Script, head: Head, payload: &[u8]) -> Result<(), LoadError> {
        match head.kind {
            HEADERS => {
                let block = head.content(payload).map_err(|error| self.wrong(error))?;
                let ends = head.has(END_STREAM);
                if head.has(END_HEADERS) {
                    return self.headers(script, head.stream, ends, block);
                }
                self.index(script, head.stream)?;
                self.headers = Some(Headers { stream: head.stream, ends, block: block.to_vec() });
                Ok(())
            }
            CONTINUATION => self.continued(script, head, payload),
            // With padding: the lane counts it, too.
            DATA => {
                let content = head.content(payload).map_err(|error| self.wrong(error))?;
                let index = self.index(script, head.stream)?;
                self.count(head.length);
                let data = Data { index, left: content.len(), ends: head.has(END_STREAM) };
                self.body(script, data, content).map(drop)
            }
            _ => self.control(script, head, payload),
        }
    }

    #[cold]
    fn continued(
        &mut self,
        script: &mut Script,
        head: Head,
        payload: &[u8],
    ) -> Result<(), LoadError> {
        let mut headers = self.headers.take().expect("nothing else is allowed");
        headers.block.extend_from_slice(payload);
        if headers.block.len() > BLOCK_MOST {
            return Err(self.wrong(format!("its headers have more than {BLOCK_MOST} bytes")));
        }
        if head.has(END_HEADERS) {
            return self.headers(script, headers.stream, headers.ends, &headers.block);
        }
        self.headers = Some(headers);
        Ok(())
    }

    /// Takes in the headers of an answer.
    #[inline]
    fn headers(
        &mut self,
        script: &mut Script,
        stream: u32,
        ends: bool,
        block: &[u8],
    ) -> Result<(), LoadError> {
        let index = self.index(script, stream)?;
        if self.streams[index] != Stream::Headers {
            return Err(self.wrong_on(index, "it has headers again after the first".to_owned()));
        }
        let block = block::plain(block);
        if script.known.is_empty() || block != script.known {
            block::check(block, &script.expected).map_err(|error| self.wrong_on(index, error))?;
            script.known.clear();
            script.known.extend_from_slice(block);
        }
        self.streams[index] = Stream::Body(0);
        self.received = 0;
        if ends { self.end(script, index) } else { Ok(()) }
    }

    fn begin_data<'b>(
        &mut self,
        script: &mut Script,
        head: Head,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], LoadError> {
        let index = self.index(script, head.stream)?;
        self.count(head.length);
        self.body(script, Data { index, left: head.length, ends: head.has(END_STREAM) }, bytes)
    }

    /// Takes in what has come of a frame of body. Returns what follows it.
    fn body<'b>(
        &mut self,
        script: &Script,
        mut data: Data,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], LoadError> {
        let index = data.index;
        let Stream::Body(received) = self.streams[index] else {
            return Err(self.wrong_on(index, "it has a body before its headers".to_owned()));
        };
        let (some, after) = bytes.split_at(data.left.min(bytes.len()));
        let Some((due, _)) = script.expected.body[received..].split_at_checked(some.len()) else {
            let most = script.expected.body.len();
            return Err(self.wrong_on(index, format!("its body has more than {most} bytes")));
        };
        if some != due {
            return Err(self.wrong_body(index, received, due, some));
        }
        self.streams[index] = Stream::Body(received + some.len());
        self.received = received + some.len();
        data.left -= some.len();
        if data.left > 0 {
            self.data = Some(data);
        } else if data.ends {
            self.end(script, index)?;
        }
        Ok(after)
    }

    /// Ends an answer.
    fn end(&mut self, script: &Script, index: usize) -> Result<(), LoadError> {
        let due = script.expected.body.len();
        if self.streams[index] != Stream::Body(due) {
            let received = self.received;
            let error = format!("its body ends after {received} of {due} bytes");
            return Err(self.wrong_on(index, error));
        }
        self.streams[index] = Stream::Ended;
        self.received = 0;
        self.message += 1;
        self.completed += 1;
        self.due -= 1;
        Ok(())
    }

    /// The index in the batch of a stream that is being answered.
    #[inline]
    fn index(&self, script: &Script, stream: u32) -> Result<usize, LoadError> {
        let index = (stream.wrapping_sub(self.first) / 2) as usize;
        let asked = stream >= self.first && stream % 2 == 1 && index < self.asked(script);
        match self.streams.get(index) {
            Some(Stream::Headers | Stream::Body(_)) if asked => Ok(index),
            Some(Stream::Ended) if asked => {
                Err(self.wrong_on(index, "something came after its end".to_owned()))
            }
            _ => Err(self.unasked(stream)),
        }
    }

    /// How many of the batch the system has begun to send.
    fn asked(&self, script: &Script) -> usize {
        self.requests_at.map_or(self.streams.len(), |start| {
            self.sent.saturating_sub(start).div_ceil(script.one)
        })
    }

    /// Counts what takes the lane's window, and widens that again in time.
    fn count(&mut self, bytes: usize) {
        self.taken += bytes as u32;
        if self.taken > WINDOW / 2 {
            let more = mem::take(&mut self.taken).to_be_bytes();
            frame::put(&mut self.out, WINDOW_UPDATE, 0, 0, &more);
        }
    }
}

/// Fills `part` up to `length`. Returns what is left.
fn fill<'b>(part: &mut Vec<u8>, bytes: &'b [u8], length: usize) -> &'b [u8] {
    let (some, rest) = bytes.split_at(length.saturating_sub(part.len()).min(bytes.len()));
    part.extend_from_slice(some);
    rest
}

impl Talk for Connection {
    type Script = Script;

    fn over(stream: TcpStream, addr: SocketAddr, number: usize, script: &Script) -> Self {
        Self {
            wire: Wire::new(stream, addr, number),
            message: 0,
            completed: 0,
            due: 0,
            out: script.greeting.to_vec(),
            sent: 0,
            requests_at: None,
            begun: Instant::now(),
            first: 1,
            streams: Vec::new(),
            part: Vec::new(),
            data: None,
            headers: None,
            greeted: false,
            taken: 0,
            received: 0,
        }
    }

    fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }

    fn restart(&mut self) {
        self.completed = 0;
    }

    fn begin(&mut self, script: &Script, now: Instant, most: u64) -> Result<bool, LoadError> {
        debug_assert!(self.due == 0, "one batch at a time");
        self.due = most.min(script.expected.pipeline as u64);
        let count = self.due as usize;
        self.first += 2 * self.streams.len() as u32;
        // The last of them is two less than where the next batch would go on.
        if self.first + 2 * (count as u32 - 1) > MOST {
            let (addr, conn) = (self.wire.addr, self.wire.number);
            return Err(LoadError::Spent { addr, conn, message: self.message });
        }
        self.streams.clear();
        self.streams.resize(count, Stream::Headers);
        self.requests_at = Some(self.out.len());
        script.ask(&mut self.out, self.first, count);
        self.begun = now;
        self.push(script)
    }

    fn wants_push(&self, _: &Script) -> bool {
        self.sent < self.out.len()
    }

    fn push(&mut self, script: &Script) -> Result<bool, LoadError> {
        let progress = self.progress();
        self.sent += self.wire.send(&self.out[self.sent..], progress)?;
        if self.wants_push(script) {
            return Ok(false);
        }
        self.out.clear();
        self.sent = 0;
        self.requests_at = None;
        Ok(true)
    }

    fn pull(
        &mut self,
        script: &mut Script,
        buffer: &mut [u8],
        to_the_end: bool,
    ) -> Result<(Pulled, RangeInclusive<u64>), LoadError> {
        let (first, queued, mut moved) = (self.completed + 1, self.out.len(), false);
        while let Some(count) = self.wire.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.wire.closed(self.progress()));
            }
            self.check(script, &buffer[..count])?;
            moved = true;
            if count < buffer.len() && !to_the_end {
                break;
            }
        }
        // What the lane waits for, which is rare. If the system does not take it now, then requests are
        // waiting for room, too, and somebody watches for that.
        if self.out.len() > queued {
            self.push(script)?;
        }
        let pulled = match (moved, self.due) {
            (false, _) => Pulled::Nothing,
            (true, 0) => Pulled::Whole,
            (true, _) => Pulled::Part,
        };
        Ok((pulled, first..=self.completed))
    }

    fn begun(&self) -> Instant {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::Http;

    #[test]
    fn a_connection_asks_no_more_when_its_streams_are_used_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let expected =
            Http { path: "/", content_type: "text/plain", body: b"x", pipeline: 2, h2: true };
        let script = Script::new(addr, expected);
        let stream = TcpStream::connect(addr).unwrap();
        let mut connection = Connection::over(stream, addr, 0, &script);
        // Two are left, and then none.
        connection.first = MOST - 2;
        assert!(connection.begin(&script, Instant::now(), 2).unwrap());
        connection.due = 0;
        let error = connection.begin(&script, Instant::now(), 2).unwrap_err();
        assert!(matches!(error, LoadError::Spent { conn: 0, message: 0, .. }), "{error}");
        assert!(!error.is_wrong_answer());
    }
}
