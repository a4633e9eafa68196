use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use rtswap_runtime::hyper::{Executor, Timer};
use rtswap_runtime::{Net, Runtime, TcpStream};
use serde::Serialize;

use crate::accept::accept;
use crate::answer::HELLO;
use crate::{Answer, Served, Spec, Spin};

/// `http`: a hyper server that answers as the plaintext and JSON tests of `TechEmpower` ask, and
/// with 64 KiB.
///
/// What most programs on these runtimes are: HTTP by hyper over the poll face. It answers all three
/// paths, whatever it is measured with.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    /// How long a request may take to come in, and a connection may be silent.
    pub patience: Duration,
    pipelined: bool,
    h2: bool,
}

/// As nginx has it for a request's head. It also ends connections that are silent, so it is longer than
/// a lane has to wait for its turn.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes that the head of a request may have.
const HEAD_MOST: usize = 16 << 10;

/// Requests that may be under way at once on a connection of HTTP/2: as many as are ever sent at once.
const STREAMS: u32 = 256;

/// Bytes that the body of a request may have. None of those that are measured has any.
const BODY_MOST: usize = 64 << 10;

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

impl Http {
    /// Of its parameters the server needs the version, and whether requests come in batches.
    pub fn new(spec: &Spec) -> Self {
        let h2 = spec.name_of("h2") == "true";
        Self { patience: PATIENCE, pipelined: spec.get("pipeline") > 1, h2 }
    }
}

impl Served for Http {
    async fn serve<R: Net>(&self, mut listener: R::TcpListener, spin: Spin) -> io::Result<()> {
        loop {
            let stream = accept::<R>(&mut listener).await?;
            // Dropped, and so detached: the connection ends by itself.
            if self.h2 {
                drop(R::spawn(connection_h2::<R>(*self, stream, spin)));
            } else {
                drop(R::spawn(connection::<R>(*self, stream, spin)));
            }
        }
    }
}

async fn connection<R: Net>(http: Http, stream: R::TcpStream, spin: Spin) {
    let service = service_fn(move |request| async move {
        spin.burn();
        Ok::<_, Infallible>(answer::<R>(request, http.patience).await)
    });
    let served = http1::Builder::new()
        .timer(Timer::<R>::new())
        .header_read_timeout(http.patience)
        .max_header_size(HEAD_MOST)
        // The answers to a batch in one write. Without a batch it would only copy the body.
        .pipeline_flush(http.pipelined)
        .serve_connection(TokioIo::new(stream.into_poll()), service)
        .await;
    // hyper has answered what the client did wrong; it is not an error of the server.
    drop(served);
}

/// Each request is a task of its own: so hyper has it.
async fn connection_h2<R: Net>(http: Http, stream: R::TcpStream, spin: Spin) {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let service = service_fn(move |request| {
        seen.store(true, Ordering::Relaxed);
        async move {
            spin.burn();
            Ok::<_, Infallible>(answer::<R>(request, http.patience).await)
        }
    });
    let mut served = pin!(
        http2::Builder::new(Executor::<R>::new())
            .timer(Timer::<R>::new())
            // A client that says nothing is asked whether it is there.
            .keep_alive_interval(http.patience)
            .keep_alive_timeout(http.patience)
            .max_header_list_size(HEAD_MOST as u32)
            .max_concurrent_streams(STREAMS)
            .serve_connection(TokioIo::new(stream.into_poll()), service)
    );
    // hyper asks nobody who has not greeted it yet. The runtime's timer is let go with the first
    // request, so that it costs none of those that follow.
    let mut late = Some(Box::pin(R::sleep(http.patience)));
    poll_fn(|cx| {
        // hyper has answered what the client did wrong; it is not an error of the server.
        if served.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        late.take_if(|_| asked.load(Ordering::Relaxed));
        late.as_mut().map_or(Poll::Pending, |late| late.as_mut().poll(cx))
    })
    .await;
}

async fn answer<R: Runtime>(
    request: Request<Incoming>,
    patience: Duration,
) -> Response<Full<Bytes>> {
    let known = Answer::on(request.uri().path());
    let version = request.version();
    if !request.body().is_end_stream()
        && let Err(status) = drain::<R>(request.into_body(), patience).await
    {
        let mut refusal = failure(status);
        // What is left of the request would be taken for the next; a stream of HTTP/2 is reset instead.
        if version == Version::HTTP_2 {
            return refusal;
        }
        refusal.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        return refusal;
    }
    let Some(Answer { path, content_type, body }) = known else {
        return failure(StatusCode::NOT_FOUND);
    };
    let body = match path {
        // As TechEmpower has it: for each request anew.
        "/json" => serde_json::to_vec(&Message { message: HELLO }).map(Bytes::from),
        _ => Ok(Bytes::from_static(body)),
    };
    match body {
        Ok(body) => response(StatusCode::OK, content_type, body),
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Reads a body to its end and keeps nothing of it.
async fn drain<R: Runtime>(body: Incoming, patience: Duration) -> Result<(), StatusCode> {
    if body.size_hint().lower() > BODY_MOST as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let read = async {
        let mut body = Limited::new(body, BODY_MOST);
        while let Some(frame) = body.frame().await {
            frame.map_err(|error| {
                let too_long = error.is::<http_body_util::LengthLimitError>();
                if too_long { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST }
            })?;
        }
        Ok(())
    };
    let late = async {
        R::sleep(patience).await;
        Err(StatusCode::REQUEST_TIMEOUT)
    };
    future::or(read, late).await
}

fn failure(status: StatusCode) -> Response<Full<Bytes>> {
    let reason = status.canonical_reason().unwrap_or_default();
    response(status, "text/plain", Bytes::from_static(reason.as_bytes()))
}

/// hyper adds the length and the date.
fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(SERVER, HeaderValue::from_static("rtswap"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialised_json_is_the_expected_answer() {
        let json = serde_json::to_vec(&Message { message: HELLO }).unwrap();
        assert_eq!(json, Answer::named("json").body);
    }
}
