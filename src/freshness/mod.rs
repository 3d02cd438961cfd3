//! How long a thing may be reused, and how to ask its origin whether it changed.
//!
//! [`Freshness`] is what an origin's headers come to under our own [`Rules`] (RFC 9111 and RFC 5861, with a shortest and a longest life); [`Validators`] are
//! what the next question carries; [`Tags`] are the words by which the thing may be purged before its time. Headers are hostile input: garbage,
//! repeated and enormous values all end in a short life, never in an error or a panic.

mod directives;
mod rules;
mod tags;
#[cfg(test)]
mod tests;
mod validators;

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use hyper::HeaderMap;
use hyper::header::AGE;
use serde::Deserialize;
use serde::Serialize;

use self::directives::Directives;
use self::directives::number;
use self::directives::smallest;

pub use self::rules::Rules;
pub use self::tags::Tag;
pub use self::tags::TagError;
pub use self::tags::Tags;
pub use self::validators::Validators;

/// Longest time that is told apart from "for ever", in seconds: 68 years, the limit that RFC 9111 section 1.2.2 names.
const FOREVER: u64 = 1 << 31;

/// How far into the future a stored answer may lie before the clock is taken to have been wrong, in seconds.
const CLOCK_SLACK: u64 = 60;

/// For how long an answer may be reused, from when, and what its clients are told.
///
/// Everything is in whole seconds, because HTTP is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freshness {
    /// When the answer came, in seconds since 1970.
    received: u64,
    /// How old it was then.
    #[serde(default)]
    initial_age: u64,
    /// The whole life, counted from age nought, after `min_ttl` and `max_ttl`.
    lifetime: u64,
    /// Whether the origin said anything about it.
    #[serde(default)]
    stated: bool,
    #[serde(default = "yes")]
    storable: bool,
    /// Whether the origin asked for less than `min_ttl`.
    #[serde(default)]
    raised: bool,
    #[serde(default)]
    immutable: bool,
    /// As the origin stated it, for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<u64>,
    /// How long after its life we may use it, by the origin's word or else the operator's.
    #[serde(default)]
    grace_while_revalidating: u64,
    #[serde(default)]
    grace_on_error: u64,
    /// The age at which a purge ended the life before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<u64>,
    /// The most that its life may last, whatever the origin says, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Freshness {
    /// What the headers of an answer received at `now` come to under `rules`.
    ///
    /// `s-maxage` goes before `max-age`, that before `Expires` minus `Date`; `Age` is subtracted. Nothing given means the default of the rules. Of
    /// contradicting or unreadable values the shortest life is taken. `no-store` and `private` make it unstorable; all else is raised to `min_ttl`.
    ///
    /// How long it may be used after its life is what the origin states, `stale-while-revalidate` and `stale-if-error`, and the operator's word
    /// otherwise. Of the directives that forbid stale answers in RFC 9111 section 4.2.4, `must-revalidate`, `proxy-revalidate` and `no-cache` do so
    /// here, unless the origin states a time beside them, which is the more exact wish: the operator's `min_ttl` makes a life longer, and ends there.
    /// `s-maxage` alone does not: who sends it wants shared caches to keep the thing for longer, not to have clients wait for it.
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
        // What little is left of an old answer is raised as well: asking again at once would be given the same old answer.
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

    /// This freshness after a "not modified" whose headers came to `newer`. One that says nothing of its own leaves the terms as they were and starts
    /// the clock anew (RFC 9111 section 4.3.4).
    ///
    /// What was capped stays so, because the thing is the same.
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

    /// This freshness with a life of at most `cap` from when the answer came, and none beyond that: neither here nor with clients.
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

    /// The most that its life may last, if it was capped.
    pub fn cap(&self) -> Option<Duration> {
        self.cap.map(Duration::from_secs)
    }

    /// This freshness with a life that ends at `now`, if not before: to be asked for anew, and until then as usable as anything that is stale.
    /// A "not modified" gives it its whole life back.
    pub fn ended(&self, now: SystemTime) -> Freshness {
        let age = self.age(now).as_secs();
        Freshness {
            cut: Some(self.cut.map_or(age, |cut| cut.min(age))),
            ..self.clone()
        }
    }

    /// This freshness with no life left, not even for a moment: of no use until it was fetched anew.
    pub fn distrusted(&self) -> Freshness {
        Freshness {
            grace_while_revalidating: 0,
            grace_on_error: 0,
            // However wrong the clock was that said when.
            cut: Some(0),
            ..self.clone()
        }
    }

    /// Whether it may be used without asking the origin.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        // A clock that is set back does not undo a purge.
        self.cut.is_none() && self.is_usable(now, 0)
    }

    /// Whether it may be used without waiting for the origin, which is asked meanwhile.
    pub fn may_serve_while_revalidating(&self, now: SystemTime) -> bool {
        self.is_usable(now, self.grace_while_revalidating)
    }

    /// Whether it may be used when the origin was asked and failed.
    pub fn may_serve_on_error(&self, now: SystemTime) -> bool {
        self.is_usable(now, self.grace_on_error)
    }

    /// Whether its life is not over for longer than `grace`, in seconds.
    fn is_usable(&self, now: SystemTime, grace: u64) -> bool {
        // An answer from the future was stored while the clock was wrong: how old it is nobody knows, and it would seem young until the clock got there.
        let from_the_future = self.received > since_epoch(now).saturating_add(CLOCK_SLACK);
        let end = self.lifetime().as_secs().saturating_add(grace);
        self.storable && !from_the_future && self.age(now).as_secs() < end
    }

    /// Whether it tells of an answer that came later than another.
    pub fn is_newer(&self, other: &Freshness) -> bool {
        self.received > other.received
    }

    /// Whether it may be kept at all.
    pub fn is_storable(&self) -> bool {
        self.storable
    }

    /// How much of its life is gone, for the `Age` header: whole seconds.
    pub fn age(&self, now: SystemTime) -> Duration {
        let elapsed = since_epoch(now).saturating_sub(self.received);
        Duration::from_secs(self.initial_age.saturating_add(elapsed).min(FOREVER))
    }

    /// The whole life, of which [`age`](Self::age) is gone; nought if it may not be kept.
    pub fn lifetime(&self) -> Duration {
        let lifetime = self.cut.map_or(self.lifetime, |cut| self.lifetime.min(cut));
        Duration::from_secs(lifetime)
    }

    /// `Cache-Control` for the client. `max-age` is the whole life: it belongs with an `Age` header, which in a stale answer is the larger of the two,
    /// so that nobody keeps it (RFC 9111 section 4.2). Of the times after the life only those are passed on that the origin stated itself.
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

    /// `Cache-Control` for a client that should come back within `limit`, and not later than the rest of this life. Its `max-age`
    /// counts from now: no `Age` header belongs with it.
    pub fn cache_control_within(&self, limit: Duration, now: SystemTime) -> String {
        if !self.storable {
            return self.cache_control();
        }
        let left = self.lifetime().saturating_sub(self.age(now));
        format!("public, max-age={}", left.min(limit).as_secs())
    }

    /// Whether the origin asked for less than `min_ttl`, which the client is warned of: `cache-control is too restrictive`.
    pub fn is_too_restrictive(&self) -> bool {
        self.raised
    }
}

/// For how long at most the headers of an answer received at `now` let it be told again, where they say anything: for answers that are no source,
/// whose life no rule makes longer.
pub fn negative_ttl(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let directives = Directives::of(headers);
    if directives.no_store || directives.private {
        return Some(Duration::ZERO);
    }
    let life = directives.lifetime(headers, since_epoch(now))?;
    let age = smallest(headers, AGE, number).unwrap_or(0);
    Some(Duration::from_secs(life.saturating_sub(age)))
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// A time as HTTP writes it; `None` for times that it cannot write, because its years have four digits and begin in 1970.
pub fn http_date(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    (since.as_secs() < YEAR_10000).then(|| httpdate::fmt_http_date(time))
}

/// Whole seconds, no more than count.
fn seconds(time: Duration) -> u64 {
    time.as_secs().min(FOREVER)
}

fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs())
}
