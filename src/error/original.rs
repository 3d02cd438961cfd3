//! Whether an original may take the place of a picture that cannot be made.

use super::Error;
use super::info::ErrorCacheClass;
use crate::policy::Denial;
use crate::source::{FetchStage, SourceError};
use crate::transform::TransformError;

impl Error {
    /// Whether the source can perhaps be sent as it is, although it cannot become the picture. Where the origin has no source or does not answer,
    /// asking again would only take more time.
    pub(crate) fn leaves_original(&self) -> bool {
        match self {
            Error::Request(_) | Error::Client(_) | Error::Delivery(_) => false,
            Error::Denied(denied) => match denied {
                Denial::Options(_)
                | Denial::Strict(_)
                | Denial::Drawing
                | Denial::OutputTooLarge { .. } => true,
                Denial::SourceNotAllowed { .. }
                | Denial::PathNotAllowed
                | Denial::NoZone
                | Denial::Signature(_)
                | Denial::Unlisted(_)
                | Denial::Loop => false,
            },
            Error::Source(error) => match error {
                SourceError::TooLarge { .. }
                | SourceError::NotAPicture { .. }
                // A client may follow a redirect that this server may not.
                | SourceError::RedirectDenied(_)
                | SourceError::Coding(_)
                | SourceError::BrokenOff(_)
                | SourceError::Timeout(FetchStage::Body)
                | SourceError::Busy(_) => true,
                SourceError::NotFound { .. }
                | SourceError::BadRequest(_)
                | SourceError::RequestTimeout(_)
                | SourceError::ClientError(_)
                | SourceError::ServerError(_)
                | SourceError::BadStatus(_)
                | SourceError::Dns { .. }
                | SourceError::Connect { .. }
                | SourceError::PrivateAddress { .. }
                | SourceError::Timeout(FetchStage::Connect | FetchStage::FirstByte)
                | SourceError::TooManyRedirects { .. }
                | SourceError::BadRedirect { .. }
                | SourceError::Bucket(_)
                | SourceError::UnknownBucket(_)
                | SourceError::Unreadable(_) => false,
            },
            Error::Transform(_)
            | Error::Cpu(_)
            | Error::Worker(_)
            | Error::TimedOut(_)
            | Error::Lost(_) => true,
        }
    }

    /// Whether this may be the error of another path, to which the origin redirected. A client that gets the redirect sees where it leads.
    pub(crate) fn may_be_of_redirect(&self) -> bool {
        matches!(
            self,
            Error::Source(
                SourceError::NotFound { .. }
                    | SourceError::ClientError(_)
                    | SourceError::TooManyRedirects { .. }
            )
        )
    }

    /// Whether the next try may succeed although neither source, URL nor settings change.
    pub(crate) fn is_passing(&self) -> bool {
        let is_kept = self.info().class != ErrorCacheClass::NoStore;
        !is_kept || matches!(self, Error::Transform(TransformError::OutOfTime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::CpuError;
    use crate::deadline::{Stage, Timeout};
    use crate::source::BusyReason;

    #[test]
    fn an_original_is_sent_unless_it_cannot_be_had() {
        let leaves: [(Error, bool); 9] = [
            (TransformError::NotAnImage.into(), false),
            (TransformError::Decode(String::new()).into(), false),
            (Denial::Drawing.into(), false),
            (too_large().into(), false),
            (TransformError::OutOfTime.into(), true),
            (SourceError::Busy(BusyReason::Memory).into(), true),
            (SourceError::BrokenOff(String::new()).into(), true),
            (Timeout(Stage::Fetch).into(), true),
            (CpuError::Panicked.into(), true),
        ];
        for (error, is_passing) in leaves {
            assert!(error.leaves_original(), "{error}");
            assert_eq!(error.is_passing(), is_passing, "{error}");
        }
        let stays: [Error; 4] = [
            SourceError::NotFound { negative_ttl: None }.into(),
            SourceError::Timeout(FetchStage::FirstByte).into(),
            Denial::PathNotAllowed.into(),
            Denial::Loop.into(),
        ];
        for error in stays {
            assert!(!error.leaves_original(), "{error}");
        }
        assert!(Error::from(SourceError::TooManyRedirects { limit: 5 }).may_be_of_redirect());
        assert!(!Error::from(Denial::Loop).may_be_of_redirect());
    }

    fn too_large() -> SourceError {
        SourceError::TooLarge {
            limit: 1,
            negative_ttl: None,
        }
    }
}
