//! Latency histograms of a lane's slices, nanoseconds.

use hdrhistogram::Histogram;
use rtswap_lane::SliceDone;
use rtswap_schema::histogram;

use crate::lane::LaneError;

/// Latencies in nanoseconds, where the workload has any.
pub(super) type Latency = Option<Histogram<u64>>;

/// The latencies that a lane reports for its slice.
pub(super) fn decode(done: &SliceDone) -> Result<Latency, LaneError> {
    let Some(text) = &done.latency_hdr else { return Ok(None) };
    let latency = histogram::decode(text);
    latency.map(Some).map_err(|error| LaneError::failed(format!("invalid latency_hdr: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_rejects_invalid_base64_and_invalid_histogram() {
        for text in ["not base64!", "AAAA"] {
            let done = SliceDone { latency_hdr: Some(text.to_owned()), ..SliceDone::default() };
            let error = decode(&done).unwrap_err();
            assert!(error.to_string().starts_with("invalid latency_hdr"), "{error}");
        }
        assert!(decode(&SliceDone::default()).unwrap().is_none());
    }
}
