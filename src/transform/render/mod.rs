//! Carries out a plan: decodes, composes and encodes.

pub(crate) mod animation;
pub(crate) mod batch;
pub(crate) mod compose;
pub(crate) mod info;
pub(crate) mod passthrough;
pub(crate) mod placeholders;
pub(crate) mod quality_search;
pub(crate) mod reduced_copy;
pub(crate) mod ssimulacra2;
pub(crate) mod still;
pub(crate) mod svg;
