//! Requests of the user's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An HTTP/1.1 request to a server of the user's own, and what its answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path and query. It starts with `/`.
    pub path: String,
    /// Headers besides those that follow from the rest: `Host` and `Content-Length`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// What of an answer is compared.
    #[serde(default)]
    pub expect: Expect,
    /// The expected status; `None` for that of the first answer, 200 to 299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The expected body; `None` for that of the first answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The SHA-256 of the expected body in hexadecimal; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_sha256: Option<String>,
}

/// What of an answer is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// The status and the body.
    #[default]
    Body,
    /// The status: bodies may vary.
    Status,
}

/// Why a request cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// The method is not one.
    #[error("invalid method {0:?}: expected capital letters, as in GET or POST")]
    Method(String),
    /// The path is not one.
    #[error("invalid path {0:?}: expected `/` and no space or control character, as in /users/7")]
    Path(String),
    /// A header is not one.
    #[error(
        "invalid header {0:?}: expected a name of letters, digits and `-`, and a value on one line"
    )]
    Header(String),
    /// A header that the load generator sets.
    #[error("header {0:?} is set by rtswap: leave it out")]
    OwnHeader(String),
    /// No status of an answer.
    #[error("invalid status {0}: expected 200 to 599")]
    Status(u16),
    /// Not a digest.
    #[error("invalid body_sha256 {0:?}: expected 64 hexadecimal digits")]
    Digest(String),
    /// Two ways to say what is expected that exclude each other.
    #[error("`{0}` and `{1}` exclude each other: keep one")]
    Exclusive(&'static str, &'static str),
}

impl HttpRequest {
    /// A `GET` request whose first answer determines what is expected.
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// Fails if it cannot be sent as it is.
    ///
    /// # Errors
    /// [`InvalidRequest`] names the field and what it accepts.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        /// They determine where a request ends, and whether the connection is kept.
        const OWN: [&str; 3] = ["content-length", "transfer-encoding", "connection"];
        if self.method.is_empty() || !self.method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidRequest::Method(self.method.clone()));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidRequest::Path(self.path.clone()));
        }
        for (name, value) in &self.headers {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_value = |char: char| char == '\t' || !char.is_control();
            if name.is_empty() || !name.bytes().all(is_name) || !value.chars().all(is_value) {
                return Err(InvalidRequest::Header(name.clone()));
            }
            if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                return Err(InvalidRequest::OwnHeader(name.clone()));
            }
        }
        if let Some(status) = self.status.filter(|status| !(200..600).contains(status)) {
            return Err(InvalidRequest::Status(status));
        }
        if let Some(digest) = &self.body_sha256
            && (digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(InvalidRequest::Digest(digest.clone()));
        }
        let expects = match self.expect {
            Expect::Body => None,
            Expect::Status => Some("expect = \"status\""),
        };
        let body = self.body.as_ref().map(|_| "body");
        let digest = self.body_sha256.as_ref().map(|_| "body_sha256");
        let mut stated = [expects, body, digest].into_iter().flatten();
        match (stated.next(), stated.next()) {
            (Some(first), Some(second)) => Err(InvalidRequest::Exclusive(first, second)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_names_what_is_wrong() {
        let right = HttpRequest::get("/users/7?full=1");
        assert_eq!(right.check(), Ok(()));
        let headers = |name: &str, value: &str| HttpRequest {
            headers: BTreeMap::from([(name.to_owned(), value.to_owned())]),
            ..right.clone()
        };
        assert_eq!(headers("Accept", "text/html; q=0.5").check(), Ok(()));
        let cases = [
            (HttpRequest { method: "get".into(), ..right.clone() }, "invalid method \"get\""),
            (HttpRequest { method: String::new(), ..right.clone() }, "invalid method"),
            (HttpRequest::get("users"), "invalid path \"users\""),
            (HttpRequest::get("/a b"), "invalid path"),
            (headers("a b", "c"), "invalid header \"a b\""),
            (headers("a", "b\r\nc: d"), "invalid header \"a\""),
            (headers("Content-Length", "1"), "is set by rtswap"),
            (HttpRequest { status: Some(100), ..right.clone() }, "expected 200 to 599"),
            (HttpRequest { body_sha256: Some("ab".into()), ..right.clone() }, "64 hexadecimal"),
            (
                HttpRequest { expect: Expect::Status, body: Some(String::new()), ..right.clone() },
                "exclude each other",
            ),
        ];
        for (request, reason) in cases {
            let error = request.check().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
