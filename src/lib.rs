//! safelight: an image transformation proxy that speaks Cloudflare's URL dialect.
//!
//! A request passes through these modules:
//!
//! ```text
//! socket ▸ server ▸ request ▸ policy ▸ cache ▸ source ▸ transform ▸ cache ▸ response ▸ socket
//!          accept   what is   may it,  have    fetch    plan and    store   build the
//!          or shed  asked?    exactly? it?     it       render      it      answer
//! ```
//!
//! Below, the modules stand in the order of their layers: a module imports only modules that are declared before it. `tests/architecture` has
//! the table of all imports between them, and fails if a module imports anything else.
//!
//! What always holds:
//! - A source is fetched only as a [`policy::ApprovedSource`], which only the allowlist can make.
//! - No pixels are allocated before the header of the file has been checked against the limits.
//! - The key of a rendition contains the hash of the source's bytes, so what is cached under a key never changes.
//! - Work that other requests may wait for runs in a task of its own: it continues when the client that started it disconnects.
//! - Cached answers and health checks never wait for a transformation.
//!
//! The library has no other users than its binary, its tests and its benchmarks. What they do not need is private to the crate.

#![deny(missing_docs)]

// Empty lines between them, so that rustfmt leaves them in this order.
pub mod units;

pub(crate) mod deadline;

pub mod token;

pub mod signature;

pub mod clients;

pub mod allocator;
pub mod memfd;

pub(crate) mod files;

pub(crate) mod outbound;

pub(crate) mod telemetry;

pub mod options;

pub mod request;

pub mod freshness;

pub mod bucket;

pub mod policy;

pub mod source;

pub mod pixels;

pub(crate) mod codecs;

pub mod transform;

pub mod cache;

pub(crate) mod cpu;

pub mod worker;

pub mod hosted;

pub mod error;

pub(crate) mod response;

pub mod pipeline;

pub mod operator;

pub mod api;

pub mod webhook;

pub mod server;

pub mod admin;

pub mod config;

pub mod cli;
