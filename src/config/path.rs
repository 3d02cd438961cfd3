//! Paths of settings: where a wrong value is, how operators write that, and how the value is taken out.

use std::collections::BTreeSet;

use toml::Table;
use toml::Value;

/// One step from a section or a list down to a value in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PathStep {
    Key(String),
    Index(usize),
}

impl PathStep {
    pub(super) fn of(segment: &serde_path_to_error::Segment) -> Self {
        match segment {
            serde_path_to_error::Segment::Seq { index } => PathStep::Index(*index),
            other => PathStep::Key(other.to_string()),
        }
    }
}

/// A path as operators write it: `bucket[1].name`.
pub(super) fn name(path: &[PathStep]) -> String {
    let mut name = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if name.is_empty() => name += key,
            PathStep::Key(key) => name += &format!(".{key}"),
            PathStep::Index(index) => name += &format!("[{index}]"),
        }
    }
    name
}

/// The path that a value had in the file, before the entries of lists in `removed` were taken out.
pub(super) fn as_written(path: &[PathStep], removed: &BTreeSet<Vec<PathStep>>) -> Vec<PathStep> {
    let mut written = Vec::new();
    for step in path {
        let PathStep::Index(index) = step else {
            written.push(step.clone());
            continue;
        };
        let mut before = *index;
        for candidate in 0.. {
            written.push(PathStep::Index(candidate));
            let is_there = !removed.contains(&written);
            if is_there && before == 0 {
                break;
            }
            before -= usize::from(is_there);
            written.pop();
        }
    }
    written
}

/// The value at a path.
pub(super) fn at<'a>(table: &'a Table, path: &[PathStep]) -> Option<&'a Value> {
    let (PathStep::Key(first), rest) = path.split_first()? else {
        return None;
    };
    rest.iter()
        .try_fold(table.get(first)?, |value, step| match step {
            PathStep::Key(key) => value.get(key),
            PathStep::Index(index) => value.get(index),
        })
}

/// Removes the innermost value on a path that exists, and returns how many steps lead to it.
pub(super) fn remove(table: &mut Table, path: &[PathStep]) -> Option<usize> {
    let (PathStep::Key(first), rest) = path.split_first()? else {
        return None;
    };
    let inner = table.get_mut(first)?;
    match remove_within(inner, rest) {
        Some(depth) => Some(1 + depth),
        None => table.remove(first).map(|_| 1),
    }
}

fn remove_within(value: &mut Value, path: &[PathStep]) -> Option<usize> {
    match (value, path) {
        (Value::Table(table), [PathStep::Key(_), ..]) => remove(table, path),
        (Value::Array(array), [PathStep::Index(index), rest @ ..]) => {
            let inner = array.get_mut(*index)?;
            if let Some(depth) = remove_within(inner, rest) {
                return Some(1 + depth);
            }
            array.remove(*index);
            Some(1)
        }
        _ => None,
    }
}
