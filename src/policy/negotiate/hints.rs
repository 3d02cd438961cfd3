//! Options that depend on client hints: `width=auto` and `slow-connection-quality`.

use std::time::Duration;

use crate::options::{Breakpoints, Dpr, Options, Pixels, QualityChoice};
use crate::policy::config::NegotiateConfig;
use crate::request::{ClientHints, EffectiveConnectionType};

/// The widths that `width=auto` chooses from by default.
const BREAKPOINTS: [Pixels; 4] = [pixels(320), pixels(768), pixels(960), pixels(1200)];
/// What `width=auto` is on a phone without client hints, by default.
const MOBILE: Pixels = pixels(768);
/// What `width=auto` is on other devices without client hints, by default.
const DESKTOP: Pixels = pixels(1200);
/// A connection with a longer round-trip time is slow.
const SLOW_RTT: Duration = Duration::from_millis(150);
/// A connection with less bandwidth is slow.
const SLOW_DOWNLINK_KBPS: u32 = 5000;

/// The width for `width=auto`: the smallest breakpoint that is as wide as the viewport, or else the largest; without a viewport, the width
/// for the kind of device.
pub(super) fn auto_width(
    options: &Options,
    hints: &ClientHints,
    config: &NegotiateConfig,
) -> Pixels {
    let Some(viewport) = viewport(hints, config) else {
        return if hints.is_phone {
            options.wmobile.unwrap_or(MOBILE)
        } else {
            options.wdesktop.unwrap_or(DESKTOP)
        };
    };
    let widths = options
        .wbreakpoints
        .as_ref()
        .map_or(&BREAKPOINTS[..], Breakpoints::widths);
    widths
        .iter()
        .find(|width| width.get() >= viewport)
        .or(widths.last())
        .copied()
        .unwrap_or(DESKTOP)
}

/// The width that suits the client where other widths than the usual breakpoints can be had: that of the viewport, unless the options say more.
pub(super) fn wanted_width(
    options: &Options,
    hints: &ClientHints,
    config: &NegotiateConfig,
) -> Pixels {
    viewport(hints, config)
        .filter(|_| options.wbreakpoints.is_none())
        .and_then(Pixels::new)
        .unwrap_or_else(|| auto_width(options, hints, config))
}

/// The width of the viewport in pixels of the picture. Cloudflare's documentation does not say that a dense screen gets a wider picture, though it
/// asks browsers for `Sec-CH-DPR`; so the density counts only where the setting `viewport_dpr` is on.
fn viewport(hints: &ClientHints, config: &NegotiateConfig) -> Option<u32> {
    let width = hints.viewport_width.or(hints.legacy_viewport_width)?;
    let dpr = hints.dpr.filter(|_| config.viewport_dpr);
    Some(dpr.unwrap_or(Dpr::ONE).scale(width))
}

/// The quality that the URL asks for, which may be another one on a slow connection.
pub(super) fn quality(options: &Options, hints: &ClientHints) -> Option<QualityChoice> {
    options
        .slow_connection_quality
        .filter(|_| is_slow(hints))
        .or(options.quality)
}

/// Whether at least one hint says that the connection is slow.
fn is_slow(hints: &ClientHints) -> bool {
    let is_slow_kind = matches!(
        hints.connection,
        Some(
            EffectiveConnectionType::Slow2g
                | EffectiveConnectionType::Like2g
                | EffectiveConnectionType::Like3g
        )
    );
    hints.save_data
        || is_slow_kind
        || hints.rtt.is_some_and(|rtt| rtt > SLOW_RTT)
        || hints
            .downlink_kbps
            .is_some_and(|kbps| kbps < SLOW_DOWNLINK_KBPS)
}

const fn pixels(pixels: u32) -> Pixels {
    Pixels::new(pixels).expect("no constant is zero")
}
