//! What is about the connection and no answer.

use super::Connection;
use super::frame::{self, ACK, GOAWAY, Head, PING, PUSH_PROMISE, RST_STREAM, SETTINGS};
use super::request::{MAX_CONCURRENT_STREAMS, Script};
use crate::LoadError;
use crate::http::quote;

/// Most bytes that wait for a lane to read them before it is not told more.
const OUT_MOST: usize = 1 << 20;

impl Connection {
    /// Takes in what is about the connection.
    #[cold]
    pub(super) fn control(
        &mut self,
        script: &Script,
        head: Head,
        payload: &[u8],
    ) -> Result<(), LoadError> {
        match head.kind {
            SETTINGS | PING if head.has(ACK) => Ok(()),
            SETTINGS | PING if self.out.len() - self.sent > OUT_MOST => {
                Err(self.wrong("it asks on and on and does not read the replies".to_owned()))
            }
            SETTINGS => self.greet(script, payload),
            PING => {
                frame::put(&mut self.out, PING, ACK, 0, payload);
                Ok(())
            }
            RST_STREAM => {
                let error = format!("it was reset: {}", frame::reason(payload, 0));
                let index = self.index(script, head.stream)?;
                Err(self.wrong_on(index, error))
            }
            // After the number of the last stream that it has heard of.
            GOAWAY => Err(self.wrong(format!("it goes away: {}", frame::reason(payload, 4)))),
            PUSH_PROMISE => Err(self.wrong("it promises what nobody had asked for".to_owned())),
            // Nothing is sent that takes a window; and what is not known is to be left alone.
            _ => Ok(()),
        }
    }

    fn greet(&mut self, script: &Script, payload: &[u8]) -> Result<(), LoadError> {
        self.greeted = true;
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(self.wrong(format!("its settings are none: {}", quote(payload))));
        }
        for &[high, low, ref value @ ..] in settings {
            let (most, at_once) = (u32::from_be_bytes(*value), script.expected.pipeline);
            let setting = u16::from_be_bytes([high, low]);
            if setting == MAX_CONCURRENT_STREAMS && (most as usize) < at_once {
                let error = format!("it takes no more than {most} of {at_once} requests at once");
                return Err(self.wrong(error));
            }
        }
        frame::put(&mut self.out, SETTINGS, ACK, 0, &[]);
        Ok(())
    }
}
