//! The password of a server that is started for a run.

use std::fmt::{self, Debug};
use std::fs::File;
use std::io::{self, Read as _};

/// 128 random bits as hexadecimal digits, which need no quotes in any language of servers. Not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    /// Draws a password from the kernel's generator.
    pub fn draw() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_ne_bytes(bytes))))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_password_is_another_and_not_shown() {
        let (one, other) = (Password::draw().unwrap(), Password::draw().unwrap());
        assert!(one.as_str() != other.as_str() && one.as_str().len() == 32);
        assert_eq!(format!("{one:?}"), "Password");
    }
}
