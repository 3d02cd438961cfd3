//! What the system tells of a worker process: see proc_pid_stat(5).

use std::fs;
use std::io;
use std::time::Duration;

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Whether it is ending: no code of its own runs any more.
    pub is_ending: bool,
    /// The CPU time that it has used, with all of its threads.
    pub cpu_time: Duration,
}

impl Stat {
    /// Reads `/proc/PID/stat`, which is there until somebody has waited for the process.
    pub(super) fn read(id: u32) -> io::Result<Stat> {
        let text = fs::read_to_string(format!("/proc/{id}/stat"))?;
        let ticks = rustix::param::clock_ticks_per_second();
        Stat::parse(&text, ticks).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Times are those of ticks, of which there are so many in a second.
    fn parse(text: &str, ticks: u64) -> Option<Stat> {
        /// The flag of Linux for a process that is being ended (`PF_EXITING` in `linux/sched.h`).
        const ENDING: u64 = 4;
        // The name is in brackets, and may hold some. After it come the state, five numbers, the flags, and four counts of faults.
        let (_, words) = text.rsplit_once(") ")?;
        let mut words = words.split(' ').skip(6);
        let mut number = |skipped| words.nth(skipped)?.parse::<u64>().ok();
        let (flags, own, system) = (number(0)?, number(4)?, number(0)?);
        let millis = own.checked_add(system)?.checked_mul(1000)?;
        Some(Stat {
            is_ending: flags & ENDING != 0,
            cpu_time: Duration::from_millis(millis.checked_div(ticks)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::Stat;

    #[test]
    fn the_name_may_hold_anything() {
        let text = "42 (safe) light) R 1 2 3 4 5 4194560 7 8 9 10 150 50 0 0 25 5 1 0\n";
        let cpu_time = Duration::from_secs(2);
        let expected = Stat {
            is_ending: false,
            cpu_time,
        };
        assert_eq!(Stat::parse(text, 100), Some(expected));
        assert_eq!(Stat::parse("42 (x) R 1 2\n", 100), None);
        assert_eq!(Stat::parse(text, 0), None);
    }

    #[test]
    fn a_process_that_was_killed_is_ending_until_it_is_waited_for() {
        let mut child = Command::new("sleep")
            .arg("100")
            .stdin(Stdio::null())
            .spawn()
            .expect("a program of every system");
        let state = |id| {
            Stat::read(id)
                .expect("it has not been waited for")
                .is_ending
        };
        assert!(!state(child.id()));
        child.kill().expect("it is ours");
        while !state(child.id()) {}
        child.wait().expect("it is ours");
        assert!(Stat::read(child.id()).is_err());
    }
}
