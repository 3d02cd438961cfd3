//! Every error that a request may end with, and the message that its client gets. For mistakes of clients that is the reason; for all others it is a
//! general sentence, which never contains the address of an origin, a key or a cause. One table, [`Error::info`], has the status of every error.

mod info;
mod message;
mod original;
mod table;

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

pub use info::ErrorCacheClass;
pub use info::ErrorInfo;

use crate::bucket::BucketProblem;
use crate::cache::{CacheableError, ErrorTtls, FlightLost};
use crate::clients::ClientError;
use crate::cpu::CpuError;
use crate::deadline::{Stage, Timeout};
use crate::hosted::DeliveryError;
use crate::pixels::PixelError;
use crate::policy::Denial;
use crate::request::RequestError;
use crate::source::SourceError;
use crate::transform::TransformError;
use crate::worker::WorkerError;

/// Why a request has no picture. One variant for each module that can fail.
#[derive(Debug)]
pub enum Error {
    /// The request cannot be understood.
    Request(RequestError),
    /// The request is not allowed.
    Denied(Denial),
    /// The client has taken too much.
    Client(ClientError),
    /// The delivery URL of a hosted image shows nothing.
    Delivery(DeliveryError),
    /// The source cannot be fetched.
    Source(SourceError),
    /// The source cannot be transformed into the picture.
    Transform(TransformError),
    /// The server is too busy, or the transformation crashed.
    Cpu(CpuError),
    /// The process of the transformation has ended, or there is none.
    Worker(WorkerError),
    /// It took too long.
    TimedOut(Timeout),
    /// The work that the request waited for ended without a result.
    Lost(FlightLost),
}

impl Error {
    /// Whether a client that asks for it (`onerror=redirect`) may be redirected to the source. Not where the request names no allowed source, where
    /// the redirect would lead back to this server, or where an operator wants to read the reasons (strict mode).
    pub fn may_redirect(&self) -> bool {
        match self {
            Error::Request(_) | Error::Delivery(_) | Error::Client(_) => false,
            Error::Denied(denied) => match denied {
                Denial::Options(_) | Denial::Drawing | Denial::OutputTooLarge { .. } => true,
                Denial::Strict(_)
                | Denial::SourceNotAllowed { .. }
                | Denial::PathNotAllowed
                | Denial::NoZone
                | Denial::Signature(_)
                | Denial::Unlisted(_)
                | Denial::Loop => false,
            },
            Error::Source(error) => match error {
                SourceError::PrivateAddress { .. } | SourceError::RedirectDenied(_) => false,
                SourceError::ServerError(origin) => origin.status != StatusCode::LOOP_DETECTED,
                SourceError::Bucket(error) => !matches!(error.problem, BucketProblem::UnusableKey),
                _ => true,
            },
            Error::Transform(_)
            | Error::Cpu(_)
            | Error::Worker(_)
            | Error::TimedOut(_)
            | Error::Lost(_) => true,
        }
    }

    /// Whether the same work may succeed later although nobody changes anything: something is busy, slow or out of reach.
    pub fn may_pass(&self) -> bool {
        self.retry_after().is_some() || self.is_outage() || matches!(self, Error::TimedOut(_))
    }

    /// The number of seconds after which another try may succeed.
    pub fn retry_after(&self) -> Option<u32> {
        /// The longest wait that a client is asked for.
        const LONGEST: u128 = 60;
        /// By then other fetches or renders will have ended; how long they take cannot be known.
        const SHORTLY: Duration = Duration::from_secs(5);
        let wait = match self {
            Error::Cpu(CpuError::Rejected { wait, .. })
            | Error::Client(ClientError::Misses(wait))
            | Error::Worker(WorkerError::Killed(wait)) => *wait,
            Error::Source(SourceError::Busy(_))
            | Error::Client(ClientError::Requests)
            | Error::Delivery(DeliveryError::Store(_))
            | Error::Worker(WorkerError::Unavailable)
            | Error::Transform(TransformError::Pixels(PixelError::OutOfMemory { .. })) => SHORTLY,
            _ => return None,
        };
        let seconds = wait.as_millis().div_ceil(1000).clamp(1, LONGEST);
        u32::try_from(seconds).ok()
    }
}

impl CacheableError for Error {
    fn is_outage(&self) -> bool {
        match self {
            Error::Source(error) => error.is_outage(),
            Error::TimedOut(Timeout(stage)) => *stage == Stage::Fetch,
            Error::Request(_)
            | Error::Denied(_)
            | Error::Client(_)
            | Error::Delivery(_)
            | Error::Transform(_)
            | Error::Cpu(_)
            | Error::Worker(_)
            | Error::Lost(_) => false,
        }
    }

    fn ttl(&self, ttls: &ErrorTtls) -> Duration {
        let ErrorTtls {
            not_found,
            options,
            source,
        } = ttls;
        let life = match self.info().class {
            ErrorCacheClass::NotFound => not_found.duration(),
            ErrorCacheClass::Options => options.duration(),
            ErrorCacheClass::Source => source.duration(),
            ErrorCacheClass::NoStore => Duration::ZERO,
        };
        // An origin may shorten the lifetime of its own errors, but not lengthen it.
        match self {
            Error::Source(error) => error
                .negative_ttl()
                .map_or(life, |negative_ttl| life.min(negative_ttl)),
            _ => life,
        }
    }
}

/// All that is known of the error, for logs.
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Request(error) => error.fmt(out),
            Error::Denied(error) => error.fmt(out),
            Error::Client(error) => error.fmt(out),
            Error::Delivery(error) => error.fmt(out),
            Error::Source(error) => error.fmt(out),
            Error::Transform(error) => error.fmt(out),
            Error::Cpu(error) => error.fmt(out),
            Error::Worker(error) => error.fmt(out),
            Error::TimedOut(error) => error.fmt(out),
            Error::Lost(error) => error.fmt(out),
        }
    }
}

impl std::error::Error for Error {}

macro_rules! from {
    ($($variant:ident($source:ty)),+ $(,)?) => {
        $(impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Error::$variant(error)
            }
        })+
    };
}

from! {
    Request(RequestError),
    Denied(Denial),
    Client(ClientError),
    Delivery(DeliveryError),
    Source(SourceError),
    Transform(TransformError),
    Cpu(CpuError),
    Worker(WorkerError),
    TimedOut(Timeout),
    Lost(FlightLost),
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Error;
    use crate::cache::{CacheableError, ErrorTtls};
    use crate::cpu::{CpuError, Rejection};
    use crate::deadline::{Stage, Timeout};
    use crate::pixels::PixelError;
    use crate::policy::Denial;
    use crate::request::RequestError;
    use crate::source::{BusyReason, FetchStage as Slow, SourceError};
    use crate::transform::TransformError;
    use crate::worker::{Death, WorkerError};

    pub(super) fn refused(reason: Rejection, millis: u64) -> CpuError {
        CpuError::Rejected {
            reason,
            wait: Duration::from_millis(millis),
        }
    }

    #[test]
    fn only_a_failing_origin_is_an_outage() {
        let outages: [Error; 2] = [
            SourceError::Timeout(Slow::Body).into(),
            Timeout(Stage::Fetch).into(),
        ];
        for error in outages {
            assert!(error.is_outage(), "{error}");
        }
        let others: [Error; 6] = [
            SourceError::NotFound { negative_ttl: None }.into(),
            RequestError::NotFound.into(),
            Denial::Loop.into(),
            TransformError::Decode(String::new()).into(),
            refused(Rejection::Queue, 0).into(),
            Timeout(Stage::Render).into(),
        ];
        for error in others {
            assert!(!error.is_outage(), "{error}");
        }
    }

    #[test]
    fn clients_learn_no_internal_names() {
        let inside: [Error; 4] = [
            SourceError::Connect {
                host: "db.internal".into(),
                reason: "10.0.0.7 refused".into(),
            }
            .into(),
            SourceError::UnknownBucket("secret-bucket".into()).into(),
            SourceError::Dns {
                host: "db.internal".into(),
                reason: "nope".into(),
            }
            .into(),
            TransformError::Decode("/usr/lib/x".into()).into(),
        ];
        for error in inside {
            let told = error.public_message();
            for secret in ["internal", "10.0", "secret", "/usr"] {
                assert!(!told.contains(secret), "{told}");
            }
        }
    }

    #[test]
    fn section_2_15_a_loop_is_never_redirected() {
        let stays: [Error; 5] = [
            SourceError::PrivateAddress { host: "x".into() }.into(),
            RequestError::Loop.into(),
            Denial::Loop.into(),
            Denial::PathNotAllowed.into(),
            Denial::SourceNotAllowed { host: "x".into() }.into(),
        ];
        for error in stays {
            assert!(!error.may_redirect(), "{error}");
        }
        let leaves: [Error; 4] = [
            Denial::OutputTooLarge {
                option: "width",
                pixels: 2,
                limit: 1,
            }
            .into(),
            SourceError::NotFound { negative_ttl: None }.into(),
            TransformError::NotAnImage.into(),
            refused(Rejection::Queue, 0).into(),
        ];
        for error in leaves {
            assert!(error.may_redirect(), "{error}");
        }
    }

    #[test]
    fn what_is_busy_slow_or_out_of_reach_may_pass() {
        let passing = [
            Error::from(refused(Rejection::Idle, 0)),
            SourceError::Busy(BusyReason::Memory).into(),
            TransformError::Pixels(PixelError::OutOfMemory { bytes: 1 }).into(),
            Timeout(Stage::Render).into(),
            Timeout(Stage::Fetch).into(),
            WorkerError::Killed(Duration::ZERO).into(),
            WorkerError::Unavailable.into(),
        ];
        for error in passing {
            assert!(error.may_pass(), "{error}");
        }
        let lasting = [
            Error::from(CpuError::Panicked),
            WorkerError::Died(Death::Crash).into(),
            WorkerError::Blocked.into(),
            TransformError::TooCostly { bytes: 2, limit: 1 }.into(),
            TransformError::NotAnImage.into(),
            SourceError::NotFound { negative_ttl: None }.into(),
        ];
        for error in lasting {
            assert!(!error.may_pass(), "{error}");
        }
    }

    #[test]
    fn only_passing_errors_have_a_retry_after() {
        for (millis, seconds) in [(0, 1), (1000, 1), (1001, 2), (59_500, 60), (600_000, 60)] {
            let error = Error::from(refused(Rejection::Queue, millis));
            assert_eq!(error.retry_after(), Some(seconds), "{millis} ms");
        }
        assert_eq!(Error::from(CpuError::Panicked).retry_after(), None);
        let busy = Error::from(SourceError::Busy(BusyReason::Memory));
        assert_eq!(busy.retry_after(), Some(5));
        let no_memory = Error::from(TransformError::Pixels(PixelError::OutOfMemory { bytes: 1 }));
        assert_eq!(no_memory.retry_after(), Some(5));
        assert_eq!(no_memory.ttl(&ErrorTtls::default()), Duration::ZERO);
    }

    #[test]
    fn an_origin_may_shorten_the_life_of_its_errors_but_not_lengthen_it() {
        let lives = ErrorTtls::default();
        for (negative_ttl, missing, large) in [
            (None, 10, 60),
            (Some(0), 0, 0),
            (Some(3), 3, 3),
            (Some(30), 10, 30),
            (Some(3600), 10, 60),
        ] {
            let negative_ttl = negative_ttl.map(Duration::from_secs);
            let error = Error::from(SourceError::NotFound { negative_ttl });
            assert_eq!(
                error.ttl(&lives),
                Duration::from_secs(missing),
                "{negative_ttl:?}"
            );
            let error = Error::from(SourceError::TooLarge {
                limit: 1,
                negative_ttl,
            });
            assert_eq!(
                error.ttl(&lives),
                Duration::from_secs(large),
                "{negative_ttl:?}"
            );
        }
    }
}
