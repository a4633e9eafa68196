//! Files that are whole or not there.

use std::io;
use std::mem::take;
use std::path::Path;

use rtswap_runtime::{Buffer, File as _, Fs, Open};

use super::Site;

/// Saves an image under its name, once it is whole.
pub(super) async fn save<R: Fs>(site: &Site, name: &str, image: &mut Vec<u8>) -> io::Result<()> {
    let (part, whole) = (site.folder.join(format!(".{name}.part")), site.folder.join(name));
    let saved = write::<R>(&part, &whole, image).await;
    saved.map_err(|error| {
        // This may block, which does not matter any more.
        let _ = std::fs::remove_file(&part);
        // The kind stays: a runtime without files says so by it.
        let (base, path) = (&site.base, whole.display());
        io::Error::new(error.kind(), format!("{base}{name}: cannot save it as {path}: {error}"))
    })
}

async fn write<R: Fs>(part: &Path, whole: &Path, image: &mut Vec<u8>) -> io::Result<()> {
    let file = R::open(part, Open::Create).await?;
    let (written, buffer) = file.write_all_at(Buffer::from(take(image)), 0).await;
    *image = buffer.into_vec();
    // Also where writing has failed: what is to be removed is closed first.
    let closed = file.close().await;
    written.and(closed)?;
    R::rename(part, whole).await
}
