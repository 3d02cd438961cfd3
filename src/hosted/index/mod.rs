//! The index: what the records say, as rows of SQLite. All of it comes from the store, so it can be deleted at any time, and is made anew where it is
//! missing, damaged, of another version or of another store.

mod schema;
mod select;

use std::fs;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::hosted::blocking::blocking;
use crate::hosted::error::HostedError;
use crate::hosted::id::ImageId;
use crate::hosted::query::{ImageQuery, Page};
use crate::hosted::record::{Record, State};

/// How many lists are read at the same time.
const READERS: usize = 2;
/// Between the names of a path of metadata. Names cannot have it: JSON writes it in another way, and filters have letters, digits and underscores.
const PATH_SEPARATOR: &str = "\u{1f}";
/// How deep metadata is indexed. Filters have no longer paths.
const MAX_DEPTH: usize = 5;
/// The states of rows.
const DRAFT: i64 = 0;
const READY: i64 = 1;
const DELETED: i64 = 2;

/// The index.
#[derive(Clone)]
pub(super) struct Index(Arc<Inner>);

struct Inner {
    writer: Mutex<Connection>,
    writing: Semaphore,
    readers: Mutex<Vec<Connection>>,
    reading: Arc<Semaphore>,
    /// As long as it is open, no other process uses the index.
    _lock: File,
}

/// A row: a record and the tag of its object.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) record: Arc<Record>,
    pub(super) etag: String,
    /// The name of the image in keys of the store.
    pub(super) key: String,
    /// The number of the pass over the store that this row is known to.
    pub(super) seen: i64,
}

impl Index {
    /// Opens the index of the store at `place`, and makes it anew if it cannot be used. Returns whether it is complete.
    pub(super) async fn open(folder: PathBuf, place: String) -> Result<(Self, bool), HostedError> {
        blocking(move || {
            let lock = lock(&folder)?;
            let file = folder.join("index.sqlite");
            let opened = match open(&file, &place) {
                Ok(Some(connection)) => Ok(connection),
                Ok(None) | Err(_) => create(&file, &place),
            };
            let writer = opened.map_err(failed)?;
            let is_complete = fact(&writer, "complete").map_err(failed)?.is_some();
            let readers: rusqlite::Result<Vec<_>> = (0..READERS).map(|_| connect(&file)).collect();
            let index = Index(Arc::new(Inner {
                writer: Mutex::new(writer),
                writing: Semaphore::new(1),
                readers: Mutex::new(readers.map_err(failed)?),
                reading: Arc::new(Semaphore::new(READERS)),
                _lock: lock,
            }));
            Ok((index, is_complete))
        })
        .await
    }

    /// Puts a row in the place of an older one of the same image.
    pub(super) async fn apply(&self, row: Row) -> Result<(), HostedError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            insert(&transaction, &row)?;
            transaction.commit()
        })
        .await
    }

    /// Removes the row of an image.
    pub(super) async fn remove(&self, key: String) -> Result<(), HostedError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            clear(&transaction, &key)?;
            transaction.commit()
        })
        .await
    }

    /// The row of an image.
    pub(super) async fn get(&self, id: &ImageId) -> Result<Option<Row>, HostedError> {
        let id = id.as_str().to_owned();
        self.read(move |connection| row_where(connection, "id", &id))
            .await
    }

    /// The row of the image with this name in keys.
    pub(super) async fn get_key(&self, key: &str) -> Result<Option<Row>, HostedError> {
        let key = key.to_owned();
        self.read(move |connection| row_where(connection, "key", &key))
            .await
    }

    /// A page of a list.
    pub(super) async fn list(
        &self,
        query: &ImageQuery,
        now_secs: u64,
    ) -> Result<Page, HostedError> {
        let query = query.clone();
        self.read(move |connection| {
            let mut select = select::Select::of(&query, now_secs);
            select.add_meta(&query.meta, connection)?;
            let (sql, values) = select.page(&query);
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), |row| row.get(0))?;
            let mut images = Vec::new();
            let mut count = 0;
            for text in rows {
                count += 1;
                match parse(text?) {
                    Ok(record) => images.push(Arc::new(record)),
                    Err(error) => tracing::warn!(%error, "a row of the index is left out of lists"),
                }
            }
            let has_more = count > query.limit;
            images.truncate(query.limit);
            Ok(Page { images, has_more })
        })
        .await
    }

    /// How many images are in a list.
    pub(super) async fn count(
        &self,
        query: &ImageQuery,
        now_secs: u64,
    ) -> Result<u64, HostedError> {
        let query = query.clone();
        self.read(move |connection| {
            let mut select = select::Select::of(&query, now_secs);
            select.add_meta(&query.meta, connection)?;
            let (sql, values) = select.count();
            let count: i64 =
                connection.query_row(&sql, params_from_iter(values), |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    /// Marks the rows whose objects have these tags as seen in a pass. Returns the names, in keys, of those that have another tag or no row.
    pub(super) async fn mark(
        &self,
        listed: Vec<(String, String)>,
        pass: i64,
    ) -> Result<Vec<String>, HostedError> {
        self.write(move |connection| {
            let transaction = connection.transaction()?;
            let mut others = Vec::new();
            {
                let mut update = transaction.prepare(
                    "UPDATE images SET seen = ?1 WHERE key = ?2 AND trim(etag, '\"') = ?3",
                )?;
                for (key, etag) in listed {
                    // Some buckets list tags without their quotes.
                    if update.execute(params![pass, key, etag.trim_matches('"')])? == 0 {
                        others.push(key);
                    }
                }
            }
            transaction.commit()?;
            Ok(others)
        })
        .await
    }

    /// The names, in keys, of rows that a pass has not seen.
    pub(super) async fn unseen(&self, pass: i64) -> Result<Vec<String>, HostedError> {
        self.read(move |connection| {
            let mut statement = connection.prepare("SELECT key FROM images WHERE seen < ?1")?;
            let keys = statement.query_map([pass], |row| row.get(0))?;
            keys.collect()
        })
        .await
    }

    /// The number of the next pass over the store.
    pub(super) async fn next_pass(&self) -> Result<i64, HostedError> {
        self.read(|connection| {
            connection.query_row("SELECT ifnull(max(seen), 0) + 1 FROM images", [], |row| {
                row.get(0)
            })
        })
        .await
    }

    /// Notes that the index has all that is in the store.
    pub(super) async fn set_complete(&self) -> Result<(), HostedError> {
        self.write(|connection| {
            connection
                .execute("INSERT OR REPLACE INTO facts VALUES ('complete', '1')", [])
                .map(|_| ())
        })
        .await
    }

    /// Drafts that expired before a time, in seconds.
    pub(super) async fn expired_drafts(&self, before: u64) -> Result<Vec<ImageId>, HostedError> {
        self.read(move |connection| {
            let sql = "SELECT record FROM images WHERE state = ?1 AND expires < ?2 LIMIT 1000";
            ids(connection, sql, [DRAFT, number(before)])
        })
        .await
    }

    /// Tombstones of images that were deleted before a time, in milliseconds.
    pub(super) async fn tombstones(&self, before: u64) -> Result<Vec<ImageId>, HostedError> {
        self.read(move |connection| {
            let sql = "SELECT record FROM images WHERE state = ?1 AND uploaded < ?2 LIMIT 1000";
            ids(connection, sql, [DELETED, number(before)])
        })
        .await
    }

    /// How many rows there are.
    pub(super) async fn rows(&self) -> Result<u64, HostedError> {
        self.read(|connection| {
            let count: i64 =
                connection.query_row("SELECT count(*) FROM images", [], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        })
        .await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, HostedError> {
        let inner = Arc::clone(&self.0);
        let _permit = self.0.writing.acquire().await;
        blocking(move || {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut writer).map_err(failed)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, HostedError> {
        let inner = Arc::clone(&self.0);
        let permit = Arc::clone(&self.0.reading).acquire_owned().await;
        blocking(move || {
            // Until the connection is back, also where nobody waits for the answer any more.
            let _permit = permit;
            let readers = || inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(connection) = readers().pop() else {
                return Err(HostedError::Busy);
            };
            let done = work(&connection).map_err(failed);
            readers().push(connection);
            done
        })
        .await
    }
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> Result<File, HostedError> {
    let fail = |error: std::io::Error| {
        HostedError::Store(format!("the index in `{}`: {error}", folder.display()))
    };
    fs::create_dir_all(folder).map_err(fail)?;
    let lock = File::create(folder.join("lock")).map_err(fail)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::Error(error)) => Err(fail(error)),
        Err(TryLockError::WouldBlock) => Err(HostedError::Store(format!(
            "the index in `{}` is used by another process; each needs a `hosted.index` of its own",
            folder.display()
        ))),
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    schema::configure(&connection)?;
    Ok(connection)
}

fn open(file: &Path, place: &str) -> rusqlite::Result<Option<Connection>> {
    let connection = connect(file)?;
    Ok(schema::is_usable(&connection, place).then_some(connection))
}

fn create(file: &Path, place: &str) -> rusqlite::Result<Connection> {
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        // What cannot be removed cannot be opened below either.
        let _ = fs::remove_file(PathBuf::from(name));
    }
    let connection = connect(file)?;
    schema::create(&connection, place)?;
    Ok(connection)
}

fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| {
            row.get(0)
        })
        .optional()
}

fn clear(connection: &Connection, key: &str) -> rusqlite::Result<()> {
    let sql = "DELETE FROM meta WHERE seq = (SELECT seq FROM images WHERE key = ?1)";
    connection.execute(sql, [key])?;
    connection.execute("DELETE FROM images WHERE key = ?1", [key])?;
    Ok(())
}

fn insert(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    clear(connection, &row.key)?;
    let record = &row.record;
    let state = match record.state {
        State::Draft => DRAFT,
        State::Ready => READY,
        State::Deleted => DELETED,
    };
    connection.execute(
        "INSERT INTO images (id, key, etag, seen, state, uploaded, creator, filename, expires, record) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            record.id.as_str(),
            row.key,
            row.etag,
            row.seen,
            state,
            number(record.uploaded),
            record.creator,
            record.filename,
            record.expires.map(number),
            serde_json::to_string(&**record).unwrap_or_default(),
        ],
    )?;
    let seq = connection.last_insert_rowid();
    let mut statement =
        connection.prepare("INSERT OR REPLACE INTO meta VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut write = |path: &str, kind: &str, text: &str, number: Option<f64>| {
        statement
            .execute(params![seq, path, kind, text, number])
            .map(|_| ())
    };
    for_each_value(&record.meta, "", 1, &mut write)
}

/// Takes the path, the kind and the text of a value of metadata, and its number if it is one.
type ValueWriter<'a> = dyn FnMut(&str, &str, &str, Option<f64>) -> rusqlite::Result<()> + 'a;

fn for_each_value(
    meta: &Map<String, Value>,
    above: &str,
    depth: usize,
    write: &mut ValueWriter<'_>,
) -> rusqlite::Result<()> {
    for (name, value) in meta {
        let path = format!("{above}{name}");
        match value {
            Value::String(text) => write(&path, "string", text, None)?,
            Value::Number(number) => write(&path, "number", &number.to_string(), number.as_f64())?,
            Value::Bool(is_true) => write(&path, "boolean", &is_true.to_string(), None)?,
            Value::Object(inner) if depth < MAX_DEPTH => {
                for_each_value(inner, &format!("{path}{PATH_SEPARATOR}"), depth + 1, write)?;
            }
            Value::Object(_) | Value::Array(_) | Value::Null => {}
        }
    }
    Ok(())
}

fn row_where(connection: &Connection, column: &str, value: &str) -> rusqlite::Result<Option<Row>> {
    let sql = format!("SELECT record, etag, key, seen FROM images WHERE {column} = ?1");
    let found = connection.query_row(&sql, [value], |row| {
        Ok(Row {
            record: Arc::new(parse(row.get(0)?)?),
            etag: row.get(1)?,
            key: row.get(2)?,
            seen: row.get(3)?,
        })
    });
    found.optional()
}

fn ids(connection: &Connection, sql: &str, values: [i64; 2]) -> rusqlite::Result<Vec<ImageId>> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(values, |row| Ok(parse(row.get(0)?)?.id))?;
    rows.collect()
}

fn parse(text: String) -> rusqlite::Result<Record> {
    serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}

/// Numbers of SQLite have a sign.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn failed(error: rusqlite::Error) -> HostedError {
    HostedError::Store(format!("the index: {error}"))
}

#[cfg(test)]
mod tests;
