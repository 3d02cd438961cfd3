//! A worker process: `safelight worker`, which the server starts. It takes jobs from its standard input, a socket, and ends with it.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::thread;
use std::time::{Duration, Instant};
use std::vec;

use bytes::Bytes;

use crate::allocator;
use crate::memfd;
use crate::transform::{
    Budget, DRAWING_STACK, Encoded, TransformError, draw_on_this_thread, open_fonts,
};
use crate::worker::confinement::{close_inherited, confine, forbid_calls, ignore_signals};
use crate::worker::wire::{
    Call, FileForm, Hello, MAX_DESCRIPTORS, Message, ORDERS, Reply, SHORT, Setup, receive, send,
};
use crate::worker::{Answer, Job};

/// The stack of the thread that renders: as that of the threads of the server, see `cpu`.
const STACK_BYTES: usize = 4 << 20;

/// Where answers go.
struct Outlet {
    socket: UnixStream,
    /// The file for what is too long for a message.
    file: File,
}

/// Does jobs until the server closes the socket.
///
/// # Errors
/// Standard input is no socket of the server, or the server is gone.
pub fn serve_jobs() -> io::Result<()> {
    ignore_signals();
    close_inherited();
    allocator::use_one_arena();
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Message {
        value: setup,
        mut descriptors,
        ..
    } = receive::<Setup>(&socket, None)?;
    let file = descriptors.pop().ok_or(io::ErrorKind::InvalidInput)?;
    let orders = descriptors.pop().ok_or(io::ErrorKind::InvalidInput)?;
    let orders = memfd::map_for_good(orders, ORDERS)?;
    if setup.draws {
        open_fonts();
    }
    let outlet = Outlet {
        socket,
        file: file.into(),
    };
    // Finds the clock, which may take a file.
    cpu_time();
    // A job finds the place of the orders free, and the places after the file.
    let last = u64::try_from(outlet.file.as_raw_fd()).map_err(io::Error::other)?;
    let landlock = confine(&setup, last + MAX_DESCRIPTORS as u64);
    let draws = setup.draws;
    let work = move || {
        if draws {
            draw_on_this_thread();
        }
        let hello = Hello {
            seccomp: forbid_calls(),
            landlock,
        };
        send(&outlet.socket, None, &hello, &[], &[])?;
        serve(&outlet, orders)
    };
    let worker = thread::Builder::new()
        .stack_size(STACK_BYTES + if draws { DRAWING_STACK } else { 0 })
        .spawn(work)?
        .join();
    worker.unwrap_or_else(|_| Err(io::Error::other("the worker panicked")))
}

fn serve(outlet: &Outlet, orders: &'static [u8]) -> io::Result<()> {
    loop {
        let message = match receive::<Call>(&outlet.socket, None) {
            Ok(message) => message,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        match message.value {
            Call::Do {
                job,
                time,
                bytes,
                files,
            } => {
                let budget = Budget::until(Instant::now() + time).holding(bytes);
                let inlet = Inlet {
                    orders,
                    short: message.short.into(),
                    descriptors: message.descriptors.into_iter(),
                };
                outlet.run(inlet.give_to(*job, &files)?, &budget)?;
            }
            // The answer to a picture of a batch: see `send_item`.
            Call::Next(_) => return Err(io::ErrorKind::InvalidData.into()),
            Call::Trim => {
                allocator::trim();
                send(&outlet.socket, None, &Reply::Trimmed, &[], &[])?;
            }
        }
    }
}

/// Where the files of a job are.
struct Inlet {
    /// The file into which the server writes.
    orders: &'static [u8],
    short: Bytes,
    descriptors: vec::IntoIter<OwnedFd>,
}

impl Inlet {
    /// Gives a job its files.
    fn give_to(mut self, mut job: Job, forms: &[FileForm]) -> io::Result<Job> {
        for (file, form) in job.files().into_iter().zip(forms) {
            *file = self.file(*form)?;
        }
        Ok(job)
    }

    fn file(&mut self, form: FileForm) -> io::Result<Bytes> {
        let number = |number| usize::try_from(number).map_err(io::Error::other);
        match form {
            FileForm::Short(length) => {
                let length = number(length)?;
                if length > self.short.len() {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(self.short.split_to(length))
            }
            FileForm::Placed { start, length } => {
                let rest = self.orders.get(number(start)?..);
                let file = rest.and_then(|rest| rest.get(..usize::try_from(length).ok()?));
                file.map(Bytes::from_static)
                    .ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            FileForm::Shared(length) => {
                let descriptor = self.descriptors.next().ok_or(io::ErrorKind::InvalidData)?;
                memfd::map(&descriptor, length)
            }
        }
    }
}

impl Outlet {
    fn run(&self, job: Job, budget: &Budget) -> io::Result<()> {
        let started = cpu_time();
        let mut is_broken = Ok(());
        let work = || {
            #[cfg(debug_assertions)]
            crate::worker::fault::commit(&job);
            job.run(
                budget,
                &mut |index, made| match self.send_item(index, made) {
                    Ok(true) => ControlFlow::Continue(()),
                    Ok(false) => ControlFlow::Break(()),
                    Err(error) => {
                        is_broken = Err(error);
                        ControlFlow::Break(())
                    }
                },
            )
        };
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        is_broken?;
        let Ok(mut answer) = done else {
            return send(&self.socket, None, &Reply::Panicked, &[], &[]);
        };
        let (file, short) = self.put(answer.take_file())?;
        let cpu_time = cpu_time().saturating_sub(started);
        let reply = Reply::End {
            answer,
            file,
            cpu_time,
        };
        send(&self.socket, None, &reply, &[&short], &[])
    }

    /// Sends a picture of a batch, and returns whether the next one is wanted.
    fn send_item(
        &self,
        index: usize,
        mut made: Result<Encoded, TransformError>,
    ) -> io::Result<bool> {
        let (file, short) = self.put(made.as_mut().ok().map(Encoded::take_file))?;
        let index = u64::try_from(index).map_err(io::Error::other)?;
        let item = Reply::Item { index, made, file };
        send(&self.socket, None, &item, &[&short], &[])?;
        match receive::<Call>(&self.socket, None)?.value {
            Call::Next(is_wanted) => Ok(is_wanted),
            Call::Do { .. } | Call::Trim => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// How a file is passed, and its bytes if they are part of the message. The memory of a long one is free before the server looks how much there is.
    fn put(&self, bytes: Option<Vec<u8>>) -> io::Result<(Option<FileForm>, Vec<u8>)> {
        let Some(bytes) = bytes else {
            return Ok((None, Vec::new()));
        };
        let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
        if bytes.len() <= SHORT {
            return Ok((Some(FileForm::Short(length)), bytes));
        }
        self.file.write_all_at(&bytes, 0)?;
        Ok((Some(FileForm::Shared(length)), Vec::new()))
    }
}

impl Answer {
    /// Takes the file out of an answer. That of a source stays where it is: the server has it, and writes the next one in its place.
    fn take_file(&mut self) -> Option<Vec<u8>> {
        match self {
            Answer::Encoded(Ok(encoded)) => Some(encoded.take_file()),
            Answer::Stripped(file) => file.take(),
            Answer::Source(Ok(source)) => {
                *source.file() = Bytes::new();
                None
            }
            Answer::Source(Err(_)) | Answer::Encoded(Err(_)) | Answer::Done => None,
        }
    }
}

/// The CPU time of this process, all threads of a job included.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
