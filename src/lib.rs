//! safelight: an image transformation proxy that speaks Cloudflare's URL dialect.
//!
//! A request walks through the rooms of this crate in the order in which they stand below. Each room has one door, its `mod.rs`; it
//! imports rooms before it and never rooms after it (`tests/architecture.rs` holds the table).
//!
//! ```text
//! socket ▸ server ▸ request ▸ policy ▸ cache ▸ source ▸ transform ▸ cache ▸ response ▸ socket
//!          take     what is   may it,  have we  get the  make the    keep    say
//!                   asked?    exactly? it?      source   rendition   it      it
//! ```
//!
//! What always holds:
//! - A source is fetched only as an [`policy::ApprovedSource`], which only the allowlist can make.
//! - No pixel is allocated before the limits have seen the header of its file.
//! - The key of a rendition holds the hash of the source's bytes, so what is kept under a key never changes.
//! - Work that others may wait for runs in a task of its own, and outlives the client that began it.
//! - Cached answers and health checks never wait behind a transformation.

pub mod units;

pub mod deadline;

pub mod allocator;

pub mod files;

pub mod outbound;

pub mod options;

pub mod request;

pub mod freshness;

pub mod bucket;

pub mod policy;

pub mod source;

pub mod pixels;

pub mod codecs;

pub mod transform;

pub mod cache;

pub(crate) mod cpu;

pub mod error;

pub(crate) mod telemetry;

pub(crate) mod response;

pub mod pipeline;

pub mod operator;

pub mod server;

pub mod admin;

pub mod config;

pub mod cli;
