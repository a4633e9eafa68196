//! The HTTPS origin, from outside.

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;

use rtswap_service::Service as _;
use rtswap_service::origin::{LARGEST_BYTES, Options, Origin};
use rtswap_workload::{ParamValue, content};
use support::{Client, address, origin, tcp};

#[test]
fn images_of_any_size_come_on_one_connection() {
    let origin = origin();
    let mut client = Client::of(&origin);
    for (size, number) in [(0, 0), (1, 3), (65_536, 7), (300_001, 1 << 40), (LARGEST_BYTES, 5)] {
        let (status, head, body) = client.get(&format!("/{size}-{number}")).unwrap();
        assert_eq!(status, 200);
        assert!(head.contains("content-type: application/octet-stream"), "{head}");
        assert!(body == content(size, number), "{size}-{number}");
    }
    assert_eq!(origin.served(), 5);
}

#[test]
fn what_is_not_there_is_absent_and_the_connection_goes_on() {
    let origin = origin();
    let mut client = Client::of(&origin);
    for path in ["/", "/favicon.ico", "/16777217-0", "/short/", "/other/10-1"] {
        let (status, _, body) = client.get(path).unwrap();
        assert_eq!((status, body.as_slice()), (404, "no such image\n".as_bytes()), "{path}");
    }
    assert_eq!(client.get("/10-1").unwrap().2, content(10, 1));
    assert_eq!(origin.served(), 1);
}

#[test]
fn requests_may_come_in_pieces_and_together() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.say(b"GET /10-1 HT").unwrap();
    client.say(b"TP/1.1\r\n\r\nGET /10-2 HTTP/1.1\r\n\r\nGET /10-3").unwrap();
    assert_eq!(client.hear().unwrap().2, content(10, 1));
    assert_eq!(client.hear().unwrap().2, content(10, 2));
    client.say(b" HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(client.hear().unwrap().2, content(10, 3));
    assert!(client.has_ended());
}

#[test]
fn what_it_cannot_read_is_refused_and_it_serves_on() {
    let origin = origin();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for (said, status) in [
        ("hello, are you there?\r\n\r\n", 400),
        ("GET /10-1 HTTP/9\r\n\r\n", 400),
        ("GET /10-1\r\n\r\n", 400),
        ("\0\0\0\0\r\n\r\n", 400),
        (long.as_str(), 400),
        ("POST /10-1 HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", 405),
        ("HEAD /10-1 HTTP/1.1\r\n\r\n", 405),
    ] {
        let mut client = Client::of(&origin);
        // It may have refused before it has heard all.
        let _ = client.say(said.as_bytes());
        assert_eq!(client.hear().unwrap().0, status, "{:?}", &said[..9]);
        assert!(client.has_ended());
    }
    // No TLS at all, and nothing at all.
    tcp(&origin).write_all(b"GET /10-1 HTTP/1.1\r\n\r\n").unwrap();
    drop(tcp(&origin));
    assert_eq!(Client::of(&origin).get("/10-1").unwrap().2, content(10, 1));
}

#[test]
fn only_its_own_root_vouches_for_it() {
    let (one, other) = (origin(), origin());
    let error = Client::trusting(&one, other.root()).get("/10-1").unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(Client::of(&one).get("/10-1").unwrap().0, 200);
}

#[test]
fn a_lane_that_claims_more_than_was_served_is_found() {
    let mut origin = origin();
    let mut client = Client::of(&origin);
    let given = origin.resources("tokio").unwrap();
    assert_eq!(given["origin"], origin.url());
    assert_eq!(given["origin-root"], origin.root().to_str().unwrap());

    let params = BTreeMap::from([("size".to_owned(), ParamValue::Number(100))]);
    let mut serve = |path: &str| client.get(path).unwrap();
    for path in ["/100-1", "/100-1", "/99-1", "/x"] {
        serve(path);
    }
    let error = origin.check("tokio", &params, 3).unwrap_err();
    assert!(error.contains("claims 3") && error.contains("served 2 images of 100"), "{error}");
    // What was checked does not count again.
    serve("/100-3");
    origin.check("tokio", &params, 1).unwrap();
    assert!(origin.check("tokio", &params, 1).is_err());
    origin.check("tokio", &params, 0).unwrap();
}

#[test]
fn a_body_that_is_cut_short_is_announced_in_full_and_does_not_count() {
    let mut origin = origin();
    let mut client = Client::of(&origin);
    let error = client.get("/short/100000-1").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    // So does one whose client leaves in its midst.
    let mut client = Client::of(&origin);
    client.say(b"GET /16777216-1 HTTP/1.1\r\n\r\n").unwrap();
    drop(client);
    assert!(origin.check("tokio", &BTreeMap::new(), 1).is_err());

    let ordinary = Origin::start(&Options::default()).unwrap();
    assert_eq!(Client::of(&ordinary).get("/short/10-1").unwrap().0, 404);
}

#[test]
fn a_connection_too_many_is_closed_and_the_next_is_served() {
    let options = Options { connections: 2, ..Options::default() };
    let origin = Origin::start(&options).unwrap();
    let mut clients: Vec<_> = (0..2).map(|_| Client::of(&origin)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/1-1").unwrap().0, 200);
    }
    assert!(Client::of(&origin).get("/1-1").is_err());
    assert_eq!(clients[1].get("/1-1").unwrap().0, 200);
    drop(clients);
    // Its thread ends in its own time.
    let served = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        Client::of(&origin).get("/1-1").is_ok()
    });
    assert!(served);
}

#[test]
fn what_keeps_it_from_serving_is_told() {
    let first = origin();
    let addr = address(&first).parse().unwrap();
    let error = Origin::start(&Options { addr, ..Options::default() }).unwrap_err();
    assert!(error.contains(&addr.to_string()) && error.contains("in use"), "{error}");

    let root = Some("/nonexistent/root.pem".into());
    let error = Origin::start(&Options { root, ..Options::default() }).unwrap_err();
    assert!(error.contains("/nonexistent/root.pem: No such file"), "{error}");

    let cpus = vec![1023];
    let error = Origin::start(&Options { cpus, ..Options::default() }).unwrap_err();
    assert!(error.contains("CPUs"), "{error}");
}
