//! Versions of a crate, as a lane spec names them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A version of a crate: the part of a lane spec after the `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// Published in the registry: `1.50.0`.
    Published(semver::Version),
    /// A revision of a git repository: `git:REV` or `git:URL#REV`.
    Git {
        /// The repository; `None` for the known one of the crate.
        url: Option<String>,
        /// A commit, a tag or a branch.
        revision: String,
    },
    /// A folder with its source, or with a workspace that has the crate: `path:FOLDER`.
    Path(PathBuf),
}

/// A text names no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1.50.0, git:REV, git:URL#REV or path:FOLDER")]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        // They become part of a manifest and of messages.
        if text.chars().any(char::is_control) {
            return Err(InvalidVersion);
        }
        if let Some(path) = text.strip_prefix("path:") {
            return if path.is_empty() { Err(InvalidVersion) } else { Ok(Self::Path(path.into())) };
        }
        let Some(git) = text.strip_prefix("git:") else {
            return text.parse().map(Self::Published).map_err(|_| InvalidVersion);
        };
        let (url, revision) = match git.rsplit_once('#') {
            Some((url, revision)) => (Some(url), revision),
            None => (None, git),
        };
        // A revision never begins like an option of git.
        let is_wrong = |part: &str| part.is_empty() || part.starts_with('-');
        if is_wrong(revision) || url.is_some_and(is_wrong) {
            return Err(InvalidVersion);
        }
        Ok(Self::Git { url: url.map(str::to_owned), revision: revision.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published(version) => write!(f, "{version}"),
            Self::Git { url: Some(url), revision } => write!(f, "git:{url}#{revision}"),
            Self::Git { url: None, revision } => write!(f, "git:{revision}"),
            Self::Path(path) => write!(f, "path:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_and_printed() {
        for text in
            ["1.50.0", "0.9.0-rc.1", "git:abc123", "git:https://a/b?x#main", "path:../tokio"]
        {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
        let git: Version = "git:file:///a/b#abc".parse().unwrap();
        let url = Some("file:///a/b".to_owned());
        assert_eq!(git, Version::Git { url, revision: "abc".to_owned() });
    }

    #[test]
    fn version_rejects_incomplete_text() {
        let wrong =
            ["", "1.50", "1", "x", "^1.50.0", "git:", "git:#x", "git:u#", "path:", "git:-x"];
        for text in wrong.into_iter().chain(["path:a\nb", "git:a#--upload-pack=x"]) {
            assert_eq!(text.parse::<Version>(), Err(InvalidVersion), "{text}");
        }
    }
}
