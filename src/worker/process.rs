//! One worker process, as the server sees it. Nothing that it says is trusted: lengths are bounded, answers must fit their jobs, and files must be what
//! they are said to be.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::memfd;
use crate::transform::{SourceFormat, sniff};
use crate::worker::answer::Expectation;
use crate::worker::death::Death;
use crate::worker::wire::{Call, FileForm, Hello, Message, Reply, SHORT, Setup, receive, send};
use crate::worker::{Job, Order, Report, Sink};

/// How long a new process may take until it is ready. Fonts are read meanwhile.
const START: Duration = Duration::from_secs(20);
/// How long a process may take to give memory back.
const TRIM: Duration = Duration::from_secs(2);
/// How long after its deadline a job is ended. Between the steps of a render, the worker looks at the clock itself.
const GRACE: Duration = Duration::from_secs(1);
/// What a process may take beside the price of its job: stacks, and what the allocator keeps.
const ROOM: u64 = 64 << 20;
/// The stack on which a drawing is rendered, which takes address space.
const DRAWING_STACK: u64 = 128 << 20;
/// What is kept of the last words of a process.
const WORDS: u64 = 4096;
/// The file for answers is cut off where it has become longer than this.
const KEPT_ANSWER: u64 = 1 << 20;

/// A worker process that is ready for a job.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    socket: UnixStream,
    /// What is too long for a message is written here by the worker.
    answers: File,
    /// Standard error: the last words.
    words: File,
    /// Its size in memory, in pages: see proc_pid_statm(5).
    size: File,
    pub hello: Hello,
    /// Jobs so far.
    pub jobs: u32,
    /// Pages of its own when it was new.
    own: u64,
}

/// Why a process has not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// It is to be ended, for this reason or for the one that its end shows.
    Lost(Option<Death>),
    /// The job panicked. The process is well, but not as new.
    Panicked,
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Lost(match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Some(Death::Overdue),
            // The socket was closed by the end of the process.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => None,
            _ => Some(Death::Nonsense),
        })
    }
}

impl Process {
    /// Starts a process, and waits until it is ready. It is killed when the calling thread ends.
    pub(super) fn start(program: &Path, setup: Setup) -> io::Result<Process> {
        let (socket, theirs) = UnixStream::pair()?;
        let answers = memfd::create("answers")?;
        let words = memfd::of_length("words", WORDS)?;
        let child = Command::new(program)
            .arg("worker")
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(words.try_clone()?)
            .spawn()?;
        let size = File::open(format!("/proc/{}/statm", child.id()))?;
        let mut process = Process {
            child,
            socket,
            answers,
            words,
            size,
            hello: Hello {
                seccomp: Ok(()),
                landlock: Ok(()),
            },
            jobs: 0,
            own: 0,
        };
        let descriptor = [process.answers.as_fd()];
        send(&process.socket, &setup, &[], &descriptor)?;
        let hello = receive(&process.socket, Some(Instant::now() + START))?;
        process.hello = hello.value;
        process.own = process.own_pages()?;
        Ok(process)
    }

    /// Does a job.
    pub(super) fn run(&mut self, order: Order, sink: Sink<'_>) -> Result<Report, Failure> {
        let Order {
            mut job,
            deadline,
            cost,
            is_idle: _,
        } = order;
        let expected = Expectation::of(&mut job, cost.bytes);
        let started = Instant::now();
        self.limit_memory(cost.bytes.saturating_add(room(&mut job)))?;
        self.jobs = self.jobs.saturating_add(1);
        let patience = deadline + GRACE;
        self.order(job, deadline, patience)?;
        loop {
            let Message { value, short, .. } = receive::<Reply>(&self.socket, Some(patience))?;
            match value {
                Reply::Item { index, made, file } => {
                    let file = self.file(file, short, expected.most())?;
                    let elapsed = started.elapsed();
                    let (index, made) = expected
                        .item(index, made, file, elapsed)
                        .ok_or(Failure::Lost(Some(Death::Nonsense)))?;
                    let is_wanted = sink(index, made).is_continue();
                    send(&self.socket, &Call::Next(is_wanted), &[], &[])?;
                }
                Reply::End {
                    answer,
                    file,
                    cpu_time,
                } => {
                    let file = self.file(file, short, expected.most())?;
                    let elapsed = started.elapsed();
                    let answer = expected
                        .answer(answer, file, elapsed)
                        .ok_or(Failure::Lost(Some(Death::Nonsense)))?;
                    let cpu_time = cpu_time.min(elapsed);
                    return Ok(Report { answer, cpu_time });
                }
                Reply::Panicked => return Err(Failure::Panicked),
                Reply::Trimmed => return Err(Failure::Lost(Some(Death::Nonsense))),
            }
        }
    }

    /// Sends a job with its files.
    fn order(&self, mut job: Job, deadline: Instant, patience: Instant) -> Result<(), Failure> {
        let files: Vec<Bytes> = job.files().into_iter().map(|file| file.clone()).collect();
        let (mut forms, mut short, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        for file in &files {
            let length = file.len() as u64;
            if file.len() <= SHORT {
                short.push(&file[..]);
                forms.push(FileForm::Short(length));
            } else {
                shared.push(match memfd::file_of(file) {
                    Some(file) => file,
                    None => Arc::new(memfd::copy(file)?),
                });
                forms.push(FileForm::Shared(length));
            }
        }
        let time = deadline.saturating_duration_since(Instant::now());
        let call = Call::Do {
            job: Box::new(job),
            time,
            files: forms,
        };
        let shared: Vec<_> = shared.iter().map(AsFd::as_fd).collect();
        let left = patience.saturating_duration_since(Instant::now());
        let left = left.max(Duration::from_millis(1));
        self.socket.set_write_timeout(Some(left))?;
        send(&self.socket, &call, &short, &shared)?;
        Ok(())
    }

    /// The file of an answer, which must not be longer than `most`.
    fn file(
        &self,
        form: Option<FileForm>,
        short: Vec<u8>,
        most: u64,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let nonsense = || Failure::Lost(Some(Death::Nonsense));
        match form {
            None => Ok(None),
            Some(FileForm::Short(length)) if length == short.len() as u64 => Ok(Some(short)),
            Some(FileForm::Shared(length)) if length <= most => {
                let length = usize::try_from(length).map_err(|_| nonsense())?;
                let mut file = Vec::new();
                file.try_reserve_exact(length).map_err(|_| nonsense())?;
                file.resize(length, 0);
                // Read, never mapped: the worker may change it at any time.
                self.answers.read_exact_at(&mut file, 0)?;
                if length as u64 > KEPT_ANSWER {
                    self.answers.set_len(0)?;
                }
                Ok(Some(file))
            }
            Some(_) => Err(nonsense()),
        }
    }

    /// Bounds the address space of the process: what it has, and so much more.
    fn limit_memory(&self, more: u64) -> io::Result<()> {
        let has = self.pages()?.0.saturating_mul(PAGE);
        let most = has.saturating_add(more);
        // The hard limit cannot be raised, and stays as it is.
        let Rlimit { maximum, .. } = getrlimit(Resource::As);
        let limit = Rlimit {
            current: Some(maximum.map_or(most, |maximum| most.min(maximum))),
            maximum,
        };
        prlimit(self.pid(), Resource::As, limit)?;
        Ok(())
    }

    /// Lets it give memory back. Returns whether it has done so, and is about as small as when it was new.
    pub(super) fn trim(&mut self) -> bool {
        /// What the allocator and the codecs keep is less than this.
        const GROWTH: u64 = (24 << 20) / PAGE;
        let trimmed = send(&self.socket, &Call::Trim, &[], &[])
            .and_then(|()| receive::<Reply>(&self.socket, Some(Instant::now() + TRIM)));
        let is_trimmed = matches!(trimmed, Ok(message) if matches!(message.value, Reply::Trimmed));
        // The pages of long answers as well.
        let is_cut = self.answers.set_len(0).is_ok();
        let own = self.own_pages();
        is_trimmed && is_cut && own.is_ok_and(|own| own <= self.own.saturating_add(GROWTH))
    }

    /// Ends it, and returns how it ended: by itself, or else for this reason.
    pub(super) fn end(mut self, reason: Option<Death>) -> (Death, String) {
        let _ = self.child.kill();
        let status = self.child.wait();
        let words = self.words();
        let by_itself = status.map_or(Death::Killed, |status| death(status, &words));
        let death = match reason {
            Some(reason) if by_itself == Death::Killed => reason,
            _ => by_itself,
        };
        (death, words)
    }

    /// What it has written last.
    fn words(&self) -> String {
        let mut words = vec![0; usize::try_from(WORDS).unwrap_or(0)];
        let _ = self.words.read_exact_at(&mut words, 0);
        let words = String::from_utf8_lossy(&words);
        let plain = |character: char| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        };
        let words: String = words.trim_end_matches('\0').chars().map(plain).collect();
        let skipped = words.chars().count().saturating_sub(400);
        words.chars().skip(skipped).collect()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Pages that it has mapped, that are in memory, and that it shares of these.
    fn pages(&self) -> io::Result<(u64, u64, u64)> {
        let mut text = [0; 128];
        let length = self.size.read_at(&mut text, 0)?;
        let text = String::from_utf8_lossy(text.get(..length).unwrap_or_default());
        let mut numbers = text.split(' ').map_while(|number| number.parse().ok());
        let mut next = || numbers.next().ok_or(io::ErrorKind::InvalidData);
        Ok((next()?, next()?, next()?))
    }

    fn own_pages(&self) -> io::Result<u64> {
        let (_, resident, shared) = self.pages()?;
        Ok(resident.saturating_sub(shared))
    }
}

/// What a job may take beside its price.
fn room(job: &mut Job) -> u64 {
    let files = job.files();
    let is_drawing = |file: &&mut Bytes| sniff(file) == Some(SourceFormat::Svg);
    if files.first().is_some_and(is_drawing) {
        ROOM + DRAWING_STACK
    } else {
        ROOM
    }
}

/// The unit of sizes in `/proc`. Where pages are larger, more memory is allowed than was meant.
const PAGE: u64 = 4096;

/// A process that is dropped is not needed any more.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended.
fn death(status: ExitStatus, words: &str) -> Death {
    match status.signal() {
        Some(libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE) => Death::Crash,
        // What Rust says where memory cannot be had.
        Some(libc::SIGABRT) if words.contains("memory allocation of") => Death::Memory,
        Some(libc::SIGABRT) => Death::Abort,
        Some(libc::SIGSYS) => Death::Forbidden,
        Some(_) => Death::Killed,
        None => Death::Exit,
    }
}
