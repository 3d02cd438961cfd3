//! How long a response may be reused, and how to revalidate it.
//!
//! [`Freshness`] follows from the header of a response and the operator's [`Rules`] (RFC 9111 and RFC 5861, with a minimum and a maximum).
//! [`Validators`] are for conditional requests, and [`Tags`] for purging. Headers are hostile input: malformed, repeated and enormous values result in
//! a short lifetime, and never in an error or a panic.

mod directives;
mod rules;
mod tags;
#[cfg(test)]
mod tests;
mod time;
mod validators;

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::AGE;
use serde::Deserialize;
use serde::Serialize;

use self::directives::{Directives, number, smallest};
use self::time::{FOREVER, seconds, since_epoch};

pub use self::rules::Rules;
pub use self::tags::{Tag, TagError, Tags};
pub use self::time::http_date;
pub use self::validators::Validators;

/// How far in the future a stored response may be, in seconds. If it is more, the clock was wrong when the response was stored.
const CLOCK_SLACK: u64 = 60;

/// From when and for how long a response may be reused, and what clients are told about that. All times are in whole seconds, as in HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When the response was received, in seconds since 1970.
    received: u64,
    /// Its age at that time.
    #[serde(default)]
    initial_age: u64,
    /// The freshness lifetime, counted from age zero, within minimum and maximum.
    lifetime: u64,
    /// Whether the origin gave a lifetime.
    #[serde(default)]
    stated: bool,
    #[serde(default = "yes")]
    storable: bool,
    /// Whether the origin gave less than the minimum.
    #[serde(default)]
    raised: bool,
    #[serde(default)]
    immutable: bool,
    /// The directives of the origin, for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<u64>,
    /// How long it may be used after its lifetime: as the origin says, or else the operator.
    #[serde(default)]
    grace_while_revalidating: u64,
    #[serde(default)]
    grace_on_error: u64,
    /// The age at which a purge ended its lifetime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<u64>,
    /// The longest lifetime, whatever the origin says, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Freshness {
    /// The freshness of a response whose header was received at `now`, under `rules`.
    ///
    /// `s-maxage` comes before `max-age`, and that before `Expires` minus `Date`. `Age` is subtracted. Without any of them the default of the rules
    /// counts. Of contradictory or malformed values the shortest lifetime counts. With `no-store` or `private` the response is not storable. All other
    /// lifetimes are at least the minimum.
    ///
    /// `stale-while-revalidate` and `stale-if-error` of the origin say how long the response may be used when stale, or else the operator's rules do.
    /// `must-revalidate`, `proxy-revalidate` and `no-cache` forbid it (RFC 9111 section 4.2.4), unless the origin gives one of these times too, which
    /// is more exact. `s-maxage` alone does not forbid it here: an origin that sends it wants shared caches to keep the response for longer, and not
    /// to make clients wait for a new one.
    pub fn of(headers: &HeaderMap, now: SystemTime, rules: &Rules) -> Self {
        let directives = Directives::of(headers);
        let received = since_epoch(now);
        let storable = !(directives.no_store || directives.private);
        let asked = directives.lifetime(headers, received);
        let min_ttl = seconds(rules.min_ttl);
        let max_ttl = seconds(rules.max_ttl);

        let age = smallest(headers, AGE, number).unwrap_or(0);
        let unasked = rules.default_ttl.map_or(min_ttl, seconds);
        let lifetime = asked.unwrap_or(unasked).min(max_ttl);
        // The rest of an old response's lifetime is raised too: the next request would get the same old response again.
        let (lifetime, initial_age) = if lifetime.saturating_sub(age) < min_ttl {
            (min_ttl, 0)
        } else {
            (lifetime, age)
        };
        let stated = |value: Option<u64>| value.map(|value| value.min(max_ttl));
        let stale_while_revalidate = stated(directives.stale_while_revalidate);
        let stale_if_error = stated(directives.stale_if_error);
        let forbids_stale = directives.must_revalidate || directives.no_cache;
        let grace = |stated: Option<u64>, configured: Duration| match stated {
            Some(stated) => stated,
            None if forbids_stale => 0,
            None => seconds(configured),
        };
        Freshness {
            received,
            initial_age,
            lifetime: if storable { lifetime } else { 0 },
            stated: asked.is_some() || !storable,
            storable,
            raised: storable && asked.is_some_and(|asked| asked < min_ttl),
            immutable: directives.immutable,
            stale_while_revalidate,
            stale_if_error,
            grace_while_revalidating: grace(stale_while_revalidate, rules.stale_while_revalidate),
            grace_on_error: grace(stale_if_error, rules.stale_if_error),
            cut: None,
            cap: None,
        }
    }

    /// This freshness after a 304 whose header has the freshness `newer`. A 304 without a lifetime keeps the previous one and restarts it (RFC 9111
    /// section 4.3.4). A cap stays, because the content is the same.
    pub fn renewed_by(&self, newer: &Freshness) -> Freshness {
        let renewed = if newer.stated || !self.storable {
            newer.clone()
        } else {
            Freshness {
                received: newer.received,
                initial_age: 0,
                cut: None,
                ..self.clone()
            }
        };
        match self.cap() {
            Some(cap) => renewed.capped(cap),
            None => renewed,
        }
    }

    /// This freshness with a lifetime of at most `cap` from when the response was received, and without any stale use, here or by clients.
    pub fn capped(&self, cap: Duration) -> Freshness {
        let cap = seconds(cap);
        Freshness {
            lifetime: self.lifetime.min(self.initial_age.saturating_add(cap)),
            immutable: false,
            stale_while_revalidate: None,
            stale_if_error: None,
            grace_while_revalidating: 0,
            grace_on_error: 0,
            cap: Some(cap),
            ..self.clone()
        }
    }

    /// The cap of the lifetime, if there is one.
    pub fn cap(&self) -> Option<Duration> {
        self.cap.map(Duration::from_secs)
    }

    /// This freshness with a lifetime that ends at `now` at the latest: the response is stale and must be revalidated. A 304 restores its lifetime.
    pub fn ended(&self, now: SystemTime) -> Freshness {
        let age = self.age(now).as_secs();
        Freshness {
            cut: Some(self.cut.map_or(age, |cut| cut.min(age))),
            ..self.clone()
        }
    }

    /// This freshness without any lifetime or stale use: the response must be fetched again.
    pub fn distrusted(&self) -> Freshness {
        Freshness {
            grace_while_revalidating: 0,
            grace_on_error: 0,
            // Zero, because the clock may have been wrong.
            cut: Some(0),
            ..self.clone()
        }
    }

    /// Whether it may be used without a request to the origin.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        // Not by age: a clock that is set back must not undo a purge.
        self.cut.is_none() && self.is_usable(now, 0)
    }

    /// Whether it may be used while it is revalidated.
    pub fn may_serve_while_revalidating(&self, now: SystemTime) -> bool {
        self.is_usable(now, self.grace_while_revalidating)
    }

    /// Whether it may be used if the origin failed.
    pub fn may_serve_on_error(&self, now: SystemTime) -> bool {
        self.is_usable(now, self.grace_on_error)
    }

    /// Whether its lifetime ended at most `grace` seconds ago.
    fn is_usable(&self, now: SystemTime, grace: u64) -> bool {
        // A response from the future was stored while the clock was wrong. Its age is unknown, and it would look fresh until the clock gets there.
        let from_the_future = self.received > since_epoch(now).saturating_add(CLOCK_SLACK);
        let end = self.lifetime().as_secs().saturating_add(grace);
        self.storable && !from_the_future && self.age(now).as_secs() < end
    }

    /// Whether its response was received later than the other.
    pub fn is_newer(&self, other: &Freshness) -> bool {
        self.received > other.received
    }

    /// Whether it may be stored.
    pub fn is_storable(&self) -> bool {
        self.storable
    }

    /// The age, for the `Age` header, in whole seconds.
    pub fn age(&self, now: SystemTime) -> Duration {
        let elapsed = since_epoch(now).saturating_sub(self.received);
        Duration::from_secs(self.initial_age.saturating_add(elapsed).min(FOREVER))
    }

    /// The freshness lifetime, of which [`age`](Self::age) has passed. Zero if it may not be stored.
    pub fn lifetime(&self) -> Duration {
        let lifetime = self.cut.map_or(self.lifetime, |cut| self.lifetime.min(cut));
        Duration::from_secs(lifetime)
    }

    /// `Cache-Control` for the client. `max-age` is the whole lifetime and needs an `Age` header beside it, which is larger in a stale response, so
    /// that nobody stores that (RFC 9111 section 4.2). `stale-while-revalidate` and `stale-if-error` are passed on only if the origin sent them.
    pub fn cache_control(&self) -> String {
        if !self.storable {
            return "private, no-store".to_owned();
        }
        let mut header = format!("public, max-age={}", self.lifetime().as_secs());
        if self.immutable {
            header.push_str(", immutable");
        }
        for (name, value) in [
            ("stale-while-revalidate", self.stale_while_revalidate),
            ("stale-if-error", self.stale_if_error),
        ] {
            if let Some(value) = value {
                header.push_str(&format!(", {name}={value}"));
            }
        }
        header
    }

    /// `Cache-Control` for a client that should come back after `limit` at the latest. Its `max-age` counts from now, so there must be no `Age` header
    /// beside it.
    pub fn cache_control_within(&self, limit: Duration, now: SystemTime) -> String {
        if !self.storable {
            return self.cache_control();
        }
        let left = self.lifetime().saturating_sub(self.age(now));
        format!("public, max-age={}", left.min(limit).as_secs())
    }

    /// Whether the origin gave less than the minimum. Then the client gets the warning `cache-control is too restrictive`.
    pub fn is_too_restrictive(&self) -> bool {
        self.raised
    }
}

/// How long the header of an error response, received at `now`, allows it to be cached, if it says. The rules do not make that longer.
pub fn negative_ttl(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let directives = Directives::of(headers);
    if directives.no_store || directives.private {
        return Some(Duration::ZERO);
    }
    let life = directives.lifetime(headers, since_epoch(now))?;
    let age = smallest(headers, AGE, number).unwrap_or(0);
    Some(Duration::from_secs(life.saturating_sub(age)))
}
