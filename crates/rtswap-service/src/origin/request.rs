//! Request heads.

use httparse::{EMPTY_HEADER, Request, Status};

use super::LARGEST_BYTES;

/// The head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestHead {
    pub target: Target,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Image {
        size: usize,
        number: u64,
        delivery: Delivery,
    },
    NotFound,
    /// The method is not `GET`.
    OtherMethod,
    Malformed,
}

/// How an image is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Whole,
    /// Half of the body, then the end of the connection.
    Truncated,
    /// Half of the body, then nothing.
    Stalled,
}

/// Parses a head and returns its length in bytes; `None` while it is incomplete.
pub(super) fn parse(bytes: &[u8], faults: bool) -> Option<(RequestHead, usize)> {
    const MALFORMED: RequestHead = RequestHead { target: Target::Malformed, keep_alive: false };
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
    // A body is not read, so it would be parsed as the next request.
    let bare =
        !named("transfer-encoding") && (!named("content-length") || has("content-length", "0"));
    let keep_alive = request.version == Some(1) && !has("connection", "close") && bare;
    let target = match (request.method, request.path) {
        (Some("GET"), Some(path)) => image(path, faults).unwrap_or(Target::NotFound),
        _ => Target::OtherMethod,
    };
    let keep_alive = keep_alive && target != Target::OtherMethod;
    Some((RequestHead { target, keep_alive }, len))
}

fn image(path: &str, faults: bool) -> Option<Target> {
    let path = path.strip_prefix('/')?;
    let (delivery, name) = match path.split_once('/') {
        None => (Delivery::Whole, path),
        Some(("short", name)) if faults => (Delivery::Truncated, name),
        Some(("stall", name)) if faults => (Delivery::Stalled, name),
        Some(_) => return None,
    };
    let (size, number) = name.split_once('-')?;
    let (size, number) = (size.parse().ok()?, number.parse().ok()?);
    // Each image has one name: `+1-007` is not a name of `1-7`.
    let valid = size <= LARGEST_BYTES && name == format!("{size}-{number}");
    valid.then_some(Target::Image { size, number, delivery })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> RequestHead {
        parse(format!("{head}\r\n\r\n").as_bytes(), true).unwrap().0
    }

    fn whole(size: usize, number: u64) -> Target {
        Target::Image { size, number, delivery: Delivery::Whole }
    }

    #[test]
    fn parse_reads_size_and_number_of_an_image() {
        assert_eq!(parsed("GET /65536-7 HTTP/1.1").target, whole(65536, 7));
        assert_eq!(parsed("GET /16777216-0 HTTP/1.1").target, whole(LARGEST_BYTES, 0));
        for path in ["/", "/7", "/16777217-0", "/+7-1", "/07-1", "/7--1", "/x/7-1", "*", "/7-1?x"] {
            assert_eq!(parsed(&format!("GET {path} HTTP/1.1")).target, Target::NotFound, "{path}");
        }
    }

    #[test]
    fn parse_knows_fault_paths_only_with_faults() {
        let head = b"GET /short/10-1 HTTP/1.1\r\n\r\n";
        assert_eq!(parse(head, false).unwrap().0.target, Target::NotFound);
        let target = parse(head, true).unwrap().0.target;
        assert_eq!(target, Target::Image { size: 10, number: 1, delivery: Delivery::Truncated });
    }

    #[test]
    fn parse_keeps_the_connection_only_without_a_body() {
        assert!(parsed("GET /1-1 HTTP/1.1").keep_alive);
        assert!(parsed("GET /1-1 HTTP/1.1\r\nContent-Length: 0").keep_alive);
        for head in [
            "GET /1-1 HTTP/1.0",
            "GET /1-1 HTTP/1.1\r\nconnection: foo, Close",
            "GET /1-1 HTTP/1.1\r\ncontent-length: 5",
            "GET /1-1 HTTP/1.1\r\ntransfer-encoding: chunked",
            "POST /1-1 HTTP/1.1",
        ] {
            assert!(!parsed(head).keep_alive, "{head}");
        }
    }

    #[test]
    fn parse_waits_for_an_incomplete_head_and_rejects_invalid_bytes() {
        assert_eq!(parse(b"GET /1-1 HT", false), None);
        let (head, len) = parse(b"\x16\x03\x01 hello", false).unwrap();
        assert_eq!((head.target, head.keep_alive, len), (Target::Malformed, false, 9));
        let two = b"GET /1-1 HTTP/1.1\r\n\r\nGET /2-2";
        assert_eq!(parse(two, false).unwrap().1, 21);
    }
}
