//! How much of something each client holds now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clients::id::ClientId;

/// How many places one client may hold for each that is free.
const SHARE: usize = 4;

/// Places that a client may hold a number of. There are no more entries than places that are held.
pub(crate) struct Places {
    /// The most for one client; 0: as many as it likes, and nothing is counted.
    limit: usize,
    held: Mutex<HashMap<ClientId, usize>>,
}

/// A place, free again when it is dropped; or none, of what is not counted.
#[derive(Default)]
pub(crate) struct Place(Option<(Arc<Places>, ClientId)>);

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        Places {
            limit,
            held: Mutex::default(),
        }
    }

    /// Takes a place, unless the client holds too many. Who is not known holds none.
    pub(crate) fn take(self: &Arc<Self>, client: Option<ClientId>) -> Option<Place> {
        self.take_of(client, self.limit)
    }

    /// The same with a limit for this moment; 0: none.
    pub(crate) fn take_of(
        self: &Arc<Self>,
        client: Option<ClientId>,
        limit: usize,
    ) -> Option<Place> {
        let Some(client) = client.filter(|_| limit > 0) else {
            return Some(Place(None));
        };
        let mut held = self.lock();
        let count = held.entry(client).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(held);
        Some(Place(Some((Arc::clone(self), client))))
    }

    /// The same, where the client may hold four places for each that is `free`, and one in any case. So one client alone gets four fifths of all, and
    /// there is always one for a client that holds none.
    pub(crate) fn take_share(
        self: &Arc<Self>,
        client: Option<ClientId>,
        free: usize,
    ) -> Option<Place> {
        self.take_of(client, free.saturating_mul(SHARE).max(1))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, client)) = self.0.take() else {
            return;
        };
        let mut held = places.lock();
        if let Some(count) = held.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                held.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_cannot_take_all() {
        const ALL: usize = 100;
        let places = Arc::new(Places::new(0));
        let mut held = Vec::new();
        let take = |held: &mut Vec<Place>, client| {
            let free = ALL.saturating_sub(held.len());
            let place = places.take_share(Some(ClientId::V4(client)), free);
            place.map(|place| held.push(place)).is_some()
        };
        let mut takes_all = |client| (0..ALL).filter(|_| take(&mut held, client)).count();
        assert_eq!([1, 2, 3].map(&mut takes_all), [80, 16, 4]);
        // Who holds none may wait for one.
        assert!([1, 2].iter().all(|client| takes_all(*client) == 0));
        assert_eq!(takes_all(4), 1);
    }

    #[test]
    fn each_client_has_places_of_its_own() {
        let places = Arc::new(Places::new(2));
        let [one, other] = [1, 2].map(|number| Some(ClientId::V4(number)));
        let held = [places.take(one), places.take(one), places.take(other)];
        assert!(held.iter().all(Option::is_some));
        assert!(places.take(one).is_none() && places.take(other).is_some());
        assert!((0..9).all(|_| places.take(None).is_some()));
        drop(held);
        assert!(places.take(one).is_some());
        assert!(places.lock().is_empty());
    }
}
