//! HDR histograms as text: format V2, in base64, as in `latency_hdr` of records and answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{DeserializeError, Deserializer, Serializer as _, V2Serializer};

/// Why a text is not a histogram.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistogramError {
    /// The text is not base64.
    #[error("not base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// The bytes are not an HDR histogram.
    #[error("not an HDR histogram of format V2: {0}")]
    Hdr(#[from] DeserializeError),
}

/// A histogram as text.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("a vector takes all bytes");
    STANDARD.encode(bytes)
}

/// Reads a histogram. It resizes itself, so others can be added to it.
///
/// # Errors
/// [`HistogramError`] if the text is not what [`encode`] writes.
pub fn decode(text: &str) -> Result<Histogram<u64>, HistogramError> {
    let bytes = STANDARD.decode(text)?;
    let mut histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice())?;
    // The text covers the range of its own values only; values that are added later may lie outside.
    histogram.auto(true);
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_reads_what_encode_wrote() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for latency_ns in [1_000, 1_000, 2_500_000] {
            histogram.record(latency_ns).unwrap();
        }
        assert_eq!(decode(&encode(&histogram)).unwrap(), histogram);
    }

    #[test]
    fn decode_returns_a_histogram_that_grows() {
        let mut narrow = Histogram::<u64>::new_with_max(2_000, 3).unwrap();
        narrow.record(1_000).unwrap();
        let mut decoded = decode(&encode(&narrow)).unwrap();
        decoded.record(5_000_000_000).unwrap();
        assert_eq!(decoded.len(), 2);
    }

    #[test]
    fn decode_rejects_other_text() {
        assert!(matches!(decode("not base64!"), Err(HistogramError::Base64(_))));
        assert!(matches!(decode("AAAA"), Err(HistogramError::Hdr(_))));
    }
}
