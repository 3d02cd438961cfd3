//! Faults on purpose, for tests: a source that ends with one of these words makes its worker process misbehave. Release builds have none of this.
//!
//! The end of such a source is `SAFELIGHT-FAULT:job:fault`: the kind of job that commits it, and what it does.

use std::fs::File;
use std::hint;
use std::io;
use std::net::UdpSocket;
use std::process;
use std::thread;
use std::time::Duration;

use crate::worker::{BatchJob, Job};

/// Commits the fault that the source of a job asks for.
pub(super) fn commit(job: &Job) {
    let (kind, source): (&[u8], &[u8]) = match job {
        Job::Open { bytes, .. } => (b"open:", bytes),
        Job::Render { source, .. } => (b"render:", source.bytes()),
        Job::SaliencyMap { source, .. } => (b"saliency:", source.bytes()),
        Job::ReducedCopy { source, .. } => (b"copy:", source.bytes()),
        Job::Batch(BatchJob { source, .. }) => (b"batch:", source.bytes()),
        Job::Strip { bytes, .. } => (b"strip:", bytes),
    };
    let Some(fault) = word(source).and_then(|word| word.strip_prefix(kind)) else {
        return;
    };
    match fault {
        b"abort" => process::abort(),
        b"exit" => process::exit(0),
        b"panic" => panic!("a fault on purpose"),
        b"hang" => loop {
            thread::sleep(Duration::from_secs(1));
        },
        b"spin" => loop {
            hint::spin_loop();
        },
        // A good job that takes its time.
        b"slow" => return thread::sleep(SLOW),
        b"memory" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 16 << 20]);
                hint::black_box(&all);
            }
        }
        // Not so much that it is told from a good job, which this becomes.
        b"leak" => return Box::leak(vec![1_u8; LEAK].into_boxed_slice()).fill(2),
        b"share" => return share_memory(),
        b"thread" if thread::Builder::new().spawn(|| ()).is_ok() => return,
        b"stack" => {
            hint::black_box(overflow(0));
        }
        b"write" => write_out_of_bounds(),
        b"fill" => fill_files(),
        b"nonsense" => {
            // Standard input is the socket.
            let _ = rustix::io::write(io::stdin(), &[0xff; 64]);
            thread::sleep(Duration::from_secs(60));
        }
        b"close" => {
            close_files();
            thread::sleep(Duration::from_secs(60));
        }
        b"signal" => send_signal(),
        b"code" => map_code(),
        b"file" if File::open("/etc/passwd").is_ok() => return,
        b"socket" if UdpSocket::bind("127.0.0.1:0").is_ok() => return,
        b"exec" if process::Command::new("/bin/true").status().is_ok() => return,
        _ => {}
    }
    // Where files, sockets and programs can be had, the picture is made, which the test sees.
    panic!("the fault was prevented");
}

/// So long takes a slow job.
const SLOW: Duration = Duration::from_secs(2);

/// Bytes that a job leaves behind.
const LEAK: usize = 40 << 20;

/// Leaves memory behind that counts as shared.
#[expect(unsafe_code, reason = "the fault of a codec that was taken over")]
fn share_memory() {
    let all = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    // SAFETY: a new mapping at an address that the system chooses.
    unsafe { libc::mmap(std::ptr::null_mut(), LEAK, all, kind, -1, 0) };
}

/// The word at the end of a source.
fn word(source: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"SAFELIGHT-FAULT:";
    let tail = source.get(source.len().saturating_sub(64)..)?;
    let place = tail.windows(MARK.len()).position(|window| window == MARK)?;
    let rest = tail.get(place + MARK.len()..)?;
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b':';
    rest.split(|byte| !is_word(byte)).next()
}

fn overflow(depth: u64) -> u64 {
    let frame = [depth; 512];
    hint::black_box(&frame);
    if depth == u64::MAX {
        return 0;
    }
    overflow(depth + 1) + frame.len() as u64
}

/// Writes where nothing is mapped.
#[expect(unsafe_code, reason = "the fault of a codec written in C")]
fn write_out_of_bounds() {
    let mut room = [0_u8; 16];
    // SAFETY: there is none: that is the point. Only tests get here, in a process of its own.
    unsafe { room.as_mut_ptr().wrapping_add(1 << 44).write_volatile(1) };
}

/// Writes into every open file until nothing can be written any more.
#[expect(unsafe_code, reason = "the fault of a codec that was taken over")]
fn fill_files() {
    let piece = vec![1_u8; 1 << 20];
    for file in 3..16 {
        let mut offset = 0;
        // SAFETY: the bytes are those of the piece. Only tests get here, in a process of its own.
        while unsafe { libc::pwrite(file, piece.as_ptr().cast(), piece.len(), offset) } > 0 {
            offset += 1 << 20;
        }
    }
}

/// Closes every open file, the socket of the server among them.
#[expect(unsafe_code, reason = "the fault of a codec that was taken over")]
fn close_files() {
    for file in 0..16 {
        // SAFETY: nobody uses them any more. Only tests get here, in a process of its own.
        unsafe { libc::close(file) };
    }
}

/// Sends a signal to another process.
#[expect(unsafe_code, reason = "the fault of a codec that was taken over")]
fn send_signal() {
    // SAFETY: the arguments are numbers.
    unsafe { libc::syscall(libc::SYS_tgkill, 1, 1, 0) };
}

/// Maps memory whose content can run.
#[expect(unsafe_code, reason = "the fault of a codec that was taken over")]
fn map_code() {
    let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    let own = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at an address that the system chooses.
    unsafe { libc::mmap(std::ptr::null_mut(), 4096, all, own, -1, 0) };
}
