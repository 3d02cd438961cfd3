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

use crate::cache::key::RenditionKey;
use crate::cache::key::SourceKey;
use crate::cache::source_record::SourceRecord;
use crate::cache::tier::shared::wait_budget::WaitBudget;

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
    Rendition(RenditionKey),
}

/// How a flight ends, for each of its waiters alike.
pub(crate) type FlightResult<V, E> = Result<V, FlightError<E>>;

/// The failure of a fetch or a render, as everybody is told of it who waited for it, or who asked while it was kept.
#[derive(Debug)]
pub struct FlightError<E> {
    pub error: Arc<E>,
    /// When it came to that, where it was kept and is told again.
    pub since: Option<SystemTime>,
    /// Not where it tells something of a source that may not be kept.
    pub may_be_kept: bool,
}

impl<E> FlightError<E> {
    /// One that came of this source.
    pub fn over(self, source: &SourceRecord) -> Self {
        FlightError {
            may_be_kept: self.may_be_kept && source.freshness.is_storable(),
            ..self
        }
    }
}

/// It just came to that.
impl<E> From<E> for FlightError<E> {
    fn from(error: E) -> Self {
        FlightError::from(Arc::new(error))
    }
}

/// It just came to that.
impl<E> From<Arc<E>> for FlightError<E> {
    fn from(error: Arc<E>) -> Self {
        FlightError {
            error,
            since: None,
            may_be_kept: true,
        }
    }
}

impl<E> From<FlightError<E>> for Arc<E> {
    fn from(failed: FlightError<E>) -> Self {
        failed.error
    }
}

impl<E> Clone for FlightError<E> {
    fn clone(&self) -> Self {
        FlightError {
            error: Arc::clone(&self.error),
            since: self.since,
            may_be_kept: self.may_be_kept,
        }
    }
}

/// Keys carry the type of the landing, so that callers with different error types share this one map and never each other's flights.
type FlightMap = Mutex<HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>>;

#[derive(Default)]
pub(crate) struct Flights {
    airborne: Arc<FlightMap>,
}

impl Flights {
    /// Joins the flight for `key`, or starts one that does `work`. Says also whether it was joined; `work` is then dropped untouched.
    ///
    /// Whatever `work` stores must be stored when it returns: the key is free for a new flight before the waiters are told.
    pub(crate) async fn join<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = FlightResult<V, E>> + Send + 'static,
    ) -> (FlightResult<V, E>, bool)
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let own = WaitBudget::current();
        let (
            FlightHandle {
                landing,
                wait_budget,
            },
            joined,
        ) = self.board(key, own.clone(), work);
        let landing = if joined {
            own.join(&wait_budget, landed(landing)).await
        } else {
            landed(landing).await
        };
        (
            landing.unwrap_or_else(|| Err(FlightError::from(E::from(FlightLost::Crashed)))),
            joined,
        )
    }

    /// Has `work` done for `key` if nobody is at it, without anybody who waits. Says whether a flight was started.
    pub(crate) fn start<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = FlightResult<V, E>> + Send + 'static,
    ) -> bool
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let (_, joined) = self.board(key, WaitBudget::unlimited(), work);
        !joined
    }

    /// How many flights are in the air.
    pub(crate) fn len(&self) -> usize {
        lock(&self.airborne).len()
    }

    fn board<V, E>(
        &self,
        key: FlightKey,
        wait_budget: WaitBudget,
        work: impl Future<Output = FlightResult<V, E>> + Send + 'static,
    ) -> (FlightHandle<V, E>, bool)
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let key = (key, TypeId::of::<FlightResult<V, E>>());
        let mut airborne = lock(&self.airborne);
        let known = airborne.get(&key).and_then(|flight| flight.downcast_ref());
        if let Some(known) = known {
            return (FlightHandle::clone(known), true);
        }
        let (tell, landing) = watch::channel(None);
        let boarded = FlightHandle {
            landing,
            wait_budget: wait_budget.clone(),
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
            let work = WaitBudget::scope(Some(wait_budget), work);
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
struct FlightHandle<V, E> {
    landing: ResultReceiver<V, E>,
    wait_budget: WaitBudget,
}

impl<V, E> Clone for FlightHandle<V, E> {
    fn clone(&self) -> Self {
        FlightHandle {
            landing: self.landing.clone(),
            wait_budget: self.wait_budget.clone(),
        }
    }
}

/// Where a landing is told.
type ResultReceiver<V, E> = watch::Receiver<Option<FlightResult<V, E>>>;

/// `None` if the flight was lost without a word.
async fn landed<V: Clone, E>(mut told: ResultReceiver<V, E>) -> Option<FlightResult<V, E>> {
    let landing = told.wait_for(Option::is_some).await;
    landing.ok().and_then(|landing| landing.clone())
}

/// Dropped by a panic as well: fields go in this order, so nobody can join a flight that will never land.
struct Flight<V, E> {
    slot: Slot,
    tell: watch::Sender<Option<FlightResult<V, E>>>,
}

/// A key's place in the map; freed when dropped.
struct Slot {
    airborne: Arc<FlightMap>,
    key: (FlightKey, TypeId),
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.airborne).remove(&self.key);
    }
}

fn lock(
    airborne: &FlightMap,
) -> std::sync::MutexGuard<'_, HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>> {
    airborne.lock().unwrap_or_else(PoisonError::into_inner)
}
