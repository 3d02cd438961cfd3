//! The tables of the index.

use rusqlite::Connection;

/// The version of the tables. An index of another version is made anew.
pub(super) const VERSION: i64 = 1;

/// `seq` stands for an image in the other table. `key` is its name in keys of the store. `seen` is the number of the last pass over the store that
/// found it.
const TABLES: &str = "
CREATE TABLE images (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    etag TEXT NOT NULL,
    seen INTEGER NOT NULL,
    state INTEGER NOT NULL,
    uploaded INTEGER NOT NULL,
    creator TEXT,
    filename TEXT,
    expires INTEGER,
    record TEXT NOT NULL
);
CREATE INDEX images_time ON images (state, uploaded, id);
CREATE INDEX images_creator ON images (state, creator, uploaded, id);
CREATE INDEX images_filename ON images (state, filename, uploaded, id);
CREATE TABLE meta (
    seq INTEGER NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    num REAL,
    PRIMARY KEY (seq, path)
) WITHOUT ROWID;
CREATE INDEX meta_text ON meta (path, text, seq);
CREATE INDEX meta_num ON meta (path, num, seq);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// How a connection works: readers and the writer do not wait for each other, and a commit waits for no disk. After a power cut the last commits may
/// be missing, and are found in the store.
const SETTINGS: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 5000;
PRAGMA cache_size = -4096;
PRAGMA temp_store = MEMORY;
";

/// Prepares a connection.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(SETTINGS)
}

/// Whether the tables are those of this version, for the store at `place`, and not damaged.
pub(super) fn is_usable(connection: &Connection, place: &str) -> bool {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0));
    number("PRAGMA user_version").is_ok_and(|version| version == VERSION)
        && text("SELECT value FROM facts WHERE name = 'place'").is_ok_and(|found| found == place)
        && text("PRAGMA quick_check(1)").is_ok_and(|found| found == "ok")
}

/// Makes the tables.
pub(super) fn create(connection: &Connection, place: &str) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute("INSERT INTO facts VALUES ('place', ?1)", [place])?;
    connection.pragma_update(None, "user_version", VERSION)
}
