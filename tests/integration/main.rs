//! The proxy as clients, origins and operators see it: with real sockets and real origins, and without mocks of our own modules. There is one
//! file for each subject; `support` has what all of them use.

mod admin;
mod aims;
mod caching;
mod clients;
mod cors;
mod costs;
mod documents;
mod fetching;
mod file_names;
mod freshness;
mod generators;
mod http2;
mod interim;
mod keys;
mod kinds;
mod lifecycle;
mod limits;
mod logging;
mod long_originals;
mod mirror;
mod originals;
mod protocol;
mod purging;
mod reduced_copies;
mod remembering;
mod responses;
mod shared;
mod slow_bucket;
mod sources;
mod startup;
mod support;
mod transfers;
mod urls;
mod warm_command;
mod warming;
