//! The worker processes of a server: as many as there are threads that may need one, and one more that is ready when another one ends.
//!
//! A process does one job at a time, for one thread that waits for it; so lanes, priorities and memory are those of the threads. Foreground and idle work
//! have processes of their own, because a priority that was lowered cannot be raised again.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use blake3::Hash;
use bytes::Bytes;

use crate::worker::blocked::{BlockedSources, Refusal, is_starved};
use crate::worker::death::{Death, WorkerError};
use crate::worker::process::{Failure, Process};
use crate::worker::wire::{Hello, Setup};
use crate::worker::{Order, ProcessConfig, Report, Sink, WorkerStats};

/// After so many jobs a process is replaced, whatever it may have become.
const JOBS: u32 = 1000;
/// How long it takes until another start is tried after one has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a job waits for a process that is being started.
const PATIENCE: Duration = Duration::from_secs(5);

/// Worker processes.
#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
    /// What the first process has said.
    hello: Hello,
}

#[derive(Debug)]
struct Shared {
    config: ProcessConfig,
    state: Mutex<State>,
    /// A process is ready, or may be started.
    ready: Condvar,
    /// A process is to be started, or the pool closes.
    wanted: Condvar,
    blocked: Mutex<BlockedSources>,
    counts: Counts,
}

#[derive(Debug)]
struct State {
    foreground: Class,
    idle: Class,
    is_closing: bool,
}

/// The processes for one kind of work.
#[derive(Debug, Default)]
struct Class {
    ready: Vec<Process>,
    /// How many do a job now.
    busy: usize,
    /// How many there may be.
    most: usize,
    /// How many threads wait for one.
    waiting: usize,
    /// Whether there has been any work.
    is_used: bool,
}

/// What has happened to processes.
#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    deaths: [AtomicU64; Death::ALL.len()],
    blocked: AtomicU64,
}

impl Counts {
    fn record(&self, death: Death) {
        let kind = Death::ALL.iter().position(|&kind| kind == death);
        if let Some(count) = kind.and_then(|kind| self.deaths.get(kind)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Pool {
    /// Starts the first process, to learn whether that works, and a thread that starts all others.
    ///
    /// # Errors
    /// The process or the thread could not be started.
    pub(crate) fn open(config: ProcessConfig) -> io::Result<Pool> {
        let class = |threads: usize| Class {
            // One more is ready when another one ends.
            most: threads.saturating_add(1),
            ..Class::default()
        };
        let state = State {
            foreground: Class {
                is_used: true,
                ..class(config.foreground)
            },
            idle: class(config.idle),
            is_closing: false,
        };
        let shared = Arc::new(Shared {
            config,
            state: Mutex::new(state),
            ready: Condvar::new(),
            wanted: Condvar::new(),
            blocked: Mutex::default(),
            counts: Counts::default(),
        });
        let (tell, told) = std::sync::mpsc::channel();
        let starter = Arc::clone(&shared);
        // A process is killed when the thread that has started it ends: so one thread starts all of them, and lives as long as the pool.
        thread::Builder::new()
            .name("worker-start".to_owned())
            .spawn(move || {
                let first = starter.start(false);
                let result = first.map(|process| {
                    let hello = process.hello.clone();
                    starter.lock().foreground.ready.push(process);
                    hello
                });
                let hello = result.as_ref().ok().cloned();
                let _ = tell.send(result);
                if let Some(hello) = hello {
                    starter.keep_ready(&hello);
                }
            })?;
        let hello = told.recv().map_err(io::Error::other)??;
        match &hello {
            Hello {
                seccomp: Ok(()),
                landlock: Ok(()),
            } => tracing::info!("pictures are made in processes that seccomp and Landlock confine"),
            Hello { seccomp, landlock } => {
                let word = |result: &Result<(), String>| match result {
                    Ok(()) => "yes".to_owned(),
                    Err(reason) => format!("no: {reason}"),
                };
                tracing::warn!(
                    seccomp = word(seccomp),
                    landlock = word(landlock),
                    "pictures are made in processes that this system does not confine in full"
                );
            }
        }
        Ok(Pool { shared, hello })
    }

    /// Does a job in a process, and waits for its end.
    pub(crate) fn run(&self, mut order: Order, sink: Sink<'_>) -> Result<Report, WorkerError> {
        let (shared, is_idle) = (&self.shared, order.is_idle);
        let source = order.job.files().first().map(|file| Bytes::clone(file));
        let source = source.unwrap_or_default();
        if let Some(refusal) = shared.refusal(&source) {
            return Err(match refusal {
                Refusal::Blocked => {
                    shared.counts.blocked.fetch_add(1, Ordering::Relaxed);
                    WorkerError::Blocked
                }
                Refusal::Resting(left) => WorkerError::Killed(left),
            });
        }
        let (mut place, mut process) = shared.take(is_idle, order.deadline)?;
        let (started, estimate) = (Instant::now(), order.cost.cpu);
        match process.run(order, sink) {
            Ok(report) => {
                place.process = Some(process);
                Ok(report)
            }
            Err(Failure::Unsent) => {
                place.process = Some(process);
                Err(WorkerError::Unavailable)
            }
            Err(Failure::Broken(error)) => {
                tracing::warn!(%error, "a worker process is given up: the server could not go on with its job");
                Err(WorkerError::Unavailable)
            }
            Err(Failure::Lost(reason)) => {
                let (id, used) = (process.id(), process.used());
                let (death, words) = process.end(reason);
                drop(place);
                let hash = blake3::hash(&source);
                shared.record_death(death, hash, id, &words);
                Err(match death {
                    Death::Overdue if is_starved(used, started.elapsed(), estimate) => {
                        WorkerError::Died(death)
                    }
                    _ => shared.blame(death, source.len(), hash),
                })
            }
        }
    }

    /// Gives memory back, when there is nothing to do. Only one process at a time is missing for a job that comes meanwhile.
    pub(crate) fn trim(&self) {
        let shared = &self.shared;
        let (ready, unused) = {
            let mut state = shared.lock();
            // Work that has come meanwhile waits for one.
            state.idle.is_used = state.idle.waiting > 0;
            let unused = std::mem::take(&mut state.idle.ready);
            (state.foreground.ready.len(), unused)
        };
        drop(unused);
        for _ in 0..ready {
            let Some((mut place, mut process)) = shared.take_first() else {
                return;
            };
            if process.trim() {
                place.process = Some(process);
            }
        }
    }

    /// What has happened so far, and how many processes there are.
    pub(crate) fn stats(&self) -> WorkerStats {
        let Counts {
            started,
            deaths,
            blocked,
        } = &self.shared.counts;
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let state = self.shared.lock();
        let State {
            foreground, idle, ..
        } = &*state;
        WorkerStats {
            ready: foreground.ready.len() + idle.ready.len(),
            busy: foreground.busy + idle.busy,
            started: number(started),
            blocked: number(blocked),
            deaths: Death::ALL
                .into_iter()
                .zip(deaths)
                .map(|(death, count)| (death, number(count)))
                .collect(),
            confinement: [
                ("seccomp", self.hello.seccomp.is_ok()),
                ("landlock", self.hello.landlock.is_ok()),
            ],
        }
    }
}

impl Drop for Pool {
    /// Ends the thread that starts processes, and with it all processes.
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.ready.notify_all();
        self.shared.wanted.notify_all();
    }
}

impl State {
    fn class(&mut self, is_idle: bool) -> &mut Class {
        if is_idle {
            &mut self.idle
        } else {
            &mut self.foreground
        }
    }
}

impl Class {
    /// Whether another process should be started: one is ready whenever there may be one more.
    fn wants(&self) -> bool {
        let is_short = self.ready.len() <= self.waiting;
        self.is_used && is_short && self.ready.len() + self.busy < self.most
    }
}

impl Shared {
    /// Nothing that panics runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, is_idle: bool) -> io::Result<Process> {
        let (foreground, idle) = self.config.nice;
        let setup = Setup {
            nice: if is_idle { idle } else { foreground },
            draws: self.config.draws,
            most: self.config.most,
        };
        let process = Process::start(&self.config.program, setup)?;
        self.counts.started.fetch_add(1, Ordering::Relaxed);
        Ok(process)
    }

    /// Starts a process that is confined at least as the first one is: the log tells how that is, and so do the metrics.
    fn start_like(&self, first: &Hello, is_idle: bool) -> io::Result<Process> {
        let process = self.start(is_idle)?;
        if process.hello.is_weaker_than(first) {
            let Hello { seccomp, landlock } = &process.hello;
            return Err(io::Error::other(format!(
                "less confines it than the first one: {seccomp:?}, {landlock:?}"
            )));
        }
        Ok(process)
    }

    /// Starts processes whenever one is wanted.
    fn keep_ready(&self, first: &Hello) {
        let mut state = self.lock();
        while !state.is_closing {
            let is_idle = !state.foreground.wants();
            if is_idle && !state.idle.wants() {
                let waited = self.wanted.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            let started = self.start_like(first, is_idle);
            if let Err(error) = &started {
                tracing::error!(%error, "cannot start a worker process");
                thread::sleep(PAUSE);
            }
            state = self.lock();
            if let Ok(process) = started {
                state.class(is_idle).ready.push(process);
                self.ready.notify_all();
            }
        }
        let ready = [
            std::mem::take(&mut state.foreground.ready),
            std::mem::take(&mut state.idle.ready),
        ];
        drop(state);
        drop(ready);
    }

    /// A process that is ready.
    fn take(&self, is_idle: bool, deadline: Instant) -> Result<(Place<'_>, Process), WorkerError> {
        let patience = deadline.min(Instant::now() + PATIENCE);
        let mut state = self.lock();
        let class = state.class(is_idle);
        class.is_used = true;
        class.waiting += 1;
        loop {
            // The one that has worked last: it has most in its caches.
            if let Some(mut process) = state.class(is_idle).ready.pop() {
                if !process.is_alive() {
                    continue;
                }
                let class = state.class(is_idle);
                class.waiting -= 1;
                let place = self.place(class, is_idle);
                if class.wants() {
                    self.wanted.notify_one();
                }
                return Ok((place, process));
            }
            self.wanted.notify_one();
            let left = patience.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_closing {
                state.class(is_idle).waiting -= 1;
                return Err(WorkerError::Unavailable);
            }
            let waited = self.ready.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The foreground process that has been ready for the longest time.
    fn take_first(&self) -> Option<(Place<'_>, Process)> {
        let mut state = self.lock();
        let class = &mut state.foreground;
        let process = (!class.ready.is_empty()).then(|| class.ready.remove(0))?;
        Some((self.place(class, false), process))
    }

    fn place(&self, class: &mut Class, is_idle: bool) -> Place<'_> {
        class.busy += 1;
        Place {
            shared: self,
            is_idle,
            process: None,
        }
    }

    fn blocked(&self) -> MutexGuard<'_, BlockedSources> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a source must not be tried. Its hash is made only where another one of its length is refused.
    fn refusal(&self, source: &[u8]) -> Option<Refusal> {
        let now = Instant::now();
        if !self.blocked().has_length(source.len(), now) {
            return None;
        }
        let hash = blake3::hash(source);
        self.blocked().refusal(hash, now)
    }

    /// Remembers what the end of a process says of its source.
    fn blame(&self, death: Death, length: usize, hash: Hash) -> WorkerError {
        let (mut blocked, now) = (self.blocked(), Instant::now());
        if death == Death::Killed {
            return WorkerError::Killed(blocked.record_kill(length, hash, now));
        }
        blocked.record_death(length, hash, now);
        WorkerError::Died(death)
    }

    fn record_death(&self, death: Death, hash: Hash, id: u32, words: &str) {
        self.counts.record(death);
        tracing::warn!(
            death = death.word(),
            source = %hash.to_hex(),
            process = id,
            words,
            "a worker process ended during a transformation, which fails; others go on"
        );
    }
}

/// The place of a process that does a job. When it is dropped, another process may take it, or the same one goes on if it was put back here.
struct Place<'a> {
    shared: &'a Shared,
    is_idle: bool,
    process: Option<Process>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let is_closing = state.is_closing;
        let class = state.class(self.is_idle);
        class.busy = class.busy.saturating_sub(1);
        let goes_on =
            |process: &mut Process| process.jobs < JOBS && !process.is_worn && !is_closing;
        class.ready.extend(self.process.take_if(goes_on));
        let (is_awaited, is_wanted) = (class.waiting > 0, class.wants());
        drop(state);
        if is_awaited {
            // Both kinds of work wait here.
            self.shared.ready.notify_all();
        }
        if is_wanted {
            self.shared.wanted.notify_one();
        }
    }
}
