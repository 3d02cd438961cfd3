//! Messages that wait to be delivered, in a file of SQLite, so that a restart loses none.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, params};

use crate::webhook::error::WebhookError;

/// The name of the file in the folder of the index.
const FILE: &str = "webhooks.sqlite";
/// The most messages that wait for one receiver. Older ones make room for new ones.
const MAX_WAITING: i64 = 100_000;

/// Messages that wait to be delivered.
#[derive(Clone)]
pub(super) struct Outbox(Arc<Mutex<Connection>>);

/// A message that waits.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub id: i64,
    pub body: String,
    /// How often it was sent in vain.
    pub tries: u32,
}

/// What is to be done for a receiver.
#[derive(Debug)]
pub(super) enum Next {
    /// To wait for a message.
    Idle,
    /// To wait until this time, in milliseconds since 1970.
    At(u64),
    /// To send this.
    Send(Message),
}

impl Outbox {
    /// Opens the file, or creates it. Messages for receivers that are no longer in the settings are removed.
    pub(super) async fn open(folder: &Path, urls: Vec<String>) -> Result<Self, WebhookError> {
        let path = folder.join(FILE);
        blocking(move || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|error| WebhookError::Outbox(error.to_string()))?;
            }
            let connection = Connection::open(&path)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "normal")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL);
                 CREATE INDEX IF NOT EXISTS message_due ON message (url, due);",
            )?;
            let known: String = serde_json::to_string(&urls).unwrap_or_default();
            connection.execute(
                "DELETE FROM message WHERE url NOT IN (SELECT value FROM json_each(?1))",
                [known],
            )?;
            Ok(Outbox(Arc::new(Mutex::new(connection))))
        })
        .await
    }

    /// Adds a message for each of these receivers, and returns how many older ones had to go for it.
    pub(super) async fn add(
        &self,
        urls: Vec<String>,
        body: String,
        now: u64,
    ) -> Result<u64, WebhookError> {
        self.with(move |connection| {
            let transaction = connection.transaction()?;
            let mut dropped = 0;
            for url in urls {
                transaction.execute(
                    "INSERT INTO message (url, body, tries, due) VALUES (?1, ?2, 0, ?3)",
                    params![url, body, to_sql(now)],
                )?;
                dropped += transaction.execute(
                    "DELETE FROM message WHERE id IN (SELECT id FROM message WHERE url = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?2)",
                    params![url, MAX_WAITING],
                )?;
            }
            transaction.commit()?;
            Ok(dropped as u64)
        })
        .await
    }

    /// What is to be done for a receiver. The oldest message goes first.
    pub(super) async fn next(&self, url: String, now: u64) -> Result<Next, WebhookError> {
        self.with(move |connection| {
            let found = connection
                .query_row(
                    "SELECT id, body, tries FROM message WHERE url = ?1 AND due <= ?2 ORDER BY id LIMIT 1",
                    params![url, to_sql(now)],
                    |row| {
                        Ok(Message {
                            id: row.get(0)?,
                            body: row.get(1)?,
                            tries: row.get(2)?,
                        })
                    },
                )
                .optional()?;
            if let Some(message) = found {
                return Ok(Next::Send(message));
            }
            let due: Option<i64> = connection.query_row(
                "SELECT MIN(due) FROM message WHERE url = ?1",
                [url],
                |row| row.get(0),
            )?;
            Ok(due.map_or(Next::Idle, |due| Next::At(u64::try_from(due).unwrap_or(0))))
        })
        .await
    }

    /// Removes a message.
    pub(super) async fn remove(&self, id: i64) -> Result<(), WebhookError> {
        self.with(move |connection| {
            connection.execute("DELETE FROM message WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
    }

    /// Notes that a message was sent in vain once more, and when it is to be sent again.
    pub(super) async fn postpone(&self, id: i64, due: u64) -> Result<(), WebhookError> {
        self.with(move |connection| {
            connection.execute(
                "UPDATE message SET tries = tries + 1, due = ?2 WHERE id = ?1",
                params![id, to_sql(due)],
            )?;
            Ok(())
        })
        .await
    }

    /// How many messages wait.
    pub(super) async fn count(&self) -> Result<u64, WebhookError> {
        self.with(|connection| {
            let count: i64 =
                connection.query_row("SELECT COUNT(*) FROM message", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, WebhookError> + Send + 'static,
    ) -> Result<T, WebhookError> {
        let connection = Arc::clone(&self.0);
        blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))).await
    }
}

fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Does work that waits for the disk on a thread of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "calls of SQLite, which are short"
)]
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, WebhookError> + Send + 'static,
) -> Result<T, WebhookError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(lost) => Err(WebhookError::Outbox(lost.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::{Next, Outbox};

    async fn next(outbox: &Outbox, now: u64) -> String {
        match outbox.next("a".to_owned(), now).await.expect("an outbox") {
            Next::Idle => "idle".to_owned(),
            Next::At(time) => format!("at {time}"),
            Next::Send(message) => format!("{} {}", message.body, message.tries),
        }
    }

    #[tokio::test]
    async fn messages_wait_in_their_order_and_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let urls = || vec!["a".to_owned(), "b".to_owned()];
        let outbox = Outbox::open(folder.path(), urls())
            .await
            .expect("an outbox");
        assert_eq!(next(&outbox, 9).await, "idle");
        for body in ["one", "two"] {
            outbox.add(urls(), body.to_owned(), 10).await.expect("room");
        }
        assert_eq!(next(&outbox, 9).await, "at 10");
        assert_eq!(next(&outbox, 10).await, "one 0");
        outbox.postpone(1, 50).await.expect("a message");
        assert_eq!(next(&outbox, 10).await, "two 0");
        outbox.remove(3).await.expect("a message");
        assert_eq!(next(&outbox, 10).await, "at 50");
        drop(outbox);
        let outbox = Outbox::open(folder.path(), vec!["a".to_owned()])
            .await
            .expect("an outbox");
        assert_eq!(next(&outbox, 50).await, "one 1");
        assert_eq!(
            outbox.count().await.expect("a number"),
            1,
            "those of b are gone"
        );
    }
}
