//! Whether two sides of a gate load the same code, so that nothing has to be measured.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use rtswap_build::image::Image;
use rtswap_harness::lane::Launch;

/// What a lane runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// The executable or script.
    pub path: PathBuf,
    /// Its arguments, and what the harness does to it.
    settings: (Vec<String>, u64, bool),
    /// SHA-256 of what it loads; `None` if it is no executable for this.
    pub code_sha256: Option<String>,
}

impl Program {
    /// The program of a lane; `None` if its command cannot be read as words, or names no file.
    pub fn of(launch: &Launch) -> Option<Self> {
        let words: Option<Vec<&str>> = launch.command.iter().map(|word| word.to_str()).collect();
        let (program, arguments) = match words?[..] {
            // The command of a user, in a shell.
            ["/proc/self/exe", "lane", how, command] if how.starts_with("--") => {
                let mut words = shlex::split(command)?;
                let program = find(words.first()?)?;
                how.clone_into(&mut words[0]);
                (program, words)
            }
            [program, ref arguments @ ..] => {
                (find(program)?, arguments.iter().map(ToString::to_string).collect())
            }
            [] => return None,
        };
        let code_sha256 = Image::read(&program).ok().flatten().map(|image| image.sha256());
        let settings = (arguments, launch.delay_ns, launch.process_clock);
        Some(Self { path: program, settings, code_sha256 })
    }

    /// Whether both load the same code with the same arguments.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_file = || {
            self.path == other.path
                || (self.code_sha256.is_some() && self.code_sha256 == other.code_sha256)
                || fs::read(&self.path)
                    .ok()
                    .zip(fs::read(&other.path).ok())
                    .is_some_and(|(a, b)| a == b)
        };
        self.settings == other.settings && is_same_file()
    }
}

/// The file of a program, as a shell finds it.
fn find(program: &str) -> Option<PathBuf> {
    let path = Path::new(program);
    if program.contains('/') {
        return Some(path.to_owned()).filter(|path| path.exists());
    }
    let folders = env::var_os("PATH")?;
    env::split_paths::<OsStr>(&folders).map(|folder| folder.join(path)).find(|it| it.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(command: &[&str]) -> Option<Program> {
        Program::of(&Launch {
            command: command.iter().map(Into::into).collect(),
            delay_ns: 0,
            process_clock: false,
            one_address: false,
        })
    }

    fn command(text: &str) -> Program {
        program(&["/proc/self/exe", "lane", "--exec", text]).unwrap()
    }

    #[test]
    fn is_same_compares_code_and_arguments() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("true");
        let original = find("true").unwrap();
        fs::copy(&original, &copy).unwrap();
        let copy = copy.to_str().unwrap();
        assert!(command("true a").is_same(&command(&format!("{copy} a"))));
        assert!(!command("true a").is_same(&command("true b")));
        assert!(!command("true").is_same(&command("sh")));
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let script = command(script.to_str().unwrap());
        assert_eq!(script.code_sha256, None);
        assert!(script.is_same(&script));
    }

    #[test]
    fn of_needs_a_program() {
        assert!(program(&["/nonexistent"]).is_none());
        assert!(program(&["/proc/self/exe", "lane", "--exec", "'unfinished"]).is_none());
        let registered = program(&["/proc/self/exe", "lane", "tokio"]).unwrap();
        assert!(registered.is_same(&registered) && registered.code_sha256.is_some());
        let other = program(&["/proc/self/exe", "lane", "smol"]).unwrap();
        assert!(!registered.is_same(&other));
    }
}
