use std::fmt;
use std::ops::Deref;

/// Bytes that change hands: given to a read or a write, and given back with its result.
///
/// The *length* says how much of it is data; the storage beyond stays initialised once it has been,
/// so that nothing is filled again before a read. Dereferences to the data.
///
/// ```
/// use rtswap_runtime::Buffer;
/// let buffer = Buffer::from(b"hello".to_vec());
/// assert_eq!(&buffer[..], b"hello");
/// assert_eq!(Buffer::with_capacity(16).len(), 0);
/// ```
#[derive(Clone, Default)]
pub struct Buffer {
    // Invariant: len <= storage.len().
    storage: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// An empty buffer that can take `capacity` bytes. It never grows by itself.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { storage: vec![0; capacity], len: 0 }
    }

    /// Bytes that the storage can hold.
    pub fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// Forgets the data, keeps the storage.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The data as a vector; what lies beyond the length is cut off.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.storage.truncate(self.len);
        self.storage
    }

    /// For adapters of readiness runtimes: the whole capacity, to read into from 0.
    pub fn storage_mut(&mut self) -> &mut [u8] {
        if self.storage.len() < self.storage.capacity() {
            self.storage.resize(self.storage.capacity(), 0);
        }
        &mut self.storage
    }

    /// Sets how much of the storage is data, in bytes.
    ///
    /// # Panics
    /// If `len` exceeds what is initialised.
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.storage.len(),
            "length {len} exceeds the {} bytes that are initialised",
            self.storage.len()
        );
        self.len = len;
    }

    /// For adapters of completion runtimes: the storage, of which the kernel may use the whole
    /// capacity, and the number of bytes that are data.
    pub fn into_parts(self) -> (Vec<u8>, usize) {
        (self.storage, self.len)
    }

    /// Puts together what [`into_parts`](Self::into_parts) took apart. The runtime may have cut the
    /// vector to the data (monoio does) or not (tokio-uring).
    ///
    /// # Panics
    /// If `len` exceeds the length of `storage`.
    pub fn from_parts(storage: Vec<u8>, len: usize) -> Self {
        let mut buffer = Self { storage, len: 0 };
        buffer.set_len(len);
        buffer
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(storage: Vec<u8>) -> Self {
        Self { len: storage.len(), storage }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[..self.len]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_what_the_length_says() {
        let mut buffer = Buffer::with_capacity(8);
        assert_eq!((buffer.len(), buffer.capacity()), (0, 8));
        buffer.storage_mut()[..3].copy_from_slice(b"abc");
        buffer.set_len(3);
        assert_eq!(&buffer[..], b"abc");
        buffer.clear();
        assert!(buffer.is_empty());
        buffer.set_len(3);
        assert_eq!(buffer.into_vec(), b"abc");
    }

    #[test]
    #[should_panic(expected = "exceeds")]
    fn a_length_beyond_the_capacity_is_refused() {
        Buffer::with_capacity(2).set_len(3);
    }

    #[test]
    fn parts_survive_a_round_trip_even_if_the_runtime_cut_them() {
        let mut buffer = Buffer::with_capacity(8);
        buffer.storage_mut().copy_from_slice(b"abcdefgh");
        buffer.set_len(2);
        let (mut storage, len) = buffer.into_parts();
        assert_eq!((storage.len(), len), (8, 2));
        storage.truncate(2);
        let buffer = Buffer::from_parts(storage, 2);
        assert_eq!(&buffer[..], b"ab");
        assert!(buffer.capacity() >= 8);
    }
}
