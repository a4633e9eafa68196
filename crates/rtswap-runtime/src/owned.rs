//! From polls to owned buffers: for runtimes whose streams have tokio's traits.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::Buffer;

/// What [`ReadOwned::read`](crate::ReadOwned::read) asks, of a stream that is polled.
pub async fn read<T: AsyncRead + Unpin>(
    stream: &mut T,
    mut buffer: Buffer,
) -> (io::Result<usize>, Buffer) {
    buffer.clear();
    if buffer.capacity() == 0 {
        // A stream may wait until it is readable.
        return (Ok(0), buffer);
    }
    let result = stream.read(buffer.storage_mut()).await;
    buffer.set_len(*result.as_ref().unwrap_or(&0));
    (result, buffer)
}

/// What [`ReadOwned::read_exact`](crate::ReadOwned::read_exact) asks, of a stream that is polled.
pub async fn read_exact<T: AsyncRead + Unpin>(
    stream: &mut T,
    mut buffer: Buffer,
    len: usize,
) -> (io::Result<()>, Buffer) {
    buffer.clear();
    let Some(target) = buffer.storage_mut().get_mut(..len) else {
        return (Err(io::ErrorKind::InvalidInput.into()), buffer);
    };
    let result = stream.read_exact(target).await.map(drop);
    buffer.set_len(if result.is_ok() { len } else { 0 });
    (result, buffer)
}
