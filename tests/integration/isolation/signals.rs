//! Signals that somebody else sends to worker processes: a service manager or a terminal to all of them, the kernel to one of them.

use std::fs;
use std::process::Command;

use super::processes::{process, workers_of};
use super::{assert_failed, faulty};
use crate::support::origin::TestOrigin;
use crate::support::process::Process;
use crate::support::{eventually, samples};

/// Sends a signal to processes, those left out that have ended already.
fn send(signal: &str, processes: &[u32]) {
    let processes = processes.iter().map(ToString::to_string);
    let sent = Command::new("kill").arg(signal).args(processes).output();
    sent.expect("there is a kill");
}

/// Whether a process is gone, but for its status.
fn has_ended(id: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else {
        return true;
    };
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

/// Waits until a worker of a server does a job.
async fn busy(server: &Process) {
    eventually("a worker is busy", async || {
        let busy = [("state", "busy")];
        let metrics = server.metrics().await;
        metrics.sum("safelight_worker_processes", &busy) > 0.5
    })
    .await;
}

#[tokio::test]
async fn a_signal_to_all_processes_costs_no_request_in_flight() {
    let origin = TestOrigin::with("/slow.jpg", faulty("slow", 0)).await;
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut server = process(&origin, &cache).await;
    let client = server.client.clone();
    let reply = tokio::spawn(async move { client.get("/cdn-cgi/image/width=30/slow.jpg").await });
    busy(&server).await;
    let mut all = workers_of(server.id());
    for signal in ["-HUP", "-INT"] {
        send(signal, &all);
    }
    all.push(server.id());
    send("-TERM", &all);
    let reply = reply.await.expect("no panic");
    reply.assert_status(200);
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_picture_whose_process_is_killed_is_not_to_blame() {
    let origin = TestOrigin::with("/slow.jpg", faulty("slow", 0)).await;
    origin.serve("/good.jpg", samples::jpeg(80, 60));
    let cache = tempfile::tempdir().expect("a temporary folder");
    let server = process(&origin, &cache).await;
    let client = server.client.clone();
    let target = "/cdn-cgi/image/width=30/slow.jpg";
    let reply = tokio::spawn(async move { client.get(target).await });
    busy(&server).await;
    let killed = workers_of(server.id());
    send("-KILL", &killed);
    // Those without a job are to be found dead.
    eventually("they have ended", async || {
        killed.iter().all(|id| has_ended(*id))
    })
    .await;
    let reply = reply.await.expect("no panic");
    assert_failed(&reply, 503, 9522);
    reply.assert_header("retry-after", "5");
    // Nobody knows whether it was the one that took the memory: it rests for a while, and others do not.
    assert_failed(&server.client.get(target).await, 503, 9522);
    let good = server.client.get("/cdn-cgi/image/width=30/good.jpg").await;
    good.assert_status(200);
    eventually("it is made", async || {
        server.client.get(target).await.status == 200
    })
    .await;
    let metrics = server.metrics().await;
    let failures = metrics.sum("safelight_worker_failures", &[]);
    assert!((failures - 1.0).abs() < 0.5, "{failures}");
}
