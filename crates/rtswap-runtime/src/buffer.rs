use std::fmt;
use std::ops::{Deref, Range};

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
#[derive(Default)]
pub struct Buffer {
    // Invariant: begin + len <= storage.len().
    storage: Vec<u8>,
    /// Where the data begins: not at 0 in a buffer that is aligned, of which all storage is initialised.
    begin: usize,
    len: usize,
}

/// What the addresses, offsets and lengths of direct I/O are multiples of, in bytes: enough for every disk.
pub(crate) const ALIGNED: usize = 4096;

impl Buffer {
    /// An empty buffer that can take `capacity` bytes. It never grows by itself.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { storage: vec![0; capacity], begin: 0, len: 0 }
    }

    /// The same, with data that begins at a multiple of 4096, as direct I/O wants it: files that are opened with
    /// `Open::ReadDirect` are read into it without a copy. `capacity` is a multiple of 4096, too. For anything else it
    /// is slower than other buffers.
    pub fn aligned(capacity: usize) -> Self {
        let storage = vec![0; capacity + ALIGNED];
        let begin = match storage.as_ptr().align_offset(ALIGNED) {
            // Never 0, which says that a buffer is not aligned.
            0 => ALIGNED,
            begin => begin,
        };
        Self { storage, begin, len: 0 }
    }

    /// Bytes that the storage can hold.
    pub fn capacity(&self) -> usize {
        match self.begin {
            0 => self.storage.capacity(),
            begin => (self.storage.len() - begin) / ALIGNED * ALIGNED,
        }
    }

    /// Forgets the data, keeps the storage.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The data as a vector; what lies beyond the length is cut off.
    pub fn into_vec(mut self) -> Vec<u8> {
        if self.begin > 0 {
            return self.to_vec();
        }
        self.storage.truncate(self.len);
        self.storage
    }

    /// For adapters of readiness runtimes: the whole capacity, to read into from 0.
    pub fn storage_mut(&mut self) -> &mut [u8] {
        if self.begin > 0 {
            let end = self.begin + self.capacity();
            return &mut self.storage[self.begin..end];
        }
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
        let initialised = self.storage.len() - self.begin;
        assert!(
            len <= initialised,
            "length {len} exceeds the {initialised} bytes that are initialised"
        );
        self.len = len;
    }

    /// For adapters of completion runtimes: the storage, of which the kernel may use the whole
    /// capacity, and the number of bytes that are data.
    pub fn into_parts(self) -> (Vec<u8>, usize) {
        if self.begin > 0 {
            let mut storage = Vec::with_capacity(self.capacity());
            storage.extend_from_slice(&self);
            return (storage, self.len);
        }
        (self.storage, self.len)
    }

    /// The storage of an [`aligned`](Self::aligned) buffer and where in it the data may be, or the buffer as it was.
    pub(crate) fn into_aligned(self) -> Result<(Vec<u8>, Range<usize>), Self> {
        if self.begin == 0 {
            return Err(self);
        }
        let end = self.begin + self.capacity();
        Ok((self.storage, self.begin..end))
    }

    /// Puts together what [`into_aligned`](Self::into_aligned) took apart.
    pub(crate) fn from_aligned(storage: Vec<u8>, begin: usize, len: usize) -> Self {
        let mut buffer = Self { storage, begin, len: 0 };
        buffer.set_len(len);
        buffer
    }

    /// Puts together what [`into_parts`](Self::into_parts) took apart. The runtime may have cut the
    /// vector to the data (monoio does) or not (tokio-uring).
    ///
    /// # Panics
    /// If `len` exceeds the length of `storage`.
    pub fn from_parts(storage: Vec<u8>, len: usize) -> Self {
        let mut buffer = Self { storage, begin: 0, len: 0 };
        buffer.set_len(len);
        buffer
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let (mut clone, begin) = match self.begin {
            0 => (Self::from(self.storage.clone()), 0),
            _ => (Self::aligned(self.capacity()), self.len),
        };
        clone.storage_mut()[..begin].copy_from_slice(&self[..begin]);
        clone.set_len(self.len);
        clone
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(storage: Vec<u8>) -> Self {
        Self { len: storage.len(), begin: 0, storage }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.storage[self.begin..self.begin + self.len]
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
    fn aligned_buffer_begins_at_a_multiple_of_4096_and_has_the_capacity_asked_for() {
        for capacity in [4096, 65_536, 1 << 20] {
            let mut buffer = Buffer::aligned(capacity);
            assert_eq!((buffer.len(), buffer.capacity()), (0, capacity));
            let storage = buffer.storage_mut();
            assert_eq!((storage.len(), storage.as_ptr().align_offset(4096)), (capacity, 0));
            storage[..3].copy_from_slice(b"abc");
            buffer.set_len(3);
            let clone = buffer.clone();
            assert_eq!((&clone[..], clone.as_ptr().align_offset(4096)), (&b"abc"[..], 0));
            assert_eq!(buffer.clone().into_vec(), b"abc");
            let (storage, len) = buffer.into_parts();
            assert_eq!((&storage[..], len), (&b"abc"[..], 3));
            assert!(storage.capacity() >= capacity);
        }
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
