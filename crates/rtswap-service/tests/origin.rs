//! The HTTPS origin, as a client sees it.

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;

use rtswap_service::origin::{LARGEST_BYTES, Options, Origin};
use rtswap_service::{Service as _, ServiceError};
use rtswap_workload::{ParamValue, content};
use support::{Client, address, origin, tcp};

#[test]
fn get_returns_images_of_any_size_on_one_connection() {
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
fn get_of_unknown_path_is_404_and_keeps_the_connection() {
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
fn requests_may_be_split_and_pipelined() {
    let origin = origin();
    let mut client = Client::of(&origin);
    client.send(b"GET /10-1 HT").unwrap();
    client.send(b"TP/1.1\r\n\r\nGET /10-2 HTTP/1.1\r\n\r\nGET /10-3").unwrap();
    assert_eq!(client.receive().unwrap().2, content(10, 1));
    assert_eq!(client.receive().unwrap().2, content(10, 2));
    client.send(b" HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().2, content(10, 3));
    assert!(client.is_closed());
}

#[test]
fn invalid_request_is_refused_and_ends_its_connection() {
    let origin = origin();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for (request, status) in [
        ("hello there\r\n\r\n", 400),
        ("GET /10-1 HTTP/9\r\n\r\n", 400),
        ("GET /10-1\r\n\r\n", 400),
        ("\0\0\0\0\r\n\r\n", 400),
        (long.as_str(), 400),
        ("POST /10-1 HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello", 405),
        ("HEAD /10-1 HTTP/1.1\r\n\r\n", 405),
    ] {
        let mut client = Client::of(&origin);
        // The origin may refuse before it has read the whole request.
        let _ = client.send(request.as_bytes());
        assert_eq!(client.receive().unwrap().0, status, "{:?}", &request[..9]);
        assert!(client.is_closed());
    }
    // A client without TLS, and a client that sends nothing.
    tcp(&origin).write_all(b"GET /10-1 HTTP/1.1\r\n\r\n").unwrap();
    drop(tcp(&origin));
    assert_eq!(Client::of(&origin).get("/10-1").unwrap().2, content(10, 1));
}

#[test]
fn client_rejects_the_root_of_another_origin() {
    let (one, other) = (origin(), origin());
    let error = Client::trusting(&one, other.root()).get("/10-1").unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
    assert_eq!(Client::of(&one).get("/10-1").unwrap().0, 200);
}

#[test]
fn check_rejects_more_downloads_than_were_served() {
    let mut origin = origin();
    let mut client = Client::of(&origin);
    let resources = origin.resources("tokio").unwrap();
    assert_eq!(resources["origin"], origin.url());
    assert_eq!(resources["origin-root"], origin.root().to_str().unwrap());

    let params = BTreeMap::from([("size".to_owned(), ParamValue::Number(100))]);
    let mut serve = |path: &str| client.get(path).unwrap();
    for path in ["/100-1", "/100-1", "/99-1", "/x"] {
        serve(path);
    }
    let error = origin.check("tokio", &params, 3).unwrap_err().to_string();
    assert!(error.contains("3 downloads") && error.contains("served 2 images of 100"), "{error}");
    // An image counts for one check only.
    serve("/100-3");
    origin.check("tokio", &params, 1).unwrap();
    assert!(origin.check("tokio", &params, 1).is_err());
    origin.check("tokio", &params, 0).unwrap();
}

#[test]
fn short_announces_the_whole_body_and_does_not_count() {
    let origin = origin();
    let error = Client::of(&origin).get("/short/100000-1").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(origin.served(), 0);

    let without_faults = Origin::start(&Options::default()).unwrap();
    assert_eq!(Client::of(&without_faults).get("/short/10-1").unwrap().0, 404);
}

#[test]
fn image_does_not_count_if_the_client_leaves_before_its_end() {
    let mut origin = Origin::start(&Options { connections: 1, ..Options::default() }).unwrap();
    let mut client = Client::of(&origin);
    client.send(format!("GET /{LARGEST_BYTES}-1 HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
    client.receive_head().unwrap();
    drop(client);
    // With one connection at a time, the next client is served when the thread of the first has ended.
    assert!(is_served(&origin));
    let params = BTreeMap::from([("size".to_owned(), ParamValue::Number(LARGEST_BYTES as u64))]);
    let error = origin.check("tokio", &params, 1).unwrap_err().to_string();
    assert!(error.contains("the origin served 0 images"), "{error}");
}

#[test]
fn connection_beyond_the_limit_is_closed_and_a_later_one_served() {
    let options = Options { connections: 2, ..Options::default() };
    let origin = Origin::start(&options).unwrap();
    let mut clients: Vec<_> = (0..2).map(|_| Client::of(&origin)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/1-1").unwrap().0, 200);
    }
    assert!(Client::of(&origin).get("/1-1").is_err());
    assert_eq!(clients[1].get("/1-1").unwrap().0, 200);
    drop(clients);
    assert!(is_served(&origin));
}

/// Whether a new client is served, once the threads of earlier connections have ended.
fn is_served(origin: &Origin) -> bool {
    (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        Client::of(origin).get("/1-1").is_ok()
    })
}

#[test]
fn start_names_what_keeps_it_from_serving() {
    let start = |options: &Options| Origin::start(options).unwrap_err();
    let first = origin();
    let addr = address(&first).parse().unwrap();
    let error = start(&Options { addr, ..Options::default() });
    assert!(matches!(error, ServiceError::Listen { .. }), "{error}");
    let message = error.with_causes();
    assert!(message.contains(&addr.to_string()) && message.contains("in use"), "{message}");

    let root = Some("/nonexistent/root.pem".into());
    let error = start(&Options { root, ..Options::default() });
    assert!(matches!(error, ServiceError::RootCertificate { .. }), "{error}");
    let message = error.with_causes();
    assert!(message.contains("/nonexistent/root.pem"), "{message}");
    assert!(message.contains("No such file"), "{message}");

    let error = start(&Options { cpus: vec![1023], ..Options::default() });
    assert!(matches!(error, ServiceError::Pin { .. }), "{error}");
    assert!(error.with_causes().contains("[1023]"), "{error}");
}
