//! One piece of work per key, owned by nobody: it runs in a task of its own, outlives whoever asked first, and lands at everyone who waits.

use std::any::Any;
use std::any::TypeId;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::cache::key::Key;
use crate::cache::key::SourceKey;
use crate::cache::source_record::SourceRecord;
use crate::cache::tier::shared::wait_budget::Patience;

/// Why a flight ended with neither an answer nor an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightLost {
    /// Its task panicked, or the process is shutting down.
    Crashed,
    /// It was given up, because it was still in the air when all that it could wait for must have been over.
    Overdue,
    /// The origin answered "not modified" to a question that named no earlier state.
    NothingToRenew,
}

impl fmt::Display for FlightLost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            FlightLost::Crashed => "the work that this request waited for ended without a result",
            FlightLost::Overdue => "the work that this request waited for never ended",
            FlightLost::NothingToRenew => {
                "the origin answered \"not modified\" to an unconditional request"
            }
        })
    }
}

impl std::error::Error for FlightLost {}

/// The longest that anything may take, in case something that bounds itself does not: a key must not be lost for ever. Longer than the most patient
/// render.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// What is being worked on. Sources with the number of the last purge: what was asked before it is no answer to who asks after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FlightKey {
    Source(SourceKey, u64),
    /// A source that is kept and has become stale, while it is still served.
    Refresh(SourceKey, u64),
    /// The whole source, whatever is known of it.
    SourceBytes(SourceKey, u64),
    Rendition(Key),
}

/// How a flight ends, for each of its waiters alike.
pub(crate) type Landing<V, E> = Result<V, Failed<E>>;

/// The failure of a fetch or a render, as everybody is told of it who waited for it, or who asked while it was kept.
#[derive(Debug)]
pub struct Failed<E> {
    pub error: Arc<E>,
    /// When it came to that, where it was kept and is told again.
    pub since: Option<SystemTime>,
    /// Not where it tells something of a source that may not be kept.
    pub may_be_kept: bool,
}

impl<E> Failed<E> {
    /// One that came of this source.
    pub fn over(self, source: &SourceRecord) -> Self {
        Failed {
            may_be_kept: self.may_be_kept && source.freshness.is_storable(),
            ..self
        }
    }
}

/// It just came to that.
impl<E> From<E> for Failed<E> {
    fn from(error: E) -> Self {
        Failed::from(Arc::new(error))
    }
}

/// It just came to that.
impl<E> From<Arc<E>> for Failed<E> {
    fn from(error: Arc<E>) -> Self {
        Failed {
            error,
            since: None,
            may_be_kept: true,
        }
    }
}

impl<E> From<Failed<E>> for Arc<E> {
    fn from(failed: Failed<E>) -> Self {
        failed.error
    }
}

impl<E> Clone for Failed<E> {
    fn clone(&self) -> Self {
        Failed {
            error: Arc::clone(&self.error),
            since: self.since,
            may_be_kept: self.may_be_kept,
        }
    }
}

/// Keys carry the type of the landing, so that callers with different error types share this one map and never each other's flights.
type Airborne = Mutex<HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>>;

#[derive(Default)]
pub(crate) struct Flights {
    airborne: Arc<Airborne>,
}

impl Flights {
    /// Joins the flight for `key`, or starts one that does `work`. Says also whether it was joined; `work` is then dropped untouched.
    ///
    /// Whatever `work` stores must be stored when it returns: the key is free for a new flight before the waiters are told.
    pub(crate) async fn join<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = Landing<V, E>> + Send + 'static,
    ) -> (Landing<V, E>, bool)
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let own = Patience::current();
        let (Boarded { landing, patience }, joined) = self.board(key, own.clone(), work);
        let landing = if joined {
            own.join(&patience, landed(landing)).await
        } else {
            landed(landing).await
        };
        (
            landing.unwrap_or_else(|| Err(Failed::from(E::from(FlightLost::Crashed)))),
            joined,
        )
    }

    /// Has `work` done for `key` if nobody is at it, without anybody who waits. Says whether a flight was started.
    pub(crate) fn start<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = Landing<V, E>> + Send + 'static,
    ) -> bool
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let (_, joined) = self.board(key, Patience::endless(), work);
        !joined
    }

    /// How many flights are in the air.
    pub(crate) fn len(&self) -> usize {
        lock(&self.airborne).len()
    }

    fn board<V, E>(
        &self,
        key: FlightKey,
        patience: Patience,
        work: impl Future<Output = Landing<V, E>> + Send + 'static,
    ) -> (Boarded<V, E>, bool)
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let key = (key, TypeId::of::<Landing<V, E>>());
        let mut airborne = lock(&self.airborne);
        let known = airborne.get(&key).and_then(|flight| flight.downcast_ref());
        if let Some(known) = known {
            return (Boarded::clone(known), true);
        }
        let (tell, landing) = watch::channel(None);
        let boarded = Boarded {
            landing,
            patience: patience.clone(),
        };
        airborne.insert(key, Box::new(boarded.clone()));
        drop(airborne);

        let flight = Flight {
            slot: Slot {
                airborne: Arc::clone(&self.airborne),
                key,
            },
            tell,
        };
        tokio::spawn(async move {
            let work = Patience::scope(Some(patience), work);
            let landing = timeout(LONGEST, work).await;
            let landing = landing.unwrap_or_else(|_| Err(E::from(FlightLost::Overdue).into()));
            let Flight { slot, tell } = flight;
            drop(slot);
            tell.send_replace(Some(landing));
        });
        (boarded, false)
    }
}

/// What is known of a flight in the air.
struct Boarded<V, E> {
    landing: Told<V, E>,
    patience: Patience,
}

impl<V, E> Clone for Boarded<V, E> {
    fn clone(&self) -> Self {
        Boarded {
            landing: self.landing.clone(),
            patience: self.patience.clone(),
        }
    }
}

/// Where a landing is told.
type Told<V, E> = watch::Receiver<Option<Landing<V, E>>>;

/// `None` if the flight was lost without a word.
async fn landed<V: Clone, E>(mut told: Told<V, E>) -> Option<Landing<V, E>> {
    let landing = told.wait_for(Option::is_some).await;
    landing.ok().and_then(|landing| landing.clone())
}

/// Dropped by a panic as well: fields go in this order, so nobody can join a flight that will never land.
struct Flight<V, E> {
    slot: Slot,
    tell: watch::Sender<Option<Landing<V, E>>>,
}

/// A key's place in the map; freed when dropped.
struct Slot {
    airborne: Arc<Airborne>,
    key: (FlightKey, TypeId),
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.airborne).remove(&self.key);
    }
}

fn lock(
    airborne: &Airborne,
) -> std::sync::MutexGuard<'_, HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>> {
    airborne.lock().unwrap_or_else(PoisonError::into_inner)
}
