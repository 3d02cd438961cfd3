//! Signals that somebody else sends to worker processes: a service manager or a terminal to all of them, the kernel to one of them.

use std::process::Command;

use super::faulty;
use super::processes::{process, workers_of};
use crate::support::eventually;
use crate::support::origin::TestOrigin;
use crate::support::process::Process;

/// Sends a signal to processes, those left out that have ended already.
fn send(signal: &str, processes: &[u32]) {
    let processes = processes.iter().map(ToString::to_string);
    let sent = Command::new("kill").arg(signal).args(processes).output();
    sent.expect("there is a kill");
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
