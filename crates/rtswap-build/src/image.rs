//! What two executables load into memory: whether they are the same code.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection as _, RelocationTarget, SectionFlags, elf};
use sha2::{Digest as _, Sha256};

use crate::digest::hex;

/// The note with an identity of the build, which no instruction reads.
const BUILD_ID: &str = ".note.gnu.build-id";

/// Where a panic's location begins before its line number: a pointer to the name of the file and its length.
const BEFORE_LINE: u64 = 16;

/// The loaded part of an executable.
#[derive(Debug)]
pub struct Image {
    sections: Vec<Section>,
}

#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    address: u64,
    /// Of sections without content in the file as well.
    size: u64,
    /// Whether it may be executed or written to.
    flags: u64,
    content: Vec<u8>,
}

impl Image {
    /// Reads an executable for 64 bits; `None` if the file is none, such as a script.
    ///
    /// Line and column numbers in the locations of Rust's panics are left out: they change with every comment, and
    /// code that does not panic never reads them. A word counts as such only where a relocation shows that it follows
    /// a pointer to the name of a Rust source file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = fs::read(path)?;
        let file: Option<ElfFile64<'_, Endianness>> = ElfFile64::parse(&*bytes).ok();
        Ok(file.filter(Object::is_little_endian).as_ref().and_then(Self::of))
    }

    fn of(file: &ElfFile64<'_, Endianness>) -> Option<Self> {
        let alloc = |flags: SectionFlags| match flags {
            SectionFlags::Elf { sh_flags, .. } => {
                Some(sh_flags.0).filter(|flags| flags & elf::SHF_ALLOC.0 != 0)
            }
            _ => None,
        };
        let mut sections = Vec::new();
        for section in file.sections() {
            let Some(flags) = alloc(section.flags()) else { continue };
            let name = section.name().ok()?.to_owned();
            if name == BUILD_ID {
                continue;
            }
            let content = section.data().ok()?.to_vec();
            sections.push(Section {
                name,
                address: section.address(),
                size: section.size(),
                flags,
                content,
            });
        }
        let mut image = Self { sections };
        for at in image.panic_locations(file) {
            image.clear(at + BEFORE_LINE, 8);
        }
        Some(image)
    }

    /// The addresses of the locations of panics: a pointer to a name that ends in `.rs`, its length, line and column.
    fn panic_locations(&self, file: &ElfFile64<'_, Endianness>) -> Vec<u64> {
        let pointers: BTreeMap<u64, u64> = file
            .dynamic_relocations()
            .into_iter()
            .flatten()
            .filter(|(_, relocation)| relocation.target() == RelocationTarget::Absolute)
            .map(|(at, relocation)| (at, relocation.addend().cast_unsigned()))
            .collect();
        let is_location = |&(&at, &name): &(&u64, &u64)| {
            let number = |at: u64, bytes: u64| self.bytes(at, bytes).map(little_endian);
            let Some(length) = number(at + 8, 8).filter(|length| (4..4096).contains(length)) else {
                return false;
            };
            // A line or a column of zero, and a pointer in their place, are something else.
            let is_number = |at| number(at, 4).is_some_and(|it| it > 0);
            self.bytes(name, length).is_some_and(|name| name.ends_with(b".rs") && name.is_ascii())
                && is_number(at + BEFORE_LINE)
                && is_number(at + BEFORE_LINE + 4)
                && !pointers.contains_key(&(at + BEFORE_LINE))
        };
        pointers.iter().filter(is_location).map(|(at, _)| *at).collect()
    }

    fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        let holds = |section: &&Section| {
            let end = section.address + section.content.len() as u64;
            section.address <= address && address.checked_add(length).is_some_and(|it| it <= end)
        };
        let section = self.sections.iter().find(holds)?;
        let from = (address - section.address) as usize;
        section.content.get(from..from + length as usize)
    }

    fn clear(&mut self, address: u64, length: u64) {
        for section in &mut self.sections {
            let Some(from) = address.checked_sub(section.address) else { continue };
            let (from, length) = (from as usize, length as usize);
            if let Some(words) = section.content.get_mut(from..from + length) {
                words.fill(0);
            }
        }
    }

    /// SHA-256 over all loaded sections, in hex. Two executables with the same one load the same code and data.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for Section { name, address, size, flags, content } in &self.sections {
            part(name.as_bytes());
            for number in [address, size, flags] {
                part(&number.to_le_bytes());
            }
            part(content);
        }
        hex(&hash.finalize())
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The image of a program.
    fn image(source: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (source_path, program) = (folder.path().join("main.rs"), folder.path().join("main"));
        fs::write(&source_path, source).unwrap();
        let built = Command::new("rustc")
            .current_dir(folder.path())
            .args(["--edition", "2024", "-O", "-C", "debuginfo=1", "main.rs"])
            .status();
        assert!(built.unwrap().success());
        Image::read(&program).unwrap().unwrap().sha256()
    }

    const PROGRAM: &str = "
        fn main() {
            let words: Vec<String> = std::env::args().collect();
            println!(\"{}\", words[words.len() - 1]);
        }
    ";

    #[test]
    fn sha256_ignores_comments_and_sees_code() {
        let plain = image(PROGRAM);
        let commented = PROGRAM.replace("let words", "// A comment.\n\n            let words");
        assert_eq!(image(&commented), plain);
        assert_ne!(image(&PROGRAM.replace("- 1]", "- 2]")), plain);
        assert_ne!(image(&PROGRAM.replace("{}", "<{}>")), plain);
    }

    #[test]
    fn read_rejects_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(Image::read(&script).unwrap().is_none());
        assert!(Image::read(folder.path()).is_err());
        assert!(Image::read(&folder.path().join("missing")).is_err());
    }
}
