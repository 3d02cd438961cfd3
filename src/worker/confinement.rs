//! What a worker process gives up before it reads the first picture: files, the network, other programs and other processes.
//!
//! Landlock takes away all files and connections, and seccomp all calls of the system that a render does not need. What a library asks for out of habit
//! is refused with an error, such as the number of processors, which is a file; any other call ends the process.
#![expect(
    unsafe_code,
    reason = "closes descriptors by their numbers, and ignores signals"
)]

use std::fs;
use std::process;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};
use rustix::process::{Resource, Rlimit, Signal};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::worker::wire::Setup;

/// Closes what the server may have inherited from whoever started it. Must be called before anything else is open than standard input, output and error.
pub(super) fn close_inherited() {
    const FIRST: libc::c_uint = 3;
    // SAFETY: nobody owns one of these descriptors yet. Where the kernel does not have the call, they stay open.
    unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, 0) };
}

/// Leaves it to the server when this process ends. Service managers and terminals send these signals to all processes at once, and the server answers the
/// requests in flight before it ends.
pub(super) fn ignore_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: no function is called when the signal arrives.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// How much sooner than the server a worker is ended by a system that has no memory left, in thousandths of all memory: as browsers have it for the
/// processes that render pages.
const OOM_SCORE: &str = "300";

/// Gives up everything that a render does not need, all but the first `descriptors` places for open files among it: who could keep the files of each job
/// would keep their memory.
///
/// # Errors
/// Files and connections are not taken away.
pub(super) fn confine(setup: &Setup, descriptors: u64) -> Result<(), String> {
    // Where one of these is refused, the others still hold.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let _ = rustix::process::setpriority_process(None, setup.nice);
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Nofile, descriptors),
        (Resource::Fsize, setup.most),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        let _ = rustix::process::setrlimit(resource, limit);
    }
    rustix::thread::set_no_new_privs(true).map_err(|error| error.to_string())?;
    landlock()
}

/// Gives up the calls of the system that a render does not need, for all threads. The thread that calls must be the last one that is started.
///
/// # Errors
/// They are not given up.
pub(super) fn forbid_calls() -> Result<(), String> {
    seccomp().map_err(|error| error.to_string())
}

/// No file, no connection, no signal to other processes.
fn landlock() -> Result<(), String> {
    /// What a worker is called confined by: files. Later versions add the network and signals, where the kernel has them.
    const ENOUGH: ABI = ABI::V1;
    const ALL: ABI = ABI::V6;
    let rules = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ENOUGH))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ALL))?
            .handle_access(AccessNet::from_all(ALL))?
            .scope(Scope::from_all(ALL))?
            .create()?
            .restrict_self()
    };
    match rules() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => {
            Err("this kernel does not have it".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Two filters: the kernel follows the stricter answer. The second one is the one that ends processes, or it could not be set.
fn seccomp() -> Result<(), seccompiler::Error> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    // The decoder for HEIC has a thread of its own.
    let threads = (!cfg!(feature = "heic")).then_some(&libc::SYS_clone);
    let refused = REFUSED.iter().chain(threads);
    let refused = refused.map(|&call| (call, Vec::new()));
    let refusing = SeccompFilter::new(
        refused.collect(),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS.unsigned_abs()),
        arch,
    )?;
    let mut allowed: Vec<(i64, Vec<SeccompRule>)> = ALLOWED
        .iter()
        .chain(REFUSED)
        .map(|&call| (call, Vec::new()))
        .collect();
    allowed.extend(conditional_calls()?);
    let allowing = SeccompFilter::new(
        allowed.into_iter().collect(),
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        arch,
    )?;
    for filter in [refusing, allowing] {
        let program: BpfProgram = filter.try_into()?;
        seccompiler::apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// Calls that are allowed with some arguments only.
fn conditional_calls() -> Result<[(i64, Vec<SeccompRule>); 6], BackendError> {
    /// Not in `libc` yet.
    const PR_GET_AUXV: libc::c_int = 0x4155_5856;
    let executable = u64::from(libc::PROT_EXEC.unsigned_abs());
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    // No memory becomes code: what is not part of the program cannot run.
    let no_code = || rule(2, SeccompCmpOp::MaskedEq(executable), 0);
    let itself = libc::pid_t::try_from(process::id()).unwrap_or(0);
    Ok([
        // A new thread of this process is refused or allowed, and another process ends this one.
        (
            libc::SYS_clone,
            vec![rule(0, SeccompCmpOp::MaskedEq(thread), thread)?],
        ),
        // Descriptors and seals are looked at. Other commands could have the system send signals to the server.
        (
            libc::SYS_fcntl,
            any_of(1, &[libc::F_GETFD, libc::F_GETFL, libc::F_GET_SEALS])?,
        ),
        (libc::SYS_mmap, vec![no_code()?]),
        (libc::SYS_mprotect, vec![no_code()?]),
        // The name of a thread, and what `rustix` asks to find the clock. Other operations could undo limits.
        (
            libc::SYS_prctl,
            any_of(0, &[libc::PR_SET_NAME, PR_GET_AUXV])?,
        ),
        // An abort is a signal to itself.
        (libc::SYS_tgkill, any_of(0, &[itself])?),
    ])
}

/// An argument is one of these numbers.
fn any_of(argument: u8, numbers: &[libc::c_int]) -> Result<Vec<SeccompRule>, BackendError> {
    let rules = numbers.iter().map(|number| {
        let number = u64::from(number.unsigned_abs());
        rule(argument, SeccompCmpOp::Eq, number)
    });
    rules.collect()
}

fn rule(argument: u8, compares: SeccompCmpOp, number: u64) -> Result<SeccompRule, BackendError> {
    let length = SeccompCmpArgLen::Dword;
    let condition = SeccompCondition::new(argument, length, compares, number)?;
    SeccompRule::new(vec![condition])
}

/// What a render needs: memory, clocks, and the two files that it was given.
const ALLOWED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_ftruncate,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What libraries ask for out of habit, and do without: they are told that there is no such call.
#[cfg(target_arch = "x86_64")]
const REFUSED: &[i64] = &[
    libc::SYS_access,
    libc::SYS_clone3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_ioctl,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_prlimit64,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_socket,
    libc::SYS_stat,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// The same on processors whose systems have no older calls.
#[cfg(not(target_arch = "x86_64"))]
const REFUSED: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_ioctl,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_prlimit64,
    libc::SYS_readlinkat,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_socket,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];
