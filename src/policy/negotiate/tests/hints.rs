//! The effect of client hints on the recipe and on `Vary`.

use std::time::Duration;

use super::*;
use crate::request::EffectiveConnectionType;

fn viewport(width: u32) -> ClientHints {
    ClientHints {
        viewport_width: Some(width),
        ..ClientHints::default()
    }
}

#[test]
fn section_2_22_the_smallest_breakpoint_that_is_wide_enough() {
    for (width, expected) in [
        (1, 320),
        (280, 320),
        (320, 320),
        (321, 768),
        (500, 768),
        (960, 960),
        (1200, 1200),
        (1500, 1200),
        (u32::MAX, 1200),
    ] {
        let recipe = hinted("width=auto", viewport(width));
        assert_eq!(recipe.width, Some(expected), "{width}");
        let legacy = ClientHints {
            legacy_viewport_width: Some(width),
            ..ClientHints::default()
        };
        assert_eq!(hinted("width=auto", legacy).width, Some(expected));
    }
    let own = "width=auto,wbreakpoints=1920;320;768;960,wdesktop=5,wmobile=5";
    assert_eq!(hinted(own, viewport(1500)).width, Some(1920));
    assert_eq!(hinted(own, viewport(3000)).width, Some(1920));
    assert_eq!(hinted(own, viewport(1)).width, Some(320));
    let both = ClientHints {
        legacy_viewport_width: Some(900),
        ..viewport(300)
    };
    assert_eq!(hinted("width=auto", both).width, Some(320));
}

#[test]
fn section_2_22_without_a_viewport_the_device_decides() {
    let phone = ClientHints {
        is_phone: true,
        ..ClientHints::default()
    };
    let silent = ClientHints::default();
    assert_eq!(hinted("width=auto", phone).width, Some(768));
    assert_eq!(hinted("width=auto", silent).width, Some(1200));
    let own = "width=auto,wmobile=700,wdesktop=1400,wbreakpoints=5";
    assert_eq!(hinted(own, phone).width, Some(700));
    assert_eq!(hinted(own, silent).width, Some(1400));
    let phone = ClientHints {
        is_phone: true,
        ..viewport(900)
    };
    assert_eq!(hinted("width=auto,wmobile=700", phone).width, Some(960));
}

#[test]
fn section_2_22_an_automatic_width_is_treated_like_any_other() {
    let recipe = hinted("width=auto,height=200,fit=cover,dpr=2", viewport(300));
    assert_eq!(
        recipe,
        hinted("width=640,height=400,fit=cover", ClientHints::default())
    );
    let (options, _) = Options::parse("width=auto,wbreakpoints=300;13000").expect("valid");
    let config = NegotiateConfig::default();
    assert!(negotiate(&options, NOTHING, &viewport(200), &config).is_ok());
    assert!(negotiate(&options, NOTHING, &viewport(400), &config).is_err());
}

#[test]
fn section_2_22_a_dense_screen_matters_where_the_setting_is_on() {
    let (options, _) = Options::parse("width=auto").expect("valid");
    let dense = ClientHints {
        dpr: Dpr::new(2.5),
        ..viewport(300)
    };
    assert_eq!(hinted("width=auto", dense).width, Some(320));
    let config: NegotiateConfig = toml::from_str("viewport_dpr = true").expect("a known key");
    let decided = negotiate(&options, NOTHING, &dense, &config).expect("a small picture");
    assert_eq!(decided.recipe.width, Some(768), "300 times 2.5 is 750");
    assert_eq!(
        vary(&options, &dense, &config).to_string(),
        "Sec-CH-Viewport-Width, Sec-CH-DPR, User-Agent"
    );
}

#[test]
fn section_2_23_a_slow_connection_gets_its_own_quality() {
    let slow = "width=5,quality=80,scq=40";
    let fast = ClientHints {
        rtt: Some(Duration::from_millis(150)),
        downlink_kbps: Some(5000),
        connection: Some(EffectiveConnectionType::Like4g),
        ..ClientHints::default()
    };
    let quality = |options, hints| hinted(options, hints).quality.get();
    assert_eq!(quality(slow, ClientHints::default()), 80);
    assert_eq!(quality(slow, fast), 80);
    for hints in [
        ClientHints {
            rtt: Some(Duration::from_micros(150_001)),
            ..fast
        },
        ClientHints {
            save_data: true,
            ..fast
        },
        ClientHints {
            connection: Some(EffectiveConnectionType::Slow2g),
            ..fast
        },
        ClientHints {
            connection: Some(EffectiveConnectionType::Like2g),
            ..fast
        },
        ClientHints {
            connection: Some(EffectiveConnectionType::Like3g),
            ..fast
        },
        ClientHints {
            downlink_kbps: Some(4999),
            ..fast
        },
    ] {
        assert_eq!(quality(slow, hints), 40, "{hints:?}");
        assert_eq!(quality("width=5,scq=low", hints), 35, "{hints:?}");
        assert_eq!(quality("width=5,quality=80", hints), 80, "{hints:?}");
        // The recipe, and so the cache key, holds the decision and not the hints.
        assert_eq!(
            hinted(slow, hints),
            hinted("width=5,quality=40", ClientHints::default())
        );
    }
}

#[test]
fn vary_names_the_headers_that_matter() {
    let silent = ClientHints::default();
    assert_eq!(vary_of("width=5,wbreakpoints=5,quality=5", &silent), "");
    assert_eq!(
        vary_of("width=auto", &silent),
        "Sec-CH-Viewport-Width, Viewport-Width, User-Agent"
    );
    assert_eq!(
        vary_of("width=auto", &viewport(5)),
        "Sec-CH-Viewport-Width, User-Agent"
    );
    assert_eq!(vary_of("scq=5", &silent), "RTT, Save-Data, ECT, Downlink");
    assert_eq!(
        vary_of("scq=5,format=auto,width=auto", &viewport(5)),
        "Accept, Sec-CH-Viewport-Width, User-Agent, RTT, Save-Data, ECT, Downlink"
    );
}
