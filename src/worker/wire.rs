//! What the server and its worker processes say to each other.
//!
//! A message is a header of two lengths, a value in the format of `postcard`, and then the files of the value that are short. Longer files are passed as
//! memory: to a worker as descriptors of sealed files, from a worker in the one file that it may write. Every length is checked before anything is
//! allocated for it.

use std::error::Error;
use std::io;
use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::transform::{Encoded, TransformError};
use crate::worker::{Answer, Job};

/// The length of the file into which the server writes what a worker reads. It is as long as the largest source that does not arrive in a file of its own,
/// and as much again for the other files of a job.
pub(super) const ORDERS: u64 = 512 << 10;
/// Files up to this length are part of the message, where they have no place in a file that is there already: passing memory takes longer. What a worker
/// says has one file at most.
pub(super) const SHORT: usize = 64 << 10;
/// The longest value.
const MAX_VALUE: usize = 1 << 20;
/// The most bytes of short files in what the server says. A batch has a saliency map for each of its pictures.
const MAX_SHORT: usize = 64 << 20;
/// What is received at once: most messages whole.
const FIRST: usize = 4096;
/// The most descriptors in a message: a source, a reduced copy, and one to spare.
pub(super) const MAX_DESCRIPTORS: usize = 3;

/// What is received.
pub(super) trait Received: DeserializeOwned {
    /// The most bytes of short files that come with it.
    const MAX_SHORT: usize;
}

impl Received for Setup {
    const MAX_SHORT: usize = 0;
}

impl Received for Hello {
    const MAX_SHORT: usize = 0;
}

impl Received for Call {
    const MAX_SHORT: usize = MAX_SHORT;
}

impl Received for Reply {
    const MAX_SHORT: usize = SHORT;
}

/// What a new worker is told first. Its answer is a [`Hello`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// Its priority, which it takes by itself.
    pub nice: i32,
    /// Whether it will draw text, so that fonts must be loaded before files can be opened no more.
    pub draws: bool,
    /// The largest file that it may write.
    pub most: u64,
}

/// What a new worker says when it is ready: what confines it, or why that does not.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub seccomp: Result<(), String>,
    pub landlock: Result<(), String>,
}

impl Hello {
    /// Whether less confines the process than another one.
    pub(super) fn is_weaker_than(&self, other: &Hello) -> bool {
        let is_lost =
            |own: &Result<(), String>, other: &Result<(), String>| own.is_err() && other.is_ok();
        is_lost(&self.seccomp, &other.seccomp) || is_lost(&self.landlock, &other.landlock)
    }
}

/// What the server says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// Do this job.
    Do {
        job: Box<Job>,
        /// How much time there is.
        time: Duration,
        /// What it was admitted with, in bytes.
        bytes: u64,
        /// The files of the job, in the order of [`Job::files`].
        files: Vec<FileForm>,
    },
    /// Whether the next picture of the batch is wanted.
    Next(bool),
    /// Give memory back: there is nothing to do.
    Trim,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// A picture of a batch.
    Item {
        index: u64,
        made: Result<Encoded, TransformError>,
        file: Option<FileForm>,
    },
    /// The end of a job.
    End {
        answer: Answer,
        file: Option<FileForm>,
        cpu_time: Duration,
    },
    /// The job panicked.
    Panicked,
    /// Memory was given back.
    Trimmed,
}

/// How a file is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum FileForm {
    /// In the message. The number is its length.
    Short(u64),
    /// In the file for what the worker reads.
    Placed { start: u64, length: u64 },
    /// As memory: a file of its own, or that for answers.
    Shared(u64),
}

/// A message as it was received.
pub(super) struct Message<T> {
    pub value: T,
    /// The short files, one after the other.
    pub short: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

/// Sends a value with its short files and descriptors. A deadline is for those who do not trust the other side, which may read as slowly as it likes.
pub(super) fn send(
    socket: &UnixStream,
    deadline: Option<Instant>,
    value: &impl Serialize,
    short: &[&[u8]],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let value = postcard::to_stdvec(value).map_err(io::Error::other)?;
    let length: usize = short.iter().map(|file| file.len()).sum();
    if value.len() > MAX_VALUE || length > MAX_SHORT || descriptors.len() > MAX_DESCRIPTORS {
        return Err(io::Error::other("the message is too long"));
    }
    let mut message = Vec::with_capacity(8 + value.len() + length);
    for length in [value.len(), length] {
        let length = u32::try_from(length).map_err(io::Error::other)?;
        message.extend_from_slice(&length.to_le_bytes());
    }
    message.extend_from_slice(&value);
    for file in short {
        message.extend_from_slice(file);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let mut sent = 0;
    while let Some(rest @ [_, ..]) = message.get(sent..) {
        if let Some(left) = left(deadline)? {
            socket.set_write_timeout(Some(left))?;
        }
        let part = [IoSlice::new(rest)];
        // The descriptors go with the first part.
        let mut none = SendAncillaryBuffer::default();
        let control = if sent == 0 { &mut control } else { &mut none };
        sent += retry_on_intr(|| sendmsg(socket, &part, control, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Receives a message. A deadline is for those who do not trust the other side; the message must have arrived whole by then.
pub(super) fn receive<T: Received>(
    socket: &UnixStream,
    deadline: Option<Instant>,
) -> io::Result<Message<T>> {
    let mut first = [0; FIRST];
    let mut descriptors = Vec::new();
    wait(socket, deadline)?;
    let received = receive_first(socket, &mut first, &mut descriptors)?;
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut rest = first.get(..received).unwrap_or_default();
    let mut header = [0; 8];
    fill(&mut header, &mut rest, socket, deadline)?;
    let [a, b, c, d, e, f, g, h] = header;
    let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    let (length, short_length) = (length([a, b, c, d]), length([e, f, g, h]));
    if length > MAX_VALUE || short_length > T::MAX_SHORT {
        return Err(invalid("a message is too long"));
    }
    let mut value = vec![0; length];
    fill(&mut value, &mut rest, socket, deadline)?;
    let mut short = vec![0; short_length];
    fill(&mut short, &mut rest, socket, deadline)?;
    // Both sides wait for an answer to each message.
    if !rest.is_empty() {
        return Err(invalid("a message has something after its end"));
    }
    Ok(Message {
        value: postcard::from_bytes(&value).map_err(invalid)?,
        short,
        descriptors,
    })
}

/// The error of what is no message.
fn invalid(reason: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Receives the first bytes, with which the descriptors come.
fn receive_first(
    socket: &UnixStream,
    first: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = retry_on_intr(|| {
        recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(first)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(files) = message {
            descriptors.extend(files);
        }
    }
    Ok(received.bytes)
}

/// Fills a part of a message: with what was received already, and then from the socket.
fn fill(
    part: &mut [u8],
    received: &mut &[u8],
    socket: &UnixStream,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let there = received.len().min(part.len());
    let (now, later) = part.split_at_mut(there);
    let (taken, left) = received.split_at(there);
    now.copy_from_slice(taken);
    *received = left;
    read(socket, later, deadline)
}

fn read(mut socket: &UnixStream, mut rest: &mut [u8], deadline: Option<Instant>) -> io::Result<()> {
    while !rest.is_empty() {
        wait(socket, deadline)?;
        match socket.read(rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the next read end by the deadline.
fn wait(socket: &UnixStream, deadline: Option<Instant>) -> io::Result<()> {
    match left(deadline)? {
        Some(left) => socket.set_read_timeout(Some(left)),
        None => Ok(()),
    }
}

/// The time until a deadline, which must not have passed.
fn left(deadline: Option<Instant>) -> io::Result<Option<Duration>> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// Reads what a worker process may have said, for fuzzers.
#[cfg(fuzzing)]
pub fn read_for_fuzzer(bytes: &[u8]) {
    use std::io::Write;
    // A socket takes so much without somebody who reads.
    const MOST: usize = 60_000;
    let Ok((mut ours, theirs)) = UnixStream::pair() else {
        return;
    };
    let _ = ours.write_all(bytes.get(..MOST).unwrap_or(bytes));
    drop(ours);
    let _ = receive::<Reply>(&theirs, Some(Instant::now() + Duration::from_secs(10)));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::{Duration, Instant};

    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Call;
    use super::Hello;
    use super::MAX_SHORT;
    use super::MAX_VALUE;
    use super::Received;
    use super::Reply;
    use super::SHORT;
    use super::receive;
    use super::send;
    use crate::memfd;

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(10))
    }

    #[test]
    fn a_message_arrives_with_its_files_and_descriptors() {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let shared = memfd::copy(b"long").expect("memory");
        let short: [&[u8]; 3] = [b"one", b"", b"two"];
        send(&ours, None, &Call::Next(true), &short, &[shared.as_fd()]).expect("room");
        let message = receive::<Call>(&theirs, soon()).expect("a message");
        assert!(matches!(message.value, Call::Next(true)));
        assert_eq!(message.short, b"onetwo");
        let [descriptor] = &message.descriptors[..] else {
            panic!("one was sent");
        };
        assert_eq!(memfd::map(descriptor, 4).expect("sealed"), &b"long"[..]);
        drop(ours);
        assert!(receive::<Call>(&theirs, soon()).is_err());
    }

    #[test]
    fn a_process_that_less_confines_is_told_from_the_first() {
        let hello = |seccomp: Result<(), &str>, landlock: Result<(), &str>| Hello {
            seccomp: seccomp.map_err(str::to_owned),
            landlock: landlock.map_err(str::to_owned),
        };
        let first = hello(Ok(()), Err("an old kernel"));
        assert!(hello(Err("no memory"), Err("an old kernel")).is_weaker_than(&first));
        assert!(!hello(Ok(()), Err("an old kernel")).is_weaker_than(&first));
        assert!(!hello(Ok(()), Ok(())).is_weaker_than(&first));
        assert!(first.is_weaker_than(&hello(Err("no memory"), Ok(()))));
    }

    #[test]
    fn lengths_are_checked_before_room_is_made() {
        fn check<T: Received>(value: usize, short: usize) {
            let (mut ours, theirs) = UnixStream::pair().expect("sockets");
            for length in [value, short] {
                let length = u32::try_from(length).expect("it fits");
                ours.write_all(&length.to_le_bytes()).expect("room");
            }
            let error = receive::<T>(&theirs, soon()).err().expect("too long");
            assert_eq!(error.to_string(), "a message is too long");
        }
        check::<Call>(MAX_VALUE + 1, 0);
        check::<Call>(0, MAX_SHORT + 1);
        check::<Reply>(MAX_VALUE + 1, 0);
        // The server makes no room for more than an honest worker sends.
        check::<Reply>(0, SHORT + 1);
        check::<Hello>(0, 1);
    }

    #[test]
    fn a_side_that_reads_nothing_or_little_is_not_waited_for() {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let long = vec![0; 8 << 20];
        let reader = thread::spawn(move || {
            let mut byte = [0; 1];
            while matches!((&theirs).read(&mut byte), Ok(1)) {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let until = Instant::now() + Duration::from_millis(50);
        let sent = send(&ours, Some(until), &Call::Trim, &[&long], &[]);
        assert!(sent.is_err() && Instant::now() >= until);
        drop(ours);
        drop(reader);
    }

    #[test]
    fn a_message_that_does_not_end_is_not_waited_for() {
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        ours.write_all(&[9, 0, 0]).expect("room");
        let soon = Instant::now() + Duration::from_millis(30);
        assert!(receive::<Reply>(&theirs, Some(soon)).is_err());
    }

    proptest! {
        #[test]
        fn no_message_is_too_odd(bytes in vec(any::<u8>(), 0..200), length in 0_u32..200) {
            let (mut ours, theirs) = UnixStream::pair().expect("sockets");
            ours.write_all(&length.to_le_bytes()).expect("room");
            ours.write_all(&0_u32.to_le_bytes()).expect("room");
            ours.write_all(&bytes).expect("room");
            drop(ours);
            // It may be a message by chance.
            let _ = receive::<Reply>(&theirs, soon());
        }
    }
}
