//! Flows that cannot work are refused at the start.

use safelight::config::Config;
use safelight::pipeline::Pipeline;

use crate::support::process::Process;
use crate::support::{eventually, samples};

/// What is said of settings that are wrong by themselves, or that do not fit together.
async fn refused(text: &str) -> String {
    let mut config = match Config::parse(text, []) {
        Ok(config) => config,
        Err(error) => return error.to_string(),
    };
    config.cache.disk.path = "".into();
    let opened = Pipeline::open(config.pipeline()).await;
    opened.map(drop).expect_err(text).to_string()
}

#[tokio::test]
async fn the_setting_and_the_value_are_named() {
    let flow =
        |rest: &str| format!("[[flow]]\nmatch = ['/x']\noptions = 'width=8'\n[[flow]]\n{rest}");
    for (text, expected) in [
        (
            "options = 'width=8'",
            "setting `flow[1]`: `match` is missing",
        ),
        ("match = ['/a']", "setting `flow[1]`: `options` is missing"),
        (
            "match = []\noptions = 'width=8'",
            "setting `flow[1].match`: must hold at least one glob, as in `/uploads/**`",
        ),
        (
            "match = ['/a/{b']\noptions = 'width=8'",
            "setting `flow[1].match`: a glob must be written as in `/uploads/**/*.{jpg,png}`, got `/a/{b`: ",
        ),
        (
            "match = ['/a']\noptions = 'quality=0'",
            "setting `flow[1].options`: option `quality` must be a whole number from 1 to 100, got `0`",
        ),
        (
            "match = ['/a']\noptions = 'width=99999'",
            "setting `flow[1].options`: option `width` times `dpr` must be at most 12000 pixels, got 99999",
        ),
        (
            "match = ['/a']\noptions = 'width=8'\nquery = ['size']",
            "setting `flow[1].query`: must hold names of options, such as `width` and `q`, got `size`",
        ),
        (
            "match = ['/a', '/cdn-cgi/image/**']\noptions = 'width=8'",
            "setting `flow[1].match`: a glob must match plain URLs, but `/cdn-cgi/image/**` matches transformation URLs alone",
        ),
    ] {
        let message = refused(&flow(text)).await;
        assert!(message.starts_with(expected), "{text}: {message}");
    }
}

#[tokio::test]
async fn the_log_names_the_flow() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.png"), samples::png(8, 8)).expect("a fresh folder");
    let settings = format!(
        "[zone]\norigin = \"file:{}\"\n[cache.disk]\npath = \"\"\n[[flow]]\nmatch = [\"/*.png\"]\noptions = \"width=4\"\n",
        folder.path().display()
    );
    let server = Process::start(&settings).await;
    server.client.get("/a.png").await.assert_size(4, 4);
    server
        .client
        .get("/cdn-cgi/image/width=4/a.png")
        .await
        .assert_size(4, 4);
    eventually("both are logged", async || {
        server.log().matches(" request ").count() == 2
    })
    .await;
    let log = server.log();
    let named = log.lines().filter(|line| line.contains("flow=\"/*.png\""));
    assert_eq!(named.count(), 1, "{log}");
}
