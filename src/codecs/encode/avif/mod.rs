//! AVIF: each build has one encoder.

#[cfg(feature = "native")]
mod aom;
#[cfg(not(feature = "native"))]
mod portable;
#[cfg(feature = "native")]
mod quantizer;
#[cfg(feature = "native")]
mod smoothness;

#[cfg(feature = "native")]
use self::aom as encoder;
#[cfg(not(feature = "native"))]
use self::portable as encoder;

pub(crate) use encoder::encode;
pub(crate) use encoder::speed;
pub(crate) use encoder::time;
