//! Files that refer to each other in a circle.

use std::collections::{BTreeMap, BTreeSet};

/// Every file that can be reached from itself, with the files that it can reach and that reach it.
pub fn circles(references: &BTreeMap<usize, BTreeSet<usize>>) -> BTreeSet<BTreeSet<usize>> {
    let reached: BTreeMap<usize, BTreeSet<usize>> = references
        .keys()
        .map(|&file| (file, reached_from(file, references)))
        .collect();
    let is_reached =
        |from: usize, to: usize| reached.get(&from).is_some_and(|files| files.contains(&to));
    references
        .keys()
        .filter(|&&file| is_reached(file, file))
        .map(|&file| {
            let others = reached[&file].iter().copied();
            others.filter(|&other| is_reached(other, file)).collect()
        })
        .collect()
}

fn reached_from(file: usize, references: &BTreeMap<usize, BTreeSet<usize>>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut ahead = vec![file];
    while let Some(file) = ahead.pop() {
        for &next in references.get(&file).into_iter().flatten() {
            if reached.insert(next) {
                ahead.push(next);
            }
        }
    }
    reached
}

#[test]
fn a_circle_is_found_and_a_chain_is_none() {
    let references = BTreeMap::from([
        (1, BTreeSet::from([2])),
        (2, BTreeSet::from([3, 4])),
        (3, BTreeSet::from([1])),
        (4, BTreeSet::from([5])),
    ]);
    assert_eq!(
        circles(&references),
        BTreeSet::from([BTreeSet::from([1, 2, 3])])
    );
}
