//! One worker process, as the server sees it. Nothing that it says is trusted: lengths are bounded, answers must fit their jobs, and files must be what
//! they are said to be.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::memfd;
use crate::worker::answer::Expectation;
use crate::worker::death::Death;
use crate::worker::owned::OwnedChild;
use crate::worker::size::Size;
use crate::worker::stat::Stat;
use crate::worker::wire::{
    Call, FileForm, Hello, Message, ORDERS, Reply, SHORT, Setup, receive, send,
};
use crate::worker::{Job, Order, Report, Sink};

/// How long a new process may take until it is ready. Fonts are read meanwhile.
const START: Duration = Duration::from_secs(20);
/// How long a process may take to give memory back.
const TRIM: Duration = Duration::from_secs(2);
/// How long after its deadline a job is ended. Between the steps of a render, the worker looks at the clock itself.
const GRACE: Duration = Duration::from_secs(1);
/// How long a process may say nothing, whatever its deadline is: that of a batch is for all of its pictures.
const SILENCE: Duration = Duration::from_secs(10 * 60);
/// What a process may take beside the price of its job: stacks, and what the allocator keeps.
const ROOM: u64 = 64 << 20;
/// What is kept of the last words of a process.
const WORDS: u64 = 4096;
/// The file for answers is cut off where it has become longer than this.
const KEPT_ANSWER: u64 = 1 << 20;
/// Growth after which a process is replaced: what the allocator keeps on purpose is less than half of this.
const WORN: u64 = 128 << 20;
/// How many threads a process may have between two jobs, where it may start any: it needs two, and those of the last job may not have ended altogether.
const THREADS: u64 = 8;
/// Growth that is left where memory was to be given back.
const GROWN: u64 = 24 << 20;

/// A worker process that is ready for a job.
#[derive(Debug)]
pub(super) struct Process {
    child: OwnedChild,
    socket: UnixStream,
    /// What the worker reads is written here by the server, if it is not in a file of its own.
    orders: File,
    /// What is too long for a message is written here by the worker.
    answers: File,
    /// Standard error: the last words.
    words: File,
    /// Where the system tells its size.
    statm: File,
    /// The longest file that it may ever write.
    longest: u64,
    /// The most address space that it may ever have.
    widest: Option<u64>,
    pub hello: Hello,
    /// Jobs so far.
    pub jobs: u32,
    /// The CPU time that it had used before its last job.
    used: Duration,
    /// Its size when it was new.
    new: Size,
    /// Its size after its last job.
    size: Size,
    /// Whether it holds much more than when it was new.
    pub is_worn: bool,
    /// Whether it has done a job since it gave memory back.
    has_worked: bool,
}

/// Why a process has not answered.
#[derive(Debug)]
pub(super) enum Failure {
    /// The job could not be passed on: there is no memory for it, or no descriptor. The process is as it was.
    Unsent,
    /// The server has failed in the middle of a job, for want of memory or descriptors. The process is to be ended, and no picture is to blame.
    Broken(io::Error),
    /// It is to be ended, for this reason or for the one that its end shows.
    Lost(Option<Death>),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                Failure::Lost(Some(Death::Overdue))
            }
            // The socket was closed by the end of the process.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => Failure::Lost(None),
            // What the process has said is no message.
            io::ErrorKind::InvalidData => Failure::Lost(Some(Death::Nonsense)),
            _ => Failure::Broken(error),
        }
    }
}

impl Process {
    /// Starts a process, and waits until it is ready. It is killed when the calling thread ends.
    pub(super) fn start(program: &Path, mut setup: Setup) -> io::Result<Process> {
        // Who has no right to raise a limit cannot allow more than there is.
        let longest = getrlimit(Resource::Fsize).maximum;
        setup.most = longest.map_or(setup.most, |longest| longest.min(setup.most));
        let (socket, theirs) = UnixStream::pair()?;
        let orders = memfd::of_length("orders", ORDERS)?;
        let answers = memfd::create("answers")?;
        let words = memfd::of_length("words", WORDS)?;
        let child = Command::new(program)
            .arg0("safelight")
            .arg("worker")
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            // Not `/dev/null`, which a container may lack.
            .stdout(words.try_clone()?)
            .stderr(words.try_clone()?)
            .spawn()
            .map(OwnedChild::new)?;
        let statm = File::open(format!("/proc/{}/statm", child.id()))?;
        let mut process = Process {
            child,
            socket,
            orders,
            answers,
            words,
            statm,
            longest: setup.most,
            widest: getrlimit(Resource::As).maximum,
            hello: Hello {
                seccomp: Ok(()),
                landlock: Ok(()),
            },
            jobs: 0,
            used: Duration::ZERO,
            new: Size::default(),
            size: Size::default(),
            is_worn: false,
            has_worked: false,
        };
        let until = Some(Instant::now() + START);
        let descriptors = [process.orders.as_fd(), process.answers.as_fd()];
        send(&process.socket, until, &setup, &[], &descriptors)?;
        let hello = receive(&process.socket, until)?;
        process.hello = hello.value;
        process.measure()?;
        process.new = process.size;
        process.used = Stat::read(process.id())?.cpu_time;
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
        let mut expected = Expectation::of(&mut job, cost.bytes);
        let started = Instant::now();
        // The files are mapped as well, beside what the job may hold.
        let files = job.files().iter().map(|file| file.len() as u64).sum();
        let more = cost.bytes.saturating_add(ROOM).saturating_add(files);
        self.limit(more, expected.most())
            .map_err(|_| Failure::Unsent)?;
        self.jobs = self.jobs.saturating_add(1);
        self.has_worked = true;
        let patience = deadline + GRACE;
        self.order(job, cost.bytes, deadline, patience)?;
        loop {
            let until = patience.min(Instant::now() + SILENCE);
            let Message { value, short, .. } = receive::<Reply>(&self.socket, Some(until))?;
            match value {
                Reply::Item { index, made, file } => {
                    let file = self.file(file, short, expected.most())?;
                    let elapsed = started.elapsed();
                    let (index, made) = expected
                        .item(index, made, file, elapsed)
                        .ok_or(Failure::Lost(Some(Death::Nonsense)))?;
                    let is_wanted = sink(index, made).is_continue();
                    let call = Call::Next(is_wanted);
                    send(&self.socket, Some(patience), &call, &[], &[])?;
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
                    self.used = self.used.saturating_add(cpu_time);
                    self.is_worn = self.tidy().is_err();
                    return Ok(Report { answer, cpu_time });
                }
                Reply::Panicked => return Err(Failure::Lost(Some(Death::Panic))),
                Reply::Trimmed => return Err(Failure::Lost(Some(Death::Nonsense))),
            }
        }
    }

    /// Sends a job with its files.
    fn order(
        &self,
        mut job: Job,
        bytes: u64,
        deadline: Instant,
        patience: Instant,
    ) -> Result<(), Failure> {
        let files: Vec<Bytes> = job.files().into_iter().map(|file| file.clone()).collect();
        let (mut forms, mut short, mut shared) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for file in &files {
            let length = file.len() as u64;
            let end = length.saturating_add(start);
            forms.push(if let Some(file) = memfd::file_of(file) {
                shared.push(file);
                FileForm::Shared(length)
            } else if end <= ORDERS {
                let written = self.orders.write_all_at(file, start);
                written.map_err(|_| Failure::Unsent)?;
                FileForm::Placed {
                    start: std::mem::replace(&mut start, end),
                    length,
                }
            } else if file.len() <= SHORT {
                short.push(&file[..]);
                FileForm::Short(length)
            } else {
                let copy = memfd::copy(file).map_err(|_| Failure::Unsent)?;
                shared.push(Arc::new(copy));
                FileForm::Shared(length)
            });
        }
        let time = deadline.saturating_duration_since(Instant::now());
        let call = Call::Do {
            job: Box::new(job),
            time,
            bytes,
            files: forms,
        };
        let shared: Vec<_> = shared.iter().map(AsFd::as_fd).collect();
        send(&self.socket, Some(patience), &call, &short, &shared)?;
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
                file.try_reserve_exact(length)
                    .map_err(|_| Failure::Broken(io::ErrorKind::OutOfMemory.into()))?;
                file.resize(length, 0);
                // Read, never mapped: the worker may change it at any time.
                let is_read = self.answers.read_exact_at(&mut file, 0);
                is_read.map_err(|error| match error.kind() {
                    io::ErrorKind::UnexpectedEof => nonsense(),
                    _ => error.into(),
                })?;
                Ok(Some(file))
            }
            Some(_) => Err(nonsense()),
        }
    }

    /// Makes it ready for the next job.
    ///
    /// # Errors
    /// It is to be replaced.
    fn tidy(&mut self) -> io::Result<()> {
        self.clear()?;
        self.measure()?;
        // Only the decoder for HEIC may start threads.
        let has_threads = cfg!(feature = "heic") && self.threads()? > THREADS;
        if has_threads || self.size.exceeds(self.new, WORN) {
            return Err(io::Error::other("it keeps more than it needs"));
        }
        Ok(())
    }

    fn measure(&mut self) -> io::Result<()> {
        self.size = Size::read(&self.statm)?;
        Ok(())
    }

    /// How many threads it has: a link for each, and the two of every folder.
    fn threads(&self) -> io::Result<u64> {
        let tasks = fs::metadata(format!("/proc/{}/task", self.id()))?;
        Ok(tasks.nlink().saturating_sub(2))
    }

    /// Bounds the address space of the process, to what it had after its last job and so much more, and the file for answers.
    fn limit(&self, more: u64, file: u64) -> io::Result<()> {
        let most = self.size.mapped.saturating_add(more);
        // A hard limit cannot be raised, and stays as it is.
        for (resource, most, maximum) in [
            (Resource::As, most, self.widest),
            (Resource::Fsize, file, Some(self.longest)),
        ] {
            let limit = Rlimit {
                current: Some(maximum.map_or(most, |maximum| most.min(maximum))),
                maximum,
            };
            prlimit(self.pid(), resource, limit)?;
        }
        Ok(())
    }

    /// Makes room after a job: long answers, and what libraries have written to standard error meanwhile.
    fn clear(&mut self) -> io::Result<()> {
        if self.answers.metadata()?.len() > KEPT_ANSWER {
            self.answers.set_len(0)?;
        }
        // The place in the file is that of the worker as well.
        let written = usize::try_from(self.words.stream_position()?.min(WORDS)).unwrap_or(0);
        if written > 0 {
            self.words.write_all_at(&vec![0; written], 0)?;
            self.words.rewind()?;
        }
        Ok(())
    }

    /// Lets it give memory back. Returns whether it has done so, and is about as small as when it was new.
    pub(super) fn trim(&mut self) -> bool {
        if !std::mem::take(&mut self.has_worked) {
            return true;
        }
        let until = Some(Instant::now() + TRIM);
        let trimmed = send(&self.socket, until, &Call::Trim, &[], &[])
            .and_then(|()| receive::<Reply>(&self.socket, until));
        let is_trimmed = matches!(trimmed, Ok(message) if matches!(message.value, Reply::Trimmed));
        // The pages of its files as well.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let is_cut =
            self.answers.set_len(0).is_ok() && fallocate(&self.orders, hole, 0, ORDERS).is_ok();
        is_trimmed
            && is_cut
            && self.measure().is_ok()
            && self.size.own <= self.new.own.saturating_add(GROWN)
    }

    /// The CPU time that the job has used which is not done; `None` where the system does not tell.
    pub(super) fn used(&self) -> Option<Duration> {
        let used = Stat::read(self.id()).ok()?.cpu_time;
        Some(used.saturating_sub(self.used))
    }

    /// Ends it, and returns how it ended: by itself, or else for this reason.
    pub(super) fn end(mut self, reason: Option<Death>) -> (Death, String) {
        // One that has closed its socket and does not end wants to look like one that somebody else has killed.
        let is_ending = reason.is_none() && self.child.ends_soon();
        let reason = reason.or((!is_ending).then_some(Death::Nonsense));
        let status = self.child.end();
        let words = self.words();
        let by_itself = status.map_or(Death::Killed, |status| Death::of(status, &words));
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

    /// Whether it runs. One that somebody else has ended while it had nothing to do is no fault of the next picture.
    pub(super) fn is_alive(&mut self) -> bool {
        self.child.is_alive()
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Failure;
    use crate::worker::Death;

    #[test]
    fn what_the_server_lacks_is_no_fault_of_the_picture() {
        for number in [
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::EMFILE,
            libc::ETOOMANYREFS,
            libc::EPERM,
        ] {
            let failure = Failure::from(io::Error::from_raw_os_error(number));
            assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
        }
        let failure = Failure::from(io::Error::from_raw_os_error(libc::EPIPE));
        assert!(matches!(failure, Failure::Lost(None)), "{failure:?}");
        let odd = io::Error::new(io::ErrorKind::InvalidData, "a message is too long");
        let failure = Failure::from(odd);
        assert!(
            matches!(failure, Failure::Lost(Some(Death::Nonsense))),
            "{failure:?}"
        );
    }
}
