//! Gzip (RFC 1952): one or more members. Bytes after the last member that do not start another one are padding and ignored.

use std::io::Write as _;

use bytes::Buf as _;
use bytes::Bytes;
use flate2::write::GzDecoder;

use crate::source::coding::step::{CorruptData, STEP, StreamState};

/// A stream of gzip members.
#[derive(Default)]
pub(super) struct Gzip {
    /// The member that is being decoded.
    member: Option<GzDecoder<Vec<u8>>>,
    has_member: bool,
}

impl Gzip {
    const FIRST_BYTE: u8 = 0x1f;

    pub(super) fn step(
        &mut self,
        input: &mut Bytes,
        has_ended: bool,
        output: &mut Vec<u8>,
    ) -> Result<StreamState, CorruptData> {
        while output.len() < STEP {
            let Some(first) = input.first() else { break };
            let member = match &mut self.member {
                Some(member) => member,
                None if *first != Self::FIRST_BYTE && !self.has_member => return Err(CorruptData),
                None if *first != Self::FIRST_BYTE => {
                    input.clear();
                    break;
                }
                None => self.member.insert(GzDecoder::new(Vec::new())),
            };
            let read = member.write(input)?;
            output.append(member.get_mut());
            input.advance(read);
            if read == 0 {
                self.finish(output)?;
            }
        }
        if has_ended && input.is_empty() && output.len() < STEP && self.member.is_some() {
            // The decoder only reports the end of a member when asked. A member without an end stays incomplete.
            if self.finish(output).is_err() {
                self.has_member = false;
                return Ok(StreamState::Incomplete);
            }
        }
        Ok(StreamState::of(self.has_member && self.member.is_none()))
    }

    fn finish(&mut self, output: &mut Vec<u8>) -> Result<(), CorruptData> {
        if let Some(member) = self.member.take() {
            output.append(&mut member.finish()?);
            self.has_member = true;
        }
        Ok(())
    }
}
