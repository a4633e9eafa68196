//! Latency histograms in the lane protocol and in the record: HDR V2 in base64, nanoseconds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use rtswap_lane::SliceDone;

use crate::lane::LaneError;

/// Latencies in nanoseconds, where the workload has any.
pub(super) type Latency = Option<Histogram<u64>>;

/// The latencies that a lane reports for its slice.
pub(super) fn decode(done: &SliceDone) -> Result<Latency, LaneError> {
    let Some(text) = &done.latency_hdr else { return Ok(None) };
    let invalid = |why: &dyn std::error::Error| {
        LaneError::failed(format!("latency_hdr is not an HDR histogram: {why}"))
    };
    let bytes = STANDARD.decode(text).map_err(|error| invalid(&error))?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    let mut latency: Histogram<u64> = read.map_err(|error| invalid(&error))?;
    // It is as wide as this slice needed. A later slice may need more.
    latency.auto(true);
    Ok(Some(latency))
}

pub(super) fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("writing to a vector cannot fail");
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(latency_hdr: Option<String>) -> SliceDone {
        SliceDone { ops: 1, elapsed_ns: 1, latency_hdr }
    }

    #[test]
    fn decode_reads_encoded_histogram_and_lets_it_grow() {
        let mut histogram = Histogram::new_with_bounds(1, 1000, 3).unwrap();
        histogram.record_n(500, 10).unwrap();
        let mut read = decode(&reported(Some(encode(&histogram)))).unwrap().unwrap();
        assert_eq!(read, histogram);
        read.record(1_000_000_000).unwrap();
        assert!(decode(&reported(None)).unwrap().is_none());
    }

    #[test]
    fn decode_rejects_invalid_base64_and_invalid_histogram() {
        for text in ["not base64!", "AAAA"] {
            let error = decode(&reported(Some(text.to_owned()))).unwrap_err();
            assert!(error.to_string().starts_with("latency_hdr is not"), "{error}");
        }
    }
}
