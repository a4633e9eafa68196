//! Frames about the connection, which belong to no response.

use super::frame::{
    ACK, FrameHeader, GOAWAY, PING, PUSH_PROMISE, SETTINGS, describe_error_code, setting,
};
use super::outbox::Outbox;
use crate::error::response::{ResponseError, excerpt};

/// The most bytes that collect in the outbox while the lane does not read all of them.
const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// Handles a frame, and replies if it asks for a reply. `pipeline` is how many requests one batch has.
#[cold]
pub(super) fn handle(
    header: FrameHeader,
    payload: &[u8],
    pipeline: usize,
    outbox: &mut Outbox,
) -> Result<(), ResponseError> {
    match header.kind {
        SETTINGS | PING if header.has(ACK) => Ok(()),
        SETTINGS | PING if outbox.len() > OUTBOX_BYTES_MAX => Err(ResponseError::RepliesUnread),
        SETTINGS => {
            check_settings(payload, pipeline)?;
            outbox.append_frame(SETTINGS, ACK, &[]);
            Ok(())
        }
        PING => {
            outbox.append_frame(PING, ACK, payload);
            Ok(())
        }
        // The error code follows the number of the last stream that the lane has processed.
        GOAWAY => Err(ResponseError::GoAway { reason: describe_error_code(payload, 4) }),
        PUSH_PROMISE => Err(ResponseError::Push),
        // WINDOW_UPDATE is irrelevant, as requests have no bodies. Unknown frames must be ignored.
        _ => Ok(()),
    }
}

fn check_settings(payload: &[u8], pipeline: usize) -> Result<(), ResponseError> {
    let (settings, rest) = payload.as_chunks::<6>();
    if !rest.is_empty() {
        return Err(ResponseError::Settings { payload: excerpt(payload) });
    }
    for &[high, low, ref value @ ..] in settings {
        let (name, value) = (u16::from_be_bytes([high, low]), u32::from_be_bytes(*value));
        if name == setting::MAX_CONCURRENT_STREAMS && (value as usize) < pipeline {
            return Err(ResponseError::ConcurrentStreams { allowed: value, needed: pipeline });
        }
    }
    Ok(())
}
