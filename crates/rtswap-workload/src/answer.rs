//! The answers of the `http` workload, which the lane gives and the load generator expects.

use crate::content;

/// What is answered on a path.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The path, which is also the name of the parameter's value: `/plaintext`.
    pub path: &'static str,
    /// Its `content-type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: &'static [u8],
}

pub(crate) const HELLO: &str = "Hello, World!";
const HELLO_JSON: &str = r#"{"message":"Hello, World!"}"#;

impl Answer {
    /// What is answered on a path.
    pub fn on(path: &str) -> Option<Self> {
        Some(match path {
            "/plaintext" => {
                Self { path: "/plaintext", content_type: "text/plain", body: HELLO.as_bytes() }
            }
            "/json" => Self {
                path: "/json",
                content_type: "application/json",
                body: HELLO_JSON.as_bytes(),
            },
            "/64KiB" => Self {
                path: "/64KiB",
                content_type: "application/octet-stream",
                body: content(64 << 10, 0),
            },
            _ => return None,
        })
    }

    /// What the value `body` of the parameter asks for.
    ///
    /// # Panics
    /// If the parameter has no such value.
    pub fn named(body: &str) -> Self {
        Self::on(&format!("/{body}")).expect("each value has a path")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    #[test]
    fn every_body_of_the_family_has_a_path() {
        for name in families::HTTP.params[0].names {
            assert_eq!(Answer::named(name).path, format!("/{name}"));
        }
        assert!(Answer::on("/").is_none());
    }
}
