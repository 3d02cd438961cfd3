//! Single flight: one task per key does the work for all requests that wait for it. The task does not end when the request that started it goes away.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::timeout;

use crate::cache::key::{RenditionKey, SourceKey};
use crate::cache::source_record::SourceRecord;
use crate::cache::wait_budget::WaitBudget;
use crate::telemetry::trace;
use crate::telemetry::trace::SpanPlace;

/// Why a flight ended without a result or an error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightLost {
    /// The task panicked, or the process is shutting down.
    Crashed,
    /// The flight took longer than everything that it could wait for.
    Overdue,
    /// The origin answered "not modified" to a request without validators.
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

/// The longest time for any flight, longer than the longest render: a fault in the work must not block a key for ever.
const FLIGHT_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// What is being worked on. Keys of sources contain the number of the last purge, so that a request after a purge does not join a flight that began
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FlightKey {
    Source(SourceKey, u64),
    /// Revalidation of a stale source in the background.
    Refresh(SourceKey, u64),
    /// An unconditional fetch of a source.
    SourceBytes(SourceKey, u64),
    Rendition(RenditionKey),
}

/// The result of a flight, the same for all requests that wait for it.
pub(crate) type FlightResult<V, E> = Result<V, FlightError<E>>;

/// The error of a fetch or a render, for all requests that waited for it, and for later ones while it is stored.
#[derive(Debug)]
pub struct FlightError<E> {
    /// What failed.
    pub error: Arc<E>,
    /// When it happened, if it was answered from the negative cache.
    pub since: Option<SystemTime>,
    /// False if the error says something about a source that may not be stored.
    pub is_storable: bool,
}

impl<E> FlightError<E> {
    /// This error, of work with this source.
    pub fn about(self, source: &SourceRecord) -> Self {
        FlightError {
            is_storable: self.is_storable && source.freshness.is_storable(),
            ..self
        }
    }
}

impl<E> From<E> for FlightError<E> {
    fn from(error: E) -> Self {
        FlightError::from(Arc::new(error))
    }
}

impl<E> From<Arc<E>> for FlightError<E> {
    fn from(error: Arc<E>) -> Self {
        FlightError {
            error,
            since: None,
            is_storable: true,
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
            is_storable: self.is_storable,
        }
    }
}

/// The key contains the type of the result, so that callers with different error types have separate flights in one map.
type FlightMap = Mutex<HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>>;

#[derive(Default)]
pub(crate) struct Flights {
    in_flight: Arc<FlightMap>,
}

impl Flights {
    /// Joins the flight for `key`, or starts one that does `work`. Also returns whether it joined; `work` is then dropped without being polled.
    ///
    /// `work` must store its result before it returns, because the key is free for a new flight before the waiting requests get the result.
    pub(crate) async fn join<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = FlightResult<V, E>> + Send + 'static,
    ) -> (FlightResult<V, E>, bool)
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        // It is large, and would be copied on its way into its task, and into everything that waits for it.
        let work = Box::pin(work);
        let own = WaitBudget::current();
        let (
            FlightHandle {
                result,
                wait_budget,
                starter,
            },
            joined,
        ) = self.join_or_start(key, own.clone(), work);
        let result = if joined {
            let _span = trace::wait(starter.as_ref());
            own.join(&wait_budget, result_of(result)).await
        } else {
            result_of(result).await
        };
        (
            result.unwrap_or_else(|| Err(FlightError::from(E::from(FlightLost::Crashed)))),
            joined,
        )
    }

    /// Does `work` for `key` in the background if no flight does. Returns whether a flight was started.
    pub(crate) fn start<V, E>(
        &self,
        key: FlightKey,
        work: impl Future<Output = FlightResult<V, E>> + Send + 'static,
    ) -> bool
    where
        V: Clone + Send + Sync + 'static,
        E: From<FlightLost> + Send + Sync + 'static,
    {
        let (_, joined) = self.join_or_start(key, WaitBudget::unlimited(), work);
        !joined
    }

    /// How many flights there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.in_flight).len()
    }

    fn join_or_start<V, E>(
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
        let mut in_flight = lock(&self.in_flight);
        let existing = in_flight.get(&key).and_then(|flight| flight.downcast_ref());
        if let Some(existing) = existing {
            return (FlightHandle::clone(existing), true);
        }
        let (sender, result) = watch::channel(None);
        let handle = FlightHandle {
            result,
            wait_budget: wait_budget.clone(),
            starter: trace::place(),
        };
        in_flight.insert(key, Box::new(handle.clone()));
        drop(in_flight);

        let flight = Flight {
            slot: FlightSlot {
                in_flight: Arc::clone(&self.in_flight),
                key,
            },
            sender,
        };
        let trace = trace::fork();
        tokio::spawn(async move {
            let work = WaitBudget::scope(Some(wait_budget), trace::follow(trace, work));
            let result = timeout(FLIGHT_TIMEOUT, work).await;
            let result = result.unwrap_or_else(|_| Err(E::from(FlightLost::Overdue).into()));
            let Flight { slot, sender } = flight;
            drop(slot);
            sender.send_replace(Some(result));
        });
        (handle, false)
    }
}

/// How requests join a flight.
struct FlightHandle<V, E> {
    result: ResultReceiver<V, E>,
    wait_budget: WaitBudget,
    /// What the flight was started for.
    starter: Option<SpanPlace>,
}

impl<V, E> Clone for FlightHandle<V, E> {
    fn clone(&self) -> Self {
        FlightHandle {
            result: self.result.clone(),
            wait_budget: self.wait_budget.clone(),
            starter: self.starter.clone(),
        }
    }
}

/// Receives the result of a flight.
type ResultReceiver<V, E> = watch::Receiver<Option<FlightResult<V, E>>>;

/// `None` if the flight panicked.
async fn result_of<V: Clone, E>(mut receiver: ResultReceiver<V, E>) -> Option<FlightResult<V, E>> {
    let result = receiver.wait_for(Option::is_some).await;
    result.ok().and_then(|result| result.clone())
}

/// Dropped after a panic, too. The fields are dropped in this order, so that nobody can join a flight that has lost its result.
struct Flight<V, E> {
    slot: FlightSlot,
    sender: watch::Sender<Option<FlightResult<V, E>>>,
}

/// The entry of a flight in the map, removed when this is dropped.
struct FlightSlot {
    in_flight: Arc<FlightMap>,
    key: (FlightKey, TypeId),
}

impl Drop for FlightSlot {
    fn drop(&mut self) {
        lock(&self.in_flight).remove(&self.key);
    }
}

fn lock(
    in_flight: &FlightMap,
) -> std::sync::MutexGuard<'_, HashMap<(FlightKey, TypeId), Box<dyn Any + Send>>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}
