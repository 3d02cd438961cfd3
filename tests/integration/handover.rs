//! A new process takes over from an old one: both listen at one address, and have one folder for their cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::TestOrigin;
use crate::support::process::{Process, settings};
use crate::support::{bounded, eventually, samples};

/// Asks on a new connection, as clients without a pool do.
async fn ask(address: &str) -> Result<(), String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = "GET /cdn-cgi/image/width=16/a.png HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = asked.await.map_err(|error| error.to_string())?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(format!("{:.40}", String::from_utf8_lossy(&answer))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_when_a_new_process_takes_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let settings = format!(
        "[server]\nreuse_port = true\n{}",
        settings(&origin, folder.path())
    );
    let mut old = Process::start(&settings).await;
    let only_old = "/cdn-cgi/image/width=33/a.png";
    old.client.get(only_old).await.assert_size(33, 25);
    let address = old.client.address().to_string();
    let same = [("SAFELIGHT__SERVER__LISTEN", &*address)];
    let new = Process::start_with(&settings, &same).await;

    let (is_over, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (is_over, answered) = (Arc::clone(&is_over), Arc::clone(&answered));
            let address = address.clone();
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    ask(&address).await?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, String>(())
            })
        })
        .collect();
    let more = async |count: usize| {
        let before = answered.load(Ordering::Relaxed);
        eventually("more is answered", async || {
            answered.load(Ordering::Relaxed) >= before + count
                || clients.iter().any(tokio::task::JoinHandle::is_finished)
        })
        .await;
    };
    more(50).await;
    old.terminate().await;
    assert!(old.ended().await.success());
    more(50).await;
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        let outcome = bounded("a client", client).await.expect("no panic");
        assert_eq!(outcome, Ok(()));
    }

    // What the old process kept is there for the new one.
    eventually("the folder is taken over", async || {
        let metrics = new.metrics().await;
        metrics.sum("safelight_cache_disk_off", &[]) == 0.0
    })
    .await;
    let asked = origin.hits("/a.png");
    let found = new.client.get(only_old).await;
    found.assert_header("cache-status", "safelight; hit; detail=disk");
    assert_eq!(origin.hits("/a.png"), asked);
}

#[tokio::test]
async fn without_the_setting_a_second_process_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let text = settings(&origin, folder.path());
    let first = Process::start(&text).await;
    let file = folder.path().join("config.toml");
    let text = format!("{text}[server]\nreuse_port = true\n[admin]\nlisten = \"127.0.0.1:0\"\n");
    std::fs::write(&file, text).expect("a folder of ours");
    let address = first.client.address().to_string();
    let arguments = ["serve", "--config", file.to_str().expect("a plain path")];
    let variables = [("SAFELIGHT__SERVER__LISTEN", &*address)];
    let ended = crate::support::process::run(folder.path(), &arguments, &variables).await;
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && said.contains("server.listen"),
        "{said}"
    );
}
