//! Requests of the user's own: what their answers must be, and the first answers of each lane.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtswap_load::{Exchange, FirstAnswer, LoadError, ResponseError, first_answers};
use sha2::{Digest as _, Sha256};

use crate::lane::{Lane, LaneError};
use crate::machine::hex;
use crate::record::{Expect, HttpRequest, Kind, LanePlan, Status, WorkloadPlan};

use super::running::lane_error;

/// How long the first two answers of a lane may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What answers must be, by workload without a rate. The first lane that answers determines it for all lanes and
/// rounds of a run.
#[derive(Debug, Default)]
pub(super) struct Pins(BTreeMap<String, Arc<Exchange>>);

/// Refuses a request of the user's own for a lane that ships, which does not know it.
pub(super) fn check_lane(workload: &WorkloadPlan, lane: &LanePlan) -> Result<(), LaneError> {
    if workload.request.is_none() || lane.kind == Kind::Command {
        return Ok(());
    }
    let why = format!("`{}` is for servers of your own: --lane NAME=serve:COMMAND", workload.name);
    Err(LaneError::Failure(Status::Unsupported, why))
}

impl Pins {
    /// Asks a lane twice, and checks both answers. Returns the exchange that the generator repeats; `None` if the
    /// workload's request is one that ships.
    pub fn ask(
        &mut self,
        workload: &WorkloadPlan,
        name: &str,
        lane: &mut Lane,
        addr: SocketAddr,
    ) -> Result<Option<Arc<Exchange>>, LaneError> {
        let Some(request) = &workload.request else { return Ok(None) };
        let asked = format!("`{} {}`", request.method, request.path);
        let [first, second] = first_answers(addr, request, LIMIT).map_err(|error| match error {
            LoadError::Closed { message: 1, received: 0, .. } => LaneError::failed(lane.explain(&format!(
                "it closed the connection after the answer to {asked}: rtswap sends many requests on a connection, so \
                 the server must keep it open (keep-alive)"
            ))),
            LoadError::Closed { message: 0, received: 0, .. } => LaneError::failed(
                lane.explain(&format!("it closed the connection without an answer to {asked}")),
            ),
            error => lane_error(lane, &error),
        })?;
        let key = workload.closed_loop();
        let exchange = match self.0.get(&key) {
            Some(exchange) => Arc::clone(exchange),
            None => Arc::new(pin(request, &asked, name, &first).map_err(LaneError::invalid)?),
        };
        check(&exchange, &asked, &first)?;
        if exchange.body.is_some() && first.body != second.body {
            return Err(LaneError::invalid(format!(
                "two answers to {asked} differ: {}; {VARY}",
                difference(&second.body, &first.body)
            )));
        }
        check(&exchange, &asked, &second)?;
        self.0.entry(key).or_insert_with(|| Arc::clone(&exchange));
        Ok(Some(exchange))
    }
}

/// The remedy for a server whose answers vary.
const VARY: &str = "if answers may vary, describe the request in `[http.NAME]` of rtswap.toml with `expect = \"status\"`";

/// What all answers must be, from what the user says and from the first one.
fn pin(
    request: &HttpRequest,
    asked: &str,
    lane: &str,
    first: &FirstAnswer,
) -> Result<Exchange, String> {
    let is_success = (200..300).contains(&first.status);
    if request.status.is_none() && !is_success {
        let redirects = if (300..400).contains(&first.status) {
            "redirects are not followed: ask for where it leads"
        } else {
            "if it is right, describe the request in `[http.NAME]` of rtswap.toml with `status`"
        };
        let found = &first.shown_status;
        return Err(format!("{asked} was answered with {found}, expected 200 to 299; {redirects}"));
    }
    if let Some(expected) = &request.body_sha256 {
        let found = hex(&Sha256::digest(&first.body));
        if !found.eq_ignore_ascii_case(expected) {
            return Err(format!(
                "the SHA-256 of the answer to {asked} is {found}, expected {expected}"
            ));
        }
    }
    let stated = request.body.as_ref().map(|body| Arc::from(body.as_bytes()));
    let body = match request.expect {
        Expect::Status => None,
        Expect::Body => Some(stated.unwrap_or_else(|| Arc::from(&first.body[..]))),
    };
    let origin = if request.body.is_some() || request.body_sha256.is_some() {
        "expected is what `[http.NAME]` of rtswap.toml says".to_owned()
    } else {
        format!("expected is the first answer of the run, that of `{lane}`; {VARY}")
    };
    let status = request.status.unwrap_or(first.status);
    Ok(Exchange { request: request.clone(), status, body, origin })
}

fn check(exchange: &Exchange, asked: &str, answer: &FirstAnswer) -> Result<(), LaneError> {
    let Exchange { status, body, origin, .. } = exchange;
    if answer.status != *status {
        let found = &answer.shown_status;
        let why = format!("{asked} was answered with {found}, expected {status}; {origin}");
        return Err(LaneError::invalid(why));
    }
    match body {
        Some(body) if **body != answer.body => Err(LaneError::invalid(format!(
            "the answer to {asked} is not as expected: {}; {origin}",
            difference(&answer.body, body)
        ))),
        _ => Ok(()),
    }
}

/// Where two bodies that are not the same differ.
fn difference(found: &[u8], expected: &[u8]) -> String {
    match found.iter().zip(expected).position(|(found, expected)| found != expected) {
        Some(offset) => {
            let (found, expected) = (found[offset], expected[offset]);
            ResponseError::BodyByte { offset, found, expected }.to_string()
        }
        None => format!("body has {} bytes, expected {}", found.len(), expected.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> FirstAnswer {
        FirstAnswer { status, shown_status: format!("{status} Any"), body: body.into() }
    }

    fn pinned(request: &HttpRequest, first: &FirstAnswer) -> Result<Exchange, String> {
        pin(request, "`GET /`", "base", first)
    }

    #[test]
    fn pin_takes_first_answer_unless_told() {
        let get = HttpRequest::get("/");
        let exchange = pinned(&get, &answer(201, "one")).unwrap();
        assert_eq!((exchange.status, exchange.body.as_deref()), (201, Some(&b"one"[..])));
        assert!(exchange.origin.contains("first answer of the run, that of `base`"));
        let varies = HttpRequest { expect: Expect::Status, ..get.clone() };
        assert_eq!(pinned(&varies, &answer(200, "one")).unwrap().body, None);
        let stated = HttpRequest { status: Some(404), body: Some("two".into()), ..get.clone() };
        let exchange = pinned(&stated, &answer(404, "one")).unwrap();
        assert_eq!((exchange.status, exchange.body.as_deref()), (404, Some(&b"two"[..])));
        let error = check(&exchange, "`GET /`", &answer(404, "one")).unwrap_err().to_string();
        assert!(error.contains("byte 0 of the body is 0x6f, expected 0x74"), "{error}");
        let error = check(&exchange, "`GET /`", &answer(200, "two")).unwrap_err().to_string();
        assert!(error.contains("answered with 200 Any, expected 404"), "{error}");
    }

    #[test]
    fn pin_rejects_status_and_digest() {
        let get = HttpRequest::get("/");
        let error = pinned(&get, &answer(500, "")).unwrap_err();
        assert!(error.starts_with("`GET /` was answered with 500 Any, expected 200 to 299"));
        assert!(pinned(&get, &answer(302, "")).unwrap_err().contains("redirects are not followed"));
        // printf abc | sha256sum
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let stated = HttpRequest { body_sha256: Some(digest.to_uppercase()), ..get };
        assert!(pinned(&stated, &answer(200, "abc")).is_ok());
        let error = pinned(&stated, &answer(200, "abd")).unwrap_err();
        assert!(error.contains("the SHA-256 of the answer to `GET /` is"), "{error}");
    }

    #[test]
    fn check_lane_refuses_lanes_that_ship() {
        let own = WorkloadPlan {
            name: "http/conns=1/path=/".to_owned(),
            request: Some(HttpRequest::get("/")),
            ..WorkloadPlan::default()
        };
        let lane = |kind| LanePlan { kind, ..LanePlan::default() };
        assert!(check_lane(&own, &lane(Kind::Command)).is_ok());
        for kind in [Kind::Runtime, Kind::Peer] {
            let LaneError::Failure(status, reason) = check_lane(&own, &lane(kind)).unwrap_err()
            else {
                panic!("it was not cancelled")
            };
            assert_eq!(status, Status::Unsupported);
            assert!(reason.contains("--lane NAME=serve:COMMAND"), "{reason}");
            assert!(check_lane(&WorkloadPlan::default(), &lane(kind)).is_ok());
        }
    }

    #[test]
    fn difference_names_byte_or_length() {
        assert_eq!(difference(b"ab", b"ac"), "byte 1 of the body is 0x62, expected 0x63");
        assert_eq!(difference(b"a", b"ac"), "body has 1 bytes, expected 2");
    }
}
