//! How many uploads come by one upload URL at the same time. Whoever has the URL needs no token, and each upload takes room on the disk before one of
//! them wins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most at once: more than one, because a client that lost its connection begins anew before this is noticed here.
const MAX_AT_ONCE: usize = 4;

/// The upload URLs that are being used, by their nonces.
#[derive(Clone, Default)]
pub(super) struct Crowd(Arc<Mutex<HashMap<String, usize>>>);

/// One upload by an upload URL, until it is dropped.
pub(super) struct Place {
    crowd: Crowd,
    nonce: String,
}

impl Crowd {
    /// `None` where too many use this URL already.
    pub(super) fn enter(&self, nonce: &str) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(nonce.to_owned()).or_default();
        if *count >= MAX_AT_ONCE {
            return None;
        }
        *count += 1;
        Some(Place {
            crowd: self.clone(),
            nonce: nonce.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.nonce) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.nonce);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Crowd, MAX_AT_ONCE};

    #[test]
    fn one_url_has_few_users_and_nothing_of_them_stays() {
        let crowd = Crowd::default();
        let places: Vec<_> = (0..MAX_AT_ONCE).map_while(|_| crowd.enter("a")).collect();
        assert_eq!(places.len(), MAX_AT_ONCE);
        assert!(crowd.enter("a").is_none());
        assert!(crowd.enter("b").is_some());
        drop(places);
        assert!(crowd.enter("a").is_some());
        assert!(crowd.0.lock().expect("no panic").is_empty());
    }
}
