use super::*;

const NOTHING: Accept = Accept {
    avif: false,
    webp: false,
};
const WEBP: Accept = Accept {
    avif: false,
    webp: true,
};
const BOTH: Accept = Accept {
    avif: true,
    webp: true,
};

fn decide(options: &str, accept: Accept) -> Result<Decided, Denied> {
    let (options, _) = Options::parse(options).expect("the table holds valid options");
    negotiate(&options, accept, &NegotiateConfig::default())
}

fn decided(options: &str, accept: Accept) -> Decided {
    decide(options, accept).expect(options)
}

#[track_caller]
fn check_output(options: &str, accept: Accept, output: Output, vary_accept: bool) {
    let decided = decided(options, accept);
    assert_eq!(
        (decided.recipe.output, decided.vary_accept),
        (output, vary_accept),
        "{options} {accept:?}"
    );
}

#[track_caller]
fn check_box(options: &str, width: Option<u32>, height: Option<u32>, fit: Fit, warning: &str) {
    let Decided {
        recipe, warnings, ..
    } = decided(options, NOTHING);
    assert_eq!(
        (recipe.width, recipe.height, recipe.fit),
        (width, height, fit),
        "{options}"
    );
    assert_eq!(
        warnings
            .iter()
            .map(Warning::to_string)
            .collect::<Vec<_>>()
            .join("|"),
        warning,
        "{options}"
    );
}

#[test]
fn auto_takes_the_best_that_is_accepted() {
    check_output("format=auto", BOTH, Output::Avif, true);
    check_output(
        "format=auto",
        Accept {
            avif: true,
            webp: false,
        },
        Output::Avif,
        true,
    );
    check_output("format=auto", WEBP, Output::Webp, true);
    check_output(
        "format=auto",
        NOTHING,
        Output::Compatible { progressive: true },
        true,
    );
}

#[test]
fn no_format_is_a_compatible_one() {
    check_output(
        "width=8",
        BOTH,
        Output::Compatible { progressive: true },
        false,
    );
    check_output("format=json", BOTH, Output::Json, false);
    check_output("format=svg", BOTH, Output::Svg, false);
}

#[test]
fn a_named_format_is_made_for_everyone() {
    for accept in [NOTHING, BOTH] {
        check_output("format=avif", accept, Output::Avif, false);
        check_output("format=webp", accept, Output::Webp, false);
        check_output(
            "format=jpeg",
            accept,
            Output::Jpeg { progressive: true },
            false,
        );
        check_output(
            "format=baseline-jpeg",
            accept,
            Output::Jpeg { progressive: false },
            false,
        );
        check_output("format=png", accept, Output::Png, false);
        check_output("format=png-force", accept, Output::Png, false);
    }
}

#[test]
fn formats_to_come_are_warned_of_once() {
    for format in ["json", "svg"] {
        let warnings = decided(&format!("format={format}"), NOTHING).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].to_string().contains(format), "{warnings:?}");
    }
}

#[test]
fn quality_is_asked_or_the_default() {
    for (options, quality) in [
        ("width=8", 85),
        ("quality=1", 1),
        ("quality=100", 100),
        ("quality=high", 90),
        ("quality=medium-high", 70),
        ("quality=medium-low", 50),
        ("quality=low", 35),
    ] {
        assert_eq!(
            decided(options, NOTHING).recipe.quality.get(),
            quality,
            "{options}"
        );
    }
    let config: NegotiateConfig = toml::from_str("quality = 60").expect("one known key");
    let (options, _) = Options::parse("width=8").expect("valid options");
    assert_eq!(
        negotiate(&options, NOTHING, &config)
            .expect("in range")
            .recipe
            .quality
            .get(),
        60
    );
}

#[test]
fn dpr_multiplies_what_is_given() {
    check_box(
        "width=100,height=51,dpr=1.5",
        Some(150),
        Some(77),
        Fit::ScaleDown,
        "",
    );
    check_box("width=200,dpr=1.15", Some(230), None, Fit::ScaleDown, "");
    check_box("width=1,dpr=0.01", Some(1), None, Fit::ScaleDown, "");
    check_box("height=4000,dpr=3", None, Some(12_000), Fit::ScaleDown, "");
    check_box("dpr=2", None, None, Fit::ScaleDown, "");
}

#[test]
fn sides_beyond_the_limit_are_denied() {
    for (options, option, pixels) in [
        ("width=12001", "width", 12_001),
        ("height=12001", "height", 12_001),
        ("width=4001,dpr=3", "width", 12_003),
        ("width=4294967295,dpr=3", "width", u32::MAX),
        ("width=99999999999999", "width", u32::MAX),
    ] {
        let denied = decide(options, NOTHING).expect_err(options);
        assert_eq!(
            denied,
            Denied::OutputTooLarge {
                option,
                pixels,
                limit: 12_000
            },
            "{options}"
        );
        assert_eq!(
            denied.to_string(),
            format!("option `{option}` times `dpr` must be at most 12000 pixels, got {pixels}")
        );
    }
    assert!(decide("width=12000,height=12000", NOTHING).is_ok());
}

#[test]
fn both_sides_keep_the_fit() {
    for &fit in Fit::ALL {
        check_box(
            &format!("width=8,height=9,fit={fit}"),
            Some(8),
            Some(9),
            fit,
            "",
        );
    }
}

#[test]
fn one_side_scales_by_that_side() {
    let needs = |fit: &str| format!("{fit} fit mode needs both width and height");
    check_box(
        "width=8,fit=cover",
        Some(8),
        None,
        Fit::Contain,
        &needs("cover"),
    );
    check_box(
        "height=8,fit=pad",
        None,
        Some(8),
        Fit::Contain,
        &needs("pad"),
    );
    check_box(
        "width=8,fit=squeeze",
        Some(8),
        None,
        Fit::Contain,
        &needs("squeeze"),
    );
    check_box(
        "width=8,fit=crop",
        Some(8),
        None,
        Fit::ScaleDown,
        &needs("crop"),
    );
    check_box(
        "width=8,fit=aspect-crop",
        Some(8),
        None,
        Fit::ScaleDown,
        &needs("aspect-crop"),
    );
    check_box("width=8,fit=contain", Some(8), None, Fit::Contain, "");
    check_box("width=8,fit=scale-up", Some(8), None, Fit::ScaleUp, "");
    check_box("height=8,fit=scale-down", None, Some(8), Fit::ScaleDown, "");
}

#[test]
fn no_side_leaves_nothing_to_fit() {
    check_box("fit=contain", None, None, Fit::ScaleDown, "");
    check_box("fit=scale-up", None, None, Fit::ScaleDown, "");
    check_box(
        "fit=cover",
        None,
        None,
        Fit::ScaleDown,
        "cover fit mode needs both width and height",
    );
}

#[test]
fn an_automatic_width_is_no_width() {
    let Decided {
        recipe, warnings, ..
    } = decided("width=auto,height=8", NOTHING);
    assert_eq!((recipe.width, recipe.height), (None, Some(8)));
    assert!(
        warnings
            .iter()
            .any(|warning| warning.to_string().contains("width=auto")),
        "{warnings:?}"
    );
}

#[test]
fn gravity_counts_where_something_is_cut() {
    #[track_caller]
    fn check(options: &str, gravity: Gravity) {
        assert_eq!(
            decided(options, NOTHING).recipe.gravity,
            gravity,
            "{options}"
        );
    }
    check("width=8,height=8,fit=cover", Gravity::Center);
    check("width=8,height=8,fit=cover,gravity=left", Gravity::Left);
    check("width=8,height=8,fit=crop,gravity=top", Gravity::Top);
    check(
        "width=8,height=8,fit=aspect-crop,gravity=1x0.5",
        Gravity::Right,
    );
    check(
        "width=8,height=8,fit=cover,gravity=0.5x0.5",
        Gravity::Center,
    );
    check("width=8,height=8,fit=cover,gravity=auto", Gravity::Center);
    check("width=8,height=8,fit=cover,gravity=face", Gravity::Center);
    check(
        "width=8,height=8,fit=cover,gravity=entropy",
        Gravity::Center,
    );
    check("width=8,height=8,fit=pad,gravity=left", Gravity::Center);
    check("width=8,fit=cover,gravity=left", Gravity::Center);
    let point = decided("width=8,height=8,fit=cover,gravity=0.25x0.75", NOTHING)
        .recipe
        .gravity;
    assert_eq!(point.to_string(), "0.25x0.75");
}

#[test]
fn settings_have_ranges() {
    for text in [
        "output_side = 0",
        "output_side = -1",
        "quality = 0",
        "quality = 101",
        "look = 80",
    ] {
        toml::from_str::<NegotiateConfig>(text).expect_err(text);
    }
    assert_eq!(
        toml::from_str::<NegotiateConfig>("").expect("everything has a default"),
        NegotiateConfig::default()
    );
}
