//! JPEG: each build has one encoder for outputs. The native build also has libjpeg-turbo for reduced copies.

#[cfg(feature = "native")]
mod jpegli;
#[cfg(not(feature = "native"))]
mod portable;
#[cfg(test)]
mod tests;
#[cfg(feature = "native")]
pub(crate) mod turbo;

#[cfg(feature = "native")]
pub(crate) use self::jpegli::encode;
#[cfg(not(feature = "native"))]
pub(crate) use self::portable::encode;
