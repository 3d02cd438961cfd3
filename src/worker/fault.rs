//! Faults on purpose, for tests: a source that ends with one of these words makes its worker process misbehave. Release builds have none of this.

use std::fs::File;
use std::hint;
use std::net::UdpSocket;
use std::process;
use std::thread;
use std::time::Duration;

use crate::worker::Job;

/// Commits the fault that the source of a render asks for.
pub(super) fn commit(job: &Job) {
    let Job::Render { source, .. } = job else {
        return;
    };
    let Some(fault) = word(source.bytes()) else {
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
        b"memory" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 16 << 20]);
                hint::black_box(&all);
            }
        }
        b"stack" => {
            hint::black_box(overflow(0));
        }
        b"write" => write_out_of_bounds(),
        b"file" if File::open("/etc/passwd").is_ok() => return,
        b"socket" if UdpSocket::bind("127.0.0.1:0").is_ok() => return,
        b"exec" if process::Command::new("/bin/true").status().is_ok() => return,
        _ => {}
    }
    // Where files, sockets and programs can be had, the picture is made, which the test sees.
    panic!("the fault was prevented");
}

/// The word at the end of a source.
fn word(source: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"SAFELIGHT-FAULT:";
    let tail = source.get(source.len().saturating_sub(64)..)?;
    let place = tail.windows(MARK.len()).position(|window| window == MARK)?;
    tail.get(place + MARK.len()..)
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
