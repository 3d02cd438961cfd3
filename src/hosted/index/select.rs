//! Lists as SQL.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::hosted::index::{DRAFT, PATH_SEPARATOR, READY, number};
use crate::hosted::query::{ImageQuery, MetaFilter, MetaTest};

/// Up to so many rows that meet a condition are read and sorted. If there are more, the list is walked in the order of time, and a page is soon full.
const FEW: u32 = 5000;

/// A list as SQL.
#[derive(Default)]
pub(super) struct Select {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Select {
    /// What `query` asks for, of which drafts that expired before `now_secs` are no part.
    pub(super) fn of(query: &ImageQuery, now_secs: u64) -> Self {
        let mut select = Select::default();
        let state = if query.drafts { DRAFT } else { READY };
        select.add("state = ?", [Value::from(state)]);
        if query.drafts {
            select.add("expires > ?", [Value::from(number(now_secs))]);
        }
        match query.creator.as_deref() {
            None => {}
            Some("") => select.add("creator IS NULL", []),
            Some(creator) => select.add("creator = ?", [text(creator)]),
        }
        if let Some(filename) = &query.filename {
            select.add("filename = ?", [text(filename)]);
        }
        if let Some(from) = query.uploaded_after {
            select.add("uploaded >= ?", [Value::from(number(from))]);
        }
        if let Some(to) = query.uploaded_before {
            select.add("uploaded < ?", [Value::from(number(to))]);
        }
        if let Some(prefix) = &query.prefix {
            select.add_prefix(prefix);
        }
        if let Some((uploaded, id)) = &query.after {
            let order = if query.newest_first { "<" } else { ">" };
            select.add(
                &format!("(uploaded, id) {order} (?, ?)"),
                [Value::from(number(*uploaded)), text(id)],
            );
        }
        select
    }

    /// Conditions on metadata. The one that the fewest rows meet leads, if they are few.
    pub(super) fn add_meta(
        &mut self,
        filters: &[MetaFilter],
        connection: &Connection,
    ) -> rusqlite::Result<()> {
        let mut tests: Vec<(u32, Select)> = Vec::new();
        for filter in filters {
            let test = meta_test(filter);
            let sql = format!(
                "SELECT count(*) FROM (SELECT 1 FROM meta m WHERE {} LIMIT {FEW})",
                test.conditions.join(" AND ")
            );
            let count =
                connection
                    .query_row(&sql, params_from_iter(test.values.iter()), |row| row.get(0))?;
            tests.push((count, test));
        }
        tests.sort_by_key(|(count, _)| *count);
        for (at, (count, test)) in tests.into_iter().enumerate() {
            let conditions = test.conditions.join(" AND ");
            let sql = if at == 0 && count < FEW {
                format!("seq IN (SELECT m.seq FROM meta m WHERE {conditions})")
            } else {
                format!("EXISTS (SELECT 1 FROM meta m WHERE m.seq = i.seq AND {conditions})")
            };
            self.add(&sql, test.values);
        }
        Ok(())
    }

    /// The SQL of a page, and its values.
    pub(super) fn page(mut self, query: &ImageQuery) -> (String, Vec<Value>) {
        let order = if query.newest_first { "DESC" } else { "ASC" };
        let limit = number(query.limit as u64).saturating_add(1);
        self.values.push(Value::from(limit));
        self.values.push(Value::from(number(query.offset as u64)));
        let sql = format!(
            "SELECT record FROM images i WHERE {} ORDER BY uploaded {order}, id {order} LIMIT ? OFFSET ?",
            self.conditions.join(" AND ")
        );
        (sql, self.values)
    }

    /// The SQL that counts, and its values.
    pub(super) fn count(self) -> (String, Vec<Value>) {
        let conditions = self.conditions.join(" AND ");
        let sql = format!("SELECT count(*) FROM images i WHERE {conditions}");
        (sql, self.values)
    }

    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.conditions.push(condition.to_owned());
        self.values.extend(values);
    }

    fn add_prefix(&mut self, prefix: &str) {
        self.add("id >= ?", [text(prefix)]);
        if let Some(end) = end_of_prefix(prefix) {
            self.add("id < ?", [text(&end)]);
        }
    }
}

/// The first text that is greater than all that begin with `prefix`.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Ranges of characters leave out the numbers that are none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn meta_test(filter: &MetaFilter) -> Select {
    let mut select = Select::default();
    select.add("m.path = ?", [text(&filter.path.join(PATH_SEPARATOR))]);
    match &filter.test {
        MetaTest::Text(texts) => select.add_list("m.text", texts.iter().map(|one| text(one))),
        MetaTest::String(texts) => {
            select.add("m.kind = 'string'", []);
            select.add_list("m.text", texts.iter().map(|one| text(one)));
        }
        MetaTest::Number(numbers) => {
            select.add_list("m.num", numbers.iter().map(|one| Value::from(*one)));
        }
        MetaTest::Boolean(is_true) => {
            select.add("m.kind = 'boolean'", []);
            select.add("m.text = ?", [text(&is_true.to_string())]);
        }
        MetaTest::Above(least, or_equal) => {
            let sign = if *or_equal { ">=" } else { ">" };
            select.add(&format!("m.num {sign} ?"), [Value::from(*least)]);
        }
        MetaTest::Below(most, or_equal) => {
            let sign = if *or_equal { "<=" } else { "<" };
            select.add(&format!("m.num {sign} ?"), [Value::from(*most)]);
        }
    }
    select
}

impl Select {
    fn add_list(&mut self, column: &str, values: impl Iterator<Item = Value>) {
        let values: Vec<Value> = values.collect();
        let places = vec!["?"; values.len()].join(", ");
        self.add(&format!("{column} IN ({places})"), values);
    }
}

fn text(text: &str) -> Value {
    Value::from(text.to_owned())
}
