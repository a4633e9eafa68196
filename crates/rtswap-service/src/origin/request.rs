//! What a request asks for.

use httparse::{EMPTY_HEADER, Request, Status};

use super::LARGEST_BYTES;

/// The head of a request that was understood, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub wants: Wants,
    /// Whether another request may follow on the connection.
    pub keep: bool,
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Image {
        size: usize,
        number: u64,
        how: How,
    },
    Absent,
    /// Not `GET`.
    Otherwise,
    Malformed,
}

/// How an image is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Whole,
    /// Half of it, and then the end.
    Short,
    /// Half of it, and then nothing.
    Stall,
}

/// Reads a head, and says how many bytes it has; `None` while there is more to come.
pub(super) fn read(bytes: &[u8], faults: bool) -> Option<(Ask, usize)> {
    const MALFORMED: Ask = Ask { wants: Wants::Malformed, keep: false };
    let mut headers = [EMPTY_HEADER; 64];
    let mut request = Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return None,
        Err(_) => return Some((MALFORMED, bytes.len())),
    };
    let has = |name: &str, value: &str| {
        request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).any(
            |header| {
                let values = header.value.split(|byte| *byte == b',');
                values.map(<[u8]>::trim_ascii).any(|it| it.eq_ignore_ascii_case(value.as_bytes()))
            },
        )
    };
    let named =
        |name: &str| request.headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    // A body would be taken for the next request.
    let bare =
        !named("transfer-encoding") && (!named("content-length") || has("content-length", "0"));
    let keep = request.version == Some(1) && !has("connection", "close") && bare;
    let wants = match (request.method, request.path) {
        (Some("GET"), Some(path)) => image(path, faults).unwrap_or(Wants::Absent),
        _ => Wants::Otherwise,
    };
    Some((Ask { wants, keep: keep && wants != Wants::Otherwise }, len))
}

fn image(path: &str, faults: bool) -> Option<Wants> {
    let path = path.strip_prefix('/')?;
    let (how, name) = match path.split_once('/') {
        None => (How::Whole, path),
        Some(("short", name)) if faults => (How::Short, name),
        Some(("stall", name)) if faults => (How::Stall, name),
        Some(_) => return None,
    };
    let (size, number) = name.split_once('-')?;
    let (size, number) = (size.parse().ok()?, number.parse().ok()?);
    // One name for each: no `+1-007`.
    let right = size <= LARGEST_BYTES && name == format!("{size}-{number}");
    right.then_some(Wants::Image { size, number, how })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(head: &str) -> Ask {
        read(format!("{head}\r\n\r\n").as_bytes(), true).unwrap().0
    }

    fn whole(size: usize, number: u64) -> Wants {
        Wants::Image { size, number, how: How::Whole }
    }

    #[test]
    fn an_image_is_asked_for_by_its_size_and_number() {
        assert_eq!(asked("GET /65536-7 HTTP/1.1").wants, whole(65536, 7));
        assert_eq!(asked("GET /16777216-0 HTTP/1.1").wants, whole(LARGEST_BYTES, 0));
        for path in ["/", "/7", "/16777217-0", "/+7-1", "/07-1", "/7--1", "/x/7-1", "*", "/7-1?x"] {
            assert_eq!(asked(&format!("GET {path} HTTP/1.1")).wants, Wants::Absent, "{path}");
        }
    }

    #[test]
    fn failures_are_there_on_request_only() {
        let head = b"GET /short/10-1 HTTP/1.1\r\n\r\n";
        assert_eq!(read(head, false).unwrap().0.wants, Wants::Absent);
        let wants = read(head, true).unwrap().0.wants;
        assert_eq!(wants, Wants::Image { size: 10, number: 1, how: How::Short });
    }

    #[test]
    fn a_connection_is_kept_where_both_know_where_the_next_request_begins() {
        assert!(asked("GET /1-1 HTTP/1.1").keep);
        assert!(asked("GET /1-1 HTTP/1.1\r\nContent-Length: 0").keep);
        for head in [
            "GET /1-1 HTTP/1.0",
            "GET /1-1 HTTP/1.1\r\nconnection: foo, Close",
            "GET /1-1 HTTP/1.1\r\ncontent-length: 5",
            "GET /1-1 HTTP/1.1\r\ntransfer-encoding: chunked",
            "POST /1-1 HTTP/1.1",
        ] {
            assert!(!asked(head).keep, "{head}");
        }
    }

    #[test]
    fn half_a_head_is_waited_for_and_nonsense_is_not() {
        assert_eq!(read(b"GET /1-1 HT", false), None);
        let (ask, len) = read(b"\x16\x03\x01 hello", false).unwrap();
        assert_eq!((ask.wants, ask.keep, len), (Wants::Malformed, false, 9));
        let two = b"GET /1-1 HTTP/1.1\r\n\r\nGET /2-2";
        assert_eq!(read(two, false).unwrap().1, 21);
    }
}
